"""The table of system calls is complete and right: against this machine's numbers, names and arguments, and the importer."""
import re
from pathlib import Path

import pytest

from recordings import started
from rmapcore.linux.calls import CALLS
from rmapcore.linux.capture.rings import TRACEFS
from rmapcore.linux.capture.strace import BESIDES, RAW
from rmapcore.linux.syscalls import HARMLESS, RECORDED, SYSCALLS, UNSEEN, WORDS, markdown
from rmapcore.traces.lines import Blocks
from rmapcore.traces.perf import Importer
from rmapcore.traces.rarecalls import CLOSING, UNREMARKABLE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "syscalls.md"
HEADERS = [Path(f"/usr/include/{folder}asm/unistd_64.h") for folder in ("x86_64-linux-gnu/", "")]
LAST = 469                                     # of Linux 6.18; 337 to 423 are of no call of x86-64
# What the kernel's own definitions, and so its events, call otherwise than the table of numbers.
DEFINED_AS = {"stat": "newstat", "lstat": "newlstat", "fstat": "newfstat", "uname": "newuname", "sendfile": "sendfile64",
              "umount2": "umount"}


def test_every_number_has_one_call():
    assert [call.number for call in SYSCALLS.values()] == [*range(337), *range(424, LAST + 1)]
    assert {call.word for call in SYSCALLS.values()} == WORDS.keys()
    assert max(len(call.arguments) for call in SYSCALLS.values()) == 6


def test_verdicts():
    """Of each kind some, by what Linux 6.18 does."""
    for verdict, names in ((RECORDED, "mmap execveat exit prctl userfaultfd io_setup close read futex"),
                           (HARMLESS, "getpid mincore memfd_create pkey_alloc set_mempolicy vserver readahead"),
                           (UNSEEN, "process_vm_writev ioctl vmsplice io_uring_enter write openat")):
        assert {SYSCALLS[name].verdict for name in names.split()} == {verdict}
    assert all(call.remark for call in SYSCALLS.values() if call.verdict == UNSEEN)
    assert "exit" not in CALLS and CALLS["mmap"] == (9, ("addr", "len", "prot", "flags", "fd", "off"))


def test_the_page_is_the_table():
    assert PAGE.read_text(encoding="utf-8") == markdown()


def test_numbers_are_those_of_the_headers():
    header = next((path for path in HEADERS if path.exists()), None)
    if header is None:
        pytest.skip("no asm/unistd_64.h of this machine's C library")
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text())}
    assert len(numbers) > 300
    assert {name: number for name, number in numbers.items() if number <= LAST} == {
        name: SYSCALLS[name].number for name, number in numbers.items() if number <= LAST}


def test_arguments_are_those_of_the_running_kernel():
    """Its events have the names of all calls but those that it was built without, and those that nothing may trace."""
    folder = next((path for path in map(Path, TRACEFS) if (path / "events/syscalls").is_dir()), None)
    if folder is None:
        pytest.skip("no readable tracefs with events/syscalls")
    ours = {DEFINED_AS.get(name, name): list(call.arguments) for name, call in SYSCALLS.items()}
    compared = {}
    for path in (folder / "events/syscalls").glob("sys_enter_*"):
        name = path.name.removeprefix("sys_enter_")
        fields = re.findall(r"\tfield:[^;]*?(\w+);", (path / "format").read_text())
        compared[name] = [field for field in fields if not field.startswith("common_") and field != "__syscall_nr"]
    assert len(compared) > 300
    newer = compared.keys() - ours.keys()      # of a kernel after 6.18
    assert {name: compared[name] for name in compared.keys() - newer} == {
        name: ours[name] for name in compared.keys() - newer}


@pytest.mark.parametrize("name", CALLS)
def test_the_importer_takes_every_call_that_is_recorded(load, name):
    """With any arguments: here 1 and 0 each; it names none as an event that it does not know."""
    _, arguments = CALLS[name]
    for value in (0, 1):
        recording = started().enter(100, name, **{f"{argument}_": value for argument in arguments}).leave(100, name)
        assert not [reason for reason in load(recording).summary["left_out"] if reason.startswith("event ")]


def test_nothing_else_is_taken(tmp_path):
    """The importer's calls are the recorded ones, and so are the parts of them that are listed elsewhere."""
    path = tmp_path / "recording"
    path.write_bytes(started().text())
    events = [re.fullmatch("syscalls:sys_enter_(.*):", name) for name in Importer(Blocks(path)).events]
    begun_only = {"read", "pread64", "futex"}           # events of their own, for what they bring without a fault
    assert {match[1] for match in events if match} == CALLS.keys() | begun_only
    assert {*CLOSING, *UNREMARKABLE, *RAW} <= CALLS.keys() and not CALLS.keys() & {*BESIDES}
