"""Random programs for kernel 2.6.7: system calls as plain tuples (name, process, arguments), right and wrong ones.

An address is an int, or ("@", n, offset): offset bytes into what the n-th mmap without address returned. Most accesses
hit, and ranges overlap, split and merge: everything happens in a window of a few dozen pages astride a leaf-table border,
in the heap, and in what mmap(0) returned.

A page number is a virtual one, or from PLACE * (n + 1) on a page of the n-th such mmap.
"""

from rmapcore.verify.programs.maker import Maker
from rmapcore.verify.programs.model import PLACE, Model, Page

PAGE = 4096
WINDOW = 96  # pages, half of them on either side of the border
HEAPS = {"i386": 0x08800000, "i386-pae": 0x08800000, "x86_64": 0x01000000}
SHARED, PRIVATE, FIXED, ANON, GROWSDOWN = 0x1, 0x2, 0x10, 0x20, 0x100
LOCKED, NORESERVE, POPULATE, NOREPLACE = 0x2000, 0x4000, 0x8000, 0x100000
NONBLOCK = 0x10000
READ, WRITE, EXEC = 1, 2, 4


def by_name(page):
    """Sorts pages: the seeds that found something are those of programs made in this order."""
    return str(divmod(page - PLACE, PLACE) if page >= PLACE else page)


