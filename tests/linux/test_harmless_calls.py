"""Every system call that "cannot change areas or pages" is made once: areas, pages and page tables are the same after it.

A process of a few bytes (`rmapcore.linux.agent`) makes the calls of harmless_calls.txt, a line each, with places in memory that
it has touched; after each of them its smaps, its pagemap and its number of page tables are what they were.
"""
import errno
import os
import re
import struct
from pathlib import Path

import pytest

from rmapcore.linux import agent, proc
from rmapcore.linux.syscalls import HARMLESS, SYSCALLS
from rmapcore.units import PAGE

CALLS = Path(__file__).with_name("harmless_calls.txt")
# Ends that say nothing of the arguments: this user or container may not, this kernel or file system has not.
ALLOWED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP}
MEMORY, PAGES = 0x10000000, 32
FAR, SHARED = MEMORY + (1 << 20), MEMORY + (2 << 20)           # areas that stay half touched
BUFFER, ALTSTACK, CODE = MEMORY + 4 * PAGE, MEMORY + 8 * PAGE, MEMORY + 31 * PAGE
SIGNAL_STACK = 16 * PAGE
SA_ONSTACK, SA_RESTORER = 0x08000000, 0x04000000
HANDLER = bytes.fromhex("c3" + "b80f0000000f05")               # ret; then mov eax, 15 (rt_sigreturn), syscall
LINE = re.compile(r"(?:(\w+) = )?(\w+)((?: [\w+-]+)*)(?: -> ([A-Z ]+))?\s*(?:#.*)?")


def contents(folder, pid):
    """{name: bytes} of what stands in memory for the calls."""
    def text(name):
        return os.fsencode(name) + b"\0"

    iovec = struct.pack("<QQ", BUFFER, 16)
    return {
        "path": text(folder / "file"), "new": text(folder / "new"), "link": text(folder / "link"), "dir": text(folder),
        "sub": text(folder / "sub"), "root": text("/"), "empty": text(""), "nothing": text("/does/not/exist"),
        "uts": text("/proc/self/ns/uts"), "tmpfs": text("tmpfs"), "name": text("abc"), "host": text("abc"),
        "attribute": text("user.a"), "keytype": text("user"), "zeros": bytes(256), "workspace": bytes(256), "area": bytes(32),
        "action": struct.pack("<QQQQ", CODE, SA_ONSTACK | SA_RESTORER, CODE + 1, 0),
        "altstack": struct.pack("<QiiQ", ALTSTACK, 0, 0, SIGNAL_STACK),
        "siginfo": struct.pack("<iiiiii", 10, 0, -1, 0, pid, 0) + bytes(104),
        "tick": struct.pack("<qqqq", 0, 0, 0, 5000), "timespec": struct.pack("<qq", 0, 1000),
        "pollfd": struct.pack("<ihh", 0, 0, 0), "event": struct.pack("<IQ", 1, 0),
        "capabilities": struct.pack("<Ii", 0x20080522, 0), "schedule": struct.pack("<II", 48, 0) + bytes(40),
        "request": struct.pack("<IIQQ", 24, 0, (1 << 64) - 1, 0), "nowhere": struct.pack("<IIQQ", 24, 0, 1 << 62, 1),
        "rings": bytes(128), "size": struct.pack("<I", 4096), "length": struct.pack("<I", 64),
        "rules": struct.pack("<Q", 1 << 13), "rule": struct.pack("<Qi", 1 << 13, 3),
        "value": struct.pack("<QII", BUFFER, 3, 0), "handle": struct.pack("<Ii", 128, 0) + bytes(128),
        "address": struct.pack("<H", 1) + b"\0rmapcore "[:10], "message": struct.pack("<QQQQQQQQ", 0, 0, 0, 1, 0, 0, 0, 0),
        "iovec": iovec, "semaphores": struct.pack("<Hhh", 0, 1, 0x800), "mail": struct.pack("<q", 1) + b"hello",
    }  # fmt: skip


