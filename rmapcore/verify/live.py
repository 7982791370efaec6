"""The running kernel as a subject: the steps of a case done by real processes, and what the kernel shows of them.

    caller ──> agent p0 ─ fork ─> p1, p2, ...     `agent`: small processes that make the system calls they are told to
       └─────> /proc of each                      `live_pages`: areas, pages, frames

Every process has its window at the same address, with tens of TiB of nothing around it. All agents, and the caller while
the subject is open, run on one processor: the kernel keeps lists of fresh pages for each processor, and pages on another
one's would now and then not be swapped out. Reads and writes are made by the kernel on behalf of the process (write(2)
and read(2) with the page as buffer), so that an access that fails is an error and no signal; one byte of each page.

In every process a page of heap is written before its first step, as programs have one.
"""
import errno
import os
import resource
import struct
from contextlib import ExitStack

import numpy as np

from rmapcore.linux import agent as live_agent
from rmapcore.linux import proc
from rmapcore.linux.agent import BYTES_FD, DATA_FD, FIRST_FILE_FD, command, vectors
from rmapcore.linux.frames import Frames
from rmapcore.linux.proc import current_cpu
from rmapcore.linux.uapi import (
    ADVICE,
    MAP_ANONYMOUS,
    MAP_DROPPABLE,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MCL,
    MPOL,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
)
from rmapcore.units import PAGE
from rmapcore.verify.fields import FAULT, GROWS, HEAP, chosen_by_kernel
from rmapcore.verify.live_machine import LiveMachine, ksm_scan, nameless_file, wait_for_writes
from rmapcore.verify.live_pages import observed
from rmapcore.verify.page_tables import beside_own, touch_vdso
from rmapcore.verify.subject import NO_PIN, VALUE, Subject, Unsupported

BASE = 0x2000_0000_0000                # of the window: a multiple of 512 GB; programs lie below, libraries and stacks above
ROOT = "p0"
KERNEL_PAGES = 256                     # more than the vdso and its data have, and less than there are up to the stack

PROTECTION = {"r": 1, "w": 2, "x": 4}
SHARE = {"shared": 1, "private": 2}
MAP_FLAGS = {"32bit": 0x40, "growsdown": 0x100, "locked": 0x2000, "noreserve": 0x4000, "populate": 0x8000,
             "stack": 0x20000}
MLOCK_ONFAULT = 1
MPOL_MF_MOVE = 2
PR_SET_MEMORY_MERGE = 67
UFFD_USER_MODE_ONLY, UFFD_API, UFFD_MISSING = 1, 0xAA, 1
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00

FILL_PERIOD = 251                      # page i of a file holds byte i % 251 + 1

# steps after which pages wait in a batch of the processor, to be given up or to be unlocked
FILL_BATCHES = frozenset({"exec", "exit", "madvise", "mmap", "mremap", "munmap", "reclaim", "truncate"})


