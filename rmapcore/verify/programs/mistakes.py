"""Steps that the kernel refuses."""
from rmapcore.units import PAGE
from rmapcore.verify.programs.model import HEAP, private

SHARED, PRIVATE, VALIDATE, DROPPABLE = 0x1, 0x2, 0x3, 0x8
FIXED, ANON, GROWSDOWN, LOCKED, NOREPLACE = 0x10, 0x20, 0x100, 0x2000, 0x100000
MAYMOVE, MOVE_FIXED, DONTUNMAP = 1, 2, 4
ONFAULT, NONBLOCK, POPULATE_READ = 1, 0x10000, 22
HIGH = 1 << 48                          # beyond what a process has
FAR = -20 * PAGE                        # before the window, which has nothing there


class Mistakes:
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

    # --- calls with any numbers ---------------------------------------------------------------------------------------

    def do_wrong(self):
        self.wrong(self.refused)

    def do_wrong_new(self):
        self.wrong(self.refused_since)

    def wrong(self, calls):
        """A call no case can say. Addresses: ("at", bytes from the window's begin), ("heap", from the heap's), or numbers."""
        found = self.span()
        if found:
            at, n = found
            base = at if at < HEAP else self.rng.randrange(self.profile.window - 8)

            def address(offset):
                return "at", base * PAGE + offset

            name, *arguments = self.rng.choice(calls(address, min(n, 6) * PAGE))
            self.add("call", call=name, arguments=arguments)

    def refused(self, at, length):
        """Every kernel's; at(bytes): an address that far from some memory."""
        window, far = self.profile.window * PAGE, ("at", FAR)
        return (
            ("mmap", at(0), 0, 3, PRIVATE | ANON, None, 0),
            ("mmap", at(0), length, 3, ANON, None, 0),
            ("mmap", at(0), length, 3, PRIVATE | SHARED | ANON, None, 0),
            ("mmap", at(1), length, 3, PRIVATE | ANON | FIXED, None, 0),
            ("mmap", at(0), length, 3, PRIVATE | ANON | FIXED | NOREPLACE, None, 0),
            ("mmap", at(0), length, 3, PRIVATE, 0, 100),
            ("mmap", at(0), 1 << 50, 3, PRIVATE | ANON, None, 0),
            ("mmap", HIGH, length, 3, PRIVATE | ANON | FIXED, None, 0),
            ("munmap", at(8), length),
            ("munmap", at(0), 0),
            ("munmap", HIGH, length),
            ("mprotect", at(8), length, 1),
            ("mprotect", at(0), length, 0x40),
            ("mprotect", far, window, 1),
            ("mprotect", at(0), 0, 1),
            ("mlock", far, window),
            ("mlockall", 0),
            ("mlockall", 8),
            ("madvise", at(8), length, 4),
            ("madvise", at(0), length, 99),
            ("madvise", far, window, 4),
            ("madvise", at(0), 0, 4),
            ("brk", 0),
            ("brk", ("heap", 3 * PAGE - 7)),
            ("brk", PAGE),
            ("brk", HIGH),
            ("mremap", at(0), length, length, 4, 0),
            ("mremap", at(8), length, length, MAYMOVE, 0),
            ("mremap", at(0), length, 0, MAYMOVE, 0),
            ("mremap", at(0), length, length, MOVE_FIXED, at(64 * PAGE)),
            ("mremap", at(0), length + PAGE, length + PAGE, MAYMOVE | MOVE_FIXED, at(length)),
            ("mremap", at(0), length, length + 3 * PAGE, MAYMOVE | MOVE_FIXED, at(-2 * PAGE)),
            ("mremap", far, PAGE, 2 * PAGE, MAYMOVE, 0),
            ("mremap", at(0), 80 * PAGE, 90 * PAGE, MAYMOVE, 0),
            ("mremap", at(0), length, length, MAYMOVE | MOVE_FIXED, HIGH),
            ("remap_file_pages", at(0), length, 1, 0, 0),
            ("remap_file_pages", at(0), PAGE - 1, 0, 0, 0),
            ("remap_file_pages", at(0), length, 0, 1 << 29, 0),
            ("remap_file_pages", at(0), length, 0, (1 << 64) - 1, 0),
            ("remap_file_pages", at(0), 120 * PAGE, 0, 0, 0),
            ("remap_file_pages", HIGH, length, 0, 0, 0),
            ("remap_file_pages", at(9), length, 0, 2, NONBLOCK),
            ("read", at(0), 0),
            ("write", at(0), -5),
            ("read", 0xBFFFF * PAGE, 1),
            ("write", 0xC0000 * PAGE, 1),
            ("write", PAGE, PAGE + 1),
        )

    def refused_since(self, at, length):
        """Those of kernels that know them."""
        window, far = self.profile.window * PAGE, ("at", FAR)
        return (
            ("mmap", at(0), length, 3, VALIDATE | ANON | FIXED, None, 0),
            ("mmap", at(0), length, 3, DROPPABLE | FIXED, 0, 0),
            ("mmap", at(0), length, 3, DROPPABLE | ANON | FIXED | LOCKED, None, 0),
            ("mmap", at(0), length, 3, DROPPABLE | ANON | FIXED | GROWSDOWN, None, 0),
            ("mmap", at(0), length, 3, SHARED | ANON | FIXED | GROWSDOWN, None, 0),
            ("mmap", at(0), length, 3, PRIVATE | FIXED | GROWSDOWN, 0, 0),
            ("mlock", at(0), length, 2),
            ("mlock", far, window, ONFAULT),
            ("mlockall", 4),
            ("mbind", at(0), length, 9),
            ("mbind", at(8), length, 2),
            ("mbind", far, window, 2),
            ("mbind", far, window, 0),
            ("mbind", far, PAGE, 0),
            ("mseal", at(8), length),
            ("mseal", far, window),
            ("madvise", at(0), length, 12),
            ("madvise", at(0), length, 14),
            ("madvise", far, window, 1),
            ("madvise", far, window, POPULATE_READ),
            ("madvise", far, PAGE, 0),
            ("mremap", at(0), length, length + PAGE, MAYMOVE | DONTUNMAP, 0),
            ("mremap", at(0), length, length, DONTUNMAP, 0),
            ("mremap", at(0), length, length, MAYMOVE | DONTUNMAP, 8),
            ("mremap", at(0), length, length, 8, 0),
            ("mremap", at(0), 0, length, MAYMOVE | MOVE_FIXED, at(0)),
            ("mremap", far, window, window, MAYMOVE | MOVE_FIXED, ("at", FAR + 2 * window)),
        )
