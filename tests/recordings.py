"""Small recordings for tests, written line by line as perf writes them, and what became of them."""

from rmapcore.operations import Op

PAGE = 4096
MIB = 1 << 20
ENOENT = (1 << 64) - 2


class Recording:
    """Lines as perf writes them. `pid` may be a pair (pid, tid); a call is entered and left by two lines."""

    def __init__(self, comm="prog"):
        self.lines = []
        self.comm = comm
        self.time = 3732.676710

    def line(self, pid, text):
        pid, tid = pid if isinstance(pid, tuple) else (pid, pid)
        self.time += 0.000011
        self.lines.append(f"{self.comm:>16} {pid:5d}/{tid:<5d} {self.time:12.6f}: {text}")
        return self

    def event(self, pid, name, text):
        return self.line(pid, f"{name:>35}: {text}               0")

    def enter(self, pid, call, **arguments):
        return self.event(pid, f"syscalls:sys_enter_{call}", ", ".join(f"{k}: 0x{v:08x}" for k, v in arguments.items()))

    def leave(self, pid, call, result=0):
        return self.event(pid, f"syscalls:sys_exit_{call}", f"{result:#x}")

    def call(self, pid, name, result=0, **arguments):
        return self.enter(pid, name, **arguments).leave(pid, name, result)

    def mmap2(self, pid, start, length, path="//anon", offset=0, prot="rw-p", inode=0, device="fe:00"):
        pair = "{}/{}".format(*(pid if isinstance(pid, tuple) else (pid, pid)))
        return self.line(
            pid, f"PERF_RECORD_MMAP2 {pair}: [{start:#x}({length:#x}) @ {offset:#x} {device} {inode} 0]: {prot} {path}"
        )

    def mmap(self, pid, result, length, prot=3, flags=0x22, fd=0xFFFFFFFF, off=0, mapped=None, addr=0):
        self.enter(pid, "mmap", addr=addr, len=length, prot=prot, flags=flags, fd=fd, off=off)
        if mapped:
            self.mmap2(pid, **mapped)
        return self.leave(pid, "mmap", result)

    def fault(self, pid, address, code=6, kind="user"):
        return self.event(
            pid, f"exceptions:page_fault_{kind}", f"address={address:#x} ip=0x7f0000001000 error_code={code:#x}"
        )

    def exec(self, pid, *mappings):
        """Without a sys_enter_execve, as for the first program."""
        self.line(pid, f"PERF_RECORD_COMM exec: {self.comm}:{pid}/{pid}")
        for mapping in mappings:
            self.mmap2(pid, **mapping)
        self.event(pid, "sched:sched_process_exec", f"filename=/usr/bin/prog pid={pid} old_pid={pid}")
        return self.leave(pid, "execve")

    def fork(self, parent, child):
        (ppid, ptid), (pid, tid) = (p if isinstance(p, tuple) else (p, p) for p in (parent, child))
        return self.line(parent, f"PERF_RECORD_FORK({pid}:{tid}):({ppid}:{ptid})")

    def exit(self, pid, group_dead="true"):
        pair = "{}:{}".format(*(pid if isinstance(pid, tuple) else (pid, pid)))
        tail = f" group_dead={group_dead}" if group_dead else ""
        self.event(pid, "sched:sched_process_exit", f"comm={self.comm} pid={pair.split(':')[1]} prio=120{tail}")
        return self.line(pid, f"PERF_RECORD_EXIT({pair}):(1:1)")

    def text(self):
        return "".join(line + "\n" for line in self.lines).encode("utf-8", "surrogateescape")


def operations(trace, *fields):
    """[(name of op, process, fields…)…]"""
    return [(Op(o["op"]).name, int(o["process"]), *(int(o[field]) for field in fields)) for o in trace.operations]


def started(pid=100):
    """A recording with one process, whose SPAWN is the first operation."""
    return Recording().exec(pid)


A, B, C = 0x7F0000000000, 0x7F0000100000, 0x7F0000200000
LIBC = {"path": "/usr/lib/libc.so.6", "inode": 7}


# A whole recording: four operations.
GOOD = started().mmap(100, A, PAGE).fault(100, A).exit(100)


def damaged(lines, chance, below):
    """Text of the lines (bytes, with ends) that is in disorder from one of them on, and has fewer than `below` other bytes."""
    start = chance.randrange(len(lines))
    order = lines[:start] + chance.sample(lines[start:], chance.randrange(len(lines) - start + 1))
    text = bytearray(b"".join(order))
    for _ in range(chance.randrange(below) if text else 0):
        text[chance.randrange(len(text))] = chance.randrange(256)
    return bytes(text)
