"""Saved machines: with schemes that came from a class or a file, and those that commit c6b4a4c has written."""
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from rmapcore.core.program import make
from rmapcore.core.snapshot import IN_PAGES
from rmapcore.machine import MOST_ROOM
from rmapcore.operations import Op
from rmapcore.schemes import SCHEMES, choose
from rmapcore.units import PAGE

TESTS = Path(__file__).parent.parent
DATA = TESTS / "data" / "machines"
FILE = TESTS / "everyone.py"
BASE = 0x40000000


def begin(machine):
    """What the saved machines had done: a fork, copies, a file, swap."""
    server = machine.spawn("server")
    log = machine.file("log", 6 * PAGE, "disk")
    at = server.mmap(BASE, 20 * PAGE, 3, 0x32)
    server.write(at, 12 * PAGE)
    server.read(server.mmap(0x50000000, 6 * PAGE, 3, 1, log), 4 * PAGE)
    child = server.fork()
    child.write(at, 3 * PAGE)
    machine.reclaim(6)
    child.mprotect(at, 2 * PAGE, 1)


def go_on(machine):
    server, child = machine.processes.values()
    grandchild = child.fork()
    server.write(BASE, 20 * PAGE)
    child.exit()
    machine.reclaim(4)
    grandchild.read(BASE, 12 * PAGE)
    machine.check()


def state(machine):
    return [machine._core.view(name).tobytes() for name in machine._core.arenas], dict(machine.counters), machine.memory()


@pytest.mark.parametrize(("scheme", "kernel", "arch"), [("anon_vma", "2.6.7", "x86_64"), ("pte_chain:line=64", "6.18", "i386")])
def test_machines_saved_by_c6b4a4c_load_and_go_on(scheme, kernel, arch):
    machine = rmapcore.Machine.load(DATA / f"c6b4a4c-{kernel}-{arch}.npz")
    fresh = rmapcore.Machine(scheme, kernel, arch, ram=24 * PAGE, swap=40 * PAGE, track_contents=True, **MOST_ROOM)
    begin(fresh)
    assert (machine.scheme, machine.kernel, machine.arch) == (fresh.scheme, kernel, arch)
    assert next(iter(machine.processes.values())).name == "server"
    assert state(machine) == state(fresh)
    go_on(machine)
    go_on(fresh)
    assert state(machine) == state(fresh)


def facts(machine):
    """All that a user has given or can read of a machine, but for what its arenas hold."""
    arguments = ("scheme", "kernel", "arch", "ram", "swap", "file_rmap", "track_contents", "max_map_count", "stack_limit")
    return ({name: getattr(machine, name) for name in arguments},
            [(number, file.name, file.kind, file.size, file.number) for number, file in machine._files.items()],
            [(pid, process.name, process.maps().tolist()) for pid, process in machine.processes.items()], machine.area_names)


@pytest.mark.parametrize("options", [{}, {"arch": "i386", "file_rmap": "list", "track_contents": True, "stack_limit": "1MiB",
                                          "max_map_count": 55, "max_ptes": 5000}])
def test_names_and_arguments_are_kept(tmp_path, options):
    machine = rmapcore.Machine("anonmm", "6.18", **{"ram": "1MiB", "swap": "2MiB", **options})
    first, second = machine.spawn("first"), machine.spawn()
    for name, kind in (("log", "disk"), ("", "shmem"), ("zero \u00e9", "zero")):
        machine.file(name, 0 if kind == "zero" else 3 * PAGE, kind)
    second.mmap(BASE, PAGE, 3, 0x32)
    second.name_area(BASE, PAGE, "heap")
    second.name_area(BASE, PAGE, "stack")
    first.fork().exit()
    machine.save(tmp_path / "saved")
    loaded = rmapcore.Machine.load(tmp_path / "saved")
    assert facts(loaded) == facts(machine) == facts(machine.copy())
    assert facts(machine)[1][0][1:4] == ("log", "disk", 3 * PAGE) and facts(machine)[3] == {1: "heap", 2: "stack"}
    for other in (loaded, machine.copy()):
        assert state(other) == state(machine) and other._max_ptes == machine._max_ptes
        assert [file._machine for file in other._files.values()] == [other] * 3
        other.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / "saved").read_bytes()


