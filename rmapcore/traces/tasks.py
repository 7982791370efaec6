"""Who shares which address space: the threads, processes and spaces of a recording.

    thread (pid/tid of a line) -> process (thread group) -> space (address space; its id is the pid in the operations)

Threads of a process share its space. A vfork child borrows its parent's until its own exec or its end, and so does any
child of a clone with CLONE_VM. A space dies with its last user, borrowers counted. Pids of operations are never
reused: a pid that comes again, or whose old space a borrower still lives in, gets an id above all real pids.

Follows the order of the lines: a child begins at its PERF_RECORD_FORK line, a new program at its PERF_RECORD_COMM exec
line, a process ends at the sched_process_exit line with group_dead=true. `Tasks` emits SPAWN, FORK, EXECVE and EXIT.
"""

from collections import Counter

from rmapcore.operations import Op
from rmapcore.traces.lines import parse_tasks
from rmapcore.traces.mappings import Mappings

USER_END = 1 << 47
PID_LIMIT = 1 << 22  # the kernel's PID_MAX_LIMIT: no recorded pid reaches it
CLONE_VM, CLONE_THREAD = 0x100, 0x10000


class Space:
    """One address space: what the importer must remember of it. Addresses and lengths are bytes."""

    __slots__ = (
        "asked",
        "attaches",
        "blocks",
        "brk",
        "files",
        "giving_up",
        "heap",
        "id",
        "owner",
        "special",
        "special_end",
        "special_start",
        "users",
    )

    def __init__(self, id, owner, parent=None):
        self.id = id
        self.owner = owner  # the process that did not borrow it
        self.users = {owner}
        self.heap = parent.heap if parent else None  # start of the heap, page aligned; None until the first brk
        self.brk = parent.brk if parent else None
        self.attaches = dict(parent.attaches) if parent else {}  # of shmat: start -> length
        self.files = Mappings(parent.files if parent else None)
        self.special = list(parent.special) if parent else []  # (start, end, path) of vdso and the like
        self.special_start = parent.special_start if parent else USER_END
        self.special_end = parent.special_end if parent else 0
        self.asked = Mappings(parent.asked if parent else None)  # of `HugePages`, as the next
        self.blocks = dict(parent.blocks) if parent else {}
        self.giving_up = []  # threads inside munmap or mremap, which may take effect long before they return

    def add_special(self, start, end, path):
        self.special.append((start, end, path))
        self.look_at(start, end)

    def look_at(self, start, end):
        """Faults in the range are not ordinary: the importer wants to see each."""
        self.special_start = min(self.special_start, start)
        self.special_end = max(self.special_end, end)


class Process:
    """A thread group. `space` is None while it is not known and after its death."""

    __slots__ = ("pid", "space", "threads")

    def __init__(self, pid):
        self.pid = pid
        self.space = None
        self.threads = {}  # the living ones, by (pid, tid)


class Thread:
    """A thread and the system call it is in."""

    __slots__ = (
        "arguments",
        "call",
        "direct",
        "entered",
        "loading",
        "mapping",
        "missed",
        "process",
        "reserved",
        "shown",
        "who",
    )

    def __init__(self, who, process):
        self.who = who  # (pid, tid)
        self.process = process
        self.call = None  # name of the call; None: in none
        self.arguments = ()
        self.entered = 0  # place in the records of the call's beginning
        self.shown = 0  # place in the records where it last did something that is no fault
        self.direct = None  # (place in the records, start, length in bytes) of a read that may bring pages without a fault
        self.missed = None  # place in the records of a fault that fault-around has not settled
        # last PERF_RECORD_MMAP2 line of the call: ((start, length, offset) in bytes, Object); of mremap: see Calls.settle
        self.mapping = None
        self.reserved = None  # where in the records a mremap belongs that took effect before its exit line
        self.loading = False  # between PERF_RECORD_COMM exec and sched_process_exec


