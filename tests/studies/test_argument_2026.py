"""argument_2026: its rows against closed forms, the points turned, recordings, the table, its breaking off, and that the page
about it says what the command prints.
"""
import json
import re
from pathlib import Path

import pytest

import rmapcore
from rmapcore.cli import main
from rmapcore.errors import TraceError, UnknownName
from rmapcore.studies.argument import of_2026, table_2026
from rmapcore.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data"
RECORDINGS = {"prefork_server": "apache-prefork", "database": "postgres", "process_pool": "process-pool",
              "redis": "redis-bgsave"}
AVC, COW, FAITHFUL, LAZY = ("anon_vma_chain", "6.18"), ("cow_context", "6.18"), ("cow_context_2026_05", "6.18"), (
    "anon_vma_lazy", "6.18")
NEWER = ("anon_vma_chain", "7.3")
TIMED = {"seconds"}


@pytest.fixture(scope="module")
def small():
    return rmapcore.compare("argument_2026", part=0.02)


@pytest.fixture(scope="module")
def rows(small):
    return table_2026.by_row(small.to_dict()["results"])


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_every_row_under_every_column(small, rows):
    assert list(rows) == [cell.name for cell in of_2026.cells(1)]
    assert all(tuple(found) == of_2026.COLUMNS for found in rows.values())
    assert all(row["error"] is None and row["pages"] > 0 and row["extra"] == 0
               for found in rows.values() for row in found.values())
    assert {cell.workload for cell in of_2026.cells(1)} <= set(WORKLOADS)


def test_only_the_prototype_misses_and_leaves(small, rows):
    """Walks of sound schemes find what is there; everything that is asked back goes."""
    for found in rows.values():
        for column, row in found.items():
            if column != FAITHFUL:
                assert (row["missed"], row["left"], row["walks"]["found"]) == (0, 0, row["mappings"])
    missing = {name for name, found in rows.items() if found[FAITHFUL]["missed"]}
    assert missing == {"W9", "W7 moved", "W7 forked", "W3"}
    assert small.problems and all(line.startswith("cow_context_2026_05 under 6.18, W") for line in small.problems)


