"""What a random program may do next: each do_X appends a step, or none if nothing there fits.

A mixin of Cases: a Maker that has a profile and objects too.
"""
import itertools

from rmapcore.units import PAGE
from rmapcore.verify.programs.model import HEAP, PLACE, Page

ROUNDED = ("mmap", "munmap", "mprotect", "madvise", "mlock", "munlock", "mbind")     # calls that round a length up
PROTS = ("rw",) * 8 + ("r", "r", "rwx", "rx", "w", "")


class Actions:
    # --- steps ------------------------------------------------------------------------------------------------------

    def add(self, op, **fields):
        """A step of the process chosen, without the fields that are None; now and then a length in the middle of a page."""
        if fields.get("len") and op in ROUNDED and self.rng.random() < 0.04:
            fields["len_bytes"] = fields["len"] * PAGE - self.rng.choice((1, 100, PAGE - 1))
        step = {"op": op, "proc": f"p{self.process}", **fields}
        self.steps.append({key: value for key, value in step.items() if value is not None or key == "at"})

    def at(self, page):
        """How a step names a page."""
        if page >= PLACE:
            return f"L{page // PLACE - 1}+{page % PLACE}"
        return f"H+{page - HEAP}" if page >= HEAP else page

    def unit(self):
        self.units += 1
        return self.units

    # --- choosing ---------------------------------------------------------------------------------------------------

    def length(self):
        return self.rng.choice(self.profile.lengths)

    def place(self, n):
        """Where n pages go: beside something, or anywhere in the window."""
        room = self.profile.window - n
        runs = [run for run in self.model.runs() if run[0] < HEAP]
        if runs and self.rng.random() < 0.55:
            at, pages = self.rng.choice(runs)
            at = self.rng.choice((at - n, at + pages))
            if 0 <= at <= room:
                return at
        return self.rng.randint(0, room)

    def free_place(self, n):
        for _ in range(8):
            at = self.place(n)
            if self.model.free(at, n):
                return at
        return None

    def part(self, at, n):
        """A part of a range: all, its head, its tail, its middle."""
        kind = self.rng.choice(("all", "all", "head", "tail", "middle", "one"))
        if n == 1 or kind == "all":
            return at, n
        m = 1 if kind == "one" else self.rng.randint(1, n - 1)
        return at + {"head": 0, "tail": n - m}.get(kind, self.rng.randint(0, n - m)), m

    def area(self, fits=lambda page: True, part=True):
        """(first, pages, Page) of a part of one unit that fits, or None."""
        units = self.model.units(fits)
        if not units:
            return None
        at, n, page = self.rng.choice(units)
        if part:
            at, n = self.part(at, n)
        return at, n, page

    def span(self):
        """(first, pages) of mapped memory, of one unit or of several."""
        runs = self.model.runs()
        if not runs:
            return None
        if self.rng.random() < 0.6:
            return self.area()[:2]
        return self.part(*self.rng.choice(runs))

    def movable(self, page):
        return "sealed" not in page.marks

    # --- what the model remembers -------------------------------------------------------------------------------------

    def change(self, at, n, stop=lambda page: False, **fields):
        """Pages of a range get new values, up to the first that stops; each unit of before becomes one of its own."""
        new = {}
        for i in range(at, at + n):
            page = self.model.pages.get(i)
            if page is None or stop(page):
                return
            made = {key: value(page) if callable(value) else value for key, value in fields.items()}
            self.model.pages[i] = page._replace(unit=new.get(page.unit) or new.setdefault(page.unit, self.unit()), **made)

    def mark(self, page, name, on):
        return page.marks | {name} if on else page.marks - {name}

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

    # --- accesses ---------------------------------------------------------------------------------------------------

    def do_write(self):
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
        found = self.area(lambda page: self.profile.reads_all or page.object is None)
        if not found:
            return
        at, n, _ = found
        bytes_read = {self.objects.byte(self.model.pages[at + i]) for i in range(n)}
        value = bytes_read.pop() if len(bytes_read) == 1 else -1
        self.add("read", at=self.at(at), len=n, value=None if value == -1 else value)

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

    # --- protection -------------------------------------------------------------------------------------------------

    def sealed_page(self, page):
        return "sealed" in page.marks

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

    # --- processes --------------------------------------------------------------------------------------------------

    def do_fork(self):
        if len(self.living) >= self.most:
            self.do_exit()
            return
        self.add("fork", child=f"p{len(self.models)}")
        self.born(self.model.fork())

    def do_exit(self):
        if len(self.living) > 1:
            self.add("exit")
            self.ended()
            self.forget_pins()

    def do_exec(self):
        if len(self.living) > 1:
            self.add("exec")
            self.model.pages.clear()
            self.model.top, self.model.future = None, ""
            self.forget_pins()

    def forget_pins(self):
        self.pins = {name: pin for name, pin in self.pins.items() if pin[0] != self.process}

    def do_reclaim(self):
        self.steps.append({"op": "reclaim"})
