"""perf's own file as text: which record is what, and where its fields are.

The head of the file (tools/perf/Documentation/perf.data-file-format.txt) says where the records are and describes each
event: struct perf_event_attr, and the ids that its samples carry. Where a tracepoint has its fields says the kernel, in
the folder that perf has read too (tracefs).
"""
import os
import re
import struct

import numpy as np

from rmapcore.errors import CaptureError
from rmapcore.linux.calls import CALLS
from rmapcore.pyx.text.perfdata import Converter
from rmapcore.pyx.text.tracepoints import LOCATED, MISSING

# What the line of each tracepoint has, in the order of `pyx.perfdata`; the last may be missing (kernels before 6.16).
EVENTS = {
    "exceptions:page_fault_user": ("address", "ip", "error_code"),
    "exceptions:page_fault_kernel": ("address", "ip", "error_code"),
    "raw_syscalls:sys_enter": ("id", "args"),
    "raw_syscalls:sys_exit": ("id", "ret"),
    "sched:sched_process_exec": ("filename", "pid", "old_pid"),
    "sched:sched_process_exit": ("comm", "pid", "prio", "group_dead"),
    "task:task_newtask": ("pid", "comm", "clone_flags", "oom_score_adj"),
    "signal:signal_generate": ("sig", "errno", "code", "comm", "pid", "group", "result"),
    "kmem:rss_stat": ("mm_id", "curr", "member", "size"),
    "syscalls:sys_enter_read": ("fd", "buf", "count"),
    "syscalls:sys_enter_pread64": ("fd", "buf", "count", "pos"),
    "syscalls:sys_enter_futex": ("uaddr", "op"),
    "vmscan:mm_vmscan_memcg_reclaim_end": ("nr_reclaimed",),
    "vmscan:mm_vmscan_direct_reclaim_end": ("nr_reclaimed",),
    "filemap:mm_filemap_add_to_page_cache": ("s_dev", "i_ino", "pfn", "index", "order"),
    "filemap:mm_filemap_delete_from_page_cache": ("s_dev", "i_ino", "pfn", "index", "order"),
    "filemap:mm_filemap_fault": ("s_dev", "i_ino", "index"),
}
NEWER = ("filemap:mm_filemap_fault",)          # since Linux 6.12; older ones are recorded without
# Of some events not all are taken: what perf filters by, before it records them. Faults of the kernel's own making end in these
# signals. A read past the page cache is of whole blocks (the buffer cannot be asked for: a filter takes it for a text).
BLOCK_READ = "count>=512&&!(count&511)"
# Only files on a disk of their own have pages that are not simply there: shared memory has no major number.
ON_DISK = "s_dev>=1048576"
# Not what fork gives to a child and exit takes, one event for each table of pages; and all that is swapped out, by whomever.
OWN_COUNTS = "curr==1||member==2"
FILTERS = {
    "filemap:mm_filemap_add_to_page_cache": ON_DISK, "filemap:mm_filemap_delete_from_page_cache": ON_DISK,
    "filemap:mm_filemap_fault": ON_DISK, "syscalls:sys_enter_futex": "!(op&128)",
    "vmscan:mm_vmscan_memcg_reclaim_end": "nr_reclaimed>0", "vmscan:mm_vmscan_direct_reclaim_end": "nr_reclaimed>0",
    "kmem:rss_stat": OWN_COUNTS, "signal:signal_generate": "(sig==7||sig==11)&&code>0",
    "syscalls:sys_enter_read": BLOCK_READ, "syscalls:sys_enter_pread64": f"{BLOCK_READ}&&!(pos&511)",
}
OPTIONAL = ("group_dead", "order")
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
COLUMN = 35                                    # of the event: as wide as the longest name, aligned to the right
BLOCK = 1 << 20                                # bytes of text at a time
MAGIC = b"PERFILE2"
HEAD = struct.Struct("<8sQQQQQQ")              # magic, size, attr_size; offset and size of attrs, of data
ATTR = struct.Struct("<IIQQQ")                 # type, size, config, sample_period, sample_type
TRACEPOINT = 2                                 # PERF_TYPE_TRACEPOINT
# enum perf_event_sample_format, in the order of the words in a sample; each takes 8 bytes. Others may not be there, or stand
# behind the raw data.
IDENTIFIER, IP, TID, TIME, ADDR, ID, STREAM_ID, CPU, PERIOD, RAW = (
    1 << bit for bit in (16, 0, 1, 2, 3, 6, 9, 7, 8, 10))
SAMPLE = (IDENTIFIER, IP, TID, TIME, ADDR, ID, STREAM_ID, CPU, PERIOD)
TRAILER = (TID, TIME, ID, STREAM_ID, CPU, IDENTIFIER)          # of the other records, at their end
NEEDED = TID | TIME | IDENTIFIER | RAW
READ, CALLCHAIN = 1 << 4, 1 << 5                               # of unknown length, before the raw data
_FIELD = re.compile(r"\tfield:(.*?)(\w+)(?:\[\d*\])?;\toffset:(\d+);\tsize:(\d+);")


