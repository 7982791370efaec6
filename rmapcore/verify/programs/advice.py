"""Steps of locks, advice, seals and policies of memory."""
from rmapcore.verify.programs.model import in_memory, private


class Advice:
    # --- locks ------------------------------------------------------------------------------------------------------

    def do_mlock(self):
        found = self.area(lambda page: self.profile.twin or (
            in_memory(page) and page.marks.isdisjoint(("guard", "droppable"))))
        if found:
            at, n = self.lockable(*found[:2])
            self.add("mlock", at=self.at(at), len=n)
            self.change(at, n, lock="full")
            self.populated(at, n)

    def do_mlock_onfault(self):
        found = self.span()
        if found:
            found = self.lockable(*found)
            self.add("mlock", at=self.at(found[0]), len=found[1], onfault=True)
            self.change(*found, lock="onfault")

    def do_munlock(self):
        found = self.area(lambda page: page.lock) if self.rng.random() < 0.7 else None
        found = found[:2] if found else self.span()
        if found:
            self.add("munlock", at=self.at(found[0]), len=found[1])
            self.change(*found, lock="")

    def do_mlockall(self):
        flags = list(self.rng.choice((["current"], ["future"], ["current", "future"])))
        if self.profile.twin:
            self.unlock_at[self.process] = len(self.steps) + 4
        if self.rng.random() < 0.4 or not (self.profile.twin or all(map(in_memory, self.model.pages.values()))):
            flags.append("onfault")
        self.add("mlockall", flags=flags)
        lock = "onfault" if "onfault" in flags else "full"
        self.model.future = lock if "future" in flags else ""
        if "current" in flags:
            self.everywhere(lock)
        if self.profile.twin and self.rng.random() < 0.3:
            self.do_brk()

    def do_munlockall(self):
        self.add("munlockall")
        self.model.future = ""
        self.everywhere("")

    def everywhere(self, lock):
        for at, n in self.model.runs():
            self.change(at, n, lock=lock)
            if lock == "full":
                self.populated(at, n)

    def do_dontneed_locked(self):
        found = self.area(lambda page: page.lock or private(page))
        if found:
            self.add("madvise", at=self.at(found[0]), len=found[1], advice="dontneed_locked")
            self.dropped(*found[:2])

    def do_lock_pair(self):
        """There and back: what was split merges again."""
        found = self.span()
        if found:
            at, n = self.lockable(*found)
            self.add("mlock", at=self.at(at), len=n, onfault=self.rng.choice((None, True)))
            if self.rng.random() < 0.3:
                self.do_move()
            self.add("munlock", at=self.at(at), len=n)

    # --- advice -----------------------------------------------------------------------------------------------------

    def advise(self, fits, advice, part=True):
        found = self.area(fits, part)
        if self.profile.twin and self.rng.random() < 0.4:
            found = self.span()                           # whatever it is
        if found:
            self.add("madvise", at=self.at(found[0]), len=found[1], advice=advice)
        return found and found[:2]

    def dropped(self, at, n):
        for i in range(at, at + n):
            page = self.model.pages.get(i)
            if page is not None and page.own is not None:
                self.model.pages[i] = page._replace(own=None)

    def do_dontneed(self):
        found = self.span()
        if found:
            at, n = found
            self.add("madvise", at=self.at(at), len=n, advice="dontneed")
            for i in range(at, at + n):
                if i not in self.model.pages or self.model.pages[i].lock:
                    return
                self.dropped(i, 1)

    def do_free(self):
        """Where pages are swapped, one that came back and is shared is discarded or not, as the swap device is: so each
        page is made the process's own first."""
        if self.profile.needs and not self.profile.twin:
            self.do_write_free()
            return
        found = self.advise(private, "free")
        self.freed(found)

    def do_write_free(self):
        found = self.area(lambda page: private(page) and "w" in page.prot and "guard" not in page.marks)
        if found:
            at, n, _ = found
            self.write(at, n)
            self.add("madvise", at=self.at(at), len=n, advice="free")
            self.freed((at, n))

    def freed(self, found):
        for i in range(found[0], sum(found)) if found else ():
            page = self.model.pages.get(i)
            if page and not page.lock and page.own is not None:
                self.model.pages[i] = page._replace(own=-1)

    def do_cold(self):
        self.advise(self.reclaimable, "cold")

    def do_pageout(self):
        self.advise(self.reclaimable, "pageout")

    def reclaimable(self, page):
        return self.profile.twin or in_memory(page)

    def do_advise(self):
        """Advice that an area remembers, and some that it does not."""
        kind = self.rng.choice(("free", "cold", "keep", "keep", "populate", "plain", "plain", "plain"))
        getattr(self, "do_" + kind)()

    def do_kind_of_pages(self):
        """Advice about huge and equal pages: none are made, but areas remember it."""
        found = self.area(private)
        if found:
            self.add("madvise", at=self.at(found[0]), len=found[1],
                     advice=self.rng.choice(("hugepage", "nohugepage", "mergeable", "unmergeable", "collapse")))
            self.change(*found[:2])

    def do_plain(self):
        """Advice that frees nothing."""
        found = self.span()
        if found:
            advice = self.rng.choice(self.profile.advice)
            self.add("madvise", at=self.at(found[0]), len=found[1], advice=advice)
            self.change(*found)

    def do_willneed(self):
        found = self.span()
        if found:
            self.add("madvise", at=self.at(found[0]), len=found[1], advice="willneed")

    def do_keep(self):
        """What a child gets."""
        name, mark, on = self.rng.choice((("dontfork", "dontfork", True), ("dofork", "dontfork", False),
                                          ("wipeonfork", "wipe", True), ("keeponfork", "wipe", False)))
        found = self.advise(lambda page: mark != "wipe" or (private(page) and "droppable" not in page.marks), name)
        if found:
            self.change(*found, marks=lambda page: self.mark(page, mark, on))

    def do_guard(self):
        found = self.advise(lambda page: "sealed" not in page.marks, "guard_install")
        for i in range(found[0], sum(found)) if found else ():
            page = self.model.pages[i]
            if not page.lock:
                self.model.pages[i] = page._replace(own=None, marks=page.marks | {"guard"})

    def do_unguard(self):
        guarded = [at for at, page in sorted(self.model.pages.items()) if "guard" in page.marks]
        if guarded:
            at, n = self.rng.choice(guarded), self.rng.randint(1, 6)
            while not self.model.whole(at, n):
                n -= 1
            self.add("madvise", at=self.at(at), len=n, advice="guard_remove")
            for i in range(at, at + n):
                page = self.model.pages[i]
                self.model.pages[i] = page._replace(marks=page.marks - {"guard"})

    def do_guard_pair(self):
        """Most go again: a guard ends every batch that comes by."""
        found = self.span()
        if found:
            at, n = found[0], min(found[1], 4)
            self.add("madvise", at=self.at(at), len=n, advice="guard_install")
            if self.rng.random() < 0.4:
                self.do_fork()
            if self.rng.random() < 0.8:
                self.add("madvise", at=self.at(at), len=n, advice="guard_remove")
            else:
                self.change(at, n, own=None, marks=lambda page: page.marks | {"guard"})

    def do_seal_and_end(self):
        """Of a process that does not live long: nothing else ends a seal."""
        found = self.area()
        if found:
            self.add("mseal", at=self.at(found[0]), len=found[1])
            for _ in range(5):
                action = self.rng.choice(("munmap", "mprotect", "move", "dontneed", "replace", "elsewhere", "duplicate"))
                getattr(self, f"do_{action}")()
            self.do_exit()

    def do_seal(self):
        found = self.area()
        if found and found[1] <= 8:
            self.add("mseal", at=self.at(found[0]), len=found[1])
            self.change(*found[:2], marks=lambda page: page.marks | {"sealed"})

    def do_mbind(self):
        found = self.span()
        if found:
            policy = self.rng.choice(("default", "bind", "interleave"))
            self.add("mbind", at=self.at(found[0]), len=found[1], policy=policy)
            self.change(*found)
