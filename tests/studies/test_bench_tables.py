"""`rmapcore bench`: medians, ratios and targets of given samples, the tables, and the comparison with an earlier run."""
import json
import re

import pytest

from rmapcore.cli import main
from rmapcore.studies.bench import against, records, run, tables, targets
from rmapcore.studies.bench.samples import Sample

MI = 1 << 20
WIDEST = 120


def made(name, scheme="s", pages=MI, order="sequential", **figures):
    """A record."""
    record = records.record(scheme, [Sample(name, order, pages, pages)])
    return record | figures


def run_of(*records_, earlier=None, notes=(), entry_data=()):
    return run.Bench(list(records_), [], list(notes), "heading", set(entry_data), earlier)


# --- records ----------------------------------------------------------------------------------------------------------


def test_medians_are_of_the_same_rounds():
    record = records.record("s", [Sample("swapout", "sequential", 1000, 1000, ours, ideal)
                                  for ours, ideal in ((3e-6, 2e-6), (1e-6, 1e-6), (9e-6, 1e-6))])
    assert record["ours_ns"] == pytest.approx(3) and record["ideal_ns"] == pytest.approx(1)
    assert record["ratio_to_ideal"] == pytest.approx(3)


def test_nanoseconds_are_of_the_units():
    record = records.record("s", [
        Sample("two_threads", "sequential", 10, 4000, 1e-3, units=4000, speed_up=part, to_one_by_one=part / 2)
        for part in (1.5, 1.9, 1.7)])
    assert record["to_one_by_one"] == 0.85
    assert record["pages"] == 10 and record["ours_ns"] == pytest.approx(250) and record["speed_up"] == 1.7


def test_relations():
    found = [made("swapout", ours_ns=50.0, ratio_to_ideal=2.0, to_one_by_one=1.25),
             made("swapout", pages=4 * MI, ours_ns=60.0, ratio_to_ideal=2.2),
             made("swapout", order="lru_shuffled", ours_ns=90.0, ratio_to_ideal=2.0),
             made("swapout", order="lru_shuffled", pages=4 * MI, ours_ns=180.0, ratio_to_ideal=2.4),
             made("scan", ours_ns=1.0)]
    records.relate(found, MI, {"swapout": 2000.0, "scan": None}, set())
    near, far, shuffled, far_shuffled, scan = found
    assert near["kernel_ns"] == 2000 and near["times_faster_than_kernel"] == 40
    assert far["growth"] == pytest.approx(1.2) and far["kernel_ns"] is None and far["times_faster_than_kernel"] is None
    assert shuffled["growth"] is None and shuffled["kernel_ns"] == 2000
    assert far_shuffled["growth"] == pytest.approx(1.2)
    assert scan["kernel_ns"] is None and scan["times_faster_than_kernel"] is None and scan["holds"] is None
    assert near["target"] == "ratio_to_ideal <= 3, to_one_by_one <= 1.05, times_faster_than_kernel >= 40"
    assert near["holds"] is False and far["holds"] is True and far_shuffled["holds"] is False
    assert far_shuffled["target"] == "ratio_to_ideal <= 1.5, growth <= 1.2"


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("record", "holds", "misses"), [
    (made("swapout", order="lru_shuffled", pages=4 * MI, ratio_to_ideal=1.5), True, {"ratio_to_ideal": 1.51}),
    (made("swapout", order="frames_shuffled", pages=4 * MI, ratio_to_ideal=1.5), True, {"ratio_to_ideal": 1.51}),
    (made("swapout", pages=4 * MI, ratio_to_ideal=3.0), True, {"ratio_to_ideal": 3.01}),
    (made("swapout", times_faster_than_kernel=40.0), True, {"times_faster_than_kernel": 39.9}),
    (made("swapout", order="lru_shuffled", to_one_by_one=1.0), True, {"to_one_by_one": 1.1}),
    (made("swapout", pages=64 * MI, growth=1.3), True, {"growth": 1.31}),
    (made("swapout", order="frames_shuffled", pages=64 * MI, growth=1.2), True, {"growth": 1.21}),
    (made("ageing", ratio_to_ideal=3.0), True, {"ratio_to_ideal": 3.01}),
    (made("swapout_16", ratio_to_ideal=3.0), True, {"ratio_to_ideal": 3.01}),
    (made("swapout_64_half", candidate_ns=6.0), True, {"candidate_ns": 6.01}),
    (made("swapout_4_rewritten", order="lru_shuffled", candidate_ns=15.0), True, {"candidate_ns": 15.1}),
    (made("fork", times_faster_than_kernel=10.0), True, {"times_faster_than_kernel": 9.9}),
    (made("exit", times_faster_than_kernel=10.0), True, {"times_faster_than_kernel": 9.9}),
    (made("mremap", times_faster_than_kernel=3.0), True, {"times_faster_than_kernel": 2.9}),
    (made("mremap_tables", times_faster_than_kernel=1.0), True, {"times_faster_than_kernel": 0.9}),
    (made("scan", times_faster_than_kernel=40.0), True, {"times_faster_than_kernel": 39.9}),
    (made("lookup_random", ours_ns=15.0), True, {"ours_ns": 15.1}),
    (made("lookup_sorted", ours_ns=4.0), True, {"ours_ns": 4.1}),
    (made("fault_in", ours_ns=15.0), True, {"ours_ns": 15.1}),
    (made("fault_in_batch", ours_ns=15.0), True, {"ours_ns": 15.1}),
    (made("fault_in_batch", order="frames_shuffled", ours_ns=25.0), True, {"ours_ns": 25.1}),
    (made("two_threads", pages=1 << 14, to_processes=0.95), True, {"to_processes": 0.94}),
    (made("two_threads", order="lru_shuffled", to_processes=0.95), True, {"to_processes": 0.94}),
    (made("memory", bytes_per_page=44.0), True, {"bytes_per_page": 44.1}),
    (made("memory_swapped_out", bytes_per_page=46.0), True, {"bytes_per_page": 46.1}),
    (made("replay", ours_ns=200.0), True, {"ours_ns": 201.0}),
    (made("parse", None, ours_ns=5.0), True, {"ours_ns": 5.1}),
    (made("load", None, ours_ns=50.0), True, {"ours_ns": 51.0}),
])
def test_targets(record, holds, misses):
    """Each row of the project's performance targets, at its bound and beyond."""
    bound, = targets.of(record, False)
    assert bound.holds(record) is holds
    assert bound.holds(record | misses) is not holds


