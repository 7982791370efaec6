"""Where the page cache holds files in large folios: what `capture` says of it, and a replay maps what the kernel has mapped."""
import os
import time

import numpy as np
import pytest

from rmapcore import load_trace
from rmapcore.linux import proc
from rmapcore.linux.capture import capture, folios
from rmapcore.linux.capture.mapped import Mapped
from rmapcore.linux.frames import Frames
from rmapcore.studies.replaycheck import check_replay

PAGE = 4096
HEAD, TAIL, MARK, OTHER = proc.KPF_COMPOUND_HEAD, proc.KPF_COMPOUND_TAIL, proc.KPF_RECLAIM, 1 << 2
PROGRAM = """
import mmap, os, sys
for number, path in enumerate(sys.argv[1:]):
    descriptor = os.open(path, os.O_RDWR)
    for shift, page, write, flags in (0, 5, 0, 1), (3, 20, 0, 1), (3, 127, 0, 2), (8, 119, 0, 1), (0, 40, 1, 1), (3, 60, 1, 2):
        area = mmap.mmap(descriptor, (128 - shift) * 4096, flags, 3, offset=shift * 4096)
        if write:
            area[(page - shift) * 4096] = 1
        else:
            area[(page - shift) * 4096]
        globals()[f"kept_{number}_{shift}_{page}"] = area
"""


@pytest.mark.parametrize(("pages", "flags", "orders"), [
    ([0, 1, 2, 3], [HEAD, TAIL, TAIL, TAIL], [2, 2, 2, 2]),
    ([0, 1, 2, 3, 4], [HEAD, TAIL, OTHER, HEAD, TAIL], [1, 1, 0, 0, 0]),         # the last one is not aligned
    ([0, 1, 3, 4], [HEAD, TAIL, HEAD, TAIL], [1, 1, 0, 0]),
    ([4, 5, 7], [HEAD, TAIL, TAIL], [0, 0, 0]), ([2, 3], [TAIL, TAIL], [0, 0]), ([8, 10], [HEAD, TAIL], [0, 0]), ([], [], []),
    ([0, 1, 2], [HEAD | OTHER, TAIL | OTHER, HEAD], [1, 1, 0]),
    ([0, 1, 2, 3], [HEAD | MARK, TAIL, MARK, OTHER], [-1, -1, -1, 0]), ([0, 1], [HEAD | MARK, TAIL | MARK], [-1, -1]),
])
def test_orders_by_what_kpageflags_says(pages, flags, orders):
    assert folios.orders_by_flags(np.array(pages, np.int64), np.array(flags, np.uint64)).tolist() == orders


@pytest.mark.parametrize(("orders", "runs"), [
    ([], []), ([0, 0], []), ([2] * 8, [(2, 0, 8)]), ([0, 1, 1, 0], [(0, 0, 1), (1, 1, 2), (0, 3, 1)]),
    ([-1, -1], []), ([0, -1, 0, 0], [(0, 0, 1), (0, 2, 2)]),
])
def test_runs_of_neighbours_in_folios_of_one_order(orders, runs):
    assert folios.runs_of(np.array(orders, np.int8)) == runs


@pytest.fixture
def frames():
    frames = Frames()
    if not frames.readable:
        pytest.skip(f"the kernel shows no frames here: {frames.reason}")
    yield frames
    frames.close()


def written(path, pages=128):
    """A file written by 64 KiB; skips where the file system does not keep it in folios of 16 pages."""
    with open(path, "wb", buffering=0) as stream:
        for _ in range(pages // 16):
            stream.write(os.urandom(16 * PAGE))
        os.fsync(stream.fileno())
    return path


def test_a_file_written_a_moment_before(tmp_path, frames):
    path = written(tmp_path / "f")
    inode = os.stat(path).st_ino
    size, runs = folios.folios_of(path, inode, time.time() + 10, frames)
    assert size == 128 * PAGE
    if not runs:
        pytest.skip("this file system writes by single pages")
    assert runs == [(4, 0, 128)]
    assert folios.folios_of(path, inode + 1, time.time() + 10, frames) == (0, [])
    assert folios.folios_of(path, inode, os.stat(path).st_mtime, frames) == (0, [])        # it changed meanwhile
    assert folios.folios_of(tmp_path / "none", inode, 0, frames) == (0, [])
    assert folios.folios_of("/dev/null", os.stat("/dev/null").st_ino, time.time() + 10, frames) == (0, [])
    mapped = Mapped()
    mapped.see(b"  p 1/1 1.000000: PERF_RECORD_MMAP2 1/1: [0x5500000(0x80000) @ 0x1000 fe:00 %d 7]: rw-s %s\n"
               % (inode, os.fsencode(path)))
    (line,) = folios.lines(mapped, time.time() + 10)
    assert line == b"# folios: 4:0+128 %d %d %s\n" % (inode, 128 * PAGE, os.fsencode(path))


def test_a_file_is_looked_at_piece_by_piece(tmp_path, frames, monkeypatch):
    """Folios do not cross the borders of pieces; the last page may be a part of one."""
    path = written(tmp_path / "f")
    with open(path, "ab") as stream:
        stream.write(b"end")
    os.sync()
    arguments = path, os.stat(path).st_ino, time.time() + 10, frames
    whole = folios.folios_of(*arguments)
    assert whole[0] == 128 * PAGE + 3
    monkeypatch.setattr(folios, "AT_A_TIME", 32)
    assert folios.folios_of(*arguments) == whole


def test_a_recording_of_files_in_large_folios_is_right_in_every_page(tmp_path, can_record, frames):
    """Two files: written before the recording, and read in by it; areas that begin anywhere in their folios."""
    old = written(tmp_path / "old")
    fresh = written(tmp_path / "fresh")
    os.sync()
    descriptor = os.open(fresh, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    (tmp_path / "program.py").write_text(PROGRAM)
    time.sleep(0.02)                                       # file times are those of the last tick
    recording = tmp_path / "it.zst"
    report = capture(["python3", tmp_path / "program.py", old, fresh], recording, hold=True)
    assert report.ok and report.status == 0
    checked = check_replay(load_trace(recording))
    row = checked.to_dict()
    assert row["pages"]["file"]["checked"] > 400
    for kind in ("anon", "file", "shmem"):
        assert row["pages"][kind]["right"] == row["pages"][kind]["checked"], checked.table()
    assert row["faults"]["right"] == row["faults"]["checked"]
