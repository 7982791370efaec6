"""The processes in which steps are done for real: a program of some bytes that makes the system calls it is told to make.

    caller  ── 64 bytes: number, six arguments, descriptor ──>  agent p0 ─ fork ─> agent p1 ...   one socket each
            <── 8 bytes: what the call returned ────────────

A program of our own in machine code, and not a Python, because its address space is then six small areas that never
change by themselves: nothing but the steps moves the break, takes memory or has pages locked, a fork takes a tenth of a
millisecond, and the number of kernel objects that the processes themselves cost is constant. Nothing is compiled.
It never touches the memory under test with instructions of its own: reads are write(2) from there and writes read(2) to
there, so that a fault is EFAULT and not a signal. x86-64 only, as the emulated page tables are.

All agents end when the caller closes their sockets, and so too when the caller is killed. `Agent.calls` sends many calls
at once. Exceptions: AgentError where an agent is gone or a call that must succeed does not.
"""
import array
import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress

import numpy as np

from rmapcore.errors import RmapcoreError

COMMAND_FD, DATA_FD, BYTES_FD, PROGRAM_FD = 3, 4, 5, 6     # in every agent; files follow
FIRST_FILE_FD = 7
HIGH_FD = 64                                   # where the caller's own copies lie, out of the way of the above
BATCH = 256                                    # calls sent at once: fits the buffers of a socket in both directions
SCRATCH_AFTER_COMMAND = 64                     # the agent's buffer holds a command, what follows is free for arguments
SCRATCH_BYTES = 7 << 10
COMMAND = struct.Struct("<8q")
MSG_WAITALL = 0x100

# Linux x86-64
SYS = {
    "read": 0, "write": 1, "close": 3, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "ioctl": 16,
    "pread64": 17, "pwrite64": 18, "writev": 20, "mremap": 25, "madvise": 28, "dup2": 33, "recvfrom": 45, "recvmsg": 47,
    "fork": 57, "personality": 135, "mlock": 149, "munlock": 150, "mlockall": 151, "munlockall": 152, "prctl": 157,
    "exit_group": 231, "mbind": 237, "vmsplice": 278, "pipe2": 293, "preadv": 295, "execveat": 322, "userfaultfd": 323,
    "mlock2": 325, "close_range": 436, "mseal": 462,
}
SIGCHLD, SIG_IGN = 17, 1
ADDR_NO_RANDOMIZE = 0x0040000
AT_EMPTY_PATH = 0x1000
PR_SET_CHILD_SUBREAPER, PR_SET_THP_DISABLE = 36, 41
VECTOR = 256                           # bytes of one preadv or writev: one for each page
MFD_CLOEXEC, MFD_EXEC = 1, 0x10
SCM_RIGHTS_AT = 16                             # offset of the descriptor in a control message
MESSAGE_BYTES, CONTROL_BYTES = 56, 24          # struct msghdr; a control message with one descriptor

PROGRAM = bytes.fromhex("".join(line.partition("#")[0] for line in """
    48 8d 9c 24 00 e0 ff ff     # start:  lea   rbx, [rsp-0x2000]   the buffer: a command, then scratch
    48 83 e3 f0                 #         and   rbx, -16
    48 89 d8                    #         mov   rax, rbx            the first answer is its address
    6a 03 41 5f                 #         push  3;  pop r15         the descriptor of the socket
    48 89 03                    # reply:  mov   [rbx], rax
    6a 01 58                    #         push  1;  pop rax         write(r15, rbx, 8)
    44 89 ff                    #         mov   edi, r15d
    48 89 de                    #         mov   rsi, rbx
    6a 08 5a                    #         push  8;  pop rdx
    0f 05                       #         syscall
    6a 2d 58                    #         push  45; pop rax         recvfrom(r15, rbx, 64, MSG_WAITALL, 0, 0)
    44 89 ff                    #         mov   edi, r15d
    48 89 de                    #         mov   rsi, rbx
    6a 40 5a                    #         push  64; pop rdx
    41 ba 00 01 00 00           #         mov   r10d, 0x100
    45 31 c0                    #         xor   r8d, r8d
    45 31 c9                    #         xor   r9d, r9d
    0f 05                       #         syscall
    83 f8 40                    #         cmp   eax, 64
    75 28                       #         jne   quit
    48 8b 03                    #         mov   rax, [rbx]          the call
    48 8b 7b 08                 #         mov   rdi, [rbx+8]
    48 8b 73 10                 #         mov   rsi, [rbx+16]
    48 8b 53 18                 #         mov   rdx, [rbx+24]
    4c 8b 53 20                 #         mov   r10, [rbx+32]
    4c 8b 43 28                 #         mov   r8,  [rbx+40]
    4c 8b 4b 30                 #         mov   r9,  [rbx+48]
    0f 05                       #         syscall
    48 85 c0                    #         test  rax, rax
    75 ae                       #         jnz   reply
    44 8b 7b 38                 #         mov   r15d, [rbx+56]      after a 0, as fork gives the child, another socket
    eb a8                       #         jmp   reply
    b8 e7 00 00 00              # quit:   mov   eax, 231            exit_group(0)
    31 ff                       #         xor   edi, edi
    0f 05                       #         syscall
""".splitlines()))
LOAD_ADDRESS = 0x400000