def test_every_target_is_tested():
    mark, = test_targets.pytestmark
    tested = {targets.of(record, False)[0] for record, *_ in mark.args[1]}
    told_by_the_same_rule = {target for target in targets.TARGETS
                             if target.name in ("ageing", "fault_in", "scan") or target.name.startswith("swapout_")}
    assert set(targets.TARGETS) == tested | told_by_the_same_rule


def test_schemes_that_keep_entry_data_are_reported_only():
    assert targets.of(made("fork", times_faster_than_kernel=1.0), True) == []
    assert [run.keeps_entry_data(scheme) for scheme in ("pte_chain", "pte_chain:line=32", "anonmm", "anon_vma")] == [
        True, True, False, False]


def test_ratios_are_bounded_up_to_four_mi_pages():
    assert targets.of(made("swapout", pages=16 * MI, ratio_to_ideal=9.0), False) == []


# --- tables -----------------------------------------------------------------------------------------------------------


def rows(text, title):
    """The rows of a table as lists of words."""
    lines = iter(text.splitlines())
    assert any(line.startswith(title) for line in lines), title
    for line in lines:
        if re.match(r" ─", line):
            break
    found = []
    for line in lines:
        if not line.strip():
            break
        found.append(line.split())
    return found


def full():
    """A run with something for each table."""
    found = []
    for scheme in ("one", "two"):
        for order in ("sequential", "lru_shuffled"):
            for pages, slower in ((MI, 1.0), (64 * MI, 1.4)):
                found.append(made("swapout", scheme, pages, order, ours_ns=50.0 * slower, ideal_ns=20.0,
                                  ratio_to_ideal=2.5 * slower, to_one_by_one=0.5 if pages == MI else None))
            found.append(made("swapout_one_by_one", scheme, MI, order, ours_ns=100.0, ideal_ns=20.0, ratio_to_ideal=5.0))
        found += [made("swapout_16", scheme, ours_ns=30.0, ideal_ns=10.0, ratio_to_ideal=3.0, candidate_ns=7.5),
                  made("two_threads", scheme, 1 << 14, ours_ns=99.0, speed_up=1.9, to_processes=0.97),
                  made("fork", scheme, ours_ns=10.0),
                  made("memory", scheme, bytes_per_page=44.0), made("memory_arenas", scheme, bytes_per_page=43.0),
                  made("memory_swapped_out", scheme, bytes_per_page=57.0), made("replay", scheme, 10 ** 6, ours_ns=500.0)]
    found.append(made("parse", None, 5_000_000, ours_ns=5.0))
    records.relate(found, MI, {"swapout": 2000.0, "fork": 70.0}, {"one"})
    return found


