"""Whole states of real programs: recorded, stopped, and every area and page of theirs beside those of the replayed machine.

A file of `real_programs` is a program and its load: it gets the name of a file to create when the program is worth looking at,
and a folder of its own. `pytest -m programs tests/linux` runs all of them; a few are run always. What may differ:
pages of files, which depend on what the page cache held and in how large folios, and pages that came without a fault
(`WITHOUT_A_FAULT`).
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from rmapcore import Machine, load_trace
from rmapcore.linux import proc
from rmapcore.linux.capture import capture, seen
from rmapcore.units import PAGE

PROGRAMS = Path(__file__).parent / "real_programs"
ALWAYS = ("java", "make", "nginx", "python", "redis")
HOLD_SECONDS = 60
FILE_PAGES_EQUAL = 0.98                        # the others depend on what the page cache held
WITHOUT_A_FAULT = {"mariadb": 0.06}            # part of the anonymous pages: direct I/O
KPF_HUGE, KPF_THP = 1 << 17, 1 << 22


def cases():
    names = sorted(path.stem for path in PROGRAMS.glob("*.sh") if path.stem != "hold")
    return [pytest.param(name, id=name, marks=[] if name in ALWAYS else pytest.mark.programs) for name in names]


@pytest.fixture
def folder():
    """Programs run as several users, so this is none of pytest's own, which are root's."""
    path = tempfile.mkdtemp(prefix="rmapcore-")
    os.chmod(path, 0o755)
    yield Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def held(folder, can_record):
    """Gives held(name): (the Trace, pids of the stopped processes); ends them afterwards."""
    pids = folder / "pids"

    def held(name):
        script = PROGRAMS / f"{name}.sh"
        text = script.read_text()
        for needed in re.search(r"^# needs: (.*)$", text, re.MULTILINE)[1].split():
            if not (os.path.exists(needed) if needed.startswith("/") else shutil.which(needed)):
                pytest.skip(f"{needed} is not installed")
        if os.geteuid():
            pytest.skip("frames are told to root only")
        if "prepare" in text:
            subprocess.run(["bash", script, "prepare", folder / "program"], check=True)
        report = capture(["bash", PROGRAMS / "hold.sh", pids, str(HOLD_SECONDS), "bash", script, f"{pids}.ready",
                          folder / "program"], folder / "recording.zst")
        assert report.ok, report.text()
        assert os.path.exists(f"{pids}.ready"), Path(f"{pids}.log").read_text(errors="replace")[-2000:]
        return load_trace(folder / "recording.zst"), [int(pid) for pid in pids.read_text().split()]

    yield held
    alive = [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
    for pid in alive:
        with suppress(ProcessLookupError):     # its parent, ended before, was the first of its namespace
            os.kill(pid, signal.SIGKILL)
    while any(os.path.exists(f"/proc/{pid}/maps") and proc.stat(pid)[1][0] != "Z" for pid in alive):
        time.sleep(0.01)


def emulated(process):
    """({(start, end, prot)}, {page: frame} of anonymous ones, {page: mapcount} of these, pages of files)."""
    areas, frames, mapcounts, of_files = set(), {}, {}, set()
    for area in process.maps():
        start, end = int(area["start"]), int(area["end"])
        areas.add((start, end, int(area["prot"]) & 7))
        for at in range(start, end, 1 << 28):
            entries = process.pagemap(at, min(1 << 28, end - at))
            for index in np.flatnonzero(entries["present"]):
                page = at // PAGE + int(index)
                if entries["anon"][index]:
                    frames[page], mapcounts[page] = int(entries["pfn"][index]), int(entries["mapcount"][index])
                elif area["file"]:
                    of_files.add(page)
    return areas, frames, mapcounts, of_files


def live(pid, zero):
    """The same of a stopped process: None as mapcount of what huge pages hold; and {page: frame} of files."""
    one = seen.read(pid)
    present = one.entries & proc.PRESENT != 0
    vpns, words = one.vpns[present], one.entries[present]
    places = (words & proc.PLACE).astype(np.int64)
    anon, of_files = (words & proc.OF_FILE == 0) & (places != zero), words & proc.OF_FILE != 0
    frames = dict(zip(vpns[anon].tolist(), places[anon].tolist(), strict=True))
    large = of_large_folios(frames.values())
    with proc.opened("/proc/kpagecount") as counts:
        mapcounts = {page: None if place in large else int(proc.words(counts, place, place + 1)[0])
                     for page, place in frames.items()}
    named = [(area.start // PAGE, area.end // PAGE) for area in one.areas if area.path.startswith("/")]
    starts, ends = np.array(named, np.int64).reshape(-1, 2).T
    index = np.searchsorted(starts, vpns, "right") - 1
    of_files &= (index >= 0) & (vpns < ends[index])
    pages = dict(zip(vpns[of_files].tolist(), places[of_files].tolist(), strict=True))
    return {(area.start, area.end, area.prot) for area in one.areas}, frames, mapcounts, pages


def of_large_folios(places):
    with proc.opened("/proc/kpageflags") as flags:
        return {place for place in set(places) if int(proc.words(flags, place, place + 1)[0]) & (KPF_HUGE | KPF_THP)}


def groups(frames):
    """Which pages of which processes are one frame."""
    holders = defaultdict(set)
    for pid, of_one in frames.items():
        for page, frame in of_one.items():
            holders[frame].add((pid, page))
    return {frozenset(group) for group in holders.values() if len(group) > 1}


@pytest.mark.parametrize("name", cases())
def test_the_state_of_a_real_program(held, name):
    trace, pids = held(name)
    machine = Machine("anon_vma_chain", "6.18", "x86_64", ram=4 << 30, swap=0, track_contents=False)
    trace.replay(machine)
    assert len(pids) > 1
    zero, shared, n_anon, n_missing, n_files, n_equal = proc.zero_frame(), ({}, {}), 0, 0, 0, 0
    for pid in pids:
        areas, frames, mapcounts, of_files = live(pid, zero)
        areas_too, frames_too, mapcounts_too, of_files_too = emulated(machine.process(pid))
        assert areas == areas_too, f"process {pid}: {sorted(areas ^ areas_too)[:10]}"
        assert not frames_too.keys() - frames.keys(), f"process {pid} has too many anonymous pages"
        missing = frames.keys() - frames_too.keys()
        assert not missing or name in WITHOUT_A_FAULT, f"process {pid} lacks {len(missing)}: {sorted(missing)[:10]}"
        differing = [page for page in mapcounts_too if mapcounts[page] not in (None, mapcounts_too[page])]
        assert not differing, f"process {pid}: mapcounts of {differing[:10]} differ"
        shared[0][pid], shared[1][pid] = frames, frames_too
        n_anon, n_missing = n_anon + len(frames), n_missing + len(missing)
        alone = of_files.keys() - of_files_too
        large = of_large_folios(of_files[page] for page in alone)            # fault-around maps these whole
        equal = len(of_files) - len(alone)
        n_equal += equal
        n_files += equal + len(of_files_too - of_files.keys()) + sum(of_files[page] not in large for page in alone)
    assert n_missing <= n_anon * WITHOUT_A_FAULT.get(name, 0)
    assert groups(shared[0]) == groups(shared[1])
    assert n_equal >= n_files * FILE_PAGES_EQUAL, f"{n_equal:,} of {n_files:,} pages of files"
