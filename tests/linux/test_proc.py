"""The reader of /proc: this process about itself, and what happens where less comes than was asked for."""
import errno
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

from rmapcore import CaptureError, RmapcoreError
from rmapcore.linux import proc
from rmapcore.linux.capture import seen

PAGE = 4096
MAP_NORESERVE = 0x4000


class Reserved:
    """Memory that may be written, and is not accounted for (MAP_NORESERVE), without huge pages."""

    def __init__(self, length):
        self.block = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        self.block.madvise(mmap.MADV_NOHUGEPAGE)
        view = np.frombuffer(self.block, np.uint8, 1)
        self.start = view.ctypes.data
        self.end = self.start + length
        self.close = self.block.close

    def write(self, page):
        self.block[page * PAGE] = 1


@pytest.fixture
def pages():
    """Address of ten pages of this process, the first three written."""
    with mmap.mmap(-1, 10 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        view = np.frombuffer(block, np.uint8)
        address = view.ctypes.data
        del view
        for page in range(3):
            block[page * PAGE] = 1
        yield address


def test_areas_and_mappings_tell_the_same(pages):
    area, = (one for one in proc.areas("self") if one.start <= pages < one.end)
    assert (area.prot, area.shared, area.path, area.stack) == (3, False, "", False)
    (mapping, choice), = proc.mappings("self", lambda start, end: "here" if start <= pages // PAGE < end else None)
    assert choice == "here" and (mapping.start * PAGE, mapping.end * PAGE) == (area.start, area.end)
    assert mapping.perms == area.perms == "rw-p" and mapping.path is None and {"rd", "wr"} <= mapping.flags
    assert mapping.kib["rss"] >= 12
    assert any(one.stack for one in proc.areas("self"))


def test_the_first_mapping_is_the_first_area():
    (first, _), *_ = proc.mappings("self", lambda start, end: True)
    area, *_ = proc.areas("self")
    assert (first.start * PAGE, first.end * PAGE) == (area.start, area.end)


@pytest.mark.parametrize(("word", "shown"), [(0, False), (proc.PRESENT, False), (proc.PRESENT | 5, True), (5, False)])
def test_frames_are_shown_if_a_present_page_has_one(monkeypatch, word, shown):
    monkeypatch.setattr(proc, "own_word", lambda page: word)
    assert proc.shows_frames() == shown


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A function that writes files of a host's /proc and /sys, which is what the reader of /proc finds there."""
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(proc, "Path", lambda path: tmp_path / path.lstrip("/"))
    return write


@pytest.mark.parametrize(("swaps", "on"), [(None, False), ("Filename Type Size Used Priority\n", False),
                                           ("Filename Type Size Used Priority\n/swap file 8 0 -2\n", True)])
def test_whether_there_is_swap(host, swaps, on):
    if swaps is not None:
        host("proc/swaps", swaps)
    assert proc.swap_is_on() == on


@pytest.mark.parametrize(("limits", "available"), [
    ({}, 64 << 10), ({"a": ("max", 5)}, 64 << 10), ({"a": (100 << 10, 5)}, 64 << 10), ({"a": (10000, 4000)}, 6000),
    ({"a/b": (10000, 4000), "a": (9000, 4000)}, 5000), ({"a": (10000, 10001)}, 0)])
def test_what_is_available_is_what_the_host_has_and_every_group_leaves(host, limits, available):
    assert proc.available_bytes() is None
    host("proc/meminfo", "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   64 kB\nBuffers: 3 kB\n")
    host("proc/self/cgroup", "1:cpu:/c\n0::/a/b\n")
    for group, (most, used) in limits.items():
        host(f"sys/fs/cgroup/{group}/memory.max", f"{most}\n")
        host(f"sys/fs/cgroup/{group}/memory.current", f"{used}\n")
    assert proc.available_bytes() == available


def test_memory_is_asked_for_to_the_last_byte(monkeypatch):
    need = 1000 * proc.BYTES_A_PAGE
    proc.ask_for_memory("large", 1000, need)
    with pytest.raises(RmapcoreError, match="large: a machine with 1,000 pages"):
        proc.ask_for_memory("large", 1000, need - 1)
    monkeypatch.setattr(proc, "available_bytes", lambda: None)
    proc.ask_for_memory("large", 1 << 60)


def test_words_of_pagemap(pages):
    vpn = pages // PAGE
    with proc.opened("/proc/self/pagemap") as descriptor:
        words = proc.words(descriptor, vpn, vpn + 10)
    assert (words & proc.PRESENT != 0).tolist() == [True] * 3 + [False] * 7


def test_short_reads_are_gone_on_with(pages, monkeypatch):
    vpn, whole = pages // PAGE, os.pread
    with proc.opened("/proc/self/pagemap") as descriptor:
        before = proc.words(descriptor, vpn, vpn + 10)
        monkeypatch.setattr(proc.os, "pread", lambda fd, n, at: whole(fd, min(n, 24), at))
        assert np.array_equal(proc.words(descriptor, vpn, vpn + 10), before)


def test_a_file_that_ends_before(tmp_path):
    path = tmp_path / "words"
    path.write_bytes(bytes(8 * 5))
    with proc.opened(path) as descriptor:
        assert proc.words(descriptor, 2, 5).tolist() == [0] * 3
        with pytest.raises(OSError, match="words has no entry 5"):
            proc.words(descriptor, 2, 6)


def test_a_process_that_ends_while_it_is_read(monkeypatch):
    monkeypatch.setattr(proc.os, "pread", lambda *_: b"")
    with pytest.raises(CaptureError, match=f"process {os.getpid()}: it ended while it was read"):
        seen.read(os.getpid())


def test_a_terabyte_that_is_reserved_takes_no_time_to_look_at(monkeypatch):
    """Pages at both ends of a reserved area, with holes of 513 and 512 pages between: only what lies near is read."""
    area = Reserved(1 << 40)
    used = [0, 1, 515, 1028, (1 << 28) - 1]
    try:
        for page in used:
            area.write(page)
        seen_at, read = [], proc.words
        monkeypatch.setattr(proc, "words", lambda fd, start, end: seen_at.append((start, end)) or read(fd, start, end))
        with proc.opened("/proc/self/pagemap") as descriptor:
            vpns, words = seen.entries(descriptor, area)
        first = area.start // PAGE
        assert (vpns - first).tolist() == used and (words & proc.PRESENT != 0).all()
        assert [(start - first, end - first) for start, end in seen_at] == [(0, 2), (515, 1029), ((1 << 28) - 1, 1 << 28)]
    finally:
        area.close()


def test_a_kernel_that_cannot_say_where_pages_are(monkeypatch):
    def no_such_call(*_):
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    area = Reserved(1000 * PAGE)
    try:
        area.write(999)
        monkeypatch.setattr(proc.fcntl, "ioctl", no_such_call)
        with proc.opened("/proc/self/pagemap") as descriptor:
            vpns, _ = seen.entries(descriptor, area)
        assert vpns.tolist() == [area.start // PAGE + 999]
    finally:
        area.close()


def test_what_is_told_of_this_process():
    name, fields = proc.stat("self")
    parent, started = proc.parent_and_start("self")
    assert name and parent == os.getppid() and started > 0 and len(fields) > 36
    assert proc.current_cpu() in os.sched_getaffinity(0)
    assert proc.resident_bytes() > 1 << 20
    assert proc.children(1 << 30) == []
    assert any(str(place) == "/" for _, place, _, _ in proc.mounts())
    assert (proc.zero_frame() > 0) == proc.shows_frames()


@pytest.mark.parametrize("masked", ["kpagecount", "kpageflags"])
def test_files_that_are_masked_are_noticed(masked, tmp_path):
    """Containers lay an empty file over them: every mapcount would be whatever was in memory before."""
    if os.getuid() or not proc.shows_frames():
        pytest.skip("only root is shown frames")
    code = "from rmapcore.linux.frames import Frames; frames = Frames(); print(frames.readable, frames.reason)"
    (tmp_path / "empty").touch()
    mask = f'mount --bind "$1" /proc/{masked} && exec "$2" -c "$3"'
    run = subprocess.run(["unshare", "-m", "sh", "-c", mask, "sh", str(tmp_path / "empty"), sys.executable, code], text=True,
                         capture_output=True, check=False)
    if run.returncode:
        pytest.skip(f"nothing can be mounted here: {run.stderr.strip()}")
    assert run.stdout.startswith("False ") and "it is masked here, as in containers" in run.stdout
