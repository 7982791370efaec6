"""Why an emulated entry is not what was recorded: the likely cause of each wrong fault, from what is known of it.

Known are the error code, what the emulation had (pyx/look/found.pxd), and the faults on the same page before and after. A cause
is the likely one, never proven: a recording does not say what its kernel did without a fault.
"""
import numpy as np

from rmapcore.operations import Op
from rmapcore.pyx.look.found import FOUND

TOGETHER_NS = 1_000_000                # faults of two threads on one page so near to one another run at the same time

END = (1 << 64) - 1
OPENING = (Op.MPROTECT, Op.MLOCK, Op.MLOCKALL, Op.MADVISE)

ABOUT = {
    "no_area": "the emulation has no area there: a call failed in it that mapped or grew one, or what did is not in the "
               "recording",
    "refused": "the emulation does not perform it, though its area allows it: a stack that may not grow so far "
               "(stack_limit), or the end of a file",
    "threads": "two threads used the page at the same time: both faulted before either had mapped it, or their lines stand "
               "in the other order",
    "again": "the same access faulted twice in a row: the recorded kernel had to try again",
    "page_cache": "the emulation maps it by fault-around, populate or fork, and the recorded kernel did not: the page was not "
                  "in the page cache, just being read, locked, or had the mark of readahead",
    "unmapped": "the emulation has it from an earlier fault, and the recorded kernel has taken it since: reclaim, migration, "
                "NUMA hinting, or truncation",
    "inherited": "the emulation has it from fork, mremap or populate, and the recorded kernel did not map it",
    "around": "the recorded kernel mapped it without a fault and the emulation did not: fault-around (where the page cache has "
              "large folios it maps them whole), MAP_POPULATE, or mlock",
    "pinned": "the recorded kernel mapped it without a fault: get_user_pages (direct I/O, vmsplice, ptrace, futex), arguments "
              "of execve, MAP_POPULATE, or mlock",
    "stale": "a call has made the page writable since (mprotect, mlock, populate); the processor of the recording still had "
             "the entry that was not",
    "cleaned": "a shared page of a disk file was written back since, by no call of the recording, which makes its next write "
               "fault again",
    "protected": "the recorded kernel had it read-only, the emulation writable: a fork that the emulation does not know, or a "
                 "page that is not exclusive to the process",
    "allowed": "the emulation's entry allows the access: the recorded one was stale, or had a protection key",
}


class Faults:
    """The checked faults of a replay, in order. Arrays of a value each:

    index  of the operation.  code: error codes.  kind: "anon", "file", "shmem", "none".
    refused: which were not performed, though their area allows them.
    right: which found what was recorded, and were not refused.
    """

    def __init__(self, operations, found, statuses):
        self.operations = operations
        self.index = np.flatnonzero(found & FOUND["checked"])
        self.found = found[self.index]
        faults = operations[self.index]
        self.code = faults["flags"]
        allowed = np.where(self.code & 2 != 0, self.has("write"), self.has("read") | self.has("write"))
        self.refused = (statuses[self.index] != 0) & allowed
        self.right = self.has("right") & ~self.refused
        self.time, self.thread = faults["arg"].astype(np.int64), faults["arg2"]
        kinds = np.where(self.has("shmem"), "shmem", np.where(self.has("file"), "file", "anon"))
        self.kind = np.where(self.has("area"), kinds, "none")
        space = lives(operations, self.index)
        self.before, self.after = neighbours(faults["process"], space, faults["addr"] >> np.uint64(12))
        self.before_in_thread, _ = neighbours(faults["process"], self.thread)

    def has(self, what):
        """Which faults found this, as a name of FOUND."""
        return self.found & FOUND[what] != 0

    def entry(self, number):
        """What the emulated entry held, in words."""
        for what, words in (("zero", "zero page"), ("anon", "anonymous page"), ("present", "page of the file"),
                            ("swap", "swap entry")):
            if self.found[number] & FOUND[what]:
                return words
        return "nothing"

    def causes(self, numbers):
        """The likely cause of each wrong fault, a key of ABOUT."""
        opened = self._opened(np.asarray(numbers, np.int64))
        return [self._cause(int(number), last) for number, last in zip(numbers, opened, strict=True)]

    def _cause(self, number, opened):
        found, code, kind = int(self.found[number]), int(self.code[number]), self.kind[number]
        before, after = int(self.before[number]), int(self.after[number])
        if kind == "none":
            return "no_area"
        if self.refused[number]:
            return "refused"
        if self._together(number, before) or self._together(number, after):
            return "threads"
        if before >= 0 and before == self.before_in_thread[number] and self.code[before] == code:
            return "again"
        cached = found & FOUND["present"] and not found & (FOUND["anon"] | FOUND["zero"])
        if not code & 1:
            if before >= 0:
                return "unmapped"
            return "page_cache" if cached else "inherited"
        if not found & FOUND["present"]:
            return "pinned" if kind == "anon" else "around"
        if not code & 2:
            return "allowed"
        if before >= 0 and opened > self.index[before]:
            return "stale"
        return "cleaned" if cached and found & FOUND["shared"] and kind == "file" else "protected"

    def _opened(self, numbers):
        """For each fault the last operation before it that may have made its entry writable without a fault, or -1.

        numbers: ascending. One pass over the calls, which mark what they open among the pages that are asked for.
        """
        asked = self.operations[self.index[numbers]]
        last = np.full(len(numbers), -1, np.int64)
        calls = np.flatnonzero(np.isin(self.operations["op"], OPENING))
        for process in np.unique(asked["process"]).tolist():
            own = np.flatnonzero(asked["process"] == process)
            addresses = np.unique(asked["addr"][own])
            marks = np.full(len(addresses), -1, np.int64)
            places = np.searchsorted(addresses, asked["addr"][own])
            when = self.index[numbers[own]]
            done = 0
            for call in calls[self.operations["process"][calls] == process].tolist():
                upto = int(np.searchsorted(when, call))
                last[own[done:upto]] = marks[places[done:upto]]
                done = upto
                one = self.operations[call]
                every = one["op"] == Op.MLOCKALL
                first = 0 if every else int(np.searchsorted(addresses, one["addr"]))
                end = len(marks) if every else int(np.searchsorted(addresses, min(int(one["addr"]) + int(one["length"]), END)))
                marks[first:end] = call
            last[own[done:]] = marks[places[done:]]
        return last

    def _together(self, number, other):
        """Whether another thread had a fault on the page at the same time."""
        return (other >= 0 and self.thread[other] != self.thread[number]
                and abs(int(self.time[other] - self.time[number])) < TOGETHER_NS)


def neighbours(*keys):
    """Two arrays: the place of the one before and of the one after each, among those with equal keys; -1: none."""
    count = len(keys[0])
    order = np.lexsort((np.arange(count), *keys))
    same = np.all([key[order][1:] == key[order][:-1] for key in keys], axis=0)
    before, after = np.full(count, -1), np.full(count, -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def lives(operations, index):
    """A number for each operation in `index` that is the same for those of one address space between two execve."""
    order = np.lexsort((np.arange(len(operations)), operations["process"]))
    begun = np.isin(operations["op"][order], (Op.EXECVE, Op.SPAWN))
    values = np.zeros(len(operations), np.int64)
    values[order] = np.cumsum(begun)
    return values[index]
