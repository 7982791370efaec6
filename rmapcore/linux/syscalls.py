"""Every system call of x86-64, and what a recording has of it: one of three verdicts.

    recorded                       its enter and exit are events of a recording, or another event says it
    cannot change areas or pages   but by page faults at the memory that it reads or writes, which are recorded
    cannot be recorded             because of what the last column says

The calls stand in syscalls.txt, a line each; docs/syscalls.md is made of them.
"""
from pathlib import Path
from typing import NamedTuple

RECORDED, HARMLESS, UNSEEN = "recorded", "cannot change areas or pages", "cannot be recorded"
# The words of syscalls.txt -> verdict, and what there is to say of it.
WORDS = {
    "recorded": (RECORDED, ""),
    "exit": (RECORDED, "by sched:sched_process_exit"),
    "blocks": (RECORDED, "its enter, where it is of whole blocks, as reads past the page cache are (O_DIRECT); kmem:rss_stat "
                         "tells whether pages came in without a fault"),
    "shared": (RECORDED, "its enter, where several processes may share the word (no FUTEX_PRIVATE_FLAG); kmem:rss_stat tells "
                         "whether its page came in without a fault"),
    "harmless": (HARMLESS, ""),
    "absent": (HARMLESS, "the number is kept for a call that there is no more, or never was: ENOSYS"),
    "direct": (UNSEEN, "where the file was opened with O_DIRECT, pages come in without a fault; how it was opened is not "
                       "recorded, and these calls are too many to record"),
    "opens": (UNSEEN, "with O_TRUNC a file that is mapped loses its pages; which one stands in memory, as a path"),
    "futex": (UNSEEN, "on a word that several processes share (no FUTEX_PRIVATE_FLAG) its page comes in without a fault; "
                      "programs have touched it before"),
    "zerocopy": (UNSEEN, "with MSG_ZEROCOPY pages that were not there come in without a fault; the ranges stand in memory"),
    "remote": (UNSEEN, "pages of another process come in without a fault; where stands in memory, or may be told through "
                       "/proc/PID/mem as well"),
    "vmsplice": (UNSEEN, "the pages that it gives away come in without a fault; the ranges stand in memory"),
    "rings": (UNSEEN, "what is to be done stands in rings in memory: reads and writes, madvise, ftruncate, fallocate"),
    "ioctl": (UNSEEN, "userfaultfd's requests (UFFDIO_…) name their ranges in memory, as PAGEMAP_SCAN and drivers that hold "
                      "memory do; that there is a userfaultfd is recorded"),
    "receives": (UNSEEN, "TCP_ZEROCOPY_RECEIVE puts pages of a socket into an area; the range stands in memory"),
    "holds": (UNSEEN, "XDP_UMEM_REG holds a range of memory, whose pages come in without a fault; the range stands in memory"),
    "nodes": (UNSEEN, "pages move to frames of other nodes, and stay at their addresses; the emulated machine has one node"),
    "tables": (UNSEEN, "where user space has page tables of its own (PTI), the segments are mapped at a kernel address"),
    "probes": (UNSEEN, "uprobes write into pages of programs, and give them an area [uprobes]; the events say nothing of it"),
}
TABLE = Path(__file__).with_name("syscalls.txt")
PAGE_HEAD = """\
# System calls and recordings

Every system call of x86-64 up to Linux 6.18, and what a [recording](capture.md) has of it. `rmapcore.linux.syscalls.markdown()`
makes this page, tests compare it with the table, and numbers and arguments with those of the running kernel.

Of {total} calls {recorded} are recorded, {harmless} cannot change areas or pages but by page faults at the memory that they
read or write, which are recorded, and {unseen} cannot be recorded.

| number | call | a recording | because |
|---|---|---|---|
"""


class Syscall(NamedTuple):
    """arguments: their names, as perf prints them.  word: of WORDS."""

    number: int
    name: str
    arguments: tuple
    word: str

    @property
    def verdict(self):
        return WORDS[self.word][0]

    @property
    def remark(self):
        return WORDS[self.word][1]


def parse(line):
    """A line of syscalls.txt: `9 mmap(addr, len, prot, flags, fd, off) recorded`."""
    number, rest = line.split(" ", 1)
    name, rest = rest.split("(")
    arguments, word = rest.split(") ")
    return Syscall(int(number), name, tuple(arguments.split(", ")) if arguments else (), word)


SYSCALLS = {call.name: call for line in TABLE.read_text(encoding="ascii").splitlines() if not line.startswith("#")
            for call in [parse(line)]}


def markdown():
    """docs/syscalls.md."""
    counts = {name: sum(call.verdict == verdict for call in SYSCALLS.values()) for name, verdict in
              (("recorded", RECORDED), ("harmless", HARMLESS), ("unseen", UNSEEN))}
    rows = "".join(f"| {call.number} | `{call.name}({', '.join(call.arguments)})` | {call.verdict} | {call.remark} |\n"
                   for call in SYSCALLS.values())
    return PAGE_HEAD.format(total=len(SYSCALLS), **counts) + rows
