"""Steps of a random program as calls: plain tuples (name, index of the process, arguments), for `run`.

An address is an int, or ("@", n, offset): offset bytes into what the n-th mmap without an address returned.
"""
from rmapcore.units import ADVICE, PAGE
from rmapcore.verify.fields import HEAP, split_place

HEAPS = {"i386": 0x08800000, "i386-pae": 0x08800000, "x86_64": 0x01000000}
BORDERS = (0x80000000, 0x80400000)      # of 1 GiB, and of 4 MiB spans: tables are freed by the one or the other
FIXED, NOREPLACE, ANON, SHARED, PRIVATE, DROPPABLE = 0x10, 0x100000, 0x20, 1, 2, 8
FLAGS = {"noreserve": 0x4000, "populate": 0x8000, "locked": 0x2000, "growsdown": 0x100, "validate": 2}
MAYMOVE, MOVE_FIXED, DONTUNMAP, NONBLOCK = 1, 2, 4, 0x10000
MCL = {"current": 1, "future": 2, "onfault": 4}
MPOL = {"default": 0, "bind": 2, "interleave": 3}


def prot_bits(letters):
    return sum({"r": 1, "w": 2, "x": 4}[letter] for letter in letters)


class Calls:
    """The calls of a program whose window lies astride a border of page tables. files: name -> pages."""

    def __init__(self, seed, arch, files, window):
        self.low, self.heap = BORDERS[seed % 2] - window // 2 * PAGE, HEAPS[arch]
        self.files, self.pins = list(files), {}
        self.made = [("file", 0, pages * PAGE - 100 * (number % 2), "shmem" if name[0] == "M" else "disk")
                     for number, (name, pages) in enumerate(files.items())]

    def of(self, steps):
        for step in steps:
            name = step.get("call", step["op"])
            made = getattr(self, f"of_{step['op']}", self.of_range)(step)
            process = made.pop() if step["op"] in ("truncate", "pin_read") else int(step.get("proc", "p0")[1:])
            self.made.append(({"exec": "execve", "pin_read": "release"}.get(name, name), process, *made))
        return self.made

    def address(self, at, off=0):
        named, page = split_place(at)
        if named and named != HEAP:
            return ("@", int(named[1:]), page * PAGE + off)
        return (self.heap if named else self.low) + page * PAGE + off

    def range(self, step):
        return [self.address(step["at"], step.get("at_off", 0)), step.get("len_bytes", step.get("len", 1) * PAGE)]

    def of_range(self, step):
        """Nothing but a range, or nothing at all."""
        return self.range(step) if "at" in step else []

    def of_spawn(self, step):
        return []

    def of_mmap(self, step):
        words = step.get("flags", ())
        flags = SHARED if step.get("share") == "shared" else DROPPABLE if "droppable" in words else PRIVATE
        flags |= sum(FLAGS[word] for word in words if word != "droppable") | (0 if "file" in step else ANON)
        if step["at"] is not None and "hint" not in step:
            flags |= FIXED if step.get("replace") else NOREPLACE
        file = self.files.index(step["file"]) if "file" in step else None
        where, length = self.range({**step, "at": step["at"] or 0})
        return [0 if step["at"] is None else where, length, prot_bits(step["prot"]), flags, file, step.get("pgoff", 0) * PAGE]

    def of_mprotect(self, step):
        return [*self.range(step), prot_bits(step["prot"])]

    def of_mremap(self, step):
        fixed = "to" in step and "hint" not in step
        flags = (MOVE_FIXED if fixed else 0) | (DONTUNMAP if "dontunmap" in step else 0)
        flags |= MAYMOVE if step.get("maymove", bool(flags)) else 0
        target = self.address(step["to"], step.get("to_off", 0)) if "to" in step else 0
        return [self.range(step)[0], step["old"] * PAGE, step["new"] * PAGE, flags, target]

    def of_brk(self, step):
        return [self.heap + step["to"] * PAGE]

    def of_madvise(self, step):
        return [*self.range(step), ADVICE[step["advice"]]]

    def of_mlock(self, step):
        return [*self.range(step), *([1] if "onfault" in step else [])]

    def of_mlockall(self, step):
        return [sum(MCL[word] for word in step["flags"])]

    def of_mbind(self, step):
        return [*self.range(step), MPOL[step["policy"]]]

    def of_touch(self, step):
        return [tuple(self.address(at, step["at_off"]) for at in step["pages"]), step["write"]]

    def of_remap_file_pages(self, step):
        return [*self.range(step), 0, step["pgoff"], NONBLOCK if "nonblock" in step else 0]

    def of_pin(self, step):
        self.pins[step["as"]] = len(self.pins)
        return [self.address(step["at"])]

    def of_pin_read(self, step):
        return [self.pins[step["as"]]]

    def of_truncate(self, step):
        return [step["bytes"], self.files.index(step["file"])]

    def of_reclaim(self, step):
        return [step["pages"]]

    def of_call(self, step):
        begins = {"at": self.low, "heap": self.heap}
        return [begins[value[0]] + value[1] if isinstance(value, tuple) else value for value in step["arguments"]]
