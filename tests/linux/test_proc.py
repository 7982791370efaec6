"""The reader of /proc: this process about itself, and what happens where less comes than was asked for."""
import mmap
import os

import numpy as np
import pytest

from rmapcore import CaptureError
from rmapcore.linux import proc
from rmapcore.linux.capture import seen

PAGE = 4096


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
        with pytest.raises(OSError, match="words ends after 5 of 6 entries"):
            proc.words(descriptor, 2, 6)


def test_a_process_that_ends_while_it_is_read(monkeypatch):
    monkeypatch.setattr(proc.os, "pread", lambda *_: b"")
    with pytest.raises(CaptureError, match=f"process {os.getpid()}: it ended while it was read"):
        seen.read(os.getpid())


def test_what_is_told_of_this_process():
    name, fields = proc.stat("self")
    parent, started = proc.parent_and_start("self")
    assert name and parent == os.getppid() and started > 0 and len(fields) > 36
    assert proc.current_cpu() in os.sched_getaffinity(0)
    assert proc.resident_bytes() > 1 << 20
    assert proc.children(1 << 30) == []
    assert any(str(place) == "/" for _, place, _, _ in proc.mounts())
    assert (proc.zero_frame() > 0) == proc.shows_frames()
