"""What a maker of random programs believes of the processes it makes steps for, page by page.

Not an emulator: it knows what is mapped, with which protection and advice, and which byte a page should show, so that
most steps it leads to succeed. Where the kernel might do otherwise the belief is simply wrong from there on; both
sides of a comparison then get the same error, which is compared like everything else.

A page number is an int: the window's own pages from 0 on, the heap from HEAP on, and the n-th place that the kernel
chooses from PLACE * (n + 1) on. Ranges never reach from one into another.

Pages of one *unit* have been treated alike since they were mapped, so they lie in one area whatever the merge rules
are. Several units may be one area too.
"""
from typing import NamedTuple

HEAP = 1 << 20
PLACE = 1 << 24


class Page(NamedTuple):
    prot: str                           # or whatever the steps have for it
    unit: int = 0
    object: str | None = None           # None: private anonymous memory; a file of the case, or shared anonymous memory
    shared: bool = False
    index: int = 0                      # page of the object
    own: int | None = None              # byte in a private copy, None: none yet, -1: not known
    lock: str = ""                      # "", "full", "onfault"
    marks: frozenset = frozenset()      # wipe dontfork guard sealed droppable


def in_memory(page):
    """Whether nothing but reclaim takes a page away or locks it: not a file's on disk."""
    return page.object is None or page.object[0] in "SM"


def private(page):
    return page.object is None


class Model:
    """One process. pages: number -> Page."""

    def __init__(self, pages=None, top=None):
        self.pages = {} if pages is None else pages
        self.top = top                  # pages between the first break and the break now; None: the heap is not used
        self.future = ""                # how mlockall(future) locks what is mapped from now on

    def fork(self):
        """The child's model: no locks, no guards lost, wiped and left-out pages as advised."""
        pages = {}
        for at, page in self.pages.items():
            if "dontfork" in page.marks:
                continue
            if "wipe" in page.marks:
                page = page._replace(own=None)
            pages[at] = page._replace(lock="") if page.lock else page
        return Model(pages, self.top)

    def units(self, fits=lambda page: True):
        """[(first, pages, Page)] of the runs of one unit whose first page fits, by address."""
        found = []
        for at in sorted(self.pages):
            page = self.pages[at]
            if found and found[-1][0] + found[-1][1] == at and found[-1][2].unit == page.unit:
                found[-1][1] += 1
            else:
                found.append([at, 1, page])
        return [(at, n, page) for at, n, page in found if fits(page)]

    def runs(self):
        """[(first, pages)] of what is mapped without a hole, whatever it is."""
        found = []
        for at in sorted(self.pages):
            if found and found[-1][0] + found[-1][1] == at:
                found[-1][1] += 1
            else:
                found.append([at, 1])
        return [(at, n) for at, n in found]

    def free(self, at, n):
        return not any(at + i in self.pages for i in range(n))

    def whole(self, at, n):
        return all(at + i in self.pages for i in range(n))

    def sealed(self, at, n):
        return any(at + i in self.pages and "sealed" in self.pages[at + i].marks for i in range(n))

    def forget(self, at, n):
        for i in range(n):
            self.pages.pop(at + i, None)


class Objects:
    """Files and shared anonymous memory of a program: sizes in pages, and the byte each page begins with."""

    def __init__(self, files):
        self.sizes = dict(files)
        self.bytes = {name: {i: i % 251 + 1 for i in range(n)} for name, n in files.items()}

    def shared_memory(self, n):
        name = f"S{len(self.sizes)}"
        self.sizes[name], self.bytes[name] = n, {}
        return name

    def truncate(self, name, n):
        self.bytes[name] = {i: byte for i, byte in self.bytes[name].items() if i < n}
        self.sizes[name] = n

    def byte(self, page):
        """What a read of this page gives; -1: not known, None: a signal."""
        if "guard" in page.marks or ("r" not in page.prot and "w" not in page.prot and "x" not in page.prot):
            return None
        if page.own is not None:
            return page.own
        if page.object is None:
            return 0
        if page.index >= self.sizes[page.object]:
            return None
        return self.bytes[page.object].get(page.index, 0)