def test_another_version_is_refused_by_its_number(tmp_path):
    source, path = DATA / "c6b4a4c-2.6.7-x86_64.npz", tmp_path / "other.npz"
    with np.load(source) as arrays:
        kept = dict(arrays)
    header = json.loads(kept["machine"].tobytes())
    header["version"] = 7
    kept["machine"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **kept)
    with pytest.raises(rmapcore.RmapcoreError, match="version 7 is not 6"):
        rmapcore.Machine.load(path)
    assert zipfile.is_zipfile(source)


def test_a_machine_of_version_5_had_no_folios(tmp_path):
    """Its files have four bytes that say whether they are warm, and nothing says in which folios their pages lie."""
    machine = rmapcore.Machine("anonmm", ram=24 * PAGE, swap=40 * PAGE)
    machine.file("cold", 6 * PAGE)
    machine.file("warm", 6 * PAGE, warm=True)
    begin(machine)
    machine.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as arrays:
        kept = {name: array for name, array in arrays.items() if name != "folio_orders"}
    kept["files"] = kept["files"].view(IN_PAGES)
    header = json.loads(kept["machine"].tobytes())
    header["version"] = 5
    kept["machine"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "old.npz", **kept)
    assert kept["files"]["warm"].tolist()[:3] == [0, 0, 1]
    assert state(rmapcore.Machine.load(tmp_path / "old.npz")) == state(machine)


def test_a_machine_with_folios_is_saved_with_them(tmp_path):
    machine = rmapcore.Machine("anonmm", kernel="6.18", ram=96 * PAGE, swap=0)
    file = machine.file("f", 64 * PAGE, warm=True)
    assert machine.run(make(Op.READAHEAD, other=1, length=32 * PAGE, arg=5), [file]).tolist() == [0]
    machine.save(tmp_path / "m.npz")
    for one in machine.copy(), rmapcore.Machine.load(tmp_path / "m.npz"):
        process = one.spawn()
        process.read(process.mmap(BASE, 64 * PAGE, 1, 1, one._files[1]))
        assert process.rss == 32
        one.check()


def test_a_recording_saved_by_c6b4a4c_loads():
    trace = rmapcore.load_trace(DATA / "c6b4a4c.trace")
    assert np.count_nonzero(trace.operations["op"] == Op.FAULT) == 5
    result = trace.replay(rmapcore.Machine("anonmm", ram="1MiB"))
    assert result["failed"] == 0


# --- schemes of somebody else's -----------------------------------------------------------------------------------------


def begun(scheme):
    machine = rmapcore.Machine(scheme, ram=24 * PAGE, swap=40 * PAGE, track_contents=True)
    begin(machine)
    return machine



@pytest.mark.parametrize("name", ["Everyone", "Patient:tries=4"])
def test_a_scheme_from_a_file_is_saved_and_copied(tmp_path, monkeypatch, name):
    monkeypatch.chdir(FILE.parent)
    machine = begun(f"everyone.py:{name}")
    machine.save(tmp_path / "saved.npz")
    monkeypatch.chdir(tmp_path)                # the file is found wherever the loader stands
    for other in (rmapcore.Machine.load(tmp_path / "saved.npz"), machine.copy()):
        assert type(other._engine.anon).__name__ == name.split(":")[0] and other._engine.anon is not machine._engine.anon
        assert state(other) == state(machine)
        assert other._engine.anon.owner is not machine._engine.anon.owner
        twin = machine.copy()
        go_on(other)
        go_on(twin)
        assert state(other) == state(twin)


