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
    locks = {column: {name: rows["W1"][column]["locks"][name] for name in ("walk", "fork", "exit")} for column in (COW, AVC)}
    assert locks == {COW: {"walk": 0, "fork": 1, "exit": n / (n + 1)},
                     AVC: {"walk": 1, "fork": 2 * n, "exit": 2 * n / (n + 1)}}
    v, c = next(cell for cell in of_2026.cells(0.02) if cell.name == "W10").parameters.values()       # all on one root
    assert rows["W10"][AVC]["locks"]["fork"] == 2 * v and rows["W10"][COW]["locks"]["fork"] == 1
    assert rows["W10"][AVC]["locks"]["busiest"] == rows["W10"][AVC]["locks"]["all"] > 2 * v * c
    assert rows["W10"][COW]["locks"]["all"] <= 2 * c
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
    assert set(data["workload"]["not_run"]) == {"W4", "prefork_server", "database", "process_pool"}
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

    monkeypatch.setattr("rmapcore.commands.runs.progress_bar", lambda: __import__("contextlib").nullcontext(progress))
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


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "the-argument-2026.md"
HEAVY = {"W8 boot", "W8 24 apps", "W1", "W1 written"}          # of which one column each is run again
LABEL = 15                                     # columns that a row's name takes


def tables_of_the_page():
    """{title: {(row, line): its values, a column each}} of the page's last block, but the points turned."""
    tables, row, columns = {}, None, len(of_2026.COLUMNS)
    block = PAGE.read_text(encoding="utf-8").split("```")[1].split("\nPoints that nobody could verify")[0]
    for part in re.split(r"\n\n(?=\S)", block)[1:]:
        title, _, lines = part.partition("\n")
        for line in lines.split("─\n")[1].splitlines():
            row = line[1:LABEL].strip() or row
            values = re.split(r"  +", line[LABEL:].strip())
            sub = values.pop(0) if len(values) > columns else ""
            tables.setdefault(title, {})[row, sub] = values
    return tables


@pytest.fixture(scope="module")
def programs():
    """{name of a row: what makes its Job}"""
    makers = {cell.name: (of_2026.job_of_cell, cell) for cell in of_2026.cells(1)}
    traces = of_2026.read_all([f"{name}={DATA / file}.perf.txt.zst" for name, file in RECORDINGS.items()])
    return makers | {name: (of_2026.job_of_recording, trace) for name, trace in traces.items()}


def measured(programs, name, scheme, kernel):
    maker, what = programs[name]
    return of_2026.figures(maker(what, 0, scheme, kernel, "x86_64"), scheme, kernel, "x86_64", None)


def test_the_page_says_what_the_command_prints(programs):
    """Two columns of every row are run again, one of the large ones: all lines of all tables must be the same."""
    tables = tables_of_the_page()
    assert len(tables) == len(table_2026.TABLES) - 1 + 2                     # without times
    assert {row for row, _ in tables["Areas"]} == set(programs)
    checked = 0
    for number, name in enumerate(programs):
        for place in {number % 5} if name in HEAVY else {number % 5, (number + 2) % 5}:
            found = measured(programs, name, *of_2026.COLUMNS[place])
            for title, lines in table_2026.TABLES:
                for what, value in lines if not title.startswith("Time") else ():
                    assert tables[title][name, what][place] == value(found), (title, name, what)
                    checked += 1
            for last, when in (("now", "now"), ("at their peaks", "peak")):
                title = f"Objects for reverse mapping, {last}"
                counts = table_2026.by_kind(found["objects"], when)
                for (row, kind), values in tables[title].items():
                    if row == name:
                        assert values[place] == table_2026.whole(counts.get(kind)), (title, name, kind)
                        checked += 1
    assert checked > 300


def test_the_points_of_the_page(programs):
    """Every third line of the last table, as decided and turned."""
    block = PAGE.read_text(encoding="utf-8").split("```")[1].split("turned the other way")[1]
    told = [re.split(r"  +", line.strip()) for line in block.splitlines() if re.search(r"(decided|turned)  ", line)]
    expected = [(decided, other, name) for _, decided, other, names in of_2026.SWITCHES for name in names]
    assert len(told) == 2 * len(expected)
    for number in range(0, len(expected), 3):
        for turned, line in enumerate(told[2 * number:2 * number + 2]):
            found = measured(programs, expected[number][2], *expected[number][turned])
            assert line[-table_2026.FIGURES:] == table_2026.figures(found), expected[number]


def test_nothing_moves_by_repair(programs):
    """What the page says of the one option that is in no table."""
    for name in programs:
        if name not in HEAVY:
            kept, mended = (measured(programs, name, f"anon_vma_lazy{option}", "6.18") for option in (":repair=0", ""))
            assert {**kept, "seconds": 0} == {**mended, "seconds": 0}, name


def test_the_numbers_of_the_text():
    """Counts and bytes are in the tables; percentages are those of the phone's counts."""
    text, table = PAGE.read_text(encoding="utf-8").split("```")[:2]
    shown = text[text.index("## What came out"):text.index("## What is not covered")]
    objects = tables_of_the_page()["Objects for reverse mapping, now"]
    percents = []
    for row, kind in (("W8 boot", "anon_vma"), ("W8 boot", "anon_vma_chain"), ("W8 24 apps", "anon_vma"),
                      ("W8 24 apps", "anon_vma_chain")):
        before, after = (int(objects[row, kind][place].replace(",", "")) for place in (0, 4))
        percents.append(f"{100 * (1 - after / before):.1f}")
    assert percents == ["96.5", "55.5", "92.6", "52.5"] and all(percent in shown for percent in percents)
    assert f"{100 * (196 / 192 - 1):.1f} % more" in shown
    for row, kilobytes, said in (("W8 boot", 8112.06, "3.7 % above"), ("W8 24 apps", 15576.8, "4.8 %\nbelow")):    # wangtao's
        found = int(objects[row, "anon_vma_chain"][4].replace(",", ""))
        assert f"{abs(100 * (found / (kilobytes * 16) - 1)):.1f} %" in said and said in text
    others = {*percents, "97.0", "57.0", "92.0", "50.5", "2.1", "1.0", "0.2", "2025", "2026"}
    numbers = set(re.findall(r"\d[\d,]*\.?\d*\b(?: [KM]iB| B\b)?", shown))
    assert len(numbers) > 70 and not [number for number in numbers - others if number.rstrip(",.") not in table]
