"""Steps that move areas or change their size: mremap."""
from rmapcore.verify.programs.model import HEAP, PLACE


class Moves:
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
