"""Everything that is written goes one way: whole or not at all, through links and into pipes, by several at once."""
import os
import subprocess
import sys
import threading

import pytest

from interleaving import Interleaving
from rmapcore import Machine
from rmapcore.core import files
from rmapcore.core.files import write_bytes, written


def test_a_machine_is_saved_into_what_is_no_plain_file(tmp_path):
    machine = Machine("anon_vma")
    machine.save(os.devnull)
    assert not os.path.isfile(os.devnull)
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)                    # to nothing yet
    machine.save(link)
    assert link.is_symlink() and Machine.load(target).scheme == "anon_vma"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    machine.save(pipe)
    reader.join()
    assert read[0].startswith(b"PK") and pipe.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "target"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_mode_stays(tmp_path, mode):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_bytes(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


def test_paths_of_bytes(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff"
    Machine("anonmm").save(path)
    assert Machine.load(path).scheme == "anonmm" and os.listdir(os.fsencode(tmp_path)) == [b"\xff"]


@pytest.mark.parametrize("seed", range(5))
def test_two_who_write_one_path(tmp_path, monkeypatch, seed):
    """Each may be anywhere in its writing while the other goes on; what stands there is always one of them, whole."""
    path, turns = tmp_path / "m", Interleaving(seed)

    def between(name, step):
        def done(*arguments):
            turns.give_way()
            try:
                return step(*arguments)
            finally:
                turns.give_way()
        monkeypatch.setattr(files.os, name, done)

    for name in ("listdir", "unlink", "fchmod", "fsync", "replace"):
        between(name, getattr(os, name))

    def save(machine):
        for _ in range(4):
            machine.save(path)
            assert Machine.load(path).scheme in ("anon_vma", "pte_chain")

    turns.run(*(lambda scheme=scheme: save(Machine(scheme)) for scheme in ("anon_vma", "pte_chain")))
    assert len(turns.turns) > 60 and {*turns.turns} == {0, 1}
    assert os.listdir(tmp_path) == ["m"]


def test_what_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail():
        with written(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_names_the_file():
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes("/dev/full", b"x" * 100_000)
    assert caught.value.filename == "/dev/full"


def test_leftovers_of_the_killed_are_removed(tmp_path):
    path = tmp_path / "f"
    code = ("import os, signal, sys\nfrom rmapcore.core.files import written\n"
            "with written(sys.argv[1]) as stream:\n stream.write(b'x')\n os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-P", "-c", code, path], check=False)
    assert len(os.listdir(tmp_path)) == 1 and not path.exists()
    (tmp_path / f"g.{os.getpid()}.00000000.tmp").write_bytes(b"of another target")
    (tmp_path / f"f.{os.getpid()}.00000000.tmp").write_bytes(b"of one who lives")
    write_bytes(path, b"y")
    assert sorted(os.listdir(tmp_path)) == ["f", f"f.{os.getpid()}.00000000.tmp", f"g.{os.getpid()}.00000000.tmp"]