class Calls(Maker):
    """files: (kind, pages) of each."""

    files = (("disk", 32), ("shmem", 30), ("disk", 24))
    actions = {
        "touch": 16, "write": 14, "read": 10, "fixed": 10, "hint": 3, "anywhere": 4, "munmap": 5, "mprotect": 9,
        "mremap": 8,
        "brk": 3, "madvise": 5, "mlock": 2, "munlock": 2, "mlockall": 1, "munlockall": 2, "fork": 4, "execve": 1,
        "exit": 3, "reclaim": 3, "truncate": 1, "wrong": 5, "wild": 2, "dead": 1, "stack": 1, "protect_pair": 3,
        "remap": 8, "scattered": 1,
    }

    def __init__(self, rng, n_processes, heap, seed):
        super().__init__(rng, self.actions, n_processes)
        self.heap = heap // PAGE
        # borders of 1 GiB and of 4 MiB spans alternate: tables are freed by the one or the other
        self.low = (0x80000 if seed % 2 == 0 else 0x80400) - WINDOW // 2
        self.file_pages = []
        self.results = 0
        self.unlock_at = {}

    def begin(self):
        for kind, pages in self.files:
            self.add("file", 0, pages * PAGE - self.rng.choice((0, 100)), kind)
            self.file_pages.append(pages)
        self.spawn()

    def prepare(self):
        if len(self.living) < 2:
            self.spawn()
        for process, when in list(self.unlock_at.items()):
            if len(self.steps) >= when:
                del self.unlock_at[process]
                self.add("munlockall", process)

    def add(self, name, process, *arguments):
        self.steps.append((name, process, *arguments))

    def call(self, name, *arguments):
        self.add(name, self.process, *arguments)

    def spawn(self):
        self.add("spawn", self.born(Model()))

    # --- choosing ---------------------------------------------------------------------------------------------------

    def address(self, page):
        return ("@", page // PLACE - 1, page % PLACE * PAGE) if page >= PLACE else page * PAGE

    def length(self, most=16):
        """Pages: short ones more often."""
        return min(self.rng.randint(1, most), self.rng.randint(1, most))

    def window_page(self, room=1):
        return self.low + self.rng.randrange(WINDOW - room + 1)

    def mapped(self, prot=0):
        """A page believed mapped with that protection; now and then any other."""
        fitting = [page for page, has in self.model.pages.items() if has.prot & prot == prot]
        if not fitting or self.rng.random() < 0.003:
            return self.window_page()
        return self.rng.choice(fitting)

    def run_from(self, page, most, prot=0):
        """How many pages from this one on are believed mapped like that, at most `most`."""
        n, pages = 0, self.model.pages
        while n < most and page + n in pages and pages[page + n].prot & prot == prot:
            n += 1
        return max(n, 1)

    def mapped_range(self, most=16):
        """(page, pages) of believed mapped memory, seldom reaching beyond."""
        page = self.mapped()
        n = self.length(most)
        return page, n if self.rng.random() < 0.05 else self.run_from(page, n)

    def prot(self):
        return self.rng.choice((READ | WRITE,) * 8 + (READ, READ, READ | WRITE | EXEC, READ | EXEC, 0, WRITE))

    def note(self, page, n, prot, flags=None):
        """flags: of a new mapping; None leaves what was shared so."""
        pages = self.model.pages
        for at in range(page, page + n):
            shared = bool(flags & SHARED) if flags is not None else at in pages and pages[at].shared
            pages[at] = Page(prot, shared=shared)

    def prot_of(self, page, otherwise):
        return self.model.pages[page].prot if page in self.model.pages else otherwise

    def shared(self, page):
        return page in self.model.pages and self.model.pages[page].shared

    # --- accesses ---------------------------------------------------------------------------------------------------

    def do_touch(self):
        write = self.rng.random() < 0.6
        pages = [self.mapped(WRITE if write else READ) for _ in range(self.rng.randint(1, 20))]
        offset = self.rng.choice((0, 0, 8))
        addresses = []
        for page in pages:
            address = self.address(page)
            addresses.append((*address[:2], address[2] + offset) if isinstance(address, tuple) else address + offset)
        self.call("touch", tuple(addresses), write)

    def do_write(self):
        page = self.mapped(WRITE)
        self.call("write", self.address(page), self.run_from(page, 24, WRITE) * PAGE)

    def do_read(self):
        page = self.mapped(READ)
        self.call("read", self.address(page), self.run_from(page, 24, READ) * PAGE - 1)

    def do_wild(self):
        """Memory that is probably not mapped."""
        outside = (self.low - 3, self.low + WINDOW + 2, self.heap + 30, 1, 0xBFFFF, 0xC0000)
        page = self.rng.choice((self.window_page(), *outside))
        self.call(self.rng.choice(("read", "write")), page * PAGE, self.rng.choice((1, PAGE + 1)))

    # --- mapping ----------------------------------------------------------------------------------------------------

    def mapping(self, n):
        """(prot, flags, file, offset) of a new mapping of n pages."""
        prot, file, offset = self.prot(), None, 0
        chance = self.rng.random()
        if chance < 0.65:
            flags = PRIVATE | ANON
        elif chance < 0.72:
            flags = SHARED | ANON
        else:
            flags = self.rng.choice((SHARED, PRIVATE, PRIVATE))
            file = self.rng.randrange(len(self.file_pages))
            offset = self.rng.choice((0, 0, self.rng.randrange(8))) * PAGE
        flags |= self.rng.choice((0,) * 16 + (NORESERVE, POPULATE))
        if n <= 3 and self.rng.random() < 0.06:
            flags |= LOCKED
        return prot, flags, file, offset

    def do_fixed(self):
        n = self.length(24)
        page = self.window_page(n)
        prot, flags, file, offset = self.mapping(n)
        if self.rng.random() < 0.15:
            flags |= NOREPLACE
            if not self.model.free(page, n):
                self.call("mmap", page * PAGE, n * PAGE, prot, flags, file, offset)
                return
        if file is not None and self.rng.random() < 0.5:
            offset = (page - self.low) % 12 * PAGE  # so that neighbours continue each other
        self.call("mmap", page * PAGE, n * PAGE, prot, flags | FIXED, file, offset)
        self.note(page, n, prot, flags)

    def do_hint(self):
        n = self.length()
        page = self.window_page(n)
        prot, flags, file, offset = self.mapping(n)
        addr = page * PAGE + self.rng.choice((0, 0, -5))
        self.call("mmap", addr, n * PAGE - self.rng.choice((0, 1)), prot, flags, file, offset)
        if self.model.free(page, n):
            self.note(page, n, prot, flags)

    def do_anywhere(self):
        n = self.length(20)
        prot, flags, file, offset = self.mapping(n)
        self.call("mmap", 0, n * PAGE, prot, flags, file, offset)
        self.note(PLACE * (self.results + 1), n, prot, flags)
        self.results += 1

    def do_stack(self):
        """A growing area, and accesses below it."""
        n = self.length(4)
        page = self.window_page(n + 12) + 12
        for below in range(12):
            self.model.forget(page - 12 + below, 1)
        self.call("munmap", (page - 12) * PAGE, 12 * PAGE)
        file = self.rng.choice((None, None, None, 0))
        flags = FIXED | GROWSDOWN | PRIVATE | (ANON if file is None else 0)
        self.call("mmap", page * PAGE, n * PAGE, READ | WRITE, flags, file, 0 if file is None else 8 * PAGE)
        self.note(page, n, READ | WRITE, flags)
        for _ in range(2):
            depth = self.rng.randint(1, 12)
            self.call(self.rng.choice(("read", "write", "write")), (page - depth) * PAGE, 1)

    def do_munmap(self):
        page, n = self.mapped_range(12)
        if self.rng.random() < 0.2:
            n += self.rng.randint(1, 8)
        if self.rng.random() < 0.04 and page < PLACE:
            page, n = self.low, WINDOW
        self.call("munmap", self.address(page), n * PAGE)
        self.model.forget(page, n)

    def do_brk(self):
        target = self.heap + self.rng.randint(0, 14)
        self.call("brk", self.rng.choice((target * PAGE, target * PAGE, target * PAGE - 7, 0)))
        step = self.steps[-1][2]
        top = -(-step // PAGE)
        if step and top >= self.heap:
            self.model.forget(self.heap, 20)
            self.note(self.heap, top - self.heap, READ | WRITE)

    def do_mremap(self):
        page, old = self.mapped_range(self.rng.choice((3, 3, 10)))
        new = self.rng.choice((old, old, self.length(14), old + self.length(4)))
        chance = self.rng.random()
        has = self.prot_of(page, READ)
        flags = SHARED if self.shared(page) else PRIVATE
        if chance < 0.5:
            target = self.window_page(new)
            self.call("mremap", self.address(page), old * PAGE, new * PAGE, 3, target * PAGE)
            if page >= PLACE or target >= page + old or target + new <= page:
                self.model.forget(page, old)
                self.note(target, new, has, flags)
            return
        if chance < 0.58:
            old = 0
        self.call("mremap", self.address(page), old * PAGE, new * PAGE, self.rng.choice((0, 1, 1)), 0)
        if old and new < old:
            self.model.forget(page + new, old - new)

    # --- changing what is mapped ------------------------------------------------------------------------------------

    def do_mprotect(self):
        page, n = self.mapped_range()
        prot = self.prot()
        self.call("mprotect", self.address(page), n * PAGE, prot)
        if self.model.whole(page, n):
            self.note(page, n, prot)

    def do_protect_pair(self):
        """There and back: what was split merges again."""
        page, n = self.mapped_range(8)
        has = self.prot_of(page, READ | WRITE)
        self.call("mprotect", self.address(page), n * PAGE, READ)
        if self.rng.random() < 0.5:
            self.call("read", self.address(page), n * PAGE)
        self.call("mprotect", self.address(page), n * PAGE, has)
        if self.model.whole(page, n):
            self.note(page, n, has)

    def do_madvise(self):
        page, n = self.mapped_range(12)
        self.call("madvise", self.address(page), n * PAGE, self.rng.choice((0, 0, 1, 2, 3, 4, 4, 4)))

    def shared_pages(self):
        return sorted((page for page, has in self.model.pages.items() if has.shared), key=by_name)

    def shared_or_other(self):
        shared = self.shared_pages()
        return self.rng.choice(shared) if shared and self.rng.random() < 0.95 else self.mapped()

    def do_remap(self):
        """Pages of a shared mapping, seldom of another, in another order."""
        page = self.shared_or_other()
        n = self.run_from(page, self.length(8))
        flags = self.rng.choice((0, 0, NONBLOCK, NONBLOCK | POPULATE))
        size = n * PAGE + self.rng.choice((0, 0, 0, 5))
        self.call("remap_file_pages", self.address(page), size, 0, self.rng.randrange(18), flags)

    def do_scattered(self):
        """A larger shared mapping, page by page in reverse order."""
        n = self.rng.choice((20, 30, 50))
        page = self.window_page(n)
        self.call("mmap", page * PAGE, n * PAGE, READ | WRITE, SHARED | FIXED, self.rng.randrange(len(self.file_pages)), 0)
        self.note(page, n, READ | WRITE, SHARED)
        flags = self.rng.choice((0, NONBLOCK))
        for place in range(self.rng.choice((6, 16, 23))):
            self.call("remap_file_pages", (page + place) * PAGE, PAGE, 0, 23 - place, flags)

    def do_mlock(self):
        page, n = self.mapped_range(3)
        self.call("mlock", self.address(page), n * PAGE - self.rng.choice((0, 9)))

    def do_munlock(self):
        page, n = self.mapped_range(24)
        self.call("munlock", self.address(page), n * PAGE)

    def do_mlockall(self):
        self.call("mlockall", self.rng.choice((2, 2, 1, 3)))
        self.unlock_at[self.process] = len(self.steps) + 4

    def do_munlockall(self):
        self.call("munlockall")

    # --- processes, memory, files -----------------------------------------------------------------------------------

    def do_fork(self):
        if len(self.living) >= self.most or (len(self.living) > 4 and self.rng.random() < 0.6):
            self.do_exit()
            return
        self.call("fork")
        self.born(self.model.fork())

    def do_execve(self):
        self.call("execve")
        self.model.pages.clear()

    def do_exit(self):
        self.call("exit")
        self.ended()
        self.unlock_at.pop(self.process, None)

    def do_dead(self):
        dead = [process for process in range(len(self.models)) if process not in self.living]
        if dead:
            self.add("munmap", self.rng.choice(dead), self.low * PAGE, PAGE)

    def do_reclaim(self):
        self.add("reclaim", 0, self.rng.choice((1, 5, 10, 30)))

    def do_truncate(self):
        file = self.rng.randrange(len(self.file_pages))
        size = self.rng.choice((self.rng.randrange(32 * PAGE), 32 * PAGE, 32 * PAGE, 40 * PAGE))
        self.add("truncate", file, size)

    # --- mistakes ---------------------------------------------------------------------------------------------------

    def do_wrong(self):
        page, n = self.mapped_range(6)
        base = page if page < PLACE else self.window_page(8)
        self.call(*self.rng.choice(self.wrong_calls(base * PAGE, n * PAGE)))

    def wrong_calls(self, addr, length):
        return (
            ("mmap", addr, 0, 3, PRIVATE | ANON, None, 0),
            ("mmap", addr, length, 3, ANON, None, 0),
            ("mmap", addr, length, 3, PRIVATE | SHARED | ANON, None, 0),
            ("mmap", addr + 1, length, 3, PRIVATE | ANON | FIXED, None, 0),
            ("mmap", addr, length, 3, PRIVATE, 0, 100),
            ("mmap", addr, 1 << 50, 3, PRIVATE | ANON, None, 0),
            ("mmap", 1 << 48, length, 3, PRIVATE | ANON | FIXED, None, 0),
            ("munmap", addr + 8, length),
            ("munmap", addr, 0),
            ("munmap", 1 << 48, length),
            ("mprotect", addr + 8, length, 1),
            ("mprotect", addr, length, 0x40),
            ("mprotect", (self.low - 20) * PAGE, WINDOW * PAGE, 1),
            ("mprotect", addr, 0, 1),
            ("mlock", (self.low - 20) * PAGE, WINDOW * PAGE),
            ("mlockall", 0),
            ("mlockall", 8),
            ("madvise", addr + 8, length, 4),
            ("madvise", addr, length, 99),
            ("madvise", (self.low - 20) * PAGE, WINDOW * PAGE, 4),
            ("madvise", addr, 0, 4),
            ("brk", PAGE),
            ("brk", 1 << 48),
            ("mremap", addr, length, length, 4, 0),
            ("mremap", addr + 8, length, length, 1, 0),
            ("mremap", addr, length, 0, 1, 0),
            ("mremap", addr, length, length, 2, addr + 64 * PAGE),
            ("mremap", addr, length + PAGE, length + PAGE, 3, addr + length),
            ("mremap", addr, length, length + 3 * PAGE, 3, addr - 2 * PAGE),
            ("mremap", (self.low - 20) * PAGE, PAGE, 2 * PAGE, 1, 0),
            ("mremap", addr, 80 * PAGE, 90 * PAGE, 1, 0),
            ("mremap", addr, length, length, 3, 1 << 48),
            ("remap_file_pages", addr, length, 1, 0, 0),
            ("remap_file_pages", addr, PAGE - 1, 0, 0, 0),
            ("remap_file_pages", addr, length, 0, 1 << 29, 0),
            ("remap_file_pages", addr, length, 0, (1 << 64) - 1, 0),
            ("remap_file_pages", addr, 120 * PAGE, 0, 0, 0),
            ("remap_file_pages", 1 << 48, length, 0, 0, 0),
            ("remap_file_pages", addr + 9, length, 0, 2, NONBLOCK),
            ("read", addr, 0),
            ("write", addr, -5),
        )
