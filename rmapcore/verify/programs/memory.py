"""Steps that map, unmap and protect memory, the heap and stacks."""
import itertools

from rmapcore.units import PAGE
from rmapcore.verify.programs.model import HEAP, PLACE, Page

BEYOND = 1 << 36                        # a page that no process has
GUARD_GAP = 256                         # pages below a growing area that must stay free of accessible memory
TWIN_OFFSETS = 12                       # where a mapping of a file begins, for twins: some end behind the file
TWIN_FLAGS = ((),) * 12 + (["locked"], ["populate"], ["noreserve"], ["validate"])
DROPPABLE = frozenset(["droppable", "wipe"])


class Memory:
    # --- mapping ----------------------------------------------------------------------------------------------------

    def memory(self, at, n, flags=()):
        """(fields of a step, first Page) of new memory of some kind. flags: of mmap."""
        kinds = self.profile.kinds
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        read_in = self.model.future == "full" or "locked" in flags or "populate" in flags
        if kind.endswith("_file") and read_in and not self.profile.twin:
            kind = "anon"
        prot = self.rng.choice(self.profile.prots)
        if kind == "anon":
            return {"prot": prot}, Page(prot, self.unit())
        if kind == "droppable":
            return {"prot": prot, "flags": ["droppable"]}, Page(prot, self.unit(), marks=DROPPABLE)
        if kind == "shm":
            return {"prot": prot, "share": "shared"}, Page(prot, self.unit(), self.objects.shared_memory(n), True)
        share, which = kind.split("_")
        names = [name for name in self.profile.files if name[0] == ("M" if which == "memfd" else "F")]
        name = self.rng.choice(names) if len(names) > 1 else names[0]
        size = TWIN_OFFSETS if self.profile.twin else max(self.objects.sizes[name], n)
        pgoff = self.rng.randint(0, max(size - n, 0))
        if self.rng.random() < 0.4:                       # so that neighbours continue one another
            pgoff = at % size
        fields = {"prot": prot, "share": share, "file": name, "pgoff": pgoff}
        return fields, Page(prot, self.unit(), name, share == "shared", pgoff)

    def map(self, at, n, replace=None, flags=(), fields=None, page=None):
        if "locked" in flags:
            at, n = self.lockable(at, n)
        if page is None:
            fields, page = self.memory(at, n, flags)
        given = {**fields, "replace": replace}
        self.add("mmap", at=self.at(at), len=n, **self.flagged(given, flags))
        if self.model.sealed(at, n) or (not replace and not self.model.free(at, n)):
            return
        lock = "full" if "locked" in flags else self.model.future
        for i in range(n):
            index = page.index + i if page.object else 0
            self.model.pages[at + i] = page._replace(index=index, lock=lock)

    def flagged(self, fields, flags):
        """The fields of an mmap with these flags too."""
        flags = [*fields.get("flags", ()), *flags]
        if fields.get("share") != "shared" or "file" not in fields:
            flags = [word for word in flags if word != "validate"]
        return {**fields, "flags": flags or None}

    def do_map(self, flags=()):
        n = self.length()
        chance = self.rng.random()
        if chance < 0.3:
            self.map(self.place(n), n, True, flags)
        elif chance < (0.6 if self.profile.twin else 0.33):
            self.map(self.place(n), n, None, flags)       # perhaps there is something
        else:
            at = self.free_place(n)
            if at is not None:
                self.map(at, n, None, flags)

    def do_replace(self):
        n = self.length()
        self.map(self.place(n), n, True, self.rng.choice(TWIN_FLAGS))

    def do_noreserve(self):
        self.do_map(["noreserve"])

    def do_map_populate(self):
        self.do_map(["populate"])

    def do_validate(self):
        """The type that also refuses flags that it does not know, of shared mappings of files."""
        self.do_map(["validate"])

    def do_populate(self):
        if self.rng.random() < 0.3:
            self.do_map_populate()
            return
        found = self.span()
        if found:
            write = self.rng.random() < 0.6
            at, n = found
            pages = [self.model.pages[at + i] for i in range(n) if at + i in self.model.pages]
            if not write and not self.profile.twin and any(page.object for page in pages):
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
            page = Page("rw", self.unit(), marks=DROPPABLE)
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

    def do_low(self):
        """Between 1 and 2 GiB."""
        self.do_anywhere(["32bit"])

    def do_anywhere(self, flags=()):
        """A place of the kernel's choice, which all processes forked from now on know too."""
        n = self.length()
        fields, page = self.memory(0, n)
        fields = self.flagged(fields, self.rng.choice(TWIN_FLAGS) if self.profile.twin else flags)
        at, name = self.new_place()
        self.add("mmap", at=None, len=n, **fields, **name)
        self.mapped(at, n, page)

    def mapped(self, at, n, page):
        for i in range(n):
            self.model.pages[at + i] = page._replace(index=page.index + i if page.object else 0, lock=self.model.future)

    def do_stack_anywhere(self):
        """One that grows downwards in the midst of what the kernel places: it comes with the room, which is given back."""
        n, room = self.rng.randint(1, 4), self.rng.choice((2, 12, 200, 300, 600))
        at, name = self.new_place()
        self.add("mmap", at=None, len=room + n, prot="rw", flags=["growsdown"], **name)
        self.add("munmap", at=self.at(at), len=room)
        self.mapped(at + room, n, Page("rw", self.unit(), marks=frozenset(["growsdown"])))

    def do_hint(self):
        """An address that the kernel need not take: free or taken, in the middle of a page, beyond what there is."""
        n = self.length()
        at = self.place(n)
        off = self.rng.choice((None, None, None, 5, PAGE - 5))
        fields, page = self.memory(at, n)
        place, name = None, {}
        if self.profile.twin:
            fields, rounded = self.flagged(fields, self.rng.choice(TWIN_FLAGS)), 1 if off else 0     # 2.6.7 rounds up
        else:
            rounded = 0
            place, name = self.new_place()
            at = self.rng.choice((at,) * 11 + (BEYOND,))
        self.add("mmap", at=at, at_off=off, len=n, len_bytes=n * PAGE - 1 if self.rng.random() < 0.3 else None, **fields,
                 hint=True, **name)
        if self.model.free(at + rounded, n) and at != BEYOND:
            self.mapped(at + rounded, n, page)
        elif place:
            self.mapped(place, n, page)

    def do_munmap(self):
        found = self.span()
        if not found:
            return
        at, n = found
        if at < HEAP and self.rng.random() < 0.2:
            n = min(n + self.rng.randint(1, 8), max(self.profile.window - at, n))
        if self.profile.twin and self.rng.random() < 0.04:
            at, n = 0, self.profile.window                # whole page tables go
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
            self.protect(*found, self.rng.choice(self.profile.prots))

    def do_protect_growing(self):
        """From the start of a growing area on, or upwards; of other areas that is an error."""
        found = self.area(lambda page: "growsdown" in page.marks) if self.rng.random() < 0.7 else None
        found = found[:2] if found else self.span()
        if found:
            prot, grows = self.rng.choice(("rw", "rw", "r")), self.rng.choice(("down", "down", "down", "up"))
            self.add("mprotect", at=self.at(found[0]), len=found[1], prot=prot, grows=grows)
            page = self.model.pages.get(found[0])
            if grows == "down" and page is not None and "growsdown" in page.marks:
                self.change(*found, prot=prot)

    def do_map_stack(self):
        self.do_map(["stack"])

    def do_back(self):
        """Gives a range the protection of what is before it or behind it."""
        found = self.area()
        if found:
            at, n, _ = found
            beside = self.model.pages.get(self.rng.choice((at - 1, at + n)))
            self.protect(at, n, beside.prot if beside else "rw")

    def do_protect_pair(self):
        """There and back: what was split merges again."""
        found = self.span()
        page = self.model.pages.get(found[0]) if found else None
        if page:
            self.protect(*found, "r")
            if self.rng.random() < 0.5:
                self.add("read", at=self.at(found[0]), len=found[1])
            self.protect(*found, page.prot)

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
            if self.profile.twin:
                self.brk_to(self.rng.randint(0, 14))
                return
            self.brk_to(self.rng.choice((0, self.rng.randint(0, 24), self.model.top + self.rng.randint(1, 4))))

    def do_write_heap(self):
        units = self.model.units(lambda page: "w" in page.prot)
        heap = [(at, n) for at, n, _ in units if HEAP <= at < PLACE]
        if heap:
            self.write(*self.part(*self.rng.choice(heap)))

    def do_stack(self):
        """An area that grows downwards, with room below it."""
        if self.profile.twin:
            self.small_stack()
            return
        n = self.rng.randint(1, 4)
        at = self.rng.randint(GUARD_GAP + 40, self.profile.window - n)
        self.add("munmap", at=at - GUARD_GAP - 40, len=GUARD_GAP + 40)
        if self.model.sealed(at - GUARD_GAP - 40, GUARD_GAP + 40):
            return
        self.model.forget(at - GUARD_GAP - 40, GUARD_GAP + 40)
        page = Page("rw", self.unit(), marks=frozenset(["growsdown"]))
        self.map(at, n, True, ["growsdown"], {"prot": "rw"}, page)

    def small_stack(self):
        """One in a window with hardly room, or beyond it, and accesses below; some are of a file."""
        n, room = self.rng.randint(1, 4), 12
        at = self.rng.randint(room, self.profile.window - n)
        if self.rng.random() < self.profile.far_stacks:
            at = self.profile.window + GUARD_GAP + 40
        else:
            self.add("munmap", at=at - room, len=room)
            self.model.forget(at - room, room)
        page = Page("rw", self.unit(), marks=frozenset(["growsdown"]))
        file = {"share": "private", "file": "F0", "pgoff": 8} if self.rng.random() < 0.25 else {}
        if file:
            page = page._replace(object="F0", index=8)
        self.map(at, n, True, ["growsdown"], {"prot": "rw", **file}, page)
        for _ in range(3):
            depth = self.rng.randint(1, room)
            self.add(self.rng.choice(("read", "write", "write")), at=at - depth, len_bytes=1)

    def do_below_stack(self):
        stacks = self.model.units(lambda page: "growsdown" in page.marks)
        if not stacks:
            return
        at, _, page = self.rng.choice(stacks)
        depth = min(self.rng.choice((1, 1, 2, 5, 20)), at % PLACE)
        if not depth or not self.model.free(at - depth, depth):
            return
        near = [i for i in range(max(at - depth - GUARD_GAP, 0), at - depth) if i in self.model.pages]
        if all("growsdown" in self.model.pages[i].marks or not self.model.pages[i].prot for i in near):
            for i in range(at - depth, at):
                self.model.pages[i] = page._replace(own=None)
        if self.rng.random() < 0.7:
            self.write(at - depth, 1)
        else:
            self.add("read", at=self.at(at - depth), len=1)
