"""`rmapcore bench`: that its scenes are what they say, what a run measures, and the command."""
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import rmapcore
from differential import KNOWN
from rmapcore.cli import main
from rmapcore.schemes import walking
from rmapcore.studies import bench
from rmapcore.studies.bench import busy, growth, memory, recording, records, run, sharing, threads
from rmapcore.studies.bench.inside import records_in_use
from rmapcore.studies.bench.samples import Sample

PAGE = 4096
PAGES = 700
SCHEMES = bench.subjects()
WALKING = walking()
FIELDS = ["name", "scheme", "pages", "order", "ours_ns", "ideal_ns", "kernel_ns", "ratio_to_ideal",
          "times_faster_than_kernel", "to_one_by_one", "growth", "speed_up", "bytes_per_page", "ours_ns_iqr",
          "candidate_ns", "to_processes", "target", "holds", "trusted"]
SEQUENTIAL = ["first_touch", "fault_in_batch", "fault_in", "lookup_sorted", "lookup_random", "scan", "fork", "exit", "mremap",
              "mremap_tables", "exit_last", "swap_in", "two_threads", "two_threads_control", "memory",
              "memory_arenas", "memory_swapped_out"]
RECLAIM = ["ageing", "swapout", "ageing_one_by_one", "swapout_one_by_one"]
SHARED = [("swapout_16" + part, order) for part in ("", "_rewritten") for order in sharing.SHARED_ORDERS]
ALL_SHARED = [(f"swapout_{sharers}{part}", order) for sharers in (2, 4, 16, 64, 256) for part in ("", "_half", "_rewritten")
              for order in sharing.SHARED_ORDERS]
KINDS = ({(name, "sequential") for name in SEQUENTIAL} | {(name, order) for name in RECLAIM for order in bench.ORDERS}
         | {("fault_in_batch", "frames_shuffled"), ("two_threads", "lru_shuffled"), *SHARED})
OWN_SIZES = {"memory", "memory_arenas", "memory_swapped_out", "parse", "load", "replay", "two_threads_control"}
WITH_IDEAL = {"first_touch", *RECLAIM, *(name for name, _ in ALL_SHARED)}
BYTES_ONLY = {"memory", "memory_arenas", "memory_swapped_out"}
KERNEL = {"fault_in": 2000.0, "fork": 70.0, "exit": 60.0, "scan": 37.0, "mremap": 13.0, "mremap_tables": 0.7,
          "swapout": None, "swap_in": None}
RECORDING = Path(__file__).parent.parent / "data" / "redis-bgsave.perf.txt.zst"


def live_times(pages):
    return SimpleNamespace(pages=pages, ns=dict(KERNEL), reasons=dict.fromkeys(("swapout", "swap_in"), "no swap here"))


@pytest.fixture(autouse=True)
def kernel(monkeypatch):
    """A live kernel that is asked nothing."""
    monkeypatch.setattr(run, "kernel_times", lambda pages, seconds, report: live_times(pages))


@pytest.fixture
def quick(monkeypatch):
    """Leaves out what takes fresh interpreters."""
    monkeypatch.setattr(run, "measure_memory", lambda scheme, pages, seed: iter(()))


