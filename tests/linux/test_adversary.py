"""Tiny programs that try to escape a recording, each compared with its replay: every area, page and page table, every status.

All run under one capture, one after the other, and stand until it has looked at them all. The check is made for each of them
alone. What a recording cannot know is in `EXCEPTIONS`; all else is equal, but for pages and faults of files, which depend on
what the page cache held and in how large folios.

One process of a hundred has a page table more than its replay, by chance: a fork that copies [vvar] makes an empty one where
that lies across a border of 2 MiB, and recordings leave [vvar] out. Such a program is recorded again.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

import adversary_check
import pytest

from rmapcore import capture, load_trace
from rmapcore.studies.replaycheck import check_replay

SOURCES = Path(__file__).parent / "adversary"
FLAGS = ("-O1", "-pthread")
# Programs that are loaded in other ways; they do as much as these modes ask for.
LINKED = {"static": ("-static",), "static_pie": ("-static-pie",), "executable_stack": ("-z", "execstack"),
          "holes": ("-Wl,-z,max-page-size=0x200000",), "fixed": ("-no-pie",)}
LINKED_MODES = ("plain", "more", "stacks", "exec_fd", "threads")
MODES = sorted(set(re.findall(r"MODE\((\w+)\)", (SOURCES / "adversary.c").read_text())) - {"name"})
PROGRAMS = [("usual", mode) for mode in MODES] + [(name, mode) for name in LINKED for mode in LINKED_MODES]
FAULTS_RIGHT, ALL_FAULTS_RIGHT = 0.95, 0.99    # of each program, which has a hundred or two; of all
EXACT = ("areas", "page tables", "anon pages", "statuses", "anonymous faults")
# Threads fault at the same page; a fork may come before or after what another thread's mmap or munmap does meanwhile.
OF_TIME = {"fork_threads": ("areas", "anon pages", "anonymous faults"), "threads": ("anonymous faults",)}
EXCEPTIONS = {                                 # {mode: {what: how many of it are wrong}}, and why
    # Neither which file: paths stand in memory.
    "emptied": {"anon pages": 8},
    # Ranges of userfaultfd's ioctls stand in memory: where areas end, and pages copied, moved and of zeros.
    "faulted": {"areas": 7, "anon pages": 7, "anonymous faults": 1, "faults": 1},
    # Ranges of process_madvise and process_vm_writev stand in memory: 4 pages taken, 4 written to, seen by 2 processes each.
    "from_outside": {"anon pages": 16},
    # What ptrace writes comes without a fault: 2 pages, one of which the parent has too.
    "poked": {"anon pages": 3},
    # A write past the page cache out of memory that was never touched brings two pages of zeros, seen by 2 processes.
    "direct": {"anon pages": 4},
    # Which pages io_uring keeps stands in memory: 4, of which a child gets copies.
    "uring": {"anon pages": 8},
    # iovecs stand in memory: of process_vm_writev 4 pages, of preadv 3, of vmsplice 4; and one through /proc/self/mem.
    "vectors": {"anon pages": 12, "anonymous faults": 5, "faults": 5},
    # Of a futex that may only be read comes the page of zeros, which is not counted; a second address stands behind the first.
    "waited": {"anon pages": 3},
    # The file is gone when capture asks how long its first segment is.
    ("holes", "exec_fd"): {"areas": 4, "page tables": 1, "statuses": 1},
    # memfd_secret: its area is locked and left out of core dumps, which mmap did not ask for.
    "secret": {"areas": 4},
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """{name: path} of the programs; those that this compiler cannot link are missing."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc)")
    folder, programs = tmp_path_factory.mktemp("adversary"), {}
    for name, flags in {"usual": (), **LINKED}.items():
        path = folder / name
        done = subprocess.run(["cc", *FLAGS, "-o", path, SOURCES / "adversary.c", *flags], capture_output=True, text=True)
        if done.returncode == 0:
            programs[name] = str(path)
        assert done.returncode == 0 or name != "usual", done.stderr
    return programs


@pytest.fixture(scope="module")
def record(compiled, can_record, tmp_path_factory):
    """Gives record(programs): what the check of each has found."""
    if os.geteuid():
        pytest.skip("frames are told to root only")

    def record(programs):
        folder, before = tmp_path_factory.mktemp("recorded"), os.getcwd()
        os.chdir(folder)                       # where the programs make their files
        try:
            report = capture([compiled["usual"], "drive", *(f"{compiled[name]}:{mode}" for name, mode in programs)],
                             folder / "recording.zst", hold=True)
        finally:
            os.chdir(before)
        assert report.ok and report.status == 0, report.text()
        parts = adversary_check.parts(load_trace(folder / "recording.zst"))
        return [check_replay(part).to_dict() for part in parts]

    return record


@pytest.fixture(scope="module")
def checked(compiled, record):
    """{(program, mode): what its check has found}."""
    programs = [one for one in PROGRAMS if one[0] in compiled]
    return dict(zip(programs, record(programs), strict=True))


@pytest.mark.parametrize(("program", "mode"), PROGRAMS, ids=lambda word: word)
def test_a_program_that_tries_to_escape(checked, record, program, mode):
    if (program, mode) not in checked:
        pytest.skip(f"the compiler cannot link with {' '.join(LINKED[program])}")
    found, expected = checked[program, mode], EXCEPTIONS.get((program, mode)) or EXCEPTIONS.get(mode, {})
    if list(adversary_check.wrong(found)) == ["page tables"] and not expected:
        (found,) = record([(program, mode)])   # once more: see above
    wrong = adversary_check.wrong(found)
    told = f"{wrong}\n{found['states']['first_differences']}\n{found['first_differences']}\n{found['statuses']['wrong']}"
    by_chance = {*OF_TIME.get(mode, ()), *(["page tables"] if "anon pages" in expected else [])}       # pages alone in a table
    exact = {what: wrong.get(what, (0, 0))[0] for what in {*EXACT, *expected} - by_chance}
    assert {what: count for what, count in exact.items() if count} == expected, told
    faults, least = found["faults"], FAULTS_RIGHT if program == "usual" else 0        # the others are new files, and large
    assert faults["checked"] - faults["right"] - expected.get("faults", 0) <= (1 - least) * faults["checked"], told


def test_faults_of_all_these_programs(checked):
    checked_faults, wrong = (sum(found["faults"][what] for found in checked.values()) for what in ("checked", "right"))
    excused = sum(EXCEPTIONS.get(mode, {}).get("faults", 0) for _, mode in checked)
    assert checked_faults - wrong - excused <= (1 - ALL_FAULTS_RIGHT) * checked_faults