class Recording:
    """The lines of one program in perf's file. lost: events; records: how many there are in all.

    CaptureError if the file is cut off or is none of this machine's.
    """

    def __init__(self, path, pid):
        try:
            data = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError):
            raise CaptureError("perf wrote no file that can be read") from None
        head = bytes(data[:HEAD.size])
        if len(head) < HEAD.size or not head.startswith(MAGIC):
            raise CaptureError("perf wrote no file that can be read")
        _, _, attr_size, attrs_at, attrs_size, start, size = HEAD.unpack(head)
        if not size or start + size > len(data):
            raise CaptureError("perf's file is cut off: perf was ended before it had written it")
        attrs = [self.attr(data, at, attr_size) for at in range(attrs_at, attrs_at + attrs_size, attr_size)]
        samples = {sample_type for config, sample_type, _ in attrs if config is not None}
        trailers = {sample_type & sum(TRAILER) for _, sample_type, _ in attrs}
        form = next(iter(samples), 0)
        if len(samples) != 1 or len(trailers) != 1 or form & NEEDED != NEEDED or form & (READ | CALLCHAIN):
            raise CaptureError("perf's samples have another form than asked for")
        kinds, fields = tracepoints()
        ids = sorted((id, kinds.get(config, 0)) for config, _, ids in attrs for id in ids)
        words = [bit for bit in SAMPLE if form & bit]
        ends = [bit for bit in TRAILER if form & bit][::-1]
        places = [8 + 8 * words.index(TID), 8 + 8 * words.index(TIME), 8 + 8 * len(words),
                  8 * (1 + ends.index(TID)), 8 * (1 + ends.index(TIME))]
        calls = {number: (column(f"syscalls:sys_enter_{name}"), column(f"syscalls:sys_exit_{name}"),
                          [f"{', ' if at else ''}{argument}: 0x".encode() for at, argument in enumerate(arguments)])
                 for name, (number, arguments) in CALLS.items()}
        numbers, kinds = np.array([id for id, _ in ids], np.uint64), np.array([kind for _, kind in ids], np.uint8)
        self.converter = Converter(data, numbers, kinds, places, fields, [b"", *map(column, EVENTS)], calls, pid)
        try:
            times, found = self.converter.index(start, start + size)
        except ValueError as error:
            raise CaptureError(f"perf's file is damaged: {error}") from None
        order = np.argsort(times, kind="stable")
        self.times, self.places = times[order], found[order]

    @staticmethod
    def attr(data, at, size):
        """(id of a tracepoint or None, sample_type, ids of its samples) of an event."""
        kind, _, config, _, sample_type = ATTR.unpack(bytes(data[at:at + ATTR.size]))
        where, length = struct.unpack("<QQ", bytes(data[at + size - 16:at + size]))
        ids = np.frombuffer(bytes(data[where:where + length]), "<u8").tolist()
        return (config if kind == TRACEPOINT else None), sample_type, ids

    def blocks(self, states=(), progress=None):
        """The text, some whole lines at a time, with the lines of States where their time is."""
        out, done, total = np.empty(BLOCK, np.uint8), 0, len(self.times)
        ends = [int(np.searchsorted(self.times, state.time)) for state in states]
        for end, state in zip([*ends, total], [*states, None], strict=True):
            while done < end:
                done, length = self.converter.convert(self.times[:end], self.places[:end], done, out)
                yield out[:length].tobytes()
                if progress:
                    progress(done, total, "writing the recording")
            if state:
                yield "".join(f"{line}\n" for line in state.lines()).encode("latin-1")
        if self.converter.damaged:
            raise CaptureError("perf's file is damaged: a record is shorter than what it must hold")


def column(name):
    """An event's name as perf script writes it."""
    return f"{name:>{COLUMN}}: ".encode()


def tracepoints():
    """({id: number of the tracepoint}, fields of each as `pyx.perfdata` wants them), as this machine's kernel has them."""
    folder = next((one for one in TRACEFS if os.path.isdir(f"{one}/events")), None)
    if folder is None:
        raise CaptureError(f"no tracefs at {' or '.join(TRACEFS)}")
    kinds, fields = {}, np.full((len(EVENTS) + 1, max(map(len, EVENTS.values())), 2), MISSING, np.int32)
    for number, (event, names) in enumerate(EVENTS.items(), 1):
        if event in NEWER and not os.path.isdir(f"{folder}/events/{event.replace(':', '/')}"):
            continue
        with open(f"{folder}/events/{event.replace(':', '/')}/format", encoding="ascii") as stream:
            text = stream.read()
        kinds[int(re.search(r"^ID: (\d+)$", text, re.MULTILINE)[1])] = number
        found = {name: (int(offset) | (LOCATED if "__data_loc" in kind else 0), int(size))
                 for kind, name, offset, size in _FIELD.findall(text)}
        for at, name in enumerate(names):
            if name in found:
                fields[number, at] = found[name]
            elif name not in OPTIONAL:
                raise CaptureError(f"this kernel's {event} has no {name}")
    return kinds, fields