class AgentError(RmapcoreError, OSError):
    """An agent ended, or a call of its own housekeeping failed."""


def image():
    """The program as an ELF file: one segment that is the whole file, and a stack that is not executable.

    Without the second header the kernel may make every readable mapping executable.
    """
    headers = 64 + 2 * 56
    size = headers + len(PROGRAM)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)            # 64 bits, little-endian, System V
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, LOAD_ADDRESS + headers, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 4096)
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)
    return header + load + stack + PROGRAM


def program_file():
    """A descriptor of the program that can be executed."""
    try:
        fd = os.memfd_create("agent", MFD_CLOEXEC | MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:        # kernels before 6.3 know no MFD_EXEC
            raise
        fd = os.memfd_create("agent", MFD_CLOEXEC)
    os.write(fd, image())
    return fd


class Agent:
    """One process: its pid, the caller's end of its socket, and the address of its buffer."""

    def __init__(self, pid, sock, data):
        self.pid = pid
        self.socket = sock
        self.data = data                       # the caller's end of the pipe to which every agent writes: see `take`
        self.scratch = 0
        self.has_message = False               # whether the struct msghdr of `receive` is in the scratch
        self.pins = {}                         # name -> (read end, write end) of a pipe
        self.own_tables = 0                    # page tables of the program itself: see `rmapcore.verify.page_tables`

    # --- calls --------------------------------------------------------------------------------------------------------

    def calls(self, commands):
        """Makes system calls in order; what they return, negative errnos included. commands: packed ones of `command`."""
        results = array.array("q")
        for first in range(0, len(commands), BATCH):
            part = commands[first:first + BATCH]
            self.send(b"".join(part))
            results.frombytes(self.answer(8 * len(part)))
        return results

    def call(self, name, *arguments):
        """One system call: what it returns, a negative errno if it fails."""
        self.send(command(name, *arguments))
        return int.from_bytes(self.answer(8), "little", signed=True)

    def must(self, name, *arguments):
        """One system call that has to succeed."""
        result = self.call(name, *arguments)
        if result < 0:
            raise AgentError(-result, f"{name} of a test process: {os.strerror(-result)}")
        return result

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise AgentError(errno.ESRCH, f"the test process {self.pid} has ended (killed?)") from None

    def answer(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data), socket.MSG_WAITALL)
            except ConnectionResetError:
                more = b""
            if not more:
                raise AgentError(errno.ESRCH, f"the test process {self.pid} has ended (killed?)")
            data += more
        return data

    def put(self, data, offset=0):
        """Puts bytes into the scratch; their address there."""
        address = self.scratch + offset
        self.send(command("recvfrom", COMMAND_FD, address, len(data), MSG_WAITALL) + data)
        if int.from_bytes(self.answer(8), "little", signed=True) != len(data):
            raise AgentError(errno.EIO, "a test process did not take its data")
        return address

    def take(self, address, length):
        """Bytes of the agent's memory, through the data pipe."""
        self.must("write", DATA_FD, address, length)
        data = b""
        while len(data) < length:
            piece = os.read(self.data, length - len(data))
            if not piece:
                raise AgentError(errno.EIO, f"a test process gave {len(data)} of {length} bytes")
            data += piece
        return data

    # --- life ---------------------------------------------------------------------------------------------------------

    def hello(self):
        """After the start of the program: the address of the buffer."""
        self.scratch = int.from_bytes(self.answer(8), "little") + SCRATCH_AFTER_COMMAND
        self.has_message = False

    def execute(self):
        """execve of the program itself: a new address space, the same pid and descriptors."""
        path = self.put(struct.pack("<QQQ", 0, self.scratch, 0))   # an empty path; one argument, which is empty too
        self.send(command("execveat", PROGRAM_FD, path, path + 8, path + 16, AT_EMPTY_PATH))
        self.hello()

    def give(self, fd):
        """Hands a descriptor of the caller to the agent; its number there."""
        if not self.has_message:
            # struct iovec for one byte, struct msghdr, room for the control message
            base = self.scratch + SCRATCH_BYTES
            vector, message, control = base + 8, base + 24, base + 24 + MESSAGE_BYTES
            self.put(struct.pack("<QQQQQQQQQQ", 0, base, 1, 0, 0, vector, 1, control, CONTROL_BYTES, 0), SCRATCH_BYTES)
            self.has_message = True
        message = self.scratch + SCRATCH_BYTES + 24
        self.send(command("recvmsg", COMMAND_FD, message, 0))
        self.socket.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        if int.from_bytes(self.answer(8), "little", signed=True) != 1:
            raise AgentError(errno.EIO, "a test process did not take a descriptor")
        number = int.from_bytes(self.take(message + MESSAGE_BYTES + SCM_RIGHTS_AT, 4), "little")
        self.put(struct.pack("<QQ", CONTROL_BYTES, 0), SCRATCH_BYTES + 24 + 40)        # the call has changed the length
        return number

    def fork(self):
        """A child by fork(2), or the errno as a negative number."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                fd = self.give(theirs.fileno())
            pid, _ = self.calls([command("fork", fd=fd), command("close", fd)])
            if pid < 0:
                ours.close()
                return pid
            child = Agent(pid, ours, self.data)
            child.scratch, child.has_message, child.own_tables = self.scratch, self.has_message, self.own_tables
            child.answer(8)
            inherited = [command("close", end) for pin in self.pins.values() for end in pin]
            child.calls([command("dup2", fd, COMMAND_FD), command("close", fd)] + inherited)
        except BaseException:
            ours.close()
            raise
        return child

    def exit(self):
        """Ends it and waits until its address space is gone: that is so before its socket is closed."""
        with suppress(AgentError):
            self.send(command("exit_group", 0))
        self.drain()

    def drain(self):
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(4096):
                pass
        self.socket.close()


def command(name, a=0, b=0, c=0, d=0, e=0, f=0, fd=COMMAND_FD):
    """A packed system call. fd: the socket to go on with if it returns 0."""
    return COMMAND.pack(SYS[name], a, b, c, d, e, f, fd)


def start(data_writer, bytes_fd, files, data_reader, cpu=None, cgroup_procs=None):
    """The first agent. data_writer, data_reader: ends of the data pipe; bytes_fd: see `rmapcore.verify.live`.

    files: descriptors of the files of the case; they keep their order.

    cpu: the processor to stay on.  cgroup_procs: None, or the cgroup.procs file of the control group to live in.
    In it and in all its descendants the places that the kernel chooses are not random, huge pages are off, and who ends
    leaves no zombie, as long as this first one is there: orphans become its children.
    """
    ours, theirs = socket.socketpair()
    program = program_file()
    copies = []
    try:
        for fd in (theirs.fileno(), data_writer, bytes_fd, program, *files):
            copies.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD + len(files)))
        actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(copies, COMMAND_FD)]
        pid = os.posix_spawn(f"/proc/self/fd/{PROGRAM_FD}", ["agent"], {}, file_actions=actions, setpgroup=0)
    except OSError as error:
        ours.close()
        raise AgentError(error.errno, f"no test process can be started: {error.strerror}") from None
    finally:
        theirs.close()
        for fd in (program, *copies):
            os.close(fd)
    agent = Agent(pid, ours, data_reader)
    try:
        agent.hello()
        if cgroup_procs is not None:
            cgroup_procs.write_text(str(pid))
        if cpu is not None:
            os.sched_setaffinity(pid, {cpu})
        agent.call("personality", ADDR_NO_RANDOMIZE)       # some containers forbid it: only the heap moves then at an exec
        agent.must("prctl", PR_SET_THP_DISABLE, 1)
        agent.must("prctl", PR_SET_CHILD_SUBREAPER, 1)
        agent.call("close_range", FIRST_FILE_FD + len(files), 0xFFFF_FFFF)
        agent.must("rt_sigaction", SIGCHLD, agent.put(struct.pack("<QQQQ", SIG_IGN, 0, 0, 0)), 0, 8)
        agent.execute()
    except BaseException:
        agent.drain()
        os.waitpid(pid, 0)
        raise
    return agent


def vectors(agent, addresses):
    """Puts arrays of struct iovec, one byte each, into the agent's scratch; (address of the array, how many), one by one."""
    for first in range(0, len(addresses), VECTOR):
        part = addresses[first:first + VECTOR]
        vector = np.ones((len(part), 2), np.int64)
        vector[:, 0] = part
        yield agent.put(vector.tobytes()), len(part)
