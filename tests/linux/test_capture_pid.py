"""Snapshots of running processes: what is built has the pages, areas and shared frames of the live ones."""
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

from rmapcore import CaptureError, Machine, Trace, compare, load_trace, snapshot_of
from rmapcore.cli import main
from rmapcore.core.program import make
from rmapcore.linux import proc
from rmapcore.linux.capture.layout import Layout, Object, Segment, changes, runs
from rmapcore.linux.capture.output import writer
from rmapcore.linux.capture.seen import read
from rmapcore.linux.swapdevice import temporary_swap
from rmapcore.operations import Op
from rmapcore.units import PAGE

ANON = Object(0x22, 0, 0)
FILE = Object(2, 1, 0)

FAMILY = """
import ctypes, mmap, os, sys, time
PAGES = 200
area = mmap.mmap(-1, PAGES * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
shared = mmap.mmap(-1, 20 * 4096)
held = ctypes.c_char.from_buffer(area)
def write(first, last, what):
    for page in range(first, last):
        area[page * 4096] = what
def stay():
    os.write(end, b"%d " % os.getpid())
    time.sleep(100)
begin, end = os.pipe()
write(0, 150, 1)
if "swap" in sys.argv:
    area.madvise(21, 0, 40 * 4096)               # MADV_PAGEOUT: every child will find it in swap
shared[:10 * 4096:4096] = bytes(10)
area[160 * 4096]                                 # the zero page
if not os.fork():                                # a child that rewrites a part, and has a child of its own
    write(0, 20, 2)
    if not os.fork():
        write(10, 30, 3)
        area.madvise(mmap.MADV_DONTNEED, 100 * 4096, 5 * 4096)
        stay()
    write(20, 40, 4)
    stay()
write(50, 70, 5)                                 # after one fork, before the other
if not os.fork():
    write(60, 80, 6)
    ctypes.CDLL(None).munmap(ctypes.c_void_p(ctypes.addressof(held) + 120 * 4096), ctypes.c_size_t(10 * 4096))
    stay()
write(65, 75, 7)
area.madvise(mmap.MADV_DONTNEED, 140 * 4096, 4096)
if "swap" in sys.argv:
    area.madvise(21, 80 * 4096, 30 * 4096)       # its own copies and what it shares with children: only the former go
said = b""
while said.count(b" ") < 3:
    said += os.read(begin, 100)
print(os.getpid(), said.decode(), flush=True)
time.sleep(100)
"""


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as stream:
        return stream.read().rpartition(")")[2].split()[0]


