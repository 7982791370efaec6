"""What can run a case: the emulator, and the live kernel. The runner sees only this.

A subject begins with one process, p0, whose window is empty. It performs steps; loops, checks and remembering are the
runner's. Places outside of the window are named by steps and have one address in all processes.
"""
from rmapcore.units import PAGE
from rmapcore.verify.fields import HEAP, TOP, chosen_by_kernel, split_place

WINDOW_PAGES = 1 << 27                 # 512 GiB: one entry of a top table
LEAF_PAGES = 512                       # that one leaf table maps
BELOW_PAGES = 1 << 20                  # how far below its base an area still counts as the window's: stacks grow down
VALUE = "VALUE"                        # what step() answers for a byte that is not what `value` says
NO_PIN = "EBADF"                       # for a pin that its process does not hold, or no more: its pipe is closed


HEAPS_END = 1 << 30                    # programs and their heap lie below, wherever that is
NOWHERE = (0, 0)                       # of a place whose mapping failed: the lowest pages, where nothing is


class Unsupported(Exception):
    """A case cannot be run here; the message says why."""


class Subject:
    """Base of subjects. base: address of the window, bytes.  places: name -> [address, pages] of the places named so far.

    top: address below which the kernel places a mapping of its own choice.  where: the page that the kernel chose in the
    last step, as `where` of a step has it; None: it had nothing to choose.
    """

    base = top = 0
    where = None
    objects_within = 0.0               # by how much of 1 an object count per area may be off

    def __init__(self):
        self.places = {}
        self.beside = False            # whether anything lies where page tables may be shared with a program's own areas

    def lacks(self, need):
        """Why what a case needs is not there, or None."""
        raise NotImplementedError

    def step(self, step):
        """Performs a step: None, the name of an error ("EINVAL", "FAULT"), or VALUE. May raise Unsupported."""
        raise NotImplementedError

    def observe(self):
        """{process: ProcessState} of all living processes."""
        raise NotImplementedError

    def objects(self):
        """{"vma": n, "anon_vma": n, "avc": n}: live objects of all processes now; None where that cannot be told."""

    def check(self):
        """Raises RmapcoreError if something inside is wrong."""

    def no_sharing(self):
        """Why mapcounts, and which pages share a frame, cannot be compared from now on; None: they can."""

    def parted(self):
        """Why another scheme or kernel may show something else from now on without being wrong; None: it may not."""

    def close(self):
        """Ends all processes."""

    # for subclasses
    def address(self, at, offset=0):
        """Bytes: of a page of the window or of a named place."""
        named, page = split_place(at)
        start = self.places.get(named, NOWHERE)[0] if named else self.base
        return start + page * PAGE + offset

    def placed(self, step, address, n_pages):
        """An mmap or mremap has mapped so many pages there."""
        if chosen_by_kernel(step):
            self.where = self.page_at(address)
        if "as" in step:
            self.name_place(step["as"], address, n_pages)

    def page_at(self, address):
        """The page at an address, in the terms of `where`."""
        page = (address - self.base) // PAGE
        if -BELOW_PAGES <= page < WINDOW_PAGES:
            return page
        if HEAP in self.places and address < HEAPS_END:
            return f"{HEAP}+{(address - self.places[HEAP][0]) // PAGE}"
        return f"{TOP}-{(self.top - address) // PAGE}"

    def name_place(self, name, address, n_pages):
        """`name` is a place of so many pages from now on; the heap's place only grows."""
        if name == HEAP and HEAP in self.places:
            self.places[HEAP][1] = max(self.places[HEAP][1], n_pages)
        else:
            self.places[name] = [address, n_pages]

    def went_to(self, address):
        """Something is mapped at this address from now on."""
        self.beside |= not -BELOW_PAGES <= (address - self.base) // PAGE < WINDOW_PAGES

    def heap_reaches(self, pages):
        """The break is so many pages above the heap's place from now on."""
        start = self.places[HEAP][0] // PAGE
        self.beside |= (start + pages - 1) // LEAF_PAGES != (start - 1) // LEAF_PAGES

    def origin(self, name):
        """First page of a place, relative to the window."""
        return (self.places[name][0] - self.base) // PAGE if name else 0

    def place_of(self, start, end):
        """("", 0), or (name, its first page), for an area of these pages (relative to the window); None: nothing named."""
        if -BELOW_PAGES <= start < WINDOW_PAGES:
            return "", 0
        touched = [(origin, name) for name, (_, n_pages) in self.places.items()
                   if start < (origin := self.origin(name)) + n_pages and origin < end]
        if not touched:
            return None
        origin, name = min(touched)
        return name, origin