def test_tables():
    text = run_of(*full(), notes=["this and that"], entry_data={"one"}).table()
    assert text.startswith("heading\n") and "Not measured: this and that\n" in text
    assert max(map(len, text.splitlines())) <= WIDEST
    assert rows(text, "Nanoseconds per page, beside the ideal")[0] == [
        "swapout", "sequential", "one", "50.00", "-", "20.00", "2.50", "<=", "3", "yes", "100.0", "0.500", "<=", "1.05", "yes"]
    assert rows(text, "Swapout by the number of processes") == [
        ["swapout_16", "sequential", "one", "30.00", "-", "10.00", "3.00", "<=", "3", "yes", "7.50", "<=", "6", "NO"],
        ["two", "30.00", "-", "10.00", "3.00", "<=", "3", "yes", "7.50", "<=", "6", "NO"]]
    assert rows(text, "Nanoseconds per page, beside the live kernel") == [
        ["swapout", "sequential", "one", "50.00", "-", "2,000", "40.00", ">=", "40", "yes"],
        ["two", "50.00", "-", "2,000", "40.00", ">=", "40", "yes"],
        ["swapout", "lru_shuffled", "one", "50.00", "-", "2,000", "40.00", ">=", "40", "yes"],
        ["two", "50.00", "-", "2,000", "40.00", ">=", "40", "yes"],
        ["fork", "sequential", "one", "10.00", "-", "70.00", "7.00"],
        ["two", "10.00", "-", "70.00", "7.00", ">=", "10", "NO"]]
    assert rows(text, "Nanoseconds per page, by the number")[1:3] == [
        ["two", "50.00", "70.00", "1.40", "<=", "1.3", "NO"],
        ["swapout", "lru_shuffled", "one", "50.00", "70.00", "1.40"]]
    assert rows(text, "Ratio to the ideal pass, by the number")[1:3] == [
        ["two", "2.50", "3.50", "1.40"],
        ["swapout", "lru_shuffled", "one", "2.50", "3.50", "1.40", "<=", "1.2", "NO"]]
    assert rows(text, "Two machines in two threads")[0] == [
        "two_threads", "sequential", "one", "16,384", "99.00", "-", "1.90", "0.970", ">=", "0.95", "yes"]
    assert rows(text, "Bytes of the host's memory")[1] == [
        "two", "1,048,576", "43.00", "44.00", "<=", "44", "yes", "57.00", "<=", "46", "NO", "14.25", "GiB"]
    assert rows(text, "The recording") == [
        ["parse", "-", "5,000,000", "5.00", "-", "<=", "5", "yes", "200.0", "MB/s", "of", "text"],
        ["replay", "one", "1,000,000", "500.0", "-", "<=", "200", "NO", "2.00", "M", "events/s"],
        ["replay", "two", "1,000,000", "500.0", "-", "<=", "200", "NO", "2.00", "M", "events/s"]]
    told = rows(text, "Targets")
    assert len(told) == len(targets.TARGETS)
    assert told[0] == ["swapout", "shuffled,", "4", "Mi", "to", "ideal", "<=", "1.5", "not", "measured", "-", "-", "-"]
    assert told[1] == ["swapout", "sequential", "to", "ideal", "<=", "3", "2", "of", "2", "hold", "2.50", "one", "sequential"]
    assert ["scan", "any", "times", "faster", ">=", "40", "not", "measured", "-", "-", "-"] in told


def test_tables_of_little():
    """What was not measured has no table."""
    text = run_of(made("fork", ours_ns=10.0)).table()
    assert [line for line in text.splitlines() if re.match(r"\w", line)] == [
        "heading", "Nanoseconds per page, beside the live kernel", "Targets", *tables.COUNTING.splitlines()]
    assert rows(text, "Nanoseconds per page, beside the live kernel") == [["fork", "sequential", "s", "10.00", "-", "-", "-"]]


def test_figures_that_busy_cores_spoil_have_a_question_mark():
    found = [made("swapout", ours_ns=50.0, ideal_ns=20.0, ratio_to_ideal=7.0, to_one_by_one=0.5, trusted=False),
             made("two_threads", speed_up=1.2, to_processes=0.6, ours_ns=1.0, trusted=False)]
    records.relate(found, MI, {"swapout": 2000.0}, set())
    text = run_of(*found).table()
    assert rows(text, "Nanoseconds per page, beside the ideal")[0][-7:] == [
        "3", "NO?", "-", "0.500", "<=", "1.05", "yes"]
    assert rows(text, "Two machines")[0][-3:] == [">=", "0.95", "NO?"]


# --- against ----------------------------------------------------------------------------------------------------------


