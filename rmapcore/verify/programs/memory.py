"""Steps that map, unmap and protect memory, the heap and stacks."""
import itertools

from rmapcore.verify.programs.model import HEAP, PLACE, Page

GUARD_GAP = 256                         # pages below a growing area that must stay free of accessible memory
PROTS = ("rw",) * 8 + ("r", "r", "rwx", "rx", "w", "")


class Memory:
    # --- mapping ----------------------------------------------------------------------------------------------------

    def memory(self, at, n, flags=()):
        """(fields of a step, first Page) of new memory of some kind. flags: of mmap."""
        kinds = self.profile.kinds
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        if kind.endswith("_file") and (self.model.future == "full" or "locked" in flags or "populate" in flags):
            kind = "anon"                                 # a file's pages would be read in
        prot = self.rng.choice(PROTS)
        if kind == "anon":
            return {"prot": prot}, Page(prot, self.unit())
        if kind == "shm":
            return {"prot": prot, "share": "shared"}, Page(prot, self.unit(), self.objects.shared_memory(n), True)
        share, which = kind.split("_")
        name = "M0" if which == "memfd" else self.rng.choice(("F0", "F1"))
        size = max(self.objects.sizes[name], n)
        pgoff = self.rng.randint(0, size - n)
        if self.rng.random() < 0.4:                       # so that neighbours continue one another
            pgoff = at % size
        fields = {"prot": prot, "share": share, "file": name, "pgoff": pgoff}
        return fields, Page(prot, self.unit(), name, share == "shared", pgoff)

    def map(self, at, n, replace=None, flags=(), fields=None, page=None):
        if page is None:
            fields, page = self.memory(at, n, flags)
        self.add("mmap", at=self.at(at), len=n, **fields, replace=replace, flags=list(flags) or None)
        if self.model.sealed(at, n) or (not replace and not self.model.free(at, n)):
            return
        lock = "full" if "locked" in flags else self.model.future
        for i in range(n):
            index = page.index + i if page.object else 0
            self.model.pages[at + i] = page._replace(index=index, lock=lock)

    def do_map(self, flags=()):
        n = self.length()
        chance = self.rng.random()
        if chance < 0.3:
            self.map(self.place(n), n, True, flags)
        elif chance < 0.33:
            self.map(self.place(n), n, None, flags)       # perhaps there is something
        else:
            at = self.free_place(n)
            if at is not None:
                self.map(at, n, None, flags)

    def do_noreserve(self):
        self.do_map(["noreserve"])

    def do_populate(self):
        if self.rng.random() < 0.3:
            self.do_map(["populate"])
            return
        found = self.span()
        if found:
            write = self.rng.random() < 0.6
            at, n = found
            pages = [self.model.pages[at + i] for i in range(n)]
            if not write and any(page.object for page in pages):
                return
            self.add("madvise", at=self.at(at), len=n, advice="populate_write" if write else "populate_read")
            if write:
                self.populated(at, n)

    def populated(self, at, n):
        """Private pages that were written without a change of their bytes: own copies."""
        for i in range(at, at + n):
            page = self.model.pages.get(i)
            byte = None if page is None or "w" not in page.prot else self.objects.byte(page)
            if byte is None:
                return
            if not page.shared:
                self.model.pages[i] = page._replace(own=byte)

    def do_map_locked(self):
        self.do_map(["locked"])

    def do_droppable(self):
        n = self.length()
        at = self.free_place(n)
        if at is not None:
            page = Page("rw", self.unit(), marks=frozenset(["droppable", "wipe"]))
            self.map(at, n, None, ["droppable"], {"prot": "rw"}, page)

    def do_gap(self):
        """Memory that fills the gap between two runs, like the one before or the one behind."""
        runs = [run for run in self.model.runs() if run[0] < HEAP]
        gaps = [(a + n, b - a - n) for (a, n), (b, _) in itertools.pairwise(runs) if b - a - n <= 32]
        if not gaps:
            return
        at, n = self.rng.choice(gaps)
        page = self.model.pages[self.rng.choice((at - 1, at + n))]
        if page.object is None:
            self.map(at, n, None, (), {"prot": page.prot}, Page(page.prot, self.unit()))
        else:
            self.map(at, n)

    def do_anywhere(self):
        """A place of the kernel's choice, which all processes forked from now on know too."""
        n = self.length()
        fields, page = self.memory(0, n)
        if page.object is None:
            return
        at = PLACE * (self.places + 1)
        self.add("mmap", at=None, len=n, **fields, **{"as": f"L{self.places}"})
        self.places += 1
        for i in range(n):
            self.model.pages[at + i] = page._replace(index=page.index + i, lock=self.model.future)

    def do_munmap(self):
        found = self.span()
        if not found:
            return
        at, n = found
        if at < HEAP and self.rng.random() < 0.2:
            n = min(n + self.rng.randint(1, 8), self.profile.window - at)
        self.add("munmap", at=self.at(at), len=n)
        if not self.model.sealed(at, n):
            self.model.forget(at, n)

    # --- protection -------------------------------------------------------------------------------------------------

    def protect(self, at, n, prot):
        self.add("mprotect", at=self.at(at), len=n, prot=prot)
        self.change(at, n, self.sealed_page, prot=prot)

    def do_mprotect(self):
        found = self.span()
        if found:
            self.protect(*found, self.rng.choice(PROTS))

    def do_back(self):
        """Gives a range the protection of what is before it or behind it."""
        found = self.area()
        if found:
            at, n, _ = found
            beside = self.model.pages.get(self.rng.choice((at - 1, at + n)))
            self.protect(at, n, beside.prot if beside else "rw")

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