@contextmanager
def asleep(*arguments):
    """pids of a parent, its two children and a grandchild, all stopped."""
    command = [sys.executable, "-I", "-S", "-c", FAMILY, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        try:
            os.killpg(process.pid, signal.SIGSTOP)
            while not all(state(pid) in "Tt" for pid in pids):
                time.sleep(0.01)
            yield pids
        finally:
            os.killpg(process.pid, 9)


@pytest.fixture
def family():
    with asleep() as pids:
        yield pids


def alike(one):
    return {name: one[name] for name in ("present", "swapped", "shared")} == {
        name: one["built"][name] for name in ("present", "swapped", "shared")}


@pytest.mark.parametrize("chosen", [slice(None), slice(1, None), slice(0, 1)])
def test_a_family(family, chosen):
    """All of it, without the common ancestor, and the parent alone."""
    pids = family[chosen]
    trace = snapshot_of(pids)
    found = trace.summary["snapshot"]
    assert [one["pid"] for one in found["processes"]] == sorted(pids) and trace.summary["alive"] == len(pids)
    assert found["differences"] == 0 and all(map(alike, found["processes"]))
    assert found["made_up"] == (pids == family[1:])
    for one in found["processes"]:
        assert one["present"] > 500 and abs(one["areas"] - one["built"]["areas"]) < 20
        assert one["shared"] > 50 or len(pids) == 1
    machine = Machine("anonmm", ram="64MiB")
    assert trace.replay(machine)["failed"] == 0
    assert sorted(machine.processes) == sorted(pids)
    machine.check()


def test_live_frames_are_the_emulated_ones(family):
    """Two processes share a page there where they share it here, page for page."""
    trace = snapshot_of(family)
    if not trace.summary["snapshot"]["frames"]:
        pytest.skip("frames are hidden from this user (run as root)")
    machine = Machine(ram="64MiB")
    trace.replay(machine)
    seen = {pid: read(pid) for pid in family}
    compared = 0
    for pid in family[1:]:
        one, other = seen[family[0]], seen[pid]
        vpns, at, there = np.intersect1d(one.vpns, other.vpns, return_indices=True)
        live = (one.entries[at] & proc.PLACE) == (other.entries[there] & proc.PLACE)
        anon = (one.entries[at] | other.entries[there]) & proc.OF_FILE == 0
        for vpn, same in zip(vpns[anon].tolist(), live[anon].tolist(), strict=True):
            mine, theirs = (machine.processes[p].pagemap(vpn * PAGE, 1)["pfn"][0] for p in (family[0], pid))
            assert (mine == theirs) == same, hex(vpn * PAGE)
            compared += 1
    assert compared > 300


def test_pages_in_swap():
    """Swapped before a fork and after: entries of swap are shared as frames are."""
    try:
        with temporary_swap(16 << 20), asleep("swap") as pids:
            trace = snapshot_of(pids)
    except OSError as error:
        pytest.skip(f"no swap can be made here: {error}")
    found = trace.summary["snapshot"]
    if not any(one["swapped"] for one in found["processes"]):
        pytest.skip("this kernel pages nothing out when asked")
    assert sum(one["swapped"] for one in found["processes"]) > 40
    assert found["differences"] == 0 and all(map(alike, found["processes"]))
    machine = Machine(ram="64MiB", swap="16MiB")               # which has no MADV_PAGEOUT: the pages are in memory
    statuses = trace.replay(machine)["statuses"]
    assert set(trace.operations["arg"][statuses > 0]) <= {21}


def test_the_command(family, tmp_path):
    path, report = tmp_path / "family.ops", tmp_path / "report"
    command = [sys.executable, "-P", "-m", "rmapcore", "capture", "-o", path, "--json", report, "--pid", *map(str, family)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "0 pages differ" in done.stdout and done.stdout.count("\n") == 7
    assert len(json.loads(report.read_text())["processes"]) == 4
    assert len(load_trace(path)) > 50
    assert compare(path, schemes=["pte_chain", "anon_vma"]).ok


def test_this_process_with_a_file_and_shared_memory(tmp_path):
    """One page of each kind that is there and one that is not."""
    path = tmp_path / "data"
    path.write_bytes(bytes(8 * PAGE))
    with (open(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as file, mmap.mmap(-1, 4 * PAGE) as anonymous,
          mmap.mmap(stream.fileno(), 0, mmap.MAP_PRIVATE) as private):
        file[2 * PAGE] = anonymous[PAGE] = private[3 * PAGE] = 1
        trace = snapshot_of([os.getpid()])
    assert (str(path), 8 * PAGE, "disk") in trace.files and any(file.kind == "shmem" for file in trace.files)
    assert trace.summary["snapshot"]["differences"] < 20       # it is running meanwhile


@pytest.mark.parametrize(("pids", "said"), [([], "no process"), ([1 << 22], "there is none")])
def test_what_is_not_there(pids, said):
    with pytest.raises(CaptureError, match=said):
        snapshot_of(pids)


def test_a_kernel_thread():
    threads = [int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and not os.path.exists(f"/proc/{pid}/exe")]
    if not threads or os.geteuid():
        pytest.skip("no kernel thread in sight")
    with pytest.raises(CaptureError, match=r"no memory of its own|not allowed|there is none"):
        snapshot_of(threads[:1])


def test_one_layout_becomes_another():
    old = Layout([Segment(0, 4 * PAGE, 3, ANON), Segment(8 * PAGE, 12 * PAGE, 1, FILE)])
    new = Layout([Segment(0, PAGE, 3, ANON), Segment(PAGE, 2 * PAGE, 1, ANON), Segment(10 * PAGE, 14 * PAGE, 1, FILE)])
    assert changes(old, new) == [
        (Op.MUNMAP, 2 * PAGE, 4 * PAGE, 0, None), (Op.MUNMAP, 8 * PAGE, 10 * PAGE, 0, None),
        (Op.MMAP, 12 * PAGE, 14 * PAGE, 1, FILE), (Op.MPROTECT, PAGE, 2 * PAGE, 1, None)]
    assert changes(new, new) == [] and runs([1, 2, 5]) == [(PAGE, 2 * PAGE), (5 * PAGE, PAGE)]
    assert old.at([0, 3, 4, 8, 12]).tolist() == [0, 0, -1, 1, -1]
    filled = old.with_gaps_filled([Segment(2 * PAGE, 9 * PAGE, 7, ANON)])
    assert filled.segments[1] == Segment(4 * PAGE, 8 * PAGE, 7, ANON) and len(filled.segments) == 3


@pytest.mark.parametrize(("arguments", "said"), [
    (["-o", "a", "--pid", "1", "--", "true"], "--pid takes no command"),
    (["-o", "a", "--pid", "one"], "'one' is not the number of a process"),
    (["-o", "a.zst", "--pid", "1"], "not compressed"),
])
def test_bad_usage(tmp_path, arguments, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["capture", *arguments]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_device_is_never_replaced(tmp_path):
    """Neither by a snapshot nor by a recording: a pipe, and what a link names, stay what they are."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for path in (pipe, link):
            with writer(path) as write:
                write(b"text")
            assert os.read(reader, 100) == b"text" and pipe.is_fifo() and link.is_symlink()
        Trace(make(Op.SPAWN, process=1), [], {}, "nowhere").save(link)
        assert os.read(reader, 1 << 16).startswith(b"RMAPOPS1") and pipe.is_fifo() and link.is_symlink()
    finally:
        os.close(reader)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]
