"""compare: the same program under every scheme; what must be equal is, what goes wrong is told."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from recordings import MIB, Recording, started
from rmapcore.core.program import by_kind, make
from rmapcore.errors import TraceError, UnknownName
from rmapcore.lab import experiment
from rmapcore.lab.compare import first_difference, recorded_program
from rmapcore.lab.digest import Digest, visible_areas
from rmapcore.lab.experiment import Experiment, check_points
from rmapcore.lab.results import find_problems
from rmapcore.machine import Machine
from rmapcore.operations import OPERATION, Op
from rmapcore.pyx.base.records import AREA_RECORD
from rmapcore.schemes import registry, walking
from rmapcore.units import PAGE
from rmapcore.workloads import build

SCHEMES = [name for name in registry() if name != "cow_context_2026_05"]      # which loses pages of every program here
RECORDING = Path(__file__).parent.parent / "data" / "redis-bgsave.perf.txt.zst"
ARCHS = ("i386", "i386-pae", "x86_64")


@pytest.fixture(scope="module")
def recording():
    return rmapcore.load_trace(RECORDING)


@pytest.fixture(scope="module")
def recorded(recording):
    return rmapcore.compare(recording, schemes=list(SCHEMES)).to_dict()


@pytest.fixture(scope="module")
def swapped():
    return rmapcore.compare("swapout", schemes=list(SCHEMES), arch=ARCHS, pages=5000, processes=8).to_dict()


def timeless(data):
    """A result without what depends on the clock."""
    for row in data["results"]:
        del row["seconds"], row["ns_per_page"]
    return data


# --- What must hold ---------------------------------------------------------------------------------------------------


def test_nothing_is_missed_and_all_see_the_same(recorded, swapped):
    for data in (recorded, swapped):
        assert data["problems"] == []
        for row in data["results"]:
            assert row["error"] is None
            assert row["check"]["missed"] == row["check"]["extra"] == 0
            assert row["check"]["frames"] > 10_000
            assert row["calls"]["failed"] == 0 and row["calls"]["first_difference"] is None
        assert len({row["final"]["digest"] for row in data["results"]}) == 1


def test_digest_of_nothing_is_another(recorded):
    machine = Machine()
    assert Digest(machine, 0).finish([]) != recorded["results"][0]["final"]["digest"]


def test_swapout_frames_are_exact():
    program = build("swapout", {"pages": 3000, "processes": 5}, 0, ("x86_64",))
    for scheme in SCHEMES:
        machine = Machine(scheme, ram=4000 * PAGE, swap=8000 * PAGE)
        experiment = Experiment(program, machine, [])
        for number, phase in enumerate(program.phases[:3]):
            experiment._phase(number, phase)
        assert np.count_nonzero(machine.frames["mapcount"]) == 3000


def test_swapout_phases(swapped):
    for row in swapped["results"]:
        pages = row["phase_pages"]
        assert list(row["seconds"]) == list(pages) == ["fill", "fork", "rewrite", "reclaim", "exit"]
        inherited = swapped["workload"]["inherited"]
        assert pages["fill"] == inherited
        assert pages["fork"] == inherited * 7
        assert pages["fill"] + pages["rewrite"] == pages["reclaim"] == row["pages"] == 5000
        assert pages["exit"] == inherited * 8
        assert row["counters"]["faults_zero"] == inherited
        assert row["counters"]["faults_cow"] == pages["rewrite"] == row["counters"]["pages_copied_cow"]
        assert row["reclaim"]["freed"] == row["reclaim"]["swapped"] == 5000
        assert row["final"] == {**row["final"], "processes": 0, "vmas": 0, "present": 0, "swapped": 0}


def test_why_the_two_sides_argued(swapped):
    rows = {row["scheme"]: row for row in swapped["results"] if row["arch"] == "x86_64" and row["scheme"] in walking()}
    tried = {name: row["counters_per_page"]["ptes_tried"] for name, row in rows.items()}
    found = {row["counters_per_page"]["ptes_found"] for row in rows.values()}
    memory = {name: row["memory"]["rmap_bytes_peak"] for name, row in rows.items()}
    assert len(found) == 1
    assert tried["pte_chain"] == found.pop() < tried["anonmm"] < tried["anon_vma"]
    assert memory["pte_chain"] > 10 * max(memory["anonmm"], memory["anon_vma"])


def test_same_input_same_result(recording, recorded):
    again = rmapcore.compare(recording, schemes=list(SCHEMES)).to_dict()
    assert timeless(again) == timeless(json.loads(json.dumps(recorded)))


@pytest.mark.parametrize("order", ["sequential", "shuffled"])
def test_little_memory_changes_nothing_visible(order):
    options = {"pages": 2000, "processes": 4, "order": order, "schemes": ["anonmm", "pte_chain"]}
    roomy, tight = (rmapcore.compare("swapout", ram=ram, **options).to_dict() for ram in (None, 500 * PAGE))
    assert tight["problems"] == []
    assert tight["results"][0]["counters"]["faults_swapin"] > 0
    assert len({row["final"]["digest"] for data in (roomy, tight) for row in data["results"]}) == 1


def test_pauses_change_nothing(monkeypatch, recording, recorded):
    monkeypatch.setattr("rmapcore.core.running.batch.SLICE", 100)
    monkeypatch.setattr("rmapcore.lab.experiment.RUNS", 3)
    again = rmapcore.compare(recording, schemes=list(SCHEMES)).to_dict()
    assert timeless(again) == timeless(json.loads(json.dumps(recorded)))


# --- Form -------------------------------------------------------------------------------------------------------------


def test_json_has_the_fields_of_the_interface(recorded, tmp_path):
    assert set(recorded) >= {"rmapcore", "workload", "machine", "results"}
    assert set(recorded["workload"]) >= {"name", "parameters", "seed"}
    assert set(recorded["machine"]) == {"kernel", "file_rmap", "ram", "swap", "track_contents"}
    row = next(row for row in recorded["results"] if row["scheme"] in walking())
    assert set(row) >= {"scheme", "arch", "error", "seconds", "phase_pages", "ns_per_page", "pages", "reclaim", "calls",
                        "counters", "counters_per_page", "counters_per_walk", "memory", "check", "final"}
    assert set(row["memory"]) == {"structures", "rmap_bytes_peak", "added_bytes_peak", "lowmem_bytes_peak", "lowmem"}
    assert set(row["reclaim"]) == {"scanned", "referenced", "unmapped", "swapped", "written", "freed", "failed",
                                   "scanned_ptes"}
    for structure in row["memory"]["structures"].values():
        assert set(structure) >= {"live", "peak", "size", "bytes_peak", "zone"}
    assert row["counters_per_walk"]["rmap_walks"] == 1
    assert recorded["machine"]["ram"] == row["pages"] // 2 * PAGE
    assert recorded["machine"]["swap"] == row["pages"] * 2 * PAGE


def test_save_and_tables(tmp_path):
    result = rmapcore.compare("swapout", schemes=["anonmm"], arch=ARCHS[:2], pages=100)
    result.save(tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == result.to_dict()
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    table = result.table(width=100)
    assert "anonmm i386-pae" in table and "PROBLEM" not in table and max(map(len, table.splitlines())) <= 100
    assert "rmap_walks" in result.details()


def test_progress_is_told(recording):
    calls = []
    rmapcore.compare(recording, schemes=["anonmm"], progress=lambda *call: calls.append(call))
    fractions = [done / total for done, total, _ in calls]
    assert fractions == sorted(fractions) and fractions[-1] == 1 and len(calls) > 100
    assert calls[0][2] == "dry run" and "anonmm x86_64: replay" in {text for *_, text in calls}


# --- What goes wrong --------------------------------------------------------------------------------------------------


def test_out_of_memory_ends_a_row_only():
    result = rmapcore.compare("swapout", pages=1000, ram=100 * PAGE, swap=0, schemes=["anonmm", "anon_vma"])
    rows = result.to_dict()["results"]
    assert len(rows) == 2 and not result.ok
    for row in rows:
        assert "out of memory" in row["error"] and "phase fill" in row["error"]
        assert row["final"]["digest"] is None and row["phase_pages"] == {"fill": 99}
        assert row["counters_per_page"] == {} and row["calls"]["by_kind"]["MMAP"]["done"] == 4
    assert "PROBLEM: anonmm on x86_64: out of memory" in result.table()


@pytest.mark.parametrize("lock", ["mlock", "mmap", "mlockall"])
def test_locked_pages_are_beside_the_half_of_a_recording(lock, tmp_path):
    """Else no scheme would have memory for it: 40 pages that stay, and 20 others."""
    start, pages = 0x7F0000000000, 40
    lines = Recording().exec(7)
    length = pages * PAGE
    lines.mmap(7, start, length, flags=0x2022 if lock == "mmap" else 0x22, mapped={"start": start, "length": length})
    if lock == "mlock":
        lines.call(7, "mlock", start=start, len=length)
    if lock == "mlockall":
        lines.call(7, "mlockall", flags=1)
    others = start + 0x10000000
    lines.mmap(7, others, length, mapped={"start": others, "length": length})
    for page in range(20):
        lines.fault(7, others + page * PAGE)
    path = tmp_path / "locks.perf.txt"
    path.write_text("\n".join(lines.lines) + "\n")
    result = rmapcore.compare(path, schemes=list(SCHEMES))
    assert [row["error"] for row in result.to_dict()["results"]] == [None] * len(SCHEMES)
    assert result.to_dict()["machine"]["ram"] == (40 + max((60 - 40) // 2, 16)) * PAGE


def test_problems():
    def row(scheme, digest="a", error=None, missed=0, extra=0, difference=None):
        return {"scheme": scheme, "arch": "x86_64", "kernel": "6.18", "error": error,
                "check": {"missed": missed, "extra": extra}, "calls": {"first_difference": difference},
                "final": {"digest": digest}}

    assert list(find_problems([row("a"), row("b"), row("c", "x", difference=3)])) == []
    assert "missed 2" in next(find_problems([row("a", missed=2)]))
    assert "extra 1" in next(find_problems([row("a", extra=1)]))
    assert "other contents than under a" in next(find_problems([row("a"), row("b", "x")]))
    assert len(list(find_problems([row("a", error="full"), row("b")]))) == 1


def test_first_difference():
    one = np.array([0, 0, 12, 0], np.uint16)
    other = np.array([0, 0, 14, 0], np.uint16)
    assert first_difference(one, 4, one, 4) is None
    assert first_difference(one, 4, other, 4) == 2
    assert first_difference(one, 2, other, 2) is None
    assert first_difference(one, 4, one, 3) == 3


@pytest.mark.parametrize("arguments,error", [
    ({"workload": "nosuch"}, UnknownName),
    ({"workload": "swapout", "schemes": ["nosuch"]}, UnknownName),
    ({"workload": "swapout", "schemes": []}, ValueError),
    ({"workload": "swapout", "schemes": "nosuch"}, UnknownName),
    ({"workload": "swapout", "schemes": [None]}, TypeError),
    ({"workload": "swapout", "schemes": ["anonmm", "anonmm"]}, ValueError),
    ({"workload": "swapout", "arch": ["arm"]}, UnknownName),
    ({"workload": "swapout", "kernel": "2.2"}, UnknownName),
    ({"workload": "swapout", "file_rmap": "nosuch"}, UnknownName),
    ({"workload": "swapout", "ram": 0}, ValueError),
    ({"workload": "swapout", "ram": 4097}, ValueError),
    ({"workload": "swapout", "swap": "1 byte"}, ValueError),
    ({"workload": "swapout", "ram": "1TiB", "arch": ["x86_64", "i386"]}, ValueError),
    ({"workload": "swapout", "seed": -1}, ValueError),
    ({"workload": "swapout", "nosuch": 1}, UnknownName),
    ({"workload": str(RECORDING), "pages": 1}, UnknownName),
    ({"workload": str(RECORDING), "arch": ["i386"]}, ValueError),
    ({"workload": "./nosuch"}, TraceError),
    ({"workload": str(RECORDING.parent)}, TraceError),
])
def test_bad_input(arguments, error):
    with pytest.raises(error):
        rmapcore.compare(**arguments)


def test_empty_trace_is_refused():
    with pytest.raises(ValueError, match="no operations"):
        rmapcore.compare(rmapcore.Trace(np.zeros(0, OPERATION), [], {}, "empty"))


# --- Parts ------------------------------------------------------------------------------------------------------------


def test_trace_replay(recording):
    machine = Machine("anonmm")
    done = recording.replay(machine)
    assert done["done"] == len(recording) and done["failed"] == 0 and not done["statuses"].any()
    machine.check()
    with pytest.raises(rmapcore.OutOfMemory):
        recording.replay(Machine("anonmm", ram="1MiB", swap=0))


def test_check_points(recording):
    for pages in (100, 1_000_000, 10_000_000):
        program = build("swapout", {"pages": pages}, 0, ("x86_64",))
        points = check_points(program)
        reclaim = program.peak, program.peak + len(program.phases[3].operations)
        assert program.peak in points and len(points) <= 101
        assert any(reclaim[0] < point < reclaim[1] for point in points)
    program = recorded_program(recording, 0, ("x86_64",), "anonmm", "2.6.7", {})
    points = check_points(program)
    assert len(points) in (100, 101) and program.peak in points and points[-1] == program.count


def area(start, pages, prot=3, flags=0, file=0, pgoff=0):
    return (start * PAGE, (start + pages) * PAGE, pgoff, prot, flags, file, 0)


@pytest.mark.parametrize("areas,expected", [
    ([area(1, 2), area(3, 4)], 1),
    ([area(1, 2), area(4, 4)], 2),
    ([area(1, 2), area(3, 4, prot=1)], 2),
    ([area(1, 2, pgoff=9), area(3, 4, pgoff=70)], 1),
    ([area(1, 2, flags=0x2000), area(3, 4)], 2),
    ([area(1, 2, flags=0x8000), area(3, 4)], 1),
    ([area(1, 2, file=1, pgoff=5), area(3, 4, file=1, pgoff=7)], 1),
    ([area(1, 2, file=1, pgoff=5), area(3, 4, file=1, pgoff=8)], 2),
    ([area(1, 2, file=1, pgoff=5), area(3, 4, file=2, pgoff=7)], 2),
    ([], 0),
])
def test_visible_areas(areas, expected):
    maps = np.zeros(len(areas), AREA_RECORD)
    for index, values in enumerate(areas):
        maps[index] = values
    visible = visible_areas(maps, 1)
    assert len(visible) == expected
    assert visible[:, 1].sum() == sum((one[1] - one[0]) // PAGE for one in areas)


def test_shared_anonymous_memory_is_one_kind_of_object():
    maps = np.zeros(2, AREA_RECORD)
    maps[0], maps[1] = area(1, 1, file=1), area(5, 1, file=7)
    assert visible_areas(maps, 1)[:, 4].tolist() == [1, 0xFFFFFFFF]


def test_by_kind():
    operations = np.concatenate([make(Op.SPAWN), make(Op.MMAP, 3), make(Op.EXIT)])
    statuses = np.array([0, 12, 0, 22, 0], np.uint16)
    kinds = by_kind(operations["op"], statuses)
    assert list(kinds) == ["SPAWN", "MMAP", "EXIT"]
    assert kinds["MMAP"] == {"done": 1, "failed": 2, "errors": {12: 1, 22: 1}}


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_recording_is_named_by_text_bytes_or_a_path(kind, tmp_path):
    (tmp_path / "r").write_bytes(started().mmap(100, MIB, PAGE).fault(100, MIB, 6).text())
    told = rmapcore.compare(kind(tmp_path / "r"), "anon_vma").to_dict()["workload"]
    assert told["name"] == str(tmp_path / "r") and told["recording"]["operations"] == 3


def test_frames_of_locked_areas_are_counted_and_of_long_ones_bounded(monkeypatch):
    monkeypatch.setattr(experiment, "MOST_LOCKED", 4)
    machine = Machine("anon_vma", ram=MIB, swap=0)
    process = machine.spawn()
    for at, pages, written in ((MIB, 4, 4), (2 * MIB, 5, 2), (3 * MIB, 3, 3), (4 * MIB, 2, 2)):
        process.mmap(at, pages * PAGE, 3, 0x32)
        process.write(at, written * PAGE)
        if at < 4 * MIB:
            process.mlock(at, pages * PAGE)
    assert experiment.locked_frames(machine) == 4 + 5 + 3
    process.fork()                             # its areas are not locked, and it has no frames besides
    assert experiment.locked_frames(machine) == 4 + 5 + 3
