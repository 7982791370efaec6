"""Random programs for kernel 6.18: what those for 2.6.7 do, and the calls that are new or mean more there."""

from rmapcore.verify.programs.model import PLACE

from .v2_6_7 import (
    ANON,
    FIXED,
    GROWSDOWN,
    LOCKED,
    NONBLOCK,
    NORESERVE,
    PAGE,
    POPULATE,
    PRIVATE,
    READ,
    SHARED,
    WINDOW,
    WRITE,
    Calls,
)

VALIDATE, DROPPABLE = 0x3, 0x8
MAYMOVE, MOVE_FIXED, DONTUNMAP = 1, 2, 4
ONFAULT = 1
FREE, REMOVE, COLD, PAGEOUT, POPULATE_READ, POPULATE_WRITE, DONTNEED, DONTNEED_LOCKED = 8, 9, 20, 21, 22, 23, 4, 24
GUARD_INSTALL, GUARD_REMOVE = 102, 103
HINTS = (0, 1, 2, 3, 10, 11, 16, 17, 18, 19)  # advice that sets flags, or nothing
MOST_PINNED = 3


class Calls618(Calls):
    files = (("disk", 32), ("shmem", 30), ("disk", 24), ("shmem", 17))
    actions = Calls.actions | {
        "fork": 6, "exit": 2, "madvise": 6, "advise_pages": 9, "populate": 3, "guards": 2, "mlock": 3, "lock_pair": 2,
        "mbind": 3, "mseal": 1,
        "pin": 2, "release": 2, "mremap": 7, "several": 4, "dontunmap": 4, "grow": 4, "remap": 2, "scattered": 0, "stack": 2,
    }

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.pins = 0
        self.pinned = []

    # --- processes --------------------------------------------------------------------------------------------------

    def spawn(self):
        super().spawn()
        self.turn_to(len(self.models) - 1)
        self.settle()

    def do_execve(self):
        super().do_execve()
        self.settle()

    def settle(self):
        """An empty address space is of no use."""
        for _ in range(3):
            self.do_fixed()

    # --- mapping ----------------------------------------------------------------------------------------------------

    def mapping(self, n):
        prot, flags, file, offset = super().mapping(n)
        chance = self.rng.random()
        if file is None and flags & PRIVATE and chance < 0.05:
            flags = (flags & ~(PRIVATE | LOCKED)) | DROPPABLE
        elif file is not None and flags & SHARED and chance < 0.1:
            flags |= VALIDATE
        elif chance > 0.93:
            flags |= NORESERVE
        return prot, flags, file, offset

    def do_hint(self):
        n = self.length()
        page, before = self.window_page(n), self.rng.choice((0, 0, 5))
        prot, flags, file, offset = self.mapping(n)
        self.call("mmap", page * PAGE - before, n * PAGE - self.rng.choice((0, 1)), prot, flags, file, offset)
        page -= 1 if before else 0
        if self.model.free(page, n):
            self.note(page, n, prot, flags)

    def do_mremap(self):
        """Another size only for a page or two: it must not reach over a border between areas."""
        page, n = self.mapped_range(self.rng.choice((3, 3, 10)))
        new = self.rng.choice((n, n, self.length(14)))
        old = n if new == n else self.rng.choice((0, 1, 1, 1, 1, min(n, 2)))
        if self.rng.random() < 0.6:
            target = self.window_page(new)
            self.call("mremap", self.address(page), old * PAGE, new * PAGE, MAYMOVE | MOVE_FIXED, target * PAGE)
            if old and (page >= PLACE or target >= page + old or target + new <= page):
                self.note_move(page, old, target, new, False)
            return
        self.call("mremap", self.address(page), old * PAGE, new * PAGE, self.rng.choice((0, MAYMOVE, MAYMOVE)), 0)
        if old and new < old:
            self.model.forget(page + new, old - new)
        elif new > old and page < PLACE:
            self.model.forget(page, old)  # it moved away, or it grew, which others find out

    def do_several(self):
        """Whatever areas and gaps a range has, moved at once."""
        n = self.rng.randint(2, 20)
        page, target = self.window_page(n), self.window_page(n)
        flags = MAYMOVE | MOVE_FIXED | (DONTUNMAP if self.rng.random() < 0.2 else 0)
        self.call("mremap", page * PAGE, n * PAGE, n * PAGE, flags, target * PAGE)
        if page in self.model.pages and abs(page - target) >= n:
            self.note_move(page, n, target, n, flags & DONTUNMAP)

    def note_move(self, page, n, target, new, stays):
        """Page by page, as the model had it; a gap leaves what lies opposite."""
        was = [self.model.pages.get(page + i) for i in range(n)]
        if not stays:
            self.model.forget(page, n)
        was += was[-1:] * (new - n)
        for at, has in enumerate(was[:new], target):
            if has is not None:
                self.model.pages[at] = has

    def do_stack(self):
        """In the window there is nearly always something too close below it."""
        if self.rng.random() < 0.3:
            super().do_stack()
            return
        page = self.low - 300
        self.call("mmap", page * PAGE, PAGE, READ | WRITE, FIXED | GROWSDOWN | PRIVATE | ANON, None, 0)
        for _ in range(3):
            self.call(self.rng.choice(("read", "write")), (page - self.rng.randint(0, 12)) * PAGE, 1)

    def do_dontunmap(self):
        page, n = self.mapped_range(10)
        flags = MAYMOVE | DONTUNMAP
        target = self.window_page(n)
        chance = self.rng.random()
        if chance < 0.6:
            self.call("mremap", self.address(page), n * PAGE, n * PAGE, flags | MOVE_FIXED, target * PAGE)
            if page >= PLACE or abs(page - target) >= n:
                self.note_move(page, n, target, n, True)
        else:
            hint = target * PAGE if chance < 0.85 else 0
            self.call("mremap", self.address(page), n * PAGE, n * PAGE, flags, hint)
            if hint and self.model.free(target, n):
                self.note_move(page, n, target, n, True)

    def do_grow(self):
        """The end of an area, in place if there is room; sometimes room is made, up to the next area or into it."""
        page, n = self.mapped_range(6)
        end = page + n
        while end in self.model.pages and n < 40:
            n, end = n + 1, end + 1
        more = self.length(6)
        if self.rng.random() < 0.5 and page < PLACE:
            self.call("munmap", end * PAGE, more * PAGE)
            self.model.forget(end, more)
            if self.rng.random() < 0.5 and end + more + 2 < self.low + WINDOW:
                has = self.prot_of(page, READ | WRITE)
                self.call("mmap", (end + more) * PAGE, 2 * PAGE, has, PRIVATE | ANON | FIXED, None, 0)
                self.note(end + more, 2, has, PRIVATE)
        old = min(n, self.rng.choice((1, 1, 1, 1, 2, n)))
        first = page + n - old
        self.call("mremap", self.address(first), old * PAGE, (old + more) * PAGE, self.rng.choice((0, 0, MAYMOVE)), 0)
        if self.model.free(end, more):
            self.note_move(first, old, first, old + more, True)

    def do_remap(self):
        page = self.shared_or_other()
        n = self.run_from(page, self.length(8))
        flags = self.rng.choice((0, 0, NONBLOCK, POPULATE))
        self.call("remap_file_pages", self.address(page), n * PAGE, 0, self.rng.randrange(18), flags)

    # --- changing what is mapped ------------------------------------------------------------------------------------

    def do_madvise(self):
        page, n = self.mapped_range(12)
        self.call("madvise", self.address(page), n * PAGE, self.rng.choice(HINTS))

    def do_advise_pages(self):
        page, n = self.mapped_range(12)
        advice = self.rng.choice((DONTNEED, DONTNEED, DONTNEED_LOCKED, FREE, FREE, COLD, PAGEOUT, PAGEOUT, REMOVE))
        shared = self.shared_pages()
        if advice == REMOVE and shared and self.rng.random() < 0.9:
            page = self.rng.choice(shared)
            n = self.run_from(page, 4)
        self.call("madvise", self.address(page), n * PAGE, advice)

    def do_populate(self):
        page, n = self.mapped_range(6)
        self.call("madvise", self.address(page), n * PAGE, self.rng.choice((POPULATE_READ, POPULATE_WRITE)))

    def do_guards(self):
        """Most go again: a guard ends every batch that comes by."""
        page, n = self.mapped_range(4)
        self.call("madvise", self.address(page), n * PAGE, GUARD_INSTALL)
        if self.rng.random() < 0.4:
            self.do_fork()
        if self.rng.random() < 0.8:
            self.call("madvise", self.address(page), n * PAGE, GUARD_REMOVE)
        else:
            self.note(page, n, 0)

    def do_mlock(self):
        page, n = self.mapped_range(3)
        self.call("mlock", self.address(page), n * PAGE - self.rng.choice((0, 9)), self.rng.choice((0, 0, ONFAULT)))

    def do_lock_pair(self):
        """There and back: what was split merges again."""
        page, n = self.mapped_range(4)
        self.call("mlock", self.address(page), n * PAGE, self.rng.choice((0, ONFAULT)))
        if self.rng.random() < 0.3:
            self.do_mremap()
        self.call("munlock", self.address(page), n * PAGE)

    def do_mlockall(self):
        self.call("mlockall", self.rng.choice((2, 6, 1, 3, 7, 5)))
        self.unlock_at[self.process] = len(self.steps) + 4

    def do_mbind(self):
        page, n = self.mapped_range(8)
        self.call("mbind", self.address(page), n * PAGE, self.rng.choice((0, 0, 1, 2, 3)))

    def do_mseal(self):
        """Of a process that does not live long: nothing else ends a seal."""
        page, n = self.mapped_range(4)
        self.call("mseal", self.address(page), n * PAGE)
        for _ in range(4):
            getattr(self, self.rng.choice(("do_munmap", "do_mprotect", "do_mremap", "do_advise_pages", "do_fixed")))()
        if len(self.living) > 1:
            self.do_exit()

    # --- pins -------------------------------------------------------------------------------------------------------

    def do_pin(self):
        if len(self.pinned) < MOST_PINNED:
            self.call("pin", self.address(self.mapped(READ) if self.rng.random() < 0.9 else self.window_page()))
            self.pinned.append(self.pins)
            self.pins += 1

    def do_release(self):
        if self.pinned:
            self.add("release", self.pinned.pop(self.rng.randrange(len(self.pinned))))

    # --- mistakes ---------------------------------------------------------------------------------------------------

    def wrong_calls(self, addr, length):
        far = (self.low - 20) * PAGE
        return super().wrong_calls(addr, length) + (
            ("mmap", addr, length, 3, VALIDATE | ANON | FIXED, None, 0),
            ("mmap", addr, length, 3, DROPPABLE | FIXED, 0, 0),
            ("mmap", addr, length, 3, DROPPABLE | ANON | FIXED | LOCKED, None, 0),
            ("mmap", addr, length, 3, DROPPABLE | ANON | FIXED | GROWSDOWN, None, 0),
            ("mmap", addr, length, 3, SHARED | ANON | FIXED | GROWSDOWN, None, 0),
            ("mmap", addr, length, 3, PRIVATE | FIXED | GROWSDOWN, 0, 0),
            ("mlock", addr, length, 2),
            ("mlock", far, WINDOW * PAGE, ONFAULT),
            ("mlockall", 4),
            ("mbind", addr, length, 9),
            ("mbind", addr + 8, length, 2),
            ("mbind", far, WINDOW * PAGE, 2),
            ("mbind", far, WINDOW * PAGE, 0),
            ("mbind", far, PAGE, 0),
            ("mseal", addr + 8, length),
            ("mseal", far, WINDOW * PAGE),
            ("madvise", addr, length, 12),
            ("madvise", addr, length, 14),
            ("madvise", far, WINDOW * PAGE, 1),
            ("madvise", far, WINDOW * PAGE, POPULATE_READ),
            ("madvise", far, PAGE, 0),
            ("mremap", addr, length, length + PAGE, MAYMOVE | DONTUNMAP, 0),
            ("mremap", addr, length, length, DONTUNMAP, 0),
            ("mremap", addr, length, length, MAYMOVE | DONTUNMAP, 8),
            ("mremap", addr, length, length, 8, 0),
            ("mremap", addr, 0, length, MAYMOVE | MOVE_FIXED, addr),
            ("mremap", far, WINDOW * PAGE, WINDOW * PAGE, MAYMOVE | MOVE_FIXED, far + 2 * WINDOW * PAGE),
        )
