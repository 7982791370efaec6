"""Steps about what is in the pages: reads and writes, references to pages, and files that get shorter or lose pages."""
from rmapcore.units import PAGE
from rmapcore.verify.programs.model import in_memory, private

TWIN_PINS = 3                           # at once, on a machine of a few frames


class Contents:
    # --- accesses ---------------------------------------------------------------------------------------------------

    def do_write(self):
        if self.profile.twin:
            found = self.reach(24, "w", 0)
            if found:
                self.write(*found)
            return

        def fits(page):
            return "w" in page.prot and (self.objects.byte(page) is not None or self.rng.random() < 0.05)

        found = self.area(fits)
        if found:
            self.write(*found[:2])

    def write(self, at, n):
        self.stamp = self.stamp % 250 + 1
        self.add("write", at=self.at(at), len=n, value=self.stamp)
        for i in range(at, at + n):
            page = self.model.pages.get(i)
            if page is None or "w" not in page.prot or self.objects.byte(page) is None:
                return
            if page.shared:
                self.objects.bytes[page.object][page.index] = self.stamp
            else:
                self.model.pages[i] = page._replace(own=self.stamp)

    def do_read(self):
        if self.profile.twin:
            found = self.reach(24, "r", 0)
            if found:
                self.add("read", at=self.at(found[0]), len=found[1], len_bytes=found[1] * PAGE - 1)
            return
        found = self.area(lambda page: self.profile.reads_all or page.object is None)
        if not found:
            return
        at, n, _ = found
        bytes_read = {self.objects.byte(self.model.pages[at + i]) for i in range(n)}
        value = bytes_read.pop() if len(bytes_read) == 1 else -1
        self.add("read", at=self.at(at), len=n, value=None if value == -1 else value)

    def do_touch(self):
        """Many accesses in one call, here and there."""
        write = self.rng.random() < 0.6
        found = [self.reach(1, "w" if write else "r") for _ in range(self.rng.randint(1, 20))]
        if found[0]:
            pages = [self.at(at) if self.rng.random() < 0.997 else self.rng.randrange(self.profile.window) for at, _ in found]
            self.add("touch", pages=pages, write=write, at_off=self.rng.choice((0, 0, 8)))

    def do_wild(self):
        """An access of memory that is probably not mapped."""
        at = self.rng.choice((self.rng.randrange(self.profile.window), self.profile.window + 2, f"H+{30}"))
        self.add(self.rng.choice(("read", "write")), at=at, len_bytes=self.rng.choice((1, PAGE + 1)))

    def do_hole(self):
        """An access where nothing is believed, or a call over a range with a hole."""
        n = self.length()
        at = self.place(n)
        kind = self.rng.choice(("read", "write", "mprotect", "madvise", "munmap", "mlock"))
        if kind in ("read", "write"):
            if self.model.free(at, 1) and all("growsdown" not in page.marks for page in self.model.pages.values()):
                self.add(kind, at=at, len=1, value=1 if kind == "write" else None)
        elif kind == "mprotect":
            prot = self.rng.choice(("rw", "r"))
            self.add("mprotect", at=at, len=n, prot=prot)
            self.change(at, n, self.sealed_page, prot=prot)
        elif kind == "munmap":
            self.add("munmap", at=at, len=n)
            if not self.model.sealed(at, n):
                self.model.forget(at, n)
        elif kind == "madvise":
            self.add("madvise", at=at, len=n, advice="sequential")
            for i in range(at, at + n):
                self.change(i, 1)
        elif "mlock" in self.profile.weights:
            self.add("mlock", at=at, len=n, onfault=True)
            self.change(at, n, lock="onfault")

    # --- references -------------------------------------------------------------------------------------------------

    def do_pin(self):
        if self.profile.twin:
            found = self.reach(1, "r")
            if found and len(self.pins) < TWIN_PINS:
                self.pinned(found[0] if self.rng.random() < 0.9 else self.rng.randrange(self.profile.window), -1)
            return
        found = self.area(lambda page: private(page) and page.own not in (None, -1) and "r" in page.prot
                          and "guard" not in page.marks)
        if found and len(self.pins) < 8:
            at = found[0]
            own = self.model.pages[at].own
            if own in (None, -1):
                return
            self.pinned(at, own)

    def pinned(self, at, own):
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

    # --- files ------------------------------------------------------------------------------------------------------

    def do_truncate(self):
        """A file on disk that was cut off is never cut off again above its lowest size: see the package."""
        name = self.rng.choice(sorted(self.profile.files))
        if self.profile.twin:
            size = self.rng.choice((self.rng.randrange(32 * PAGE), 32 * PAGE, 32 * PAGE, 40 * PAGE))
            self.steps.append({"op": "truncate", "file": name, "bytes": size})
            self.objects.truncate(name, -(-size // PAGE))
            return
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
        if self.profile.twin:
            self.advise(lambda page: page.shared, "remove")
        elif found:
            at, n, _ = found
            self.add("madvise", at=self.at(at), len=n, advice="remove")
            for i in range(at, at + n):
                page = self.model.pages[i]
                if not page.lock:
                    self.objects.bytes[page.object].pop(page.index, None)
                    if page.object[0] == "M":
                        self.objects.bytes[page.object][page.index] = 0
