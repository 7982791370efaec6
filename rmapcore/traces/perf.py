"""From a perf recording to operations.

A call becomes an operation at its sys_exit line and only if it succeeded, or failed at a hole behind what it did (`calls`):

    sys_enter_mmap      length, prot, flags            -> MMAP at the returned address, flags | MAP_FIXED
    PERF_RECORD_MMAP2   which object                      (its range may be a merged area: not used)
    sys_exit_mmap       the address

Two calls may count from before their exit line: a munmap or mremap whose old range another thread is handed in the
meantime must have taken effect already, and goes in front. execve maps without calls: from PERF_RECORD_COMM exec to
sched_process_exec every MMAP2 line is a mapping, and between some of them are holes (images.py). Arguments and environment
are on the stack by then: execve writes them without a fault and then gives the stack 128 KiB more, so what it has beyond
these is written here. vdso and vvar are never mapped, and their faults are left out. What perf found running, it writes
down first, as PERF_RECORD_MMAP2 lines of no thread (0/0): such a process is born with these areas, and without the pages
that it had.

What is left out, and what had to be assumed, is counted by reason in the summary. Huge pages become ordinary ones
(huge.py). remap_file_pages stays a call of its own, though kernels from 4.0 on make ordinary mappings of it. A kernel
takes the lines apart (`rmapcore.pyx.text.perfline`); what is known of each event here is the form of its fields and a
handler.
"""

import errno
import struct
from collections import namedtuple
from functools import partial

import numpy as np

from rmapcore.errors import TraceError
from rmapcore.linux import uapi
from rmapcore.operations import OPERATION, Op
from rmapcore.pyx.text import perfline
from rmapcore.traces.calls import OP_FAULT, Calls, pack, protection
from rmapcore.traces.failures import leaves_a_part
from rmapcore.traces.files import NO_FILES, Files
from rmapcore.traces.forks import order_forks
from rmapcore.traces.huge import HugePages
from rmapcore.traces.images import Images
from rmapcore.traces.kernelside import EXECS, KernelSide
from rmapcore.traces.lines import BadLine, parse_fields, parse_object, parse_thread, split_fields, split_line
from rmapcore.traces.pagecache import PageCache
from rmapcore.traces.rarecalls import CLOSING, UNREMARKABLE
from rmapcore.traces.rawcalls import parse_raw
from rmapcore.traces.remarks import Remarks
from rmapcore.traces.tasks import USER_END, Tasks
from rmapcore.traces.unhandled import mark_unhandled
from rmapcore.units import PAGE, UNLIMITED

FIRST_ERROR = (1 << 64) - 4095  # a result from here on is a -errno

STACK_TOPS = ((1 << 47) - PAGE, (1 << 56) - PAGE)           # STACK_TOP_MAX with four and with five levels of page tables
SPECIAL_AREAS = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]")
OF_A_RANGE = ("madvise", "mlock", "mlock2", "munlock", "mprotect", "pkey_mprotect", "mbind", "mseal")      # calls
MAPPERS = ("mmap", "shmat", "io_setup", "map_shadow_stack")
SAID_AGAIN = ("brk", "mprotect", "pkey_mprotect", "mremap", "remap_file_pages")      # calls that tell of an area as it is now

# An event: the form of its fields (`perfline` has them), how many arguments are used, and what takes a line of it:
# handler(thread, values, text).
Event = namedtuple("Event", "form n_arguments handler")


