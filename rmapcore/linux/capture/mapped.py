"""Which files a recording maps, by its own lines: after it they are looked at."""
import re

START = b"PERF_RECORD_MMAP2 "
_OBJECT = re.compile(rb"\S+ \[\w+\(\w+\) @ (\w+) [0-9a-f]+:[0-9a-f]+ ([1-9]\d*) \d+\]: (...[sp]) (/.*)")


class Mapped:
    """files: {(inode, path): whether it was mapped from its first byte on, private and readable}."""

    def __init__(self):
        self.files = {}

    def see(self, block):
        """Whole lines."""
        at = block.find(START)
        while at >= 0:
            end = block.find(b"\n", at)
            match = _OBJECT.fullmatch(block, at + len(START), end if end >= 0 else len(block))
            if match:
                offset, inode, prot, path = match.groups()
                program = offset == b"0" and prot.startswith(b"r") and prot.endswith(b"p")
                self.files[inode, path] = program or self.files.get((inode, path), False)
            at = block.find(START, at + 1)
