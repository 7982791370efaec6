"""What becomes of the calls that change areas seldom, by a part of what they can do, or in a way that a recording cannot say.

Where their effect is not known, `left_out` names the call and what it was asked for, so that whoever compares a replay with the
recorded program can tell. What they do is that of Linux 6.18.
"""

from functools import partial

from rmapcore.linux import uapi
from rmapcore.operations import OPERATION, Op
from rmapcore.traces.files import page_up
from rmapcore.traces.kept import Kept
from rmapcore.units import PAGE

CLOSING = ("close", "close_range", "dup2", "dup3")
UNREMARKABLE = (*CLOSING, "prctl", "arch_prctl")  # programs make them to see whether they fail
MOST_NAMES = 0xFFFF  # as an operation can tell apart


class RareCalls:
    """Of an importer, which has what `rmapcore.traces.calls.Calls` names.

    kept: `Kept`.  grown: [(place of a TRUNCATE in the records, file)], whose size is that of the file at the end.
    ends: {file: the last of these places}.
    names: {where a name of areas stands in memory: its number}.  own_stack_limits: whether a program has set one.
    """

    def __init__(self):
        self.kept = Kept()
        self.ends = {}
        self.grown = []
        self.names = {}
        self.own_stack_limits = False

    def rare_calls(self):
        """{call: (arguments used, what makes operations of it)}, as in the importer's list."""
        left_out = {name: (0, partial(self.not_known, name)) for name in (
            "truncate", "swapoff", "userfaultfd", "set_mempolicy_home_node")}
        return {
            "close": (1, None), "prctl": (5, self.prctl), "arch_prctl": (1, self.arch_prctl),
            "prlimit64": (3, self.prlimit), "setrlimit": (2, self.setrlimit), "dup2": (2, self.dup), "dup3": (2, self.dup),
            "close_range": (2, None), "ftruncate": (2, self.ftruncate), "fallocate": (4, self.fallocate),
            "personality": (1, self.personality), "process_madvise": (4, self.process_madvise),
            "process_mrelease": (0, None), "get_mempolicy": (5, self.get_mempolicy), "shmctl": (2, self.shmctl),
            "io_setup": (0, self.io_setup), "io_destroy": (1, self.io_destroy),
            "map_shadow_stack": (3, self.map_shadow_stack), "msync": (3, self.msync), "sync": (0, self.sync),
            "fsync": (1, partial(self.fsync, "fsync")), "fdatasync": (1, partial(self.fsync, "fdatasync")),
            "sync_file_range": (4, self.sync_file_range), "syncfs": (0, self.syncfs), **left_out,
        }  # fmt: skip

    def known(self, what, value):
        """Names the bits of an argument that Linux 6.18 gives no meaning to."""
        unknown = value & ~uapi.KNOWN[what] & 0xFFFFFFFF
        if unknown:
            self.left_out[f"{what} {unknown:#x}"] += 1

    def not_known(self, name, space, thread, result):
        self.left_out[f"{name}: what it did is not known"] += 1

    def dup(self, space, thread, result):
        self.kept.copied(thread.who, *thread.arguments)

    # --- files -------------------------------------------------------------------------------------------------------

    def mapped_file(self, thread, call):
        """Number of the file behind the first argument, None if it has not been mapped through it."""
        file = self.kept.file(thread.who, thread.arguments[0])
        if file is None:
            self.assumed[f"{call} of a file that is not known to be mapped"] += 1
        return file

    def ftruncate(self, space, thread, result):
        """A file that is cut loses its pages; it is as long again at once, since what makes it grow is not all recorded."""
        file, size = self.mapped_file(thread, "ftruncate"), thread.arguments[1]
        if file is not None and size < self.file_table.table[file - 1][1]:
            self.cut_and_longer(file, size)

    def cut_and_longer(self, file, size):
        self.emit(Op.TRUNCATE, 0, other=file, arg=size)
        self.grows_here(file)

    def grows_here(self, file):
        """A file that was cut is as long again from here on: what makes it grow is not all recorded."""
        self.ends[file] = len(self.records)
        self.grown.append((self.ends[file], file))
        self.emit(Op.TRUNCATE, 0, other=file)

    def was_short(self, space, address):
        """An access beyond the end of a file: if it was cut, it was not longer until then. Gives whether it was."""
        part = space.files.at(address)
        if part is None or part.file not in self.ends:
            return False
        at = self.ends[part.file]
        self.records[at : at + OPERATION.itemsize] = bytes(OPERATION.itemsize)
        self.grows_here(part.file)
        return True

    def settle_sizes(self, operations):
        """Fills in the sizes that cut files have again."""
        for at, file in self.grown:
            operations["arg"][at // OPERATION.itemsize] = self.file_table.table[file - 1][1]

    def fallocate(self, space, thread, result):
        _, mode, start, length = thread.arguments
        self.known("fallocate mode", mode)
        takes = [name for name, bit in uapi.FALLOCATE.items() if mode & bit & ~uapi.FALLOCATE_KEEPS]
        file = self.mapped_file(thread, "fallocate") if takes else None
        if file is None:
            return
        if takes in (["PUNCH_HOLE"], ["ZERO_RANGE"]):                 # the latter's pages come back at the next fault
            self.emit(Op.PUNCH_HOLE, 0, start, length, other=file)
        elif takes in (["COLLAPSE_RANGE"], ["INSERT_RANGE"]):         # what is behind moves, and leaves all areas
            self.cut_and_longer(file, start)
        else:
            self.left_out[f"fallocate {' '.join(takes)}"] += 1

    def msync(self, space, thread, result):
        """Of a private mapping it writes nothing. MS_ASYNC has done nothing since Linux 2.6.19."""
        start, length, flags = thread.arguments
        if flags & uapi.MS_SYNC and length:
            for part in space.files.shown(start, length):
                if part.shared:
                    self.emit(Op.WRITEBACK, 0, part.offset, part.end - part.start, other=part.file)

    def fsync(self, name, space, thread, result):
        file = self.mapped_file(thread, name)
        if file is not None:
            self.emit(Op.WRITEBACK, 0, other=file)

    def sync_file_range(self, space, thread, result):
        """Its other flags only wait."""
        _, start, length, flags = thread.arguments
        file = self.mapped_file(thread, "sync_file_range") if flags & uapi.SYNC_FILE_RANGE_WRITE else None
        if file is not None:
            self.emit(Op.WRITEBACK, 0, start, length, other=file)

    def sync(self, space, thread, result):
        self.emit(Op.WRITEBACK, 0)

    def syncfs(self, space, thread, result):
        self.assumed["syncfs taken for sync: of every file system"] += 1
        self.sync(space, thread, result)

    # --- what a process is -------------------------------------------------------------------------------------------

    def prctl(self, space, thread, result):
        option, what, start, length, name = thread.arguments
        if option == uapi.PR_SET_VMA and what == uapi.PR_SET_VMA_ANON_NAME:
            number = self.names.setdefault(name, len(self.names) + 1) if name else 0
            if number <= MOST_NAMES:
                self.assumed["areas with names: where a name stands in memory is taken for it"] += 1
                self.emit(Op.NAME_AREA, space.id, start, length, arg=number)
                return
        if option & 0xFFFFFFFF not in uapi.PRCTL_HARMLESS:
            self.left_out[f"prctl {uapi.PRCTL.get(option, f'option {option}')}"] += 1

    def arch_prctl(self, space, thread, result):
        (option,) = thread.arguments
        if option not in uapi.ARCH_PRCTL_HARMLESS:
            self.left_out[f"arch_prctl {uapi.ARCH_PRCTL.get(option, f'option {option:#x}')}"] += 1

    def personality(self, space, thread, result):
        flags = thread.arguments[0] & 0xFFFFFFFF
        if flags == uapi.PERSONALITY_ASKS:
            return
        self.known("personality", flags)
        if flags & uapi.READ_IMPLIES_EXEC:
            self.kept.executing.add(thread.who)
        else:
            self.kept.executing.discard(thread.who)

    def readable(self, thread, prot):
        """prot as the kernel takes it: a thread with READ_IMPLIES_EXEC may execute what it may read, unless a file system
        forbids that (mm/mmap.c do_mmap), which the letters of the mapping say."""
        implied = prot & uapi.PROT_READ and thread.who in self.kept.executing
        if implied and thread.mapping is not None:
            implied = thread.mapping[1].prot[2] == "x"
        return prot | uapi.PROT_EXEC if implied else prot

    def prlimit(self, space, thread, result):
        _, resource, new = thread.arguments
        if new and resource == uapi.RLIMIT_STACK:
            self.limits_its_stack()

    def setrlimit(self, space, thread, result):
        if thread.arguments[0] == uapi.RLIMIT_STACK:
            self.limits_its_stack()

    def limits_its_stack(self):
        """To how much stands in memory. What has grown did not reach the limit, and what did ended in a signal."""
        self.own_stack_limits = True
        self.assumed["stack limits that the program has set: none in a replay"] += 1

    # --- areas and pages ---------------------------------------------------------------------------------------------

    def process_madvise(self, space, thread, result):
        """Its ranges are in memory, and its process is behind a descriptor."""
        advice = thread.arguments[3]
        self.left_out[f"process_madvise MADV_{uapi.MADVISE_NAMES.get(advice, advice)}"] += 1

    def get_mempolicy(self, space, thread, result):
        """Asked which node the page at an address is on, it brings the page in (mm/mempolicy.c lookup_node)."""
        *_, address, flags = thread.arguments
        if flags == uapi.MPOL_F_NODE | uapi.MPOL_F_ADDR:
            self.emit(Op.READ, space.id, address & -PAGE, PAGE)

    def shmctl(self, space, thread, result):
        lock = uapi.SHM_LOCKS.get(thread.arguments[1])
        if lock:
            self.left_out[f"shmctl {lock}"] += 1

    def io_setup(self, space, thread, result):
        """Its ring is a mapping of its own (fs/aio.c aio_setup_ring), and the mapping's address is the context's number."""
        if thread.mapping is None:
            self.not_known("io_setup", space, thread, result)
            return
        (start, length, _), object = thread.mapping
        space.attaches[start] = length
        flags = uapi.MAP_SHARED | uapi.MAP_FIXED
        self.map(space, start, length, self.readable(thread, uapi.PROT_READ | uapi.PROT_WRITE), flags, self.file(object), 0)

    def io_destroy(self, space, thread, result):
        (start,) = thread.arguments
        length = space.attaches.pop(start, None)
        if length is None:
            self.not_known("io_destroy", space, thread, result)
        else:
            self.emit(Op.MUNMAP, space.id, start, length)

    def map_shadow_stack(self, space, thread, result):
        _, size, flags = thread.arguments
        self.known("map_shadow_stack flags", flags)
        self.assumed["shadow stacks taken as ordinary memory"] += 1
        flags = uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS | uapi.MAP_FIXED
        self.map(space, result, page_up(size), uapi.PROT_READ | uapi.PROT_WRITE, flags, 0, 0)