class Tasks:
    """Keeps the three tables up to date; `emit(op, process, other=…)` takes the operations."""

    def __init__(self, emit, place):
        self.emit = emit
        self.place = place  # gives where the next operation will be
        self.threads = {}  # by (pid, tid)
        self.processes = {}  # living ones by pid
        self.used_ids = set()
        self.names = {}  # of address spaces, by id: that of the program they run
        self.next_id = PID_LIMIT
        self.running = set()  # pids of processes that ran before, until they execute something
        self.fork_windows = []  # with threads: (place of its beginning, of the FORK, tid, `shown` of others by tid)
        self.n_spaces = self.n_forks = self.n_threads = 0
        self.ended_unknown = set()  # (pid, tid) of threads of which nothing but their end was seen
        self.n_ended = self.n_after_end = 0  # ends in order, and threads that went on behind an end of the others
        self.left_out = Counter()
        self.assumed = Counter()

    def thread(self, who):
        """The thread of a line by (pid, tid), new if it was not seen before."""
        thread = self.threads.get(who)
        if thread is None:
            pid = who[0]
            process = self.processes.get(pid)
            if process is None:
                process = self.processes[pid] = Process(pid)
            thread = self._new_thread(who, process)
            if who in self.ended_unknown:
                self.ended_unknown.discard(who)
                self.n_after_end += 1
        return thread

    def forked(self, event, seen=True):
        """PERF_RECORD_FORK: a thread, a borrower of the parent's space, or a process with a copy of it.

        seen: whether it happened; else perf says whose child it found running, which has long had areas of its own (`found`).
        """
        pid, tid, parent_pid, parent_tid = parse_tasks(event)
        who = pid, tid
        if not seen and pid != parent_pid:
            return
        parent = self.thread((parent_pid, parent_tid))
        if pid == parent_pid:
            self.n_threads += 1
            self._new_thread(who, parent.process)
            return
        if pid in self.processes:  # its end is missing, or its lines came before this one
            self._end(self.processes[pid])
        process = self.processes[pid] = Process(pid)
        self._new_thread(who, process)
        self.n_forks += 1
        space = parent.process.space
        if space is None:
            self.left_out["fork of a process without a known address space"] += 1
            return
        if parent.call not in ("fork", "vfork", "clone", "clone3"):
            self.assumed["fork without its call, taken as fork"] += 1
        if parent.call in ("vfork", "clone3") or (parent.call == "clone" and parent.arguments[0] & CLONE_VM):
            process.space = space
            space.users.add(process)
        else:
            self._copy_space(process, parent)

    def told_flags(self, tid, flags, parent):
        """task_newtask, just behind PERF_RECORD_FORK: with which flags the new task `tid` was made.

        Of clone3 the recording has told nothing before: the child was taken for one that borrows.
        """
        process = self.processes.get(tid)
        if process is None or flags & CLONE_THREAD or process.space is None:
            return
        borrowed = process.space is parent.process.space
        if borrowed and not flags & CLONE_VM:
            process.space.users.discard(process)
            self._copy_space(process, parent)
        elif not borrowed and flags & CLONE_VM and parent.process.space is not None:
            self._release(process)
            process.space = parent.process.space
            process.space.users.add(process)

    def _copy_space(self, process, parent):
        space = parent.process.space
        if len(parent.process.threads) > 1 and parent.call is not None:
            shown = {thread.who[1]: thread.shown for thread in parent.process.threads.values() if thread is not parent}
            self.fork_windows.append((parent.entered, self.place(), parent.who[1], shown))
        process.space = self._new_space(process, space)
        self.emit(Op.FORK, space.id, other=process.space.id)

    def found(self, pid):
        """The address space of a process that ran before the recording began; None if it has shown itself since."""
        thread = self.thread((pid, pid))
        process = thread.process
        if process.space is None and pid not in self.used_ids:
            process.space = self._new_space(process)
            self.emit(Op.SPAWN, process.space.id)
            self.assumed["processes that ran before: what they had in memory is not known"] += 1
            self.running.add(pid)
        return process.space if pid in self.running else None

    def executed(self, who):
        """PERF_RECORD_COMM exec: the process goes on with this one thread, in a space of its own."""
        thread = self.thread(who)
        process = thread.process
        self.running.discard(process.pid)
        for other in list(process.threads.values()):
            if other is not thread:  # one of them may be the caller: a thread that calls execve takes its leader's tid
                if other.call not in ("execve", "execveat"):
                    self.abandon(other)
                self.threads.pop(other.who, None)
        process.threads = {who: thread}
        thread.call = thread.mapping = None
        thread.loading = True
        space = process.space
        if space is not None and space.owner is process and len(space.users) == 1:
            process.space = Space(space.id, process)
            self.emit(Op.EXECVE, space.id)
        else:
            self._release(process)
            process.space = self._new_space(process)
            self.emit(Op.SPAWN, process.space.id)

    def ended(self, thread, rest):
        """sched_process_exit; kernels before 6.16 do not print group_dead, there the last thread known decides."""
        process = thread.process
        if process.space is None and thread.call is None:
            self.ended_unknown.add(thread.who)
            self.threads.pop(thread.who, None)
        else:
            self.n_ended += 1
        self.abandon(thread)
        process.threads.pop(thread.who, None)
        _, printed, value = rest.rpartition("group_dead=")
        if value.startswith("true") if printed else not process.threads:
            self._end(process)

    @property
    def turned_round(self):
        """Whether the recording runs against time: most of what ends does all else behind its end."""
        return self.n_after_end > self.n_ended

    def abandon(self, thread):
        """Gives up the call the thread is in: its exit will not come, as it should be after exit_group, or is not recorded."""
        if thread.call not in (None, "exit_group", "close"):
            self.left_out[f"{thread.call} without exit"] += 1
        self.left(thread)

    def left(self, thread):
        """The thread is out of its call."""
        space = thread.process.space
        if space is not None and space.giving_up and thread in space.giving_up:
            space.giving_up.remove(thread)
        thread.call = None

    @property
    def n_alive(self):
        return len({process.space.id for process in self.processes.values() if process.space is not None})

    def _new_thread(self, who, process):
        thread = self.threads[who] = process.threads[who] = Thread(who, process)
        return thread

    def _new_space(self, process, parent=None):
        id = process.pid
        while id in self.used_ids:
            id = self.next_id
            self.next_id += 1
        self.used_ids.add(id)
        self.n_spaces += 1
        if parent is not None and parent.id in self.names:
            self.names[id] = self.names[parent.id]
        return Space(id, process, parent)

    def _release(self, process):
        space = process.space
        process.space = None
        if space is not None:
            space.users.discard(process)
            if not space.users:
                self.emit(Op.EXIT, space.id)

    def _end(self, process):
        self._release(process)
        if self.processes.get(process.pid) is process:
            del self.processes[process.pid]
