"""The kernel's rings: what has no room is counted, nothing is left behind, and why they cannot be used is said."""
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import ring_pages

from rmapcore import CaptureError
from rmapcore.linux.capture import perf, rings
from rmapcore.units import PAGE

FAULTS = 20_000


def instances(pid):
    return [*Path(rings.tracefs(), "instances").glob(f"{rings.INSTANCE}{pid}-*")]


def touch(pages):
    with mmap.mmap(-1, pages * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(mmap.MADV_NOHUGEPAGE)
        area[::PAGE] = bytes(pages)


def own_faults(file):
    """How many events of this thread are in a file of pages."""
    found = ring_pages.events(file.read_bytes(), rings.page_form())
    return sum(int.from_bytes(event[4:8], "little") == threading.get_native_id() for _, _, event in found)


@pytest.mark.parametrize(("buffer", "lossy"), [(8 << 10, True), (16 << 20, False)])
def test_what_has_no_room_is_counted(tmp_path, can_record, buffer, lossy):
    made = rings.Rings(tmp_path / "rings", buffer)
    made.enable()
    touch(FAULTS)
    made.stop()
    assert (made.lost > 0) == lossy
    assert own_faults(tmp_path / "rings") + made.lost >= FAULTS
    assert not instances(os.getpid())


def test_a_full_disk(can_record):
    made = rings.Rings("/dev/full", 1 << 20)
    made.enable()
    touch(FAULTS)
    with pytest.raises(CaptureError, match=r"not complete: /dev/full: No space left"):
        made.stop()
    assert not instances(os.getpid())


def test_what_a_killed_run_has_left_is_removed(tmp_path, can_record):
    left = Path(rings.tracefs(), "instances", f"{rings.INSTANCE}{1 << 30}-0")
    left.mkdir()
    rings.Rings(tmp_path / "rings", 1 << 20).stop()
    assert not left.exists() and not instances(os.getpid())


def test_a_run_that_is_killed_leaves_nothing(tmp_path, can_record):
    """The command of perf outlives it, and takes the rings away."""
    words = [sys.executable, "-P", "-m", "rmapcore", "capture", "-o", tmp_path / "a", "--", "sh", "-c", "echo; exec sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        process.stdout.readline()
        assert len(instances(process.pid)) == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 30
        while instances(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not instances(process.pid)
        os.killpg(process.pid, signal.SIGKILL)


def test_where_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(rings, "TRACEFS", [str(tmp_path / "a")])
    with pytest.raises(rings.NotAllowed, match=r"no tracefs at /.*/a$"):
        rings.Rings(tmp_path / "rings", 1 << 20)
    (tmp_path / "a" / "events").mkdir(parents=True)
    with pytest.raises(rings.NotAllowed, match="instances: No such file"):
        rings.Rings(tmp_path / "rings", 1 << 20)
    with pytest.raises(perf.NotAllowed):
        perf.Recorder(tmp_path, 1 << 20)
