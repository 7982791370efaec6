"""Steps that move areas or change their size: mremap."""
from rmapcore.units import PAGE
from rmapcore.verify.programs.model import HEAP, PLACE, Page


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
        if last is None:
            return
        for i in range(old, new):
            index = last.index + i - old + 1 if last.object else 0
            self.model.pages[at + i] = last._replace(index=index, own=None, marks=last.marks - {"guard"})

    def do_move(self):
        found = self.area(self.movable)
        if self.profile.twin and self.rng.random() < 0.4:
            found = self.span()                           # over a border, too
        if not found:
            return
        at, old, *_ = found
        new = self.rng.choice((old, old, old, min(old + self.rng.randint(1, 8), self.profile.window), max(1, old - 2)))
        to = self.target(at, old, new)
        if to is not None:
            self.add("mremap", at=self.at(at), old=old, new=new, to=to)
            self.moved(at, old, new, to)

    def do_move_several(self):
        """All areas of a range at once, with the holes between them: a fixed target and the size as it is."""
        runs = [run for run in self.model.runs() if run[0] < self.profile.window]
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

    def do_elsewhere(self):
        """Another size, or none, where the kernel likes, or only in place."""
        found = self.span() if self.profile.twin else self.outgrow()
        if found:
            at, n = found
            old = self.rng.choice((n,) * 6 + (0, 1, n + self.length()))
            new = self.rng.choice((old, old, self.length(), n + self.length()))
            self.add("mremap", at=self.at(at), old=old, new=new, maymove=self.rng.choice((None, True, True)))
            if old and new <= old:
                self.model.forget(at + new, old - new)
            elif old:
                self.model.forget(at, old)                # it moved away, or it grew, which others find out

    def outgrow(self):
        """A larger size, in place or where the kernel likes; a part of an area can only move."""
        found = self.area(self.movable)
        if found:
            at, n, _ = found
            new = n + self.rng.choice((1, 1, 2, 4, 8, self.length()))
            place, name = self.new_place()
            self.add("mremap", at=self.at(at), old=n, new=new, maymove=True, **name)
            if at < HEAP and at + new <= self.profile.window and self.model.free(at + n, new - n):
                self.extend(at, n, new)
            else:
                self.moved(at, n, new, place)

    def do_dontunmap_elsewhere(self):
        """The entries go where the kernel likes, perhaps where it is told to try."""
        found = self.span() if self.profile.twin else self.area(self.movable)
        if found:
            at, n, *_ = found
            hint = self.rng.random() < 0.6
            to = self.place(n) if hint else None
            place, name = (None, {}) if self.profile.twin else self.new_place()
            self.add("mremap", at=self.at(at), old=n, new=n, to=to, hint=hint or None, dontunmap=True, **name)
            if hint and self.model.free(to, n):
                self.moved(at, n, n, to, keep=True)
            elif place:
                self.moved(at, n, n, place, keep=True)

    def do_move_growing(self):
        """One that grows downwards, or a part, goes where it is told or where the kernel likes, in another size too."""
        found = self.area(lambda page: "growsdown" in page.marks)
        if not found:
            return
        at, n, _ = found
        new = self.rng.choice((n, n, n + 1, n + self.length(), max(1, n - 1)))
        to = self.target(at, n, new) if self.rng.random() < 0.4 else None
        keep = True if new == n and self.rng.random() < 0.3 else None
        place, name = (to, {}) if to is not None else self.new_place()
        maymove = True if to is None and not keep else None
        self.add("mremap", at=self.at(at), old=n, new=new, to=to, maymove=maymove, dontunmap=keep, **name)
        if to is not None or keep or new > n:
            self.moved(at, n, new, place, keep=bool(keep))

    def do_several(self):
        """Whatever areas and gaps a range has, moved at once."""
        n = self.rng.randint(2, 20)
        at, to = (self.rng.randint(0, self.profile.window - n) for _ in range(2))
        self.add("mremap", at=at, old=n, new=n, to=to, dontunmap=True if self.rng.random() < 0.2 else None)
        if at in self.model.pages and abs(at - to) >= n:
            self.moved(at, n, n, to)

    def do_grow_into(self):
        """Room is made behind an area, up to the next one or into it, and it grows there."""
        found = self.area(part=False)
        if not found or found[0] >= PLACE:
            return
        at, n, page = found
        end, more = at + n, self.length()
        self.add("munmap", at=self.at(end), len=more)
        self.model.forget(end, more)
        if self.rng.random() < 0.5 and end + more + 2 < self.profile.window:
            self.map(end + more, 2, True, (), {"prot": page.prot}, Page(page.prot, self.unit()))
        old = self.rng.choice((1, 1, 1, 1, min(n, 2), n))
        self.add("mremap", at=self.at(end - old), old=old, new=old + more, maymove=self.rng.choice((None, None, True)))
        self.extend(end - old, old, old + more)

    # --- pages in another order ----------------------------------------------------------------------------------------

    def remap(self, at, n, pgoff, flags=0, size=None):
        self.add("remap_file_pages", at=self.at(at), len=n, len_bytes=size, pgoff=pgoff, nonblock=flags or None)

    def do_remap(self):
        """Pages of a shared mapping, seldom of another, in another order."""
        shared = sorted(at for at, page in self.model.pages.items() if page.shared)
        at = self.rng.choice(shared) if shared and self.rng.random() < 0.95 else self.rng.randrange(self.profile.window)
        n = self.run_from(at, min(self.length(), 8))
        self.remap(at, n, self.rng.randrange(18), self.rng.random() < 0.5, self.rng.choice((None, None, None, n * PAGE + 5)))

    def do_scattered(self):
        """A larger shared mapping, page by page in reverse order."""
        n = self.rng.choice((20, 30, 50))
        at, file = self.rng.randint(0, self.profile.window - n), self.rng.choice(sorted(self.profile.files))
        fields = {"prot": "rw", "share": "shared", "file": file, "pgoff": 0}
        self.map(at, n, True, (), fields, Page("rw", self.unit(), file, True))
        nonblock = self.rng.random() < 0.5
        for place in range(self.rng.choice((6, 16, 23))):
            self.remap(at + place, 1, 23 - place, nonblock)

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
        refused = self.profile.twin and self.rng.random() < 0.2
        found = self.area(lambda page: (page.shared or refused) and self.movable(page))
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