# --- scenes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", bench.ORDERS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_scenes(scheme, order):
    one = bench.scene(scheme, PAGES, order)
    one.machine.check()
    ascending = [bool((np.diff(array.astype(np.int64)) > 0).all()) for array in (one.addresses, one.pfns)]
    assert ascending == {"sequential": [True, True], "frames_shuffled": [False, True],
                         "lru_shuffled": [False, False]}[order]
    assert sorted(one.addresses.tolist()) == list(range(one.address, one.address + PAGES * PAGE, PAGE))
    assert (one.machine.mappings(one.pfns)[2] == one.addresses).all()
    assert one.ideal() == one.ideal() == PAGES
    assert one.aged() == PAGES
    one.renew()                                # 6.18 has them on the inactive list now
    assert oldest_first(one.machine, "active") == one.pfns.tolist()
    one.age()
    one.machine.check()
    assert oldest_first(one.machine, "inactive") == one.pfns.tolist()
    assert one.ideal() == one.ideal() == PAGES
    one.machine.check()
    assert one.machine.reclaim(100).freed == 100
    if scheme.partition("@")[0] not in WALKING:                  # unmaps more than it frees, and in another order
        assert one.machine.reclaim(PAGES - 100).freed == PAGES - 100
        one.machine.check()
        return
    present = one.process.pagemap(one.address, PAGES * PAGE)["present"]
    gone = one.address + PAGE * np.flatnonzero(present == 0)
    assert len(gone) >= 100 and set(gone.tolist()) == set(one.addresses[:len(gone)].tolist())
    assert one.machine.reclaim(PAGES - len(gone)).freed == PAGES - len(gone)
    one.machine.check()


def oldest_first(machine, which):
    """The frames of a list from its tail."""
    at, found = int(machine._core.view("head")[f"{which}_tail"][0]), []
    while at:
        found.append(at)
        at = int(machine.frames["prev"][at])
    return found


def test_orders_are_independent():
    one = bench.scene(SCHEMES[0], 4096, "lru_shuffled")
    assert abs(np.corrcoef(one.pfns, one.numbers)[0, 1]) < 0.1
    for array in (one.pfns, one.numbers):
        assert abs(np.corrcoef(array, np.arange(4096))[0, 1]) < 0.1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_touching_the_arenas_changes_nothing(scheme):
    machine, process, address = bench.empty(scheme, PAGES)
    machine.check()
    fresh = bench.machine_of(scheme, ram=machine.ram, swap=machine.swap)
    other = fresh.spawn()
    assert other.mmap(address, PAGES * PAGE) == address
    for one in (process, other):
        one.write(address, PAGES * PAGE)
        child = one.fork()
        child.write(address, PAGE)
        child.exit()
    assert machine.reclaim(500) == fresh.reclaim(500)
    for name in fresh._core.arenas:
        assert np.array(machine._core.view(name)).tobytes() == np.array(fresh._core.view(name)).tobytes()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_that_two_processes_use_has_been_touched(scheme, monkeypatch):
    stored = []
    monkeypatch.setattr(bench.scenes, "store", lambda machine, sizes: stored.append(sizes))
    machine, process, address = bench.empty(scheme, 4096)
    before = records_in_use(machine)
    process.write(address, 4096 * PAGE)
    process.fork()
    machine.reclaim(4096)
    used = {name: n - before[name] for name, n in records_in_use(machine).items()}
    assert {name for name, n in used.items() if n > 5} <= set(stored[0])
    assert all(n <= stored[0][name] for name, n in used.items() if name in stored[0])


def test_store_writes_as_much_as_the_first_touch(monkeypatch):
    stored = []
    monkeypatch.setattr(bench.measures, "store", lambda machine, sizes: stored.append(sizes))
    list(bench.measures.measure_first_touch(SCHEMES[0], PAGES, 0))
    machine, process, address = bench.scenes.fresh(SCHEMES[0], PAGES)
    before = records_in_use(machine)
    process.write(address, PAGES * PAGE)
    after = records_in_use(machine)
    assert stored == [{name: n - before[name] for name, n in after.items() if n > before[name]}]
    assert stored[0]["frames"] == PAGES and stored[0]["entries"] >= PAGES / 512