class Caller:
    """An agent with memory for the calls; `values`: what the arguments of the lines mean."""

    def __init__(self, process, folder):
        self.process = process
        self.must(9, MEMORY, PAGES * PAGE, 7, 0x32, -1, 0)
        self.must(9, FAR, 8 * PAGE, 3, 0x32, -1, 0)
        self.must(9, SHARED, 8 * PAGE, 3, 0x31, -1, 0)
        for start in (MEMORY, MEMORY + 16 * PAGE, FAR, SHARED):
            self.write(start, bytes(PAGE * (16 if start < FAR else 4)))
        self.write(CODE, HANDLER)
        at = MEMORY
        self.values = {"memory": MEMORY, "buffer": BUFFER}
        for name, data in contents(folder, process.pid).items():
            self.values[name] = at
            self.write(at, data)
            at += -(-len(data) // 64) * 64
        message = self.values["message"]
        self.write(message + 16, struct.pack("<Q", self.values["iovec"]))
        assert at <= BUFFER
        self.values["ring"] = -errno.ENOSYS
        if self.make(206, 4, self.values["workspace"]) == 0:   # io_setup, whose ring is an area
            self.values["ring"] = int.from_bytes(process.take(self.values["workspace"], 8), "little")
            process.take(self.values["ring"], 8)               # every use of the context reads it
            self.write(self.values["workspace"], bytes(8))

    def make(self, number, *arguments):
        arguments = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        arguments = [one - (1 << 64) if one >> 63 == 1 else one for one in arguments]
        self.process.send(agent.COMMAND.pack(number, *arguments, agent.COMMAND_FD))
        return int.from_bytes(self.process.answer(8), "little", signed=True)

    def must(self, number, *arguments):
        result = self.make(number, *arguments)
        assert result >= 0, (number, arguments, result)

    def write(self, address, data):
        self.process.send(agent.command("recvfrom", agent.COMMAND_FD, address, len(data), agent.MSG_WAITALL) + data)
        assert int.from_bytes(self.process.answer(8), "little", signed=True) == len(data)

    def argument(self, word):
        match = re.fullmatch(r"([a-z]+)([+-]\d+)?", word)
        return self.values.get(match[1], 0) + int(match[2] or 0) if match else int(word, 0)

    def state(self):
        """smaps without what the kernel counts for all who share, pagemap's words, and the number of page tables."""
        pid = self.process.pid
        smaps = Path(f"/proc/{pid}/smaps").read_text()
        with proc.opened(f"/proc/{pid}/pagemap") as pagemap:
            pages = [proc.words(pagemap, area.start // PAGE, area.end // PAGE).tolist()
                     for area in proc.areas(pid) if area.start < 1 << 47]
        return smaps, pages, proc.page_tables(pid)


@pytest.fixture
def caller(tmp_path):
    """A child of the first agent, so that it can have a session of its own, without a terminal that could be hung up."""
    (tmp_path / "file").write_bytes(bytes(PAGE))
    (tmp_path / "sub").mkdir()
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    null = os.open(os.devnull, os.O_RDWR)
    first = agent.start(writer, null, [], reader)
    process = None
    try:
        process = first.fork()
        one = Caller(process, tmp_path)
        one.must(SYSCALLS["setsid"].number)
        yield one
    finally:
        if process is not None:
            process.exit()
        first.exit()
        os.waitpid(first.pid, 0)
        for fd in (reader, writer, null):
            os.close(fd)


def lines():
    for line in CALLS.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            yield LINE.fullmatch(line).groups()


def test_every_call_that_is_said_to_be_harmless_is_made():
    made = {call for _, call, *_ in lines()} | {"rt_sigreturn"}
    assert {call.name for call in SYSCALLS.values() if call.word == "harmless"} - made == set()


def test_calls_that_cannot_change_areas_or_pages(caller):
    before = caller.state()
    changed, wrong = [], []
    for name, call, words, ends in lines():
        result = caller.make(SYSCALLS[call].number, *map(caller.argument, words.split()))
        refused = any(caller.values.get(word, 0) < 0 for word in words.split())    # what an earlier call was to give
        if name:
            caller.values[name] = result
        expected = {getattr(errno, end) for end in (ends or "").split()}
        if result < 0 and -result not in expected | ALLOWED and not refused:
            wrong.append((call, words, errno.errorcode.get(-result, result)))
        after = caller.state()
        if SYSCALLS[call].verdict == HARMLESS and after != before:
            changed.append((call, words))
        before = after
    assert not changed and not wrong


@pytest.mark.parametrize("name", [call.name for call in SYSCALLS.values() if call.word == "absent"])
def test_calls_that_there_are_no_more(caller, name):
    before = caller.state()
    assert caller.make(SYSCALLS[name].number) == -errno.ENOSYS and caller.state() == before


@pytest.mark.parametrize("change", [
    ("munmap", FAR + 4 * PAGE, PAGE), ("mprotect", FAR, PAGE, 1), ("madvise", FAR, PAGE, 4), ("madvise", FAR, PAGE, 16),
    ("mlock", FAR, PAGE), ("mincore", FAR, PAGE, FAR + 6 * PAGE), ("getcwd", FAR + 6 * PAGE, PAGE), ("brk", 0),
])
def test_a_change_is_seen(caller, change):
    """Areas, marks and pages, also those that a call brings in by a fault when it writes its answer; brk(0) changes nothing."""
    name, *arguments = change
    before = caller.state()
    caller.must(SYSCALLS[name].number, *arguments)
    assert (caller.state() == before) == (name == "brk")
