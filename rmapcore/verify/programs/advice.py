"""What a random program may do to memory that is there: moves, locks, advice, the heap and stacks, files, pins, mistakes.

The other half of Actions: each do_X appends a step, or none if nothing there fits.
"""
from rmapcore.verify.programs.model import HEAP, PLACE, Page

GUARD_GAP = 256                         # pages below a growing area that must stay free of accessible memory


def in_memory(page):
    """Whether nothing but reclaim takes a page away or locks it: not a file's on disk."""
    return page.object is None or page.object[0] in "SM"


def private(page):
    return page.object is None


class Changes:
    # --- moves ------------------------------------------------------------------------------------------------------

    def target(self, at, old, new):
        """Where a range of `old` pages at `at` may be moved to: free or not, but clear of the range itself."""
        for _ in range(8):
            to = self.place(new)
            clear = to + new <= at or to >= at + old
            if clear and (self.rng.random() < 0.25 or self.model.free(to, new)):
                return to
        return None

    def moved(self, at, old, new, to, keep=False):
        """The model after a move of pages that the kernel grants."""
        if self.model.sealed(to, new) or self.model.sealed(at, old):
            return
        taken = {i: self.model.pages[at + i] for i in range(min(old, new)) if at + i in self.model.pages}
        self.model.forget(to, new)
        if keep:
            self.change(at, old, own=None, lock="", marks=lambda page: page.marks - {"guard"})
        else:
            self.model.forget(at, old)
        units = {}
        for i, page in taken.items():
            unit = units.get(page.unit) or units.setdefault(page.unit, self.unit())
            self.model.pages[to + i] = page._replace(unit=unit)
        self.extend(to, min(old, new), new)

    def extend(self, at, old, new):
        """The area that ends at page at + old has grown to at + new."""
        last = self.model.pages.get(at + old - 1)
        for i in range(old, new):
            index = last.index + i - old + 1 if last.object else 0
            self.model.pages[at + i] = last._replace(index=index, own=None, marks=last.marks - {"guard"})

    def do_move(self):
        found = self.area(self.movable)
        if not found:
            return
        at, old, _ = found
        new = self.rng.choice((old, old, old, min(old + self.rng.randint(1, 8), self.profile.window), max(1, old - 2)))
        to = self.target(at, old, new)
        if to is not None:
            self.add("mremap", at=self.at(at), old=old, new=new, to=to)
            self.moved(at, old, new, to)

    def do_move_several(self):
        """All areas of a range at once, with the holes between them: a fixed target and the size as it is."""
        runs = [run for run in self.model.runs() if run[0] < HEAP]
        if not runs:
            return
        at, n = self.rng.choice(runs)
        if self.rng.random() < 0.4:
            n += self.rng.randint(1, 24)
        n = min(n, self.profile.window - at)
        at, n = self.part(at, n)
        to = self.target(at, n, n)
        if to is not None and self.model.pages.get(at):
            self.add("mremap", at=at, old=n, new=n, to=to)
            self.moved(at, n, n, to)

    def do_dontunmap(self):
        found = self.area(self.movable)
        if found:
            at, n, _ = found
            to = self.target(at, n, n)
            if to is not None:
                self.add("mremap", at=self.at(at), old=n, new=n, to=to, dontunmap=True)
                self.moved(at, n, n, to, keep=True)

    def do_grow(self):
        found = self.area(self.movable, part=False)
        if not found:
            return
        at, n, _ = found
        if at >= PLACE:
            return
        first = at + self.rng.choice((0, 0, self.rng.randrange(n)))
        old = at + n - first
        new = old + self.rng.choice((1, 1, 2, 4, 8))
        room = HEAP - first if at >= HEAP else self.profile.window - first
        free = self.model.free(at + n, new - old) and new <= room
        if free or (self.rng.random() < 0.2 and at < HEAP):
            maymove = True if free and at < HEAP and self.rng.random() < 0.3 else None
            self.add("mremap", at=self.at(first), old=old, new=new, maymove=maymove)
            if free:
                self.extend(first, old, new)

    def do_shrink(self):
        found = self.area(self.movable, part=False)
        if found and found[1] > 1:
            at, n, _ = found
            new = self.rng.randint(1, n - 1)
            self.add("mremap", at=self.at(at), old=n, new=new)
            self.model.forget(at + new, n - new)

    def do_duplicate(self):
        """Old size 0: the same pages of a shared object once more."""
        found = self.area(lambda page: page.shared and self.movable(page))
        if not found:
            return
        at, n, page = found
        to = self.target(at, n, n)
        if to is None:
            return
        page = self.model.pages[at]
        self.add("mremap", at=self.at(at), old=0, new=n, to=to)
        if not self.model.sealed(to, n):
            self.model.forget(to, n)
            unit = self.unit()
            for i in range(n):
                marks = page.marks - {"guard"}
                self.model.pages[to + i] = page._replace(unit=unit, index=page.index + i, own=None, marks=marks)

    # --- locks ------------------------------------------------------------------------------------------------------

    def do_mlock(self):
        found = self.area(lambda page: in_memory(page) and page.marks.isdisjoint(("guard", "droppable")))
        if found:
            at, n, _ = found
            self.add("mlock", at=self.at(at), len=n)
            self.change(at, n, lock="full")
            self.populated(at, n)

    def do_mlock_onfault(self):
        found = self.span()
        if found:
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
        if self.rng.random() < 0.4 or not all(map(in_memory, self.model.pages.values())):
            flags.append("onfault")
        self.add("mlockall", flags=flags)
        lock = "onfault" if "onfault" in flags else "full"
        self.model.future = lock if "future" in flags else ""
        if "current" in flags:
            self.everywhere(lock)

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

    # --- advice -----------------------------------------------------------------------------------------------------

    def advise(self, fits, advice, part=True):
        found = self.area(fits, part)
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
                if self.model.pages[i].lock:
                    return
                self.dropped(i, 1)

    def do_free(self):
        """Where pages are swapped, one that came back and is shared is discarded or not, as the swap device is: so each
        page is made the process's own first."""
        if self.profile.needs:
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
            page = self.model.pages[i]
            if not page.lock and page.own is not None:
                self.model.pages[i] = page._replace(own=-1)

    def do_cold(self):
        self.advise(in_memory, "cold")

    def do_pageout(self):
        self.advise(in_memory, "pageout")

    def do_advise(self):
        """Advice that an area remembers, and some that it does not."""
        kind = self.rng.choice(("free", "cold", "keep", "keep", "populate", "plain", "plain", "plain"))
        if kind != "plain":
            getattr(self, "do_" + kind)()
            return
        found = self.span()
        if found:
            advice = self.rng.choice(("normal", "random", "sequential", "dontdump", "dodump"))
            self.add("madvise", at=self.at(found[0]), len=found[1], advice=advice)
            self.change(*found)

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

    # --- heap and stacks --------------------------------------------------------------------------------------------

    def brk_to(self, to):
        self.add("brk", to=to)
        old, self.model.top = self.model.top or 0, to
        self.model.forget(HEAP + to, max(old - to, 0))
        page = Page("rw", self.unit(), lock=self.model.future)
        for i in range(old, to):
            self.model.pages[HEAP + i] = page

    def do_brk(self):
        if self.model.top is not None:
            self.brk_to(self.rng.choice((0, self.rng.randint(0, 24), self.model.top + self.rng.randint(1, 4))))

    def do_write_heap(self):
        units = self.model.units(lambda page: "w" in page.prot)
        heap = [(at, n) for at, n, _ in units if HEAP <= at < PLACE]
        if heap:
            self.write(*self.part(*self.rng.choice(heap)))

    def do_stack(self):
        """An area that grows downwards, with room below it."""
        n = self.rng.randint(1, 4)
        at = self.rng.randint(GUARD_GAP + 40, self.profile.window - n)
        self.add("munmap", at=at - GUARD_GAP - 40, len=GUARD_GAP + 40)
        if self.model.sealed(at - GUARD_GAP - 40, GUARD_GAP + 40):
            return
        self.model.forget(at - GUARD_GAP - 40, GUARD_GAP + 40)
        page = Page("rw", self.unit(), marks=frozenset(["growsdown"]))
        self.map(at, n, True, ["growsdown"], {"prot": "rw"}, page)

    def do_below_stack(self):
        stacks = self.model.units(lambda page: "growsdown" in page.marks)
        if not stacks:
            return
        at, _, page = self.rng.choice(stacks)
        depth = min(self.rng.choice((1, 1, 2, 5, 20)), at)
        if not depth or not self.model.free(at - depth, depth):
            return
        near = [i for i in range(max(at - depth - GUARD_GAP, 0), at - depth) if i in self.model.pages]
        if all("growsdown" in self.model.pages[i].marks or not self.model.pages[i].prot for i in near):
            for i in range(at - depth, at):
                self.model.pages[i] = page._replace(own=None)
        if self.rng.random() < 0.7:
            self.write(at - depth, 1)
        else:
            self.add("read", at=at - depth, len=1)

    # --- files ------------------------------------------------------------------------------------------------------

    def do_truncate(self):
        """A file on disk that was cut off is never cut off again above its lowest size: see random_programs."""
        name = self.rng.choice(("F0", "F1", "M0"))
        size = self.rng.choice((256, 300, self.rng.randint(0, 256), self.rng.randint(0, 256)))
        if name != "M0":
            lowest = self.lowest.setdefault(name, self.objects.sizes[name])
            size = min(size, lowest) if size < self.objects.sizes[name] else size
            self.lowest[name] = min(size, lowest)
        self.steps.append({"op": "truncate", "file": name, "pages": size})
        self.objects.truncate(name, size)
        for model in self.models:
            for at, page in model.pages.items():
                if page.object == name and page.index >= size and page.own is not None:
                    model.pages[at] = page._replace(own=None)

    def do_remove(self):
        found = self.area(lambda page: page.shared and in_memory(page))
        if found:
            at, n, _ = found
            self.add("madvise", at=self.at(at), len=n, advice="remove")
            for i in range(at, at + n):
                page = self.model.pages[i]
                if not page.lock:
                    self.objects.bytes[page.object].pop(page.index, None)
                    if page.object[0] == "M":
                        self.objects.bytes[page.object][page.index] = 0

    # --- references -------------------------------------------------------------------------------------------------

    def do_pin(self):
        found = self.area(lambda page: private(page) and page.own not in (None, -1) and "r" in page.prot
                          and "guard" not in page.marks)
        if found and len(self.pins) < 8:
            at = found[0]
            own = self.model.pages[at].own
            if own in (None, -1):
                return
            name = f"P{self.stamp}_{len(self.steps)}"
            self.add("pin", at=self.at(at), **{"as": name})
            self.pins[name] = (self.process, at, own)

    def do_unpin(self):
        """The byte pinned, or the one written since: which is right depends on whether the writer got a copy."""
        if not self.pins:
            return
        name = self.rng.choice(sorted(self.pins))
        process, at, byte = self.pins.pop(name)
        page = self.models[process].pages.get(at)
        if page is not None and page.own not in (None, -1) and self.rng.random() < 0.4:
            byte = page.own
        self.steps.append({"op": "pin_read", "proc": f"p{process}", "as": name, "value": byte})

    # --- mistakes ---------------------------------------------------------------------------------------------------

    def do_mistake(self):
        """A call that the kernel refuses, whatever is mapped or because of what is."""
        found = self.area()
        if not found:
            return
        at, n, page = found
        at = self.at(at)
        to = self.rng.randint(0, self.profile.window - 8)
        op, fields = self.rng.choice((
            ("mmap", {"at": at, "len": n, "prot": "rw"}),
            ("mmap", {"at": to, "len": 0, "prot": "rw"}),
            ("mmap", {"at": to, "at_off": 8, "len": 1, "prot": "rw", "replace": True}),
            ("munmap", {"at": at, "len": 0}),
            ("munmap", {"at": at, "at_off": 8, "len": n}),
            ("mprotect", {"at": at, "at_off": 8, "len": n, "prot": "r"}),
            ("madvise", {"at": at, "at_off": 8, "len": n, "advice": "dontneed"}),
            ("madvise", {"at": at, "len": n, "advice": "remove" if private(page) else "free"}),
            ("mremap", {"at": at, "old": n, "new": 0}),
            ("mremap", {"at": at, "at_off": 8, "old": n, "new": n}),
            ("mremap", {"at": at, "old": n, "new": n + 1, "to": to, "dontunmap": True}),
            ("mremap", {"at": at, "old": n, "new": n, "to": at} if isinstance(at, int) else {"at": at, "old": n, "new": 0}),
            ("mremap", {"at": at, "old": n, "new": n, "to": to, "to_off": 8}),
            ("mremap", {"at": self.profile.window + 40, "old": 1, "new": 2}),
            ("mlockall", {"flags": []}),
            ("mlockall", {"flags": ["onfault"]}),
            ("mbind", {"at": self.profile.window + 40, "len": 1, "policy": "bind"}),
            ("mseal", {"at": self.profile.window + 40, "len": 1}),
            ("mlock", {"at": self.profile.window + 40, "len": 1}),
            ("munlock", {"at": self.profile.window + 40, "len": 1}),
            ("madvise", {"at": self.profile.window + 40, "len": 1, "advice": "populate_read"}),
        ))
        self.add(op, **fields)