# --- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_run():
    """A run with all that can be asked for: (Bench, calls of progress)."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "kernel_times", lambda pages, seconds, report: live_times(pages))
        patch.setattr(rmapcore.Trace, "repeated", lambda trace, times: trace, raising=False)   # a million events are slow
        result = run.bench(pages=PAGES, rounds=2, full=True, progress=lambda *step: seen.append(step), growing=True,
                           trace=RECORDING)
    return result, seen


def test_records(whole_run):
    result, _ = whole_run
    assert result.ok and result.problems == []
    made = json.loads(result.to_json())
    assert made == result.records and all(list(record) == FIELDS for record in made)
    assert len({records.key(record) for record in made}) == len(made)
    sizes = {record["name"]: record["pages"] for record in made if record["name"] in OWN_SIZES}
    first = [record for record in made if record["pages"] == sizes.get(record["name"], PAGES)]
    kinds = {(record["name"], record["order"]) for record in first}
    assert kinds == KINDS | {*ALL_SHARED} | {(name, "sequential") for name in ("parse", "load", "replay")}
    for kind in kinds:
        schemes = [record["scheme"] for record in first if (record["name"], record["order"]) == kind]
        assert schemes == ([None] if kind[0] in ("parse", "load", "two_threads_control") else SCHEMES)


def test_figures(whole_run):
    for record in whole_run[0].records:
        name = record["name"]
        assert (record["ours_ns"] is None) == (name in BYTES_ONLY) and (name in BYTES_ONLY or record["ours_ns"] > 0)
        assert (record["bytes_per_page"] is not None) == (name in BYTES_ONLY)
        assert (record["speed_up"] is not None) == name.startswith("two_threads")
        assert (record["to_processes"] is not None) == (name == "two_threads")
        assert (record["growth"] is not None) == (
            name not in BYTES_ONLY and record["pages"] in (4 * PAGES, 16 * PAGES, 64 * PAGES))
        expected = None if record["ideal_ns"] is None else record["ours_ns"] / record["ideal_ns"]
        assert record["ratio_to_ideal"] == expected and (expected is not None) == (name in WITH_IDEAL)
        has_candidates = (name, record["order"]) in ALL_SHARED and record["scheme"].partition("@")[0] in WALKING
        assert (record["candidate_ns"] is not None) == has_candidates
        at_first = record["pages"] == PAGES
        assert record["kernel_ns"] == (KERNEL.get(name) if at_first else None)
        if record["kernel_ns"]:
            assert record["times_faster_than_kernel"] == record["kernel_ns"] / record["ours_ns"]
        assert (record["to_one_by_one"] is not None) == (at_first and name in ("swapout", "ageing"))
        assert (record["target"] is None) == (record["holds"] is None)


@pytest.mark.parametrize("alone", [True, False])
def test_groups_are_beside_one_by_one_of_the_same(alone):
    samples = {sample.name: sample for sample in bench.measures.measure_reclaim(SCHEMES[0], PAGES, 0, "lru_shuffled", alone)}
    assert set(samples) == set(RECLAIM if alone else RECLAIM[:2])
    for name in RECLAIM[:2]:
        expected = samples[name].seconds / samples[name + "_one_by_one"].seconds if alone else None
        assert samples[name].to_one_by_one == expected
    assert all(sample.to_one_by_one is None for name, sample in samples.items() if name not in RECLAIM[:2])


def test_one_of_both_works_one_by_one(monkeypatch):
    seen = []
    monkeypatch.setattr(bench.measures, "beside_ideal", lambda one, work: seen.append(one.machine._engine.one_by_one)
                        or (1.0, 1.0, work(one)))
    list(bench.measures.measure_reclaim(SCHEMES[0], PAGES, 0, "sequential"))
    assert seen == [False, True, False, True]


def test_growth(whole_run):
    found = {records.key(record): record for record in whole_run[0].records}
    for (name, scheme, pages, order), record in found.items():
        if record["growth"] is None:
            continue
        first = found[name, scheme, PAGES, order]
        field = "ours_ns" if order == "sequential" else "ratio_to_ideal"
        assert record["growth"] == record[field] / first[field] and pages > PAGES
        assert name in ("fault_in", "scan", "ageing", "swapout", "swap_in")


def test_progress(whole_run):
    done, totals, texts = zip(*whole_run[1], strict=True)
    assert list(done) == sorted(done) and len(set(totals)) == 1 and done[-1] <= totals[0]
    assert f"{SCHEMES[0]}: swapout, lru_shuffled" in texts and f"{SCHEMES[-1]}: two threads" in texts


def test_notes(whole_run):
    assert whole_run[0].notes == ["live kernel, swapout, swap_in: no swap here"]


def test_larger_sizes_take_fewer_rounds():
    assert growth.sizes(1024, 5) == ([(4096, 3), (16384, 1), (65536, 1)], [])


def test_sizes_that_do_not_fit_are_left_out(monkeypatch):
    monkeypatch.setattr(growth, "available", lambda: 20 * 1024 * growth.BYTES_A_PAGE_GROWN)
    fit, left_out = growth.sizes(1024, 1)
    assert fit == [(4096, 1), (16384, 1)]
    assert len(left_out) == 1 and "65,536 pages need about" in left_out[0] and left_out[0].endswith("left out")


def test_available_is_what_the_host_says():
    assert (1 << 26) < growth.available() < 1 << 50


def test_work_left_undone_is_told_once(monkeypatch, quick, capsys):
    def jobs(schemes, pages, rounds, sizes, of_recording, full):
        for _ in range(rounds):
            yield run.Job(lambda scheme, pages, seed: iter([Sample("swapout", "sequential", pages, pages - 3, 1e-6, 1e-6)]),
                          schemes[0], pages, "")
            yield run.Job(lambda scheme, pages, seed: iter([Sample("parse", "sequential", 9, 0, 1e-6)]), None, pages, "")

    monkeypatch.setattr(run, "jobs", jobs)
    assert main(["bench", "--scheme", "anonmm", "--pages", "50", "--rounds", "3"]) == 1
    out, err = capsys.readouterr()
    assert out.count("PROBLEM: swapout of anonmm, sequential, 50 pages: 47 of 50 done") == 1
    assert "rmapcore: swapout of anonmm" in err and "rmapcore: parse, sequential, 9 pages: 0 of 9 done" in err


def test_the_ideal_is_the_mean_of_two_passes_before_the_work(monkeypatch):
    """One pass would leave the entries changed, and has what it reads in another cache than the second."""
    one, seconds, order = bench.scene(SCHEMES[0], PAGES), iter([2.0, 6.0, 9.0]), []

    def timed(work, *arguments):
        order.append("ideal" if work == one.ideal else "work")
        return next(seconds), work(*arguments)

    before = one.process.pagemap(one.address, PAGES * PAGE).tolist()
    monkeypatch.setattr(bench.measures, "timed", timed)
    assert bench.measures.beside_ideal(one, lambda scene: 17) == (9.0, 4.0, 17)
    assert order == ["ideal", "ideal", "work"]
    assert one.process.pagemap(one.address, PAGES * PAGE).tolist() == before


@pytest.mark.parametrize("wrong", [0, 1])
def test_each_of_both_passes_is_counted(monkeypatch, wrong):
    one = bench.scene(SCHEMES[0], PAGES)
    found = iter([PAGES - 1, PAGES] if wrong == 0 else [PAGES, PAGES - 1])
    monkeypatch.setattr(type(one), "ideal", lambda self: next(found))
    with pytest.raises(AssertionError, match="699"):
        bench.measures.beside_ideal(one, bench.Scene.aged)


def test_a_wrong_ideal_pass_is_noticed():
    one = bench.scene(SCHEMES[0], PAGES)
    one.process.munmap(one.address, PAGE)
    with pytest.raises(AssertionError, match="699"):
        bench.measures.beside_ideal(one, bench.Scene.aged)


def test_live_kernel(monkeypatch):
    asked, seen = [], []

    def measure(pages, rounds, progress):
        asked.append((pages, rounds))
        progress(1, 2, "fork")
        return live_times(pages)

    monkeypatch.undo()                         # the fixture's
    monkeypatch.setattr(run, "measure_live", measure)
    report = run.Progress(lambda *step: seen.append(step), 1000)
    report(7, "before")
    assert run.kernel_times(5, 60, report).ns == KERNEL
    assert asked == [(5, run.KERNEL_ROUNDS)]
    assert seen[1:] == [(7, 1000, "live kernel"), (37, 1000, "live kernel: fork"), (67, 1000, "live kernel")]


def test_the_live_kernel_is_not_asked_for_more_than_it_can_do_quickly(monkeypatch):
    asked = []
    monkeypatch.setattr(run, "kernel_times", lambda pages, seconds, report: asked.append(pages) or live_times(pages))
    monkeypatch.setattr(run, "jobs", lambda *arguments: iter(()))
    run.bench(SCHEMES, 4 << 20)
    run.bench(SCHEMES, 4096)
    assert asked == [1 << 20, 4096]


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_memory(scheme):
    filled, arenas, swapped_out = memory.measure_memory(scheme, 1 << 16, 0)
    assert [filled.name, arenas.name, swapped_out.name] == ["memory", "memory_arenas", "memory_swapped_out"]
    assert all(sample.done == sample.pages == 1 << 16 for sample in (filled, arenas, swapped_out))
    machine, process, address = bench.scenes.fresh(scheme, 1 << 16)
    before = sum(machine._core.view(name).nbytes for name in machine._core.arenas)
    process.write(address, PAGE << 16)
    used = sum(machine._core.view(name).nbytes for name in machine._core.arenas) - before
    assert arenas.bytes_per_page == used / (1 << 16) and arenas.bytes_per_page > 40
    assert arenas.bytes_per_page < 60 or scheme.partition("@")[0] not in KNOWN
    # what an arena holds for each frame and nobody has written yet is in use, but takes no memory
    assert arenas.bytes_per_page - 4 < filled.bytes_per_page < arenas.bytes_per_page + 8
    assert filled.bytes_per_page + 1 < swapped_out.bytes_per_page < filled.bytes_per_page + 16


def test_memory_that_cannot_be_measured(monkeypatch):
    monkeypatch.setattr(memory, "CHILD", "raise SystemExit('no memory today')")
    with pytest.raises(rmapcore.RmapcoreError, match=f"memory of {SCHEMES[0]} could not be measured: no memory today"):
        list(memory.measure_memory(SCHEMES[0], 1 << 16, 0))
    monkeypatch.setattr(memory, "CHILD", "raise SystemExit(3)")
    with pytest.raises(rmapcore.RmapcoreError, match="exit status 3"):
        list(memory.measure_memory(SCHEMES[0], 1 << 16, 0))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_threads(scheme):
    cached, shuffled = threads.measure_threads(scheme, PAGES, 0)
    assert (cached.order, cached.units) == ("sequential", 2 * threads.CACHED_TURNS * PAGES)
    assert (shuffled.order, shuffled.units) == ("lru_shuffled", 2 * threads.SHUFFLED_TURNS * PAGES)
    for sample in (cached, shuffled):
        assert sample.done == sample.units and sample.pages == PAGES and min(sample.speed_up, sample.to_processes) > 0


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd", "saved"])
def test_recordings(tmp_path, name, monkeypatch):
    import gzip

    import zstandard

    with open(RECORDING, "rb") as stream:
        text = zstandard.ZstdDecompressor().stream_reader(stream).read()
    lines = text.splitlines(keepends=True)
    text = b"".join(lines[:len(lines) // 20])
    path = tmp_path / "recording"
    path.write_bytes({"gzip": gzip.compress, "zstd": zstandard.compress}.get(name, bytes)(text))
    if name == "saved":
        rmapcore.load_trace(path).save(path)
    asked = []
    monkeypatch.setattr(rmapcore.Trace, "repeated", lambda trace, times: asked.append(times) or trace, raising=False)
    with recording.Recording(path) as made:
        assert asked == [-(-1_000_000 // made.n_operations)]
        replayed, = made.measure_replay(SCHEMES[0], PAGES, 0)
        assert replayed.done == replayed.pages == made.n_operations
        loaded, = made.measure_load(None, PAGES, 0)
        assert loaded.done == loaded.pages == made.n_operations
        parsed = list(made.measure_parse(None, PAGES, 0))
    assert [sample.done for sample in parsed] == ([len(text)] if name != "saved" else [])


@pytest.mark.parametrize("part", sharing.PARTS)
@pytest.mark.parametrize("order", sharing.SHARED_ORDERS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_families(scheme, order, part):
    """As many entries in each case; who rewrote has pages of its own; reclaim meets frames in the order of the ideal pass."""
    one = sharing.family(scheme, 48 * 4, 4, sharing.PARTS[part], order)
    one.machine.check()
    mapped = np.diff(one.offsets)
    expected = {"": {4: 48}, "_half": {4: 24, 1: 24 * 4}, "_rewritten": {1: 48 * 4}}[part]
    assert {int(n): int((mapped == n).sum()) for n in np.unique(mapped)} == expected
    assert (one.machine.frames["mapcount"][one.pfns] == mapped).all()
    assert bool((np.diff(one.pfns.astype(np.int64)) > 0).all()) is (order == "sequential")
    one.age()
    assert one.ideal() == one.ideal() == 48 * 4
    assert oldest_first(one.machine, "inactive") == one.pfns.tolist()
    one.machine.check()
    sample, = sharing.measure_sharing(scheme, 48 * 4, 0, 4, part, order)
    assert sample.name == f"swapout_4{part}" and sample.done == sample.expected == sample.pages == 48 * 4
    if scheme.partition("@")[0] in WALKING:
        assert sample.candidates >= 2 * 48 * 4 and sample.candidate_ns == sample.seconds / sample.candidates * 1e9


# --- the command ------------------------------------------------------------------------------------------------------


def test_command(tmp_path, capsys, quick):
    path = tmp_path / "out.json"
    arguments = ["bench", "--pages", "300", "--rounds", "1", "--scheme", "pte_chain:line=32"]
    assert main([*arguments, "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "300 pages" in out and "lru_shuffled" in out and "pte_chain:line=32" in out
    assert err == "rmapcore: 1 scheme in 1 round: about 1 s and 46.88 KiB of memory\n"
    n_records = len(KINDS) - len(BYTES_ONLY)
    assert len(json.loads(path.read_text())) == n_records
    assert main([*arguments, "--json", "-", "--against", str(path)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == n_records
    assert main([*arguments, "--against", str(path), "--growth"]) == 0
    out = capsys.readouterr().out
    assert "Against the earlier run" in out and "by the number of pages" in out
    assert main(["bench", "--pages", "10", "--rounds", "1", "--scheme", "all", "--json", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == (n_records - 1) * len(SCHEMES) + 1


def test_a_missed_target_is_no_failure(capsys, quick, monkeypatch):
    monkeypatch.setattr(run, "jobs", lambda schemes, pages, *arguments: iter([run.Job(
        lambda scheme, pages, seed: iter([Sample("swapout", "sequential", pages, pages, 1.0, 1e-6)]), schemes[0], pages, "")]))
    assert main(["bench", "--pages", "10"]) == 0
    out = capsys.readouterr().out
    assert "0 of 1 hold" in out and "<= 3 NO" in out


def test_what_a_run_measures_unasked(monkeypatch):
    """A short one fewer schemes and rounds."""
    taken, said = [], []
    monkeypatch.setattr(run, "jobs", lambda schemes, pages, rounds, *more: taken.append((schemes, rounds)) or [])
    for full in (False, True):
        run.bench(full=full, announce=said.append)
    newest = f"{run.newest()}@{run.newest_kernel()}"
    assert taken == [(["pte_chain", "anonmm", "anon_vma", newest], 3), (SCHEMES, 5)]
    assert said[0].startswith("4 schemes in 3 rounds: about ") and said[0].endswith("; --full measures all")
    assert said[1].startswith(f"{len(SCHEMES)} schemes in 5 rounds: about ") and "--full" not in said[1]


def test_what_a_run_will_take():
    """A short one at most four minutes, by its own account."""
    seconds = sum(job.seconds for job in run.jobs(run.subjects(False), run.PAGES, run.ROUNDS, [], None))
    assert 60 < seconds + run.Measured(run.PAGES, 3, 0, set(), None, [], []).kernel_seconds <= 240
    assert [run.duration(seconds) for seconds in (0.2, 89, 91, 200)] == ["1 s", "89 s", "2 minutes", "3 minutes"]


def test_busy_cores(monkeypatch):
    """Where others had more than a twentieth of the time, ratios that suffer are marked, and no others."""
    monkeypatch.setattr(busy.os, "getloadavg", lambda: (0.25, 0, 0))
    clock, own = iter([0.0, 10.0, 20.0, 30.0]), iter([0.0, 9.8, 9.8, 17.0])
    monkeypatch.setattr(busy.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(busy.time, "process_time", lambda: next(own))
    records_ = [{"speed_up": speed_up, "ideal_ns": ideal} for speed_up, ideal in
                ((None, None), (1.5, None), (None, 3.0), (None, 30.0))]
    seen = busy.Busy()
    assert (seen.lost, seen.much) == (0, False)
    for lost, trusted in ((0.02, [True] * 4), (0.15, [True, False, False, True])):
        seen.begin()
        seen.end()
        seen.judge(records_)
        assert seen.lost == pytest.approx(lost) and [record["trusted"] for record in records_] == trusted
        assert ("not to be trusted" in seen.text) is (lost > 0.05) and f"{lost:.0%} of the time" in seen.text
        assert "0.2 at work on other things" in seen.text


def test_what_was_finished_before_ctrl_c_is_kept(tmp_path, quick, monkeypatch, capsys):
    path = tmp_path / "out.json"
    real, left = bench.measures.measure_life, iter([True, False])

    def broken_off(*arguments):
        if not next(left):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(run, "measure_life", broken_off)
    assert main(["bench", "--pages", "200", "--rounds", "1", "--json", str(path)]) == 130
    out, err = capsys.readouterr()
    assert "BROKEN OFF" in out and "fork" in out and err.endswith("interrupted\n")
    written = json.loads(path.read_text())
    assert written["partial"] is True and {record["scheme"] for record in written["records"]} == {
        None, *run.subjects(False)[:2]}
    assert [records.key(record) for record in written["records"]] == list(records.read(path))


def test_nothing_is_kept_of_a_run_that_has_finished_nothing(monkeypatch, capsys):
    def broken_off(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "kernel_times", broken_off)
    assert main(["bench", "--pages", "200"]) == 130
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("interrupted\n")


@pytest.mark.parametrize(("arguments", "says"), [
    (["--pages", "0"], "pages: '0'"),
    (["--pages", "-3"], "pages: '-3'"),
    (["--pages", "1e6"], "pages: '1e6'"),
    (["--pages", str(1 << 40)], "to 1,073,741,824"),
    (["--rounds", "0"], "rounds: '0'"),
    (["--seed", "x"], "--seed 'x'"),
    (["--scheme", "objrmap"], "'objrmap' is unknown"),
    (["--scheme", "anonmm", "--scheme", "anonmm"], "none twice"),
    (["--scheme", "pte_chain:line=7"], "7"),
    (["--json", "/nowhere/out.json"], "/nowhere"),
    (["--against", "/nowhere/out.json"], "/nowhere/out.json: No such file"),
    (["--trace", "/nowhere/trace"], "/nowhere/trace"),
])
def test_bad_usage(arguments, says, capsys):
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and says in err and err.count("\n") == 1


def test_more_pages_than_memory(monkeypatch, capsys):
    monkeypatch.setattr(growth, "available", lambda: 1 << 20)
    assert main(["bench", "--pages", "1000000"]) == 2
    assert "pages: 1,000,000 pages need about" in capsys.readouterr().err


def test_an_empty_recording(tmp_path, capsys):
    trace = rmapcore.load_trace(RECORDING)
    path = tmp_path / "trace"
    rmapcore.Trace(trace.operations[:0], [], trace.summary, "nothing").save(path)
    assert main(["bench", "--trace", str(path)]) == 2
    assert "without operations" in capsys.readouterr().err