def test_a_class_that_can_be_imported_is_found_again(tmp_path):
    machine = begun(choose(f"{FILE}:Everyone").cls)
    machine.save(tmp_path / "saved.npz")
    assert state(rmapcore.Machine.load(tmp_path / "saved.npz")) == state(machine)
    assert state(machine.copy()) == state(machine)


def test_a_class_that_cannot_be_found_is_named_and_can_be_passed(tmp_path):
    class Hidden(choose(f"{FILE}:Everyone").cls):
        pass

    machine = begun(Hidden)
    path = tmp_path / "saved.npz"
    machine.save(path)
    with pytest.raises(rmapcore.RmapcoreError) as caught:
        rmapcore.Machine.load(path)
    assert "<locals>.Hidden" in str(caught.value) and f"Machine.load({str(path)!r}, scheme=CLASS)" in str(caught.value)
    assert state(rmapcore.Machine.load(path, scheme=Hidden)) == state(machine)
    assert state(machine.copy()) == state(machine)
    with pytest.raises(rmapcore.RmapcoreError, match=r"has no array 'anon_vmas?'|has no array"):
        rmapcore.Machine.load(path, scheme="anon_vma")
    with pytest.raises(rmapcore.UnknownName):
        rmapcore.Machine.load(path, scheme="nobody")


def test_a_file_that_has_gone_is_named(tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(FILE.read_text())
    begun(f"{source}:Everyone").save(tmp_path / "saved.npz")
    source.unlink()
    with pytest.raises(rmapcore.RmapcoreError, match=f"there is no file {source}; pass its class"):
        rmapcore.Machine.load(tmp_path / "saved.npz")


def test_an_object_that_nothing_makes_again(tmp_path):
    class Around(rmapcore.Prototype):
        def __init__(self, inner):
            super().__init__(inner)

    machine = begun(Around(SCHEMES["anon_vma"].load()()))
    with pytest.raises(rmapcore.RmapcoreError, match=r"Around\W+: pass a class instead"):
        machine.copy()
    machine.save(tmp_path / "saved.npz")
    with pytest.raises(rmapcore.RmapcoreError, match="was an object that nothing makes again"):
        rmapcore.Machine.load(tmp_path / "saved.npz")
    loaded = rmapcore.Machine.load(tmp_path / "saved.npz", scheme=Around(SCHEMES["anon_vma"].load()()))
    assert state(loaded) == state(machine)


class Diary(rmapcore.Prototype):
    """Keeps what no array holds."""

    def __init__(self):
        super().__init__()
        self.mms = []

    def mm_exec(self, mm):
        self.mms.append(mm)


class Rebuilt(Diary):
    """The same, made again."""

    def restored(self):
        self.mms = np.flatnonzero(self.core.view("mms")["alive"]).tolist()


@pytest.mark.parametrize("profiled", [False, True])
def test_what_stands_outside_of_declared_arrays_is_not_lost_in_silence(tmp_path, profiled):
    machine = rmapcore.Machine(Diary, ram="1MiB")
    if profiled:
        machine.profile()
    machine.copy()
    machine.spawn()
    for act in (machine.copy, lambda: machine.save(tmp_path / "saved.npz")):
        with pytest.raises(rmapcore.RmapcoreError, match="keeps 'mms' outside of its declared arrays"):
            act()
    assert not list(tmp_path.iterdir())
    machine = rmapcore.Machine(Rebuilt, ram="1MiB")
    machine.spawn()
    assert machine.copy()._engine.anon.mms == machine._engine.anon.mms == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")      # zipfile's, of what it left open
def test_an_interrupted_save_is_interrupted(tmp_path, monkeypatch):
    """Also where zipfile has opened a file within and nobody has it yet: it said ValueError."""
    machine = rmapcore.Machine(ram="1MiB", swap=0)
    left, opened = [], zipfile.ZipFile.open

    def interrupted(self, *arguments, **options):
        left.append(opened(self, *arguments, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        machine.save(tmp_path / "saved")
    assert left and not list(tmp_path.iterdir())