def earlier(tmp_path, *found):
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(found))
    return records.read(path)


def test_against(tmp_path):
    then = earlier(tmp_path, made("swapout", ours_ns=50.0, ratio_to_ideal=2.0, times_faster_than_kernel=20.0),
                   made("fork", ours_ns=8.0), made("two_threads", speed_up=1.9), made("scan", ours_ns=1.0),
                   made("swapout", pages=4 * MI, ours_ns=50.0))
    now = [made("swapout", ours_ns=60.0, ratio_to_ideal=2.5, times_faster_than_kernel=25.0), made("fork", ours_ns=9.0),
           made("two_threads", speed_up=1.91), made("lookup_sorted", ours_ns=1.0), made("parse", None, 100, ours_ns=1.0),
           made("scan", "other", ours_ns=1.0)]
    text = run_of(*now, earlier=then).table()
    assert max(map(len, text.splitlines())) <= WIDEST
    assert rows(text, "Against the earlier run") == [
        ["swapout", "sequential", "s", "1,048,576", "to", "ideal", "2.00", "2.50", "25%", "worse", "50.00", "60.00"],
        ["swapout", "sequential", "s", "1,048,576", "times", "faster", "20.00", "25.00", "25%", "better", "50.00", "60.00"],
        ["fork", "sequential", "s", "1,048,576", "-", "-", "-", "-", "8.00", "9.00"],
        ["two_threads", "sequential", "s", "1,048,576", "two", "threads", "1.90", "1.91", "same", "-", "-"]]
    assert [line for line in text.splitlines() if "Not comparable" in line] == [
        "Not comparable, in this run only: 1,048,576 pages, s: lookup_sorted",
        "Not comparable, in this run only: 100 pages, the recording: parse",
        "Not comparable, in this run only: 1,048,576 pages, other: scan",
        "Not comparable, in the earlier run only: 1,048,576 pages, s: scan",
        "Not comparable, in the earlier run only: 4,194,304 pages, s: swapout"]


def test_against_nothing_comparable(tmp_path):
    text = run_of(made("fork", ours_ns=1.0), earlier=earlier(tmp_path)).table()
    assert "Against the earlier run" not in text
    assert "Not comparable, in this run only: 1,048,576 pages, s: fork" in text


@pytest.mark.parametrize(("then", "now", "more_is_better", "says"), [
    (2.0, 1.0, False, "50% better"), (2.0, 1.0, True, "50% worse"), (2.0, 2.01, False, "same"), (0.0, 1.0, True, "-"),
])
def test_changes_in_words(then, now, more_is_better, says):
    assert against.change(then, now, more_is_better) == says


def test_a_run_reads_back(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(run_of(*full()).to_json())
    assert list(records.read(path).values()) == full()


def test_a_file_with_the_first_fields_only(tmp_path):
    fields = ("name", "scheme", "pages", "order", *records.FIGURES[:5])
    old = {field: made("fork", ours_ns=1.0)[field] for field in fields}
    record, = earlier(tmp_path, old).values()
    assert record["ours_ns"] == 1 and record["speed_up"] is None


GOOD = made("fork", ours_ns=1.0)


@pytest.mark.parametrize(("text", "says"), [
    ("", "this is no JSON: Expecting value"),
    ("\xff", "this is no JSON"),
    ("[" * 100_000, "this is no JSON"),
    ('{"a": 1}', "a list of records was expected, not dict"),
    ("[1]", "record 1 is no object"),
    (json.dumps([GOOD, {"name": "fork"}]), "record 2 has no 'scheme'"),
    (json.dumps([GOOD, GOOD]), "record 2 is there twice"),
    (json.dumps([GOOD | {"name": 3}]), "record 1 has no name or scheme that is text"),
    (json.dumps([GOOD | {"scheme": []}]), "record 1 has no name or scheme that is text"),
    (json.dumps([GOOD | {"pages": 0}]), "record 1 has pages 0"),
    (json.dumps([GOOD | {"pages": True}]), "record 1 has pages True"),
    (json.dumps([GOOD | {"order": ["sequential"]}]), "record 1 has order ['sequential']"),
    (json.dumps([GOOD | {"ours_ns": "fast"}]), "record 1 has ours_ns 'fast'"),
    (json.dumps([GOOD | {"ours_ns": float("nan")}]), "record 1 has ours_ns nan"),
    (json.dumps([GOOD | {"ratio_to_ideal": -1}]), "record 1 has ratio_to_ideal -1"),
])
def test_bad_files(text, says, tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("latin-1"))
    assert main(["bench", "--against", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and f"{path}: {says}" in err
