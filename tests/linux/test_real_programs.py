"""Whole states of real programs: recorded, stopped at the end, and every area and page of theirs beside those of the emulation.

A file of `real_programs` is a program and its load: it gets a folder of its own, and ends when the program is worth looking at,
which is left in the background. `pytest -m programs tests/linux/test_real_programs.py` runs all of them; a few are run always.
With `-n 0 -s` each prints a line of the table in docs/replay-check.md. What may differ: pages of files, which depend on what
the page cache held, some anonymous pages (`ANON_PAGES_WRONG`), and areas that merge or do not (`AREAS_OF_A_RACE`).

Programs are those of the system.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from rmapcore import load_trace
from rmapcore.linux.capture import capture
from rmapcore.linux.capture.standing import family, subreaper
from rmapcore.studies.replaycheck import check_replay

PROGRAMS = Path(__file__).parent / "real_programs"
ALWAYS = ("java", "make", "nginx", "python", "redis")
FILE_PAGES_WRONG = 0.01                        # they depend on what the page cache held
# Which part of the anonymous pages. MariaDB: direct I/O. Python: 2 of 97,917 in one run of thirty, why is not known.
ANON_PAGES_WRONG = {"mariadb": 0.06, "python": 0.0001}
PORT = re.compile(r"\b180\d\d\b")             # as scripts have them
AREAS_OF_A_RACE = {"apache": 0.01}             # part of them: two threads map and unmap at the same places within microseconds


def cases():
    names = sorted(path.stem for path in PROGRAMS.glob("*.sh"))
    return [pytest.param(name, id=name, marks=[] if name in ALWAYS else pytest.mark.programs) for name in names]


@pytest.fixture
def folder():
    """Programs run as several users, so this is none of pytest's own, which are root's."""
    path = tempfile.mkdtemp(prefix="rmapcore-")
    os.chmod(path, 0o755)
    yield Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def alone():
    """What the test has started is killed afterwards: all that descends from this process then and did not before."""
    before = set(family(()))
    with subreaper():
        yield
        while left := family(before):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


@pytest.fixture
def held(folder, can_record, alone):
    """Gives held(name): (Capture, Trace) of a program."""
    def held(name):
        text, script = with_free_ports((PROGRAMS / f"{name}.sh").read_text()), folder / "program.sh"
        script.write_text(text)
        for needed in re.search(r"^# needs: (.*)$", text, re.MULTILINE)[1].split():
            if not (os.path.exists(needed) if needed.startswith("/") else shutil.which(needed)):
                pytest.skip(f"{needed} is not installed")
        if os.geteuid():
            pytest.skip("frames are told to root only")
        if "prepare" in text:
            subprocess.run(["bash", script, folder / "program", "prepare"], check=True)
        report = capture(["bash", script, folder / "program"], folder / "recording.zst", hold=True)
        assert report.ok and report.status == 0 and not report.interrupted, report.text()
        return report, load_trace(folder / "recording.zst")

    return held


def with_free_ports(text):
    """A script whose servers listen where nobody else does."""
    for port in set(PORT.findall(text)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            text = text.replace(port, str(server.getsockname()[1]))
    return text


@pytest.mark.parametrize("name", cases())
def test_the_state_of_a_real_program(held, name):
    report, trace = held(name)
    checked = check_replay(trace)
    row = checked.to_dict()
    told = checked.table()
    print(figures(name, report, row))
    assert report.states["processes"] > 1
    assert wrong(row["areas"]) <= AREAS_OF_A_RACE.get(name, 0), told
    assert wrong(row["pages"]["anon"]) <= ANON_PAGES_WRONG.get(name, 0), told
    assert wrong(row["pages"]["file"]) <= FILE_PAGES_WRONG, told
    assert wrong(row["statuses"]) == wrong(row["page_tables"]) == 0, told


def wrong(counts):
    """Which part of them is wrong."""
    return 1 - counts["right"] / counts["checked"]


def figures(name, report, row):
    """One line of a table: what was compared, and how many were right."""
    columns = (row["areas"], row["pages"]["anon"], row["pages"]["file"], row["pages"]["shmem"], row["page_tables"],
               row["statuses"], row["faults"])
    processes = row["states"]["processes"]
    return " | ".join([f"\n| {name}", f"{processes['right']} of {processes['checked']}", *map(share, columns),
                       f"{report.states['seconds']:.2f} s |"])


def share(counts):
    """"all 1,234", or how many are wrong."""
    wrong = counts["checked"] - counts["right"]
    return f"{counts['checked']:,}, {wrong:,} wrong" if wrong else f"{counts['checked']:,}"