class Live(Subject):
    """A subject of `rmapcore.verify.run`: one fresh tree of processes; `close` ends it (also a context manager).

    files: name -> pages.  machine: a `live_machine.LiveMachine`; None: asks again what this one allows.
    group: run in a memory control group, as `reclaim` needs.  objects: count objects, which makes the end of a process two
    steps; only one such subject at a time. Raises Unsupported where the machine does not allow it.
    """

    base = BASE

    def __init__(self, files=None, machine=None, group=False, objects=False):
        super().__init__()
        self.files = dict(files or {})
        self.machine = machine or LiveMachine()
        self.counter = self.machine.counter if objects else None
        self.group = None
        self.agents = {}
        self.file_fds, self.paths = {}, {}
        with ExitStack() as stack:
            self.pin_caller(stack)
            self.frames = Frames()
            stack.callback(self.frames.close)
            self.data, writer = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, self.data)
            stack.callback(os.close, writer)
            self.bytes = os.memfd_create("bytes")          # page v is filled with byte v once it is needed
            stack.callback(os.close, self.bytes)
            self.filled = set()
            self.make_files(stack)
            if group:
                self.group = self.machine.group()
                stack.callback(self.group.remove)
            self.keeper = self.agent_start(writer)
            stack.callback(self.keeper_end)
            if self.counter is not None:
                self.counter.watch(self.keeper.pid)
                stack.callback(self.counter.close)
            self.fill_files()
            self.agents[ROOT] = self.keeper.fork()
            self.new_space(self.agents[ROOT])
            self.stack = stack.pop_all()

    # --- life ---------------------------------------------------------------------------------------------------------

    def pin_caller(self, stack):
        cpus = os.sched_getaffinity(0)
        self.cpu = current_cpu()
        os.sched_setaffinity(0, {self.cpu})
        stack.callback(os.sched_setaffinity, 0, cpus)

    def agent_start(self, writer):
        try:
            return live_agent.start(writer, self.bytes, list(self.file_fds.values()), self.data, self.cpu,
                                    self.group and self.group.procs)
        except OSError as error:
            raise Unsupported(f"no test process can be started here: {error.strerror}") from None

    def keeper_end(self):
        for agent in self.agents.values():
            agent.drain()
        self.agents.clear()
        self.keeper.drain()
        os.waitpid(self.keeper.pid, 0)

    def make_files(self, stack):
        """Files of the case: memfds, and files on a disk whose names are gone at once, so that nothing can be left behind."""
        for name, pages in self.files.items():
            if name.startswith("Z"):
                fd = os.open("/dev/zero", os.O_RDWR | os.O_CLOEXEC)
                self.paths[b"/dev/zero"] = name
                stack.callback(os.close, fd)
                self.file_fds[name] = fd
                continue
            if name.startswith("M"):
                fd, path = os.memfd_create(name), f"/memfd:{name}"
            else:
                fd, path = nameless_file()
            stack.callback(os.close, fd)
            self.file_fds[name] = fd
            self.paths[os.fsencode(f"{path} (deleted)")] = name
            os.ftruncate(fd, pages * PAGE)

    def fill_files(self):
        """Written by a process of the tree where a memory group has to own the pages; clean before anything begins.

        Page by page: a longer write would be cached in larger folios, whose pages a truncation unmaps all together.
        """
        for number, (name, pages) in enumerate(self.files.items(), FIRST_FILE_FD):
            if name.startswith("Z"):
                continue
            for page in range(pages):
                content = bytes([page % FILL_PERIOD + 1]) * PAGE
                if self.group is None:
                    os.pwrite(self.file_fds[name], content, page * PAGE)
                else:
                    self.keeper.must("pwrite64", number, self.keeper.put(content), PAGE, page * PAGE)
            if not name.startswith("M"):
                os.fdatasync(self.file_fds[name])

    def new_space(self, agent):
        """A new program in the process: an empty window, and a heap of one written page.

        What the kernel itself maps for a program where it places mappings (vdso) goes: there is then nothing, as in the window.
        """
        agent.execute()
        start = agent.must("brk", 0)
        heap = -(-start // PAGE) * PAGE
        agent.must("brk", heap + PAGE)
        agent.must("pread64", BYTES_FD, heap, 1, self.byte(1))
        lowest = agent.must("mmap", 0, PAGE, 0, SHARE["private"] | MAP_ANONYMOUS, -1, 0)
        agent.call("munmap", lowest, KERNEL_PAGES * PAGE)
        highest = agent.must("mmap", 0, PAGE, 0, SHARE["private"] | MAP_ANONYMOUS, -1, 0)
        agent.must("munmap", highest, PAGE)
        self.top = highest + PAGE
        agent.own_tables = proc.page_tables(agent.pid)

    def close(self):
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def lacks(self, need):
        return self.machine.lacks(need)

    def no_sharing(self):
        return None if self.frames.readable else self.frames.reason

    # --- observing ----------------------------------------------------------------------------------------------------

    def observe(self):
        """The state of all living processes."""
        first = BASE // PAGE

        def located(start, end):
            found = self.place_of(start - first, end - first)
            return found and (found[0], found[1] + first)

        states = observed({name: agent.pid for name, agent in self.agents.items()}, located, self.paths, self.frames)
        return states if self.beside else beside_own(states, self.agents)

    def objects(self):
        """Live objects that the processes of this tree took: {"vma", "anon_vma", "avc"}; None without a counter."""
        return None if self.counter is None else self.counter.live()

    # --- steps --------------------------------------------------------------------------------------------------------

    def step(self, step):
        """Does one step; None, the name of an error, FAULT, or VALUE if a byte read is not the one expected."""
        self.where = None
        operation = getattr(self, f"op_{step['op']}")
        error = operation(self.agents[step["proc"]], step) if "proc" in step else operation(step)
        if step["op"] in FILL_BATCHES:
            self.empty_batches(written=step["op"] == "reclaim" or step.get("advice") == "pageout")
        return error

    def empty_batches(self, written=False):
        """Batches of pages hold references that the emulator has not (rule QB3). written: pages may be on their way to swap,
        and whichever processor sees one arrive puts it into a batch of its own."""
        page = self.keeper.scratch // PAGE * PAGE
        if written:
            wait_for_writes()
            self.keeper.call("mbind", page, PAGE, MPOL["default"], 0, 0, MPOL_MF_MOVE)     # begins with those of all processors
        self.keeper.must("madvise", page, PAGE, ADVICE["cold"])                             # begins with those of this one

    def range(self, step):
        """(address, bytes) of a step; address 0 for null."""
        start = 0 if step["at"] is None else self.address(step["at"], step.get("at_off", 0))
        return start, step.get("len_bytes", step.get("len", 1) * PAGE)

    def byte(self, value):
        """Where in the file of bytes a page of this byte is."""
        if value not in self.filled:
            os.pwrite(self.bytes, bytes([value]) * PAGE, value * PAGE)
            self.filled.add(value)
        return value * PAGE

    def op_mmap(self, agent, step):
        flags = SHARE[step.get("share", "private")]
        for name in step.get("flags", ()):
            flags = flags & ~SHARE["private"] | MAP_DROPPABLE if name == "droppable" else flags | MAP_FLAGS[name]
        if step["at"] is not None and not step.get("hint"):
            flags |= MAP_FIXED if step.get("replace") else MAP_FIXED_NOREPLACE
        fd = -1
        if "file" in step:
            fd = FIRST_FILE_FD + list(self.files).index(step["file"])
        else:
            flags |= MAP_ANONYMOUS
        start, length = self.range(step)
        result = agent.call("mmap", start, length, protection(step), flags, fd, step.get("pgoff", 0) * PAGE)
        if result >= 0:
            self.went_to(result)
            self.placed(step, result, -(-length // PAGE))
        return error_name(result)

    def op_munmap(self, agent, step):
        return error_name(agent.call("munmap", *self.range(step)))

    def op_mprotect(self, agent, step):
        return error_name(agent.call("mprotect", *self.range(step), protection(step) | GROWS.get(step.get("grows"), 0)))

    def op_mremap(self, agent, step):
        flags = MREMAP_MAYMOVE if step.get("maymove", "to" in step or step.get("dontunmap", False)) else 0
        flags |= 0 if chosen_by_kernel(step) else MREMAP_FIXED
        flags |= MREMAP_DONTUNMAP if step.get("dontunmap") else 0
        target = 0 if step.get("to") is None else self.address(step["to"], step.get("to_off", 0))
        result = agent.call("mremap", self.range(step)[0], step["old"] * PAGE, step["new"] * PAGE, flags, target)
        if result >= 0:
            self.went_to(result)
            self.placed(step, result, step["new"])
        return error_name(result)

    def op_brk(self, agent, step):
        if HEAP not in self.places:
            self.name_place(HEAP, -(-agent.must("brk", 0) // PAGE) * PAGE, 0)
        wanted = self.places[HEAP][0] + step["to"] * PAGE
        if agent.call("brk", wanted) != wanted:                # the call tells the break it leaves
            return "ENOMEM"
        self.name_place(HEAP, None, step["to"])
        self.heap_reaches(step["to"])
        return None

    def op_madvise(self, agent, step):
        return error_name(agent.call("madvise", *self.range(step), ADVICE[step["advice"]]))

    def op_mlock(self, agent, step):
        if step.get("onfault"):
            return error_name(agent.call("mlock2", *self.range(step), MLOCK_ONFAULT))
        return error_name(agent.call("mlock", *self.range(step)))

    def op_munlock(self, agent, step):
        return error_name(agent.call("munlock", *self.range(step)))

    def op_mlockall(self, agent, step):
        touch_vdso(agent)
        return error_name(agent.call("mlockall", sum(MCL[name] for name in step["flags"])))

    def op_munlockall(self, agent, _):
        return error_name(agent.call("munlockall"))

    def op_mbind(self, agent, step):
        nodes = 0, 0
        if step["policy"] != "default":
            nodes = agent.put((1).to_bytes(8, "little")), 64           # node 0 only
        return error_name(agent.call("mbind", *self.range(step), MPOL[step["policy"]], *nodes))

    def op_limit(self, agent, step):
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.prlimit(agent.pid, resource.RLIMIT_STACK, (step["stack"] * PAGE, hard))

    def op_mseal(self, agent, step):
        return error_name(agent.call("mseal", *self.range(step)))

    def op_prctl(self, agent, step):
        return error_name(agent.call("prctl", PR_SET_MEMORY_MERGE, step["memory_merge"]))

    def op_uffd_register(self, agent, step):
        """The descriptor stays open as long as the process; accesses fail at once, for nobody answers."""
        start, length = self.range(step)
        fd = agent.call("userfaultfd", UFFD_USER_MODE_ONLY)
        if fd < 0:
            raise Unsupported(f"userfaultfd: {os.strerror(-fd)}")
        agent.must("ioctl", fd, UFFDIO_API, agent.put(struct.pack("<QQQ", UFFD_API, 0, 0)))
        result = agent.call("ioctl", fd, UFFDIO_REGISTER, agent.put(struct.pack("<QQQQ", start, length, UFFD_MISSING, 0)))
        return error_name(result)

    def op_truncate(self, *arguments):
        step = arguments[-1]
        try:
            os.ftruncate(self.file_fds[step["file"]], step["pages"] * PAGE)
        except OSError as error:
            return errno.errorcode[error.errno]
        return None

    # --- accesses -----------------------------------------------------------------------------------------------------

    def op_read(self, agent, step):
        read = bytearray()
        for vector, pages in vectors(agent, touched(*self.range(step))):
            done = agent.call("writev", DATA_FD, vector, pages)
            if done < 0:
                return access_error(done)
            read += os.read(self.data, done)
            if done < pages:
                return FAULT
        return VALUE if "value" in step and any(byte != step["value"] for byte in read) else None

    def op_write(self, agent, step):
        at = self.byte(step.get("value", 1))
        for vector, pages in vectors(agent, touched(*self.range(step))):
            done = agent.call("preadv", BYTES_FD, vector, pages, at)
            if done != pages:
                return FAULT if done >= 0 else access_error(done)
        return None

    def op_fill(self, agent, step):
        at, start = self.byte(step["value"]), self.range(step)[0]
        results = agent.calls([command("pread64", BYTES_FD, start + page * PAGE, PAGE, at) for page in range(step["len"])])
        return None if all(done == PAGE for done in results) else FAULT

    def op_pin(self, agent, step):
        """vmsplice takes the page for reading, as get_user_pages does."""
        agent.must("pipe2", agent.scratch, os.O_CLOEXEC)
        ends = agent.take(agent.scratch, 8)
        pin = int.from_bytes(ends[:4], "little"), int.from_bytes(ends[4:], "little")
        vector = agent.put(np.array([self.range(step)[0], 1], np.uint64).tobytes())
        done = agent.call("vmsplice", pin[1], vector, 1, 0)
        if done < 0:
            agent.calls([command("close", end) for end in pin])
            return access_error(done)
        self.let_go(agent, step)
        agent.pins[step["as"]] = pin
        return None

    def op_pin_read(self, agent, step):
        if step["as"] not in agent.pins:
            return NO_PIN
        agent.must("read", agent.pins[step["as"]][0], agent.scratch, 1)
        byte = agent.take(agent.scratch, 1)[0]
        self.let_go(agent, step)
        return VALUE if byte != step["value"] else None

    @staticmethod
    def let_go(agent, step):
        """A name that is pinned again holds the new page only."""
        agent.calls([command("close", end) for end in agent.pins.pop(step["as"], ())])

    # --- processes ----------------------------------------------------------------------------------------------------

    def op_fork(self, agent, step):
        child = agent.fork()
        if isinstance(child, int):
            return error_name(child)
        self.agents[step["child"]] = child
        return None

    def op_exit(self, agent, step):
        if self.counter is not None:
            agent.execute()            # perf events of a process end before its address space does: see `live_objects`
        agent.exit()
        del self.agents[step["proc"]]

    def op_exec(self, agent, _):
        agent.pins.clear()             # closed by the kernel
        self.new_space(agent)

    # --- the machine --------------------------------------------------------------------------------------------------

    def op_reclaim(self, *_):
        if self.group is None:
            raise Unsupported("reclaim needs a memory control group of its own")
        self.group.reclaim(self.disturb)

    def disturb(self, pages):
        """Takes memory in the first process, which no case sees, and gives it back."""
        flags = SHARE["private"] | MAP_ANONYMOUS | MAP_FLAGS["populate"]
        start = self.keeper.must("mmap", 0, pages * PAGE, 3, flags, -1, 0)
        self.keeper.must("munmap", start, pages * PAGE)

    def op_ksm_scan(self, *arguments):
        ksm_scan(arguments[-1]["scans"])


def protection(step):
    return sum(PROTECTION[letter] for letter in step["prot"])


def error_name(result):
    return None if result >= 0 else errno.errorcode.get(-result, str(-result))


def access_error(result):
    return FAULT if result == -errno.EFAULT else error_name(result)


def touched(address, length):
    """The addresses that an access touches, one in each page."""
    pages = (address % PAGE + length + PAGE - 1) // PAGE
    return address + np.arange(pages, dtype=np.int64) * PAGE