class Importer(Calls, KernelSide):
    """Reads one recording when created; then `operations`, `files`, `states`, `lives`, `expected` and `summary` hold it.

    blocks: its text, of `lines.Blocks`, or what has such a path and count.
    """

    def __init__(self, blocks):
        super().__init__()
        self.blocks, self.path = blocks, blocks.path
        self.records = bytearray()
        self.tasks = Tasks(self.emit_life, lambda: len(self.records))
        self.left_out, self.assumed = self.tasks.left_out, self.tasks.assumed
        self.file_table, self.huge = Files(), HugePages()
        self.images = Images(self.emit, self.records)
        self.page_cache = PageCache(self.records)
        self.remarks = Remarks()
        self.begin_kernel_side()
        self.objects = {}  # of PERF_RECORD_MMAP2 lines, by their text
        self.n_recognised = self.n_comments = self.n_faults = self.n_calls = self.n_lost = 0
        # arguments used, and what makes operations of them; None: the call has none
        calls = {
            "mmap": (6, self.mmap), "munmap": (2, self.munmap), "mremap": (5, self.mremap), "brk": (1, self.brk),
            "mprotect": (3, self.mprotect), "pkey_mprotect": (4, self.mprotect), "madvise": (3, self.madvise),
            "mlock": (2, partial(self.locked, Op.MLOCK)), "mlock2": (3, partial(self.locked, Op.MLOCK)),
            "munlock": (2, partial(self.locked, Op.MUNLOCK)), "mlockall": (1, self.mlockall),
            "munlockall": (0, self.munlockall), "shmat": (3, self.shmat), "shmdt": (1, self.shmdt),
            "remap_file_pages": (5, self.remap_file_pages), "mbind": (3, self.mbind),
            "mseal": (3, self.mseal), "clone": (1, None), "clone3": (0, None), "fork": (0, None), "vfork": (0, None),
            "execve": (0, None), "execveat": (0, None), "exit_group": (0, None), **self.rare_calls(),
        }  # fmt: skip
        fault = Event(perfline.FAULT, 0, self.fault)
        self.events = {"exceptions:page_fault_user:": fault, "exceptions:page_fault_kernel:": fault,
                       "kmem:rss_stat:": Event(perfline.COUNT, 0, self.counted)}
        for name, (n_arguments, translate) in calls.items():
            enter = Event(perfline.ARGUMENTS, n_arguments, partial(self.enter, name))
            self.events[f"syscalls:sys_enter_{name}:"] = enter
            self.events[f"syscalls:sys_exit_{name}:"] = Event(perfline.RESULT, 0, partial(self.leave, name, translate))
        self.events |= {
            "PERF_RECORD_MMAP2": Event(perfline.MAPPING, 0, self.mapped),
            "PERF_RECORD_COMM": Event(perfline.TEXT, 0, self.named),
            "sched:sched_process_exit:": Event(perfline.TEXT, 0, self.ended),
            "sched:sched_process_exec:": Event(perfline.TEXT, 0, self.loaded),
            "syscalls:sys_enter_read:": Event(perfline.ARGUMENTS, 3, self.block_read),
            "syscalls:sys_enter_pread64:": Event(perfline.ARGUMENTS, 3, self.block_read),
            "syscalls:sys_enter_futex:": Event(perfline.ARGUMENTS, 2, self.waits),
            "filemap:mm_filemap_fault:": Event(perfline.NOTE, 0, self.missed),
            "filemap:mm_filemap_add_to_page_cache:": Event(perfline.NOTE, 0, partial(self.page_cache.take, True)),
            "filemap:mm_filemap_delete_from_page_cache:": Event(perfline.NOTE, 0, partial(self.page_cache.take, False)),
            "task:task_newtask:": Event(perfline.TEXT, 0, self.newtask),
            "signal:signal_generate:": Event(perfline.NOTE, 0, self.signalled),
            "vmscan:mm_vmscan_memcg_reclaim_end:": Event(perfline.NOTE, 0, self.reclaimed),
            "vmscan:mm_vmscan_direct_reclaim_end:": Event(perfline.NOTE, 0, self.reclaimed),
            "raw_syscalls:sys_enter:": Event(perfline.TEXT, 0, self.raw),
            "raw_syscalls:sys_exit:": Event(perfline.TEXT, 0, self.raw),
        }
        self.scanner = perfline.Scanner([(name, *event[:2]) for name, event in self.events.items()], USER_END)
        n_lines = self.read()
        for thread in self.tasks.threads.values():
            self.tasks.abandon(thread)
        self.huge.settle(operations := np.frombuffer(self.records, OPERATION))
        self.images.settle(operations)
        self.settle_sizes(operations)
        cached = self.page_cache.settle(operations, self.file_table)
        if self.page_cache.guesses:
            self.assumed["faults that mapped a large folio of a file"] = len(self.page_cache.guesses)
        reserved = operations["op"] == 0  # for calls that failed or never returned, huge pages and holes that were none
        self.operations = operations[~reserved] if reserved.any() else operations.copy()
        numbers = np.concatenate([[0], np.cumsum(~reserved)])  # of operations, by that of a record
        order_forks(self.operations, self.fork_windows(numbers))
        mark_unhandled(self.operations)
        self.mark_gone(numbers)
        self.operations = np.concatenate([cached, self.operations]) if len(cached) else self.operations
        self.operations.flags.writeable = False
        self.states, self.lives, self.expected = self.told(numbers + len(cached))
        self.files = self.file_table.table
        limit = UNLIMITED if self.own_stack_limits else self.remarks.stack_limit
        self.summary = {
            "lines": n_lines,
            "events": n_lines - self.n_comments,
            "faults": self.n_faults,
            "calls": self.n_calls,
            "processes": self.tasks.n_spaces,
            "forks": self.tasks.n_forks,
            "threads": self.tasks.n_threads,
            "alive": self.tasks.n_alive,
            "lost": self.n_lost, **({"stack_limit": limit} if limit else {}),
            **({"recorded": self.remarks.header} if self.remarks.header else {}),
            "left_out": dict(sorted(self.left_out.items())),
            "assumed": dict(sorted(self.assumed.items())),
        }

    def read(self):
        """Takes every line once; gives the number of lines."""
        threads, new_thread = self.tasks.threads, self.tasks.thread
        handlers = [event.handler for event in self.events.values()]
        blocks, block, first, number = self.blocks, b"", 0, 0
        try:
            for block in blocks:
                start = 0
                while start <= len(block):
                    first = start
                    lines, start = self.scanner.scan(block, first)
                    for event, who, values, text in lines:
                        number += 1
                        if event >= perfline.FIRST:
                            self.n_recognised += 1
                            handlers[event - perfline.FIRST](threads.get(who) or new_thread(who), values, text)
                        elif event == perfline.FAULTS:
                            (n_faults,) = values
                            self.records += text
                            self.n_faults += n_faults
                            number += n_faults - 1
                        elif event == perfline.OTHER:
                            self.other(who, *text.split(None, 1))
                        else:
                            self.unread(text)
                    blocks.count = number
        except (ValueError, IndexError, OverflowError, struct.error) as error:
            line = block[first:].split(b"\n")[number - blocks.count - 1].decode("latin-1")
            reason = str(error) if isinstance(error, BadLine) else "a field cannot be read"
            if not self.n_recognised:
                reason = f"this is no perf script recording, {reason}"
            excerpt = line.strip() if len(line) < 160 else line.strip()[:160] + "…"
            raise TraceError(f"{reason}: {excerpt!r}", self.path, number) from error
        if not self.n_recognised:
            raise TraceError(
                "this is no perf script recording: no page fault, memory call or exec in it", self.path, number
            )
        if self.tasks.turned_round:
            raise TraceError("it is turned round in time: processes end before all else that they do (tac puts it in order)",
                             self.path)
        return number

    def unread(self, line):
        """A line that the kernel does not take: read with more patience."""
        if line.startswith("#"):
            self.n_comments += 1
            self.remark(line)
            return
        who, time, name, rest = split_fields(line)
        if name not in self.events or (who := parse_thread(who)) not in self.tasks.threads:
            if not line or line.isspace() or line[0] == "\t":        # a tab: the call stack of the event above (perf record -g)
                self.n_comments += 1
                return
            who, time, name, rest = split_line(line)
        event = self.events.get(name)
        if event is None:
            self.other(who, name, rest)
            return
        if event.form != perfline.FAULT:  # a damaged fault is no sign yet of a recording
            self.n_recognised += 1
        values, text = parse_fields(event.form, event.n_arguments, time, rest)
        if event.form == perfline.FAULT:
            self.n_recognised += 1
        event.handler(self.tasks.thread(who), values, text)

    def other(self, who, name, rest):
        """A line of an event that has no handler, or has its fields in its name."""
        if name.startswith("PERF_RECORD_FORK("):
            self.n_recognised += 1
            self.tasks.forked(name, seen=who != (0, 0))
            self.kept.forked(name)
        elif name.startswith("PERF_RECORD_LOST"):
            numbers = [int(word) for word in rest.split() if word.isdecimal()]
            self.n_lost += numbers[-1] if numbers else 1
        elif name.startswith("PERF_RECORD_EXIT("):
            who = parse_thread(name[17 : name.index(")")].replace(":", "/"))
            self.tasks.threads.pop(who, None)
        elif name not in ("PERF_RECORD_COMM:", "sched:sched_process_fork:"):  # a new name; what PERF_RECORD_FORK says too
            if not name.startswith("PERF_RECORD_") and not name.endswith(":"):
                raise BadLine("no event where it should be")
            self.left_out[f"event {name.rstrip(':')}"] += 1

    @staticmethod
    def is_special(space, address):
        """The path of vdso and the like, if the address is in one of these."""
        return next((path for start, end, path in space.special if start <= address < end), None)

    # --- Lines ---------------------------------------------------------------------------------------------------

    def fault(self, thread, values, text):
        address, code, time = values
        space = thread.process.space
        self.n_faults += 1
        if space is None or address >= USER_END:
            place = "at a kernel address" if address >= USER_END else "without a known address space"
            self.left_out[f"fault {place}"] += 1
        elif space.special_start <= address < space.special_end and (path := self.is_special(space, address)):
            self.left_out["fault in vdso or vvar"] += 1
            if path == "[vdso]":               # the others have no pages that are counted
                self.special_pages.setdefault(space.id, set()).add(address // PAGE)
        else:
            self.records += pack(OP_FAULT, 0, code, space.id, 0, address, 0, time, max(thread.who[1], 0))
            if space.asked.starts:
                self.huge.faulted(space, address, code, thread.who[1], time, self.records)
            self.scanner.lives(thread.who, space.id, space.special_start, space.special_end)

    def named(self, thread, values, text):
        """PERF_RECORD_COMM exec: NAME:pid/tid. The name may hold anything, colons too."""
        if text.startswith("exec:"):
            who = parse_thread(text.rpartition(":")[2].strip())
            if who is None:
                raise BadLine("no pid/tid where it should be")
            self.images.loading.pop(thread, None)
            self.tasks.executed(who)
            name = text.partition(":")[2].rpartition(":")[0].strip()
            space = self.tasks.threads[who].process.space
            self.tasks.names[space.id] = name.encode("latin-1").decode("utf-8", "surrogateescape")
            self.kept.executed(who)
            self.n_calls += 1

    def ended(self, thread, values, text):
        self.tasks.ended(thread, text)

    def loaded(self, thread, values, text):
        thread.loading = False
        self.images.loading.pop(thread, None)

    def mapped(self, thread, values, text):
        """PERF_RECORD_MMAP2: inside execve a mapping, inside mmap and shmat the object, elsewhere seldom anything new."""
        object = self.objects.get(text)
        if object is None:
            object = self.objects[text] = parse_object(text)
        *values, pid = values
        space = thread.process.space
        if thread.who == (0, 0) and pid:
            self.found(pid, *values, object)
        elif thread.loading and space is not None:
            self.load(thread, space, *values, object)
        elif thread.call in MAPPERS:
            thread.mapping = values, object
        elif thread.call not in SAID_AGAIN and object.path != "[stack]":         # the stack has grown by a fault
            self.left_out["PERF_RECORD_MMAP2 outside of the calls that map"] += 1

    def found(self, pid, start, length, offset, object):
        """An area of a process that ran before the recording began."""
        space = self.tasks.found(pid)
        if space is None or start >= USER_END:
            return
        if object.path in SPECIAL_AREAS:
            space.add_special(start, start + length, object.path)
        elif object.path == "[heap]":
            space.heap, space.brk = start, start + length
            self.emit(Op.SETBRK, space.id, start)
            self.emit(Op.BRK, space.id, start + length)
        else:
            self.map_object(space, start, length, offset, object)

    def map_object(self, space, start, length, offset, object):
        prot, flags = protection(object)
        if object.path == "[stack]":
            self.map(space, start, length, prot, flags | uapi.MAP_ANONYMOUS | uapi.MAP_GROWSDOWN, 0, 0)
        elif object.path.startswith(NO_FILES):
            self.map(space, start, length, prot, flags | uapi.MAP_ANONYMOUS, 0, 0)
        else:
            self.map(space, start, length, prot, flags, self.file(object), offset)

    def load(self, thread, space, start, length, offset, object):
        if object.path in SPECIAL_AREAS:
            space.add_special(start, start + length, object.path)
        elif object.path != "[stack]":
            if start + length not in STACK_TOPS:         # the stack where execve began it: told of if its protection changed
                self.images.segment(thread, space, start, length, offset, object)
                self.map_object(space, start, length, offset, object)
                self.file_table.is_whole(object.path, object.device, object.inode)
        elif thread.mapping is None:        # the second such line is growth: arguments of more than 128 KiB
            thread.mapping = (start, length, offset), object
            self.map_object(space, start, length, offset, object)
            written = max(length - uapi.STACK_EXPAND, PAGE)
            self.emit(Op.WRITE, space.id, start + length - written, written)

    def raw(self, thread, values, text):
        """NR … of raw_syscalls, which records all calls by two events."""
        name, values = parse_raw(text)
        if event := self.events.get(name):
            event.handler(thread, values[: event.n_arguments] if event.form == perfline.ARGUMENTS else values, None)

    def enter(self, name, thread, values, text):
        if thread.call is not None:
            self.tasks.abandon(thread)
        thread.arguments = values
        thread.call = name
        thread.entered = thread.shown = len(self.records)
        thread.direct = thread.missed = None
        thread.mapping = None
        if name in ("munmap", "mremap") and thread.process.space is not None:
            thread.reserved = None
            thread.process.space.giving_up.append(thread)
        elif name in CLOSING:
            self.kept.closing(name, thread.who, values)
        elif name == "madvise" and values[2] == uapi.MADV_HUGEPAGE and thread.process.space is not None:
            self.huge.ask(thread.process.space, *values[:2])  # the scanner stops here and shows its faults one by one

    def leave(self, name, translate, thread, values, text):
        (result,) = values
        thread.shown = len(self.records)
        if thread.call != name:
            if name in EXECS and result == 0:
                thread.loading = False
            elif result or translate is not None:  # a new thread or process returns 0 from a call it never entered
                self.left_out[f"{name} without enter"] += 1
            return
        space = thread.process.space
        self.tasks.left(thread)
        number = (1 << 64) - result if result >= FIRST_ERROR else 0
        if number and not (space is not None and leaves_a_part(name, thread.arguments, number, self.remarks.header)):
            if name not in UNREMARKABLE:
                self.left_out[f"{name} failed: {errno.errorcode.get(number, f'error {number}')}"] += 1
        elif name in EXECS:
            self.left_out[f"{name} without PERF_RECORD_COMM exec"] += 1
        elif space is None:
            self.left_out[f"{name} without a known address space"] += 1
        elif name in OF_A_RANGE and self.is_special(space, thread.arguments[0]):
            self.left_out[f"{name} of vdso or vvar"] += 1
        else:
            self.n_calls += 1
            if number:
                self.failed.append((len(self.records), number))
            if translate is not None:
                translate(space, thread, result)
