"""The files that a recording maps, numbered from 1 in the order they are met.

An object is known by path, device and inode, as PERF_RECORD_MMAP2 prints them; a file deleted while it is mapped stays
the same object. Sizes are not recorded: the highest mapped end stands for them.
"""
from rmapcore.traces.lines import BadLine
from rmapcore.units import PAGE

LONGEST = (1 << 62) - PAGE                       # as Machine.file takes it
DELETED = " (deleted)"
NO_FILES = ("[", "//anon")                       # how the paths of anonymous areas begin
SHMEM_PATHS = ("/dev/zero", "/SYSV", "/memfd:", "/dev/shm/", "/anon_hugepage", "/[aio]")


def page_up(address):
    return (address + PAGE - 1) & -PAGE


class Files:
    """`table` holds [name, size in bytes, kind] of each file."""

    def __init__(self):
        self.table = []
        self._numbers = {}  # by (path, device, inode)
        self._names = set()

    def number(self, path, device="", inode=""):
        """The number of a file. Two objects of one path (a file replaced, two SysV segments) get two names.

        The path /dev/zero is the device; with " (deleted)" it is shared memory.
        """
        kind = "zero" if path == "/dev/zero" else None
        path = path.removesuffix(DELETED)
        number = self._numbers.get((path, device, inode))
        if number is None:
            number = self._numbers[path, device, inode] = len(self.table) + 1
            name = path.encode("latin-1").decode("utf-8", "surrogateescape")
            if name in self._names:
                name += f" ({device} {inode})"
            self._names.add(name)
            self.table.append([name, 0, kind or ("shmem" if path.startswith(SHMEM_PATHS) else "disk")])
        return number

    def find(self, path, device, inode):
        """The number of a file that is in the table, 0 if it is not: by all three, else by device and inode (it was renamed,
        or /proc writes its path in another way), else by the path, as long as only one file has these.
        """
        path = path.removesuffix(DELETED)
        number = self._numbers.get((path, device, inode))
        if number is None:
            alike = ([number for key, number in self._numbers.items() if key[1:] == (device, inode)],
                     [number for key, number in self._numbers.items() if key[0] == path])
            number = next((numbers[0] for numbers in alike if len(numbers) == 1), 0)
        return number

    def is_whole(self, path, device="", inode=""):
        """execve has loaded it: it was written before, also shared memory that otherwise counts as empty."""
        number = self._numbers.get((path.removesuffix(DELETED), device, inode))
        if number is not None:
            self.table[number - 1][2] = "disk"

    def numbers(self):
        """((path, device, inode), number) of each."""
        return self._numbers.items()

    def by_inode(self):
        """{(device, inode): number}, both as PERF_RECORD_MMAP2 has them, of files that are known by them."""
        return {(device, inode): number for (_, device, inode), number in self.numbers() if inode and inode != "0"}

    def extend(self, number, end):
        """The file is mapped up to `end`, a byte offset. BadLine if no file is so long."""
        if end > LONGEST:
            raise BadLine(f"a file that is mapped up to byte {end}, beyond {LONGEST}")
        entry = self.table[number - 1]
        if end > entry[1] and entry[2] != "zero":
            entry[1] = page_up(end)
