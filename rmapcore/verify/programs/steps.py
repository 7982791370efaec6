"""What all actions use: how a step is written, how ranges are chosen, what the model remembers, processes."""
from rmapcore.units import PAGE
from rmapcore.verify.programs.maker import Maker
from rmapcore.verify.programs.model import HEAP, PLACE, Model, Objects

TWIN_LOCKED = 3                         # pages that one call locks, and processes that live without a hurry to end, where a
TWIN_CROWD = 4                          # machine has a few dozen frames
ROUNDED = ("mmap", "munmap", "mprotect", "madvise", "mlock", "munlock", "mbind")     # calls that round a length up


class Steps(Maker):
    """objects: what is mapped besides anonymous memory.  pins: name -> (process, page, byte)."""

    def __init__(self, rng, profile, processes):
        super().__init__(rng, profile.weights, processes)
        self.profile, self.objects = profile, Objects(profile.files)
        self.pins, self.lowest, self.unlock_at = {}, {}, {}
        self.units = self.places = self.stamp = 0

    # --- steps ------------------------------------------------------------------------------------------------------

    def add(self, op, **fields):
        """A step of the process chosen, without the fields that are None; now and then a length in the middle of a page."""
        if fields.get("len") and "len_bytes" not in fields and op in ROUNDED and self.rng.random() < 0.04:
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
        room = max(self.profile.window - n, 0)
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

    def new_place(self):
        """(its first page, the field that names it) of the place that the kernel chooses next."""
        self.places += 1
        return PLACE * self.places, {"as": f"L{self.places - 1}"}

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
        if self.profile.twin:
            return self.reach(self.length())
        runs = self.model.runs()
        if not runs:
            return None
        if self.rng.random() < 0.6:
            return self.area()[:2]
        return self.part(*self.rng.choice(runs))

    def reach(self, most, letters="", beyond=0.1):
        """(first, pages) from a mapped page on that may be used so, at most so many, now and then more than are mapped."""
        fitting = [at for at, page in self.model.pages.items() if set(letters) <= set(page.prot)]
        if not fitting:
            return None
        at = self.rng.choice(fitting)
        return at, most if self.rng.random() < beyond else self.run_from(at, most, letters)

    def run_from(self, at, most, letters=""):
        """How many pages from this one on are mapped and may be used so, at most so many, but one."""
        n, pages = 0, self.model.pages
        while n < most and at + n in pages and set(letters) <= set(pages[at + n].prot):
            n += 1
        return max(n, 1)

    def lockable(self, at, n):
        """As much of a range as can be locked: a machine of a few frames would soon have no other."""
        return (at, min(n, TWIN_LOCKED)) if self.profile.twin else (at, n)

    def movable(self, page):
        return self.profile.twin or "sealed" not in page.marks

    def sealed_page(self, page):
        return "sealed" in page.marks

    # --- what the model remembers -----------------------------------------------------------------------------------

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

    # --- processes --------------------------------------------------------------------------------------------------

    def do_fork(self):
        crowd = self.profile.twin and len(self.living) > TWIN_CROWD and self.rng.random() < 0.6
        if crowd or len(self.living) >= self.most:
            self.do_exit()
            return
        self.add("fork", child=f"p{len(self.models)}")
        self.born(self.model.fork())

    def do_exit(self):
        if len(self.living) > 1:
            self.add("exit")
            self.ended()
            self.unlock_at.pop(self.process, None)
            self.forget_pins()

    def do_exec(self):
        if len(self.living) > 1:
            self.add("exec")
            self.model.pages.clear()
            self.model.top, self.model.future = 0 if self.profile.twin else None, ""
            self.forget_pins()
            self.settle()

    def forget_pins(self):
        self.pins = {name: pin for name, pin in self.pins.items() if pin[0] != self.process}

    def settle(self):
        """Of a new program: where the steps are single calls, an empty address space is of no use."""
        for _ in range(3 if self.profile.twin else 0):
            self.do_map()

    def do_spawn(self):
        """A process with no parent."""
        self.steps.append({"op": "spawn", "child": f"p{len(self.models)}"})
        self.turn_to(self.born(Model(top=0)))
        self.settle()

    def do_dead(self):
        """A call of a process that has ended."""
        dead = [process for process in range(len(self.models)) if process not in self.living]
        if dead:
            self.steps.append({"op": "munmap", "proc": f"p{self.rng.choice(dead)}", "at": 0, "len": 1})

    def do_reclaim(self):
        pages = {"pages": self.rng.choice((1, 5, 10, 30))} if self.profile.twin else {}
        self.steps.append({"op": "reclaim", **pages})