def test_rows_against_closed_forms(rows):
    n = 20                                     # of W1, W9
    for column, nodes, size in ((COW, n * (n + 3) // 2, 96 * (n + 1)), (AVC, 2 * n, 400 * n), (LAZY, 2 * n, 232 * n)):
        row = rows["W1"][column]
        assert (row["walks"]["nodes"], row["walks"]["tried"], row["bytes"]) == (nodes, 2 * n, size)
    assert rows["W1"][FAITHFUL]["left"] == n - 1 and rows["W9"][FAITHFUL]["missed"] == n
    assert rows["W1"][AVC]["by_fork"] == {"anon_vma": n, "anon_vma_chain": 2 * n}
    assert rows["W1"][COW]["locks"] == {"walk": 0, "fork": 1, "exit": n / (n + 1)}
    assert rows["W1"][AVC]["locks"] == {"walk": 1, "fork": 2 * n, "exit": 2 * n / (n + 1)}
    of = rows["W8 24 apps"]
    a, apps, own, forking = of_2026.cells(0.02)[1].parameters.values()
    assert of[AVC]["areas"] == a + (apps + forking) * (a + own)
    objects = {column: {kind: entry["now"] for kind, entry in of[column]["objects"].items()} for column in of}
    assert objects[AVC] == {"anon_vma": a + (apps + forking) * (a + own),
                            "anon_vma_chain": a + apps * (2 * a + own) + forking * (3 * a + 2 * own)}
    assert objects[LAZY]["anon_vma"] == a + forking * (a + own)
    assert objects[COW] == {"cow_context": 1 + apps + forking, "maple_node": 0}
    assert [rows["W7 moved"][column]["missed"] for column in of_2026.COLUMNS] == [0, 0, 0, 32, 0]


def test_points_turned(small, rows):
    turned = small.to_dict()["switches"]
    assert {row["point"] for row in turned} == {point for point, *_ in of_2026.SWITCHES}
    by = {(row["scheme"], row["row"]): row for row in turned}
    own, decided = by["anon_vma_lazy:child_pages=own", "W1 written"], rows["W1 written"][LAZY]
    assert (own["bytes"], own["walks"]["tried"]) == (8000, 40) and (decided["bytes"], decided["walks"]["tried"]) == (4640, 60)
    assert by["anon_vma_lazy:adopt=0", "W5"]["bytes"] == 696 * 2 and rows["W5"][LAZY]["bytes"] == 488 * 2
    assert by["anon_vma_lazy:reuse=0", "daemon"]["bytes"] > rows["daemon"][LAZY]["bytes"]
    assert by["cow_context", "W6"]["kernel"] == "7.3"
    assert by["cow_context", "W6"]["bytes"] == 96 * 3 and rows["W6"][COW]["bytes"] > 3 * (96 + 256)
    page, area = (by[f"cow_context:{option}", "W8 24 apps"] for option in ("page_bytes=12", "vma=0"))
    assert page["all_bytes"] > rows["W8 24 apps"][COW]["all_bytes"] > area["all_bytes"]


def test_the_frames_that_are_asked_for_are_the_anonymous_ones():
    machine = rmapcore.Machine("anon_vma_chain", "6.18", ram="1MiB", swap="1MiB")
    process, file = machine.spawn(), machine.file("f", 4 * 4096)
    anonymous = process.mmap(length=3 * 4096, prot="rw")
    private = process.mmap(length=4 * 4096, prot="rw", flags=2, file=file)
    process.write(anonymous, 3 * 4096)
    process.read(private, 4 * 4096)
    process.write(private)
    found = of_2026.looked(machine, machine.profile())
    pages = [page for start, length in ((anonymous, 3), (private, 4)) for page in process.pagemap(start, length * 4096)]
    assert found["pages"] == found["mappings"] == sum(page["anon"] for page in pages) == 4


def test_counts_are_the_same_again(small):
    def counts(result):
        return [{key: value for key, value in row.items() if key not in TIMED} for row in result.to_dict()["results"]
                if row["scheme"] == "cow_context"]

    assert counts(rmapcore.compare("argument_2026", schemes="cow_context", part=0.02)) == counts(small)


def test_columns_of_ones_own():
    """One kernel for all, and no point is turned."""
    data = rmapcore.compare("argument_2026", schemes=("anon_vma", "cow_context"), kernel="7.0", part=0.02).to_dict()
    assert {(row["scheme"], row["kernel"]) for row in data["results"]} == {("anon_vma", "7.0"), ("cow_context", "7.0")}
    assert data["switches"] == [] and data["machine"]["kernel"] == "7.0"


@pytest.mark.parametrize(("options", "error", "reason"), [
    ({"ram": "1GiB"}, ValueError, "RAM, swap and limits of its own"), ({"profile": True}, ValueError, "has no profile"),
    ({"kernel": ("6.18", "7.3")}, ValueError, "one kernel"), ({"pages": 3}, UnknownName, "it has part"),
    ({"part": 0}, ValueError, "part: 0.0"), ({"recordings": ["nowhere.zst"]}, TraceError, "nowhere.zst: No such"),
    ({"recordings": [DATA / "programs.jsonl.zst"]}, TraceError, "programs.jsonl.zst"),
    ({"recordings": ["redis=a", "redis=b"]}, TraceError, "a: No such"),
])
def test_bad_arguments(options, error, reason):
    with pytest.raises(error, match=reason):
        rmapcore.compare("argument_2026", **options)


# --- recordings -------------------------------------------------------------------------------------------------------


def test_recordings_that_are_given(tmp_path):
    path = DATA / "redis-bgsave.perf.txt.zst"
    result = rmapcore.compare("argument_2026", part=0.01, schemes=("anon_vma_chain", "cow_context"),
                              recordings=[f"redis={path}", path])
    data = result.to_dict()
    assert result.ok
    one, other = ([row for row in data["results"] if row["row"] == name] for name in ("redis", path.name))
    assert [{**row, "row": "", "seconds": 0} for row in one] == [{**row, "row": "", "seconds": 0} for row in other]
    assert all(row["processes"] >= 3 and row["mappings"] > row["pages"] and "left" not in row for row in one)
    assert set(data["workload"]["not_run"]) == {"W4", "W10", "prefork_server", "database", "process_pool"}
    assert "\nredis: " not in result.table().split("Not run")[1]
    with pytest.raises(ValueError, match="redis is given twice"):
        rmapcore.compare("argument_2026", recordings=[f"redis={path}"] * 2)


# --- as users meet it -------------------------------------------------------------------------------------------------


def test_the_table(small):
    text = small.table(width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in ("W8 24 apps", "cow faithful", "Not run", "What it comes to"))
    block = small.table()
    assert "prefork_server: many children that share almost everything: no recording of one was given" in block
    assert not re.search(r"\bNone\b|\bnan\b", block)


def test_a_row_that_ends_in_an_error_is_told(small):
    data = small.to_dict()
    broken = {key: value for key, value in data["results"][0].items()
              if key not in ("walks", "locks", "pages", "mappings", "processes", "areas", "all_bytes", "left")}
    rows = [{**broken, "error": "out of memory"}, *data["results"][1:]]
    result = of_2026.Argument2026(data["workload"], data["machine"], rows, data["switches"])
    assert result.problems[0] == "anon_vma_chain under 6.18, W8 boot: out of memory"
    assert "error" in result.table()


def test_the_command(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert main(["compare", "argument_2026", "--set", "part=0.01", "--scheme", "anon_vma_lazy", "--json", str(path),
                 "--recording", f"redis={DATA / 'redis-bgsave.perf.txt.zst'}"]) == 0
    assert {row["row"] for row in json.loads(path.read_text())["results"]} >= {"W1", "redis"}
    assert "What it comes to" in capsys.readouterr().out
    assert main(["compare", "argument_2026", "--set", "part=0.01"]) == 1
    assert "cow_context_2026_05 under 6.18, W9: the reverse map missed" in capsys.readouterr().err
    assert main(["compare", "swapout", "--recording", "x"]) == 2
    assert "'swapout' has no parameter 'recordings'" in capsys.readouterr().err


@pytest.mark.parametrize("study", ["argument_2026", "the_argument"])
def test_broken_off(monkeypatch, tmp_path, capsys, study):
    """Finished rows are printed and written."""
    path, seen = tmp_path / "out.json", []

    def progress(done, total, text):
        seen.append(text)
        if len(seen) == (9 if study == "argument_2026" else 4):
            raise KeyboardInterrupt

    monkeypatch.setattr("rmapcore.cli.progress_bar", lambda: __import__("contextlib").nullcontext(progress))
    sizes = {"argument_2026": ["--set=part=0.01"], "the_argument": ["--set=pages=64", "--set=most=4"]}[study]
    assert main(["compare", study, *sizes, "--json", str(path)]) == 130
    data = json.loads(path.read_text())
    assert data["partial"] is True and len(data["results"]) > 0
    assert data["workload"]["name"] in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["svg", "png", "html"])
def test_reports(small, tmp_path, kind):
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    pytest.importorskip("jinja2", reason="the extra `report` is not installed")
    paths = [tmp_path / f"{name}.{kind}" for name in "ab"]
    for path in paths:
        small.report(path)
    assert paths[0].read_bytes() == paths[1].read_bytes() and paths[0].stat().st_size > 20_000
