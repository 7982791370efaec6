"""the_argument: the grid, its table, its report, and that the page about it says what the command prints."""
import json
import re
from pathlib import Path

import pytest

import rmapcore
from rmapcore.cli import main
from rmapcore.errors import RmapcoreError, UnknownName
from rmapcore.lab.experiment import dry_run
from rmapcore.lab.layout import figure
from rmapcore.lab.report import suffix_of
from rmapcore.studies import argument
from rmapcore.studies.argument.table import by_cell, looked
from rmapcore.units import format_size
from rmapcore.workloads import build

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
SMALL = {"pages": 256, "most": 16}


@pytest.fixture(scope="module")
def small():
    return rmapcore.compare("the_argument", **SMALL)


def test_the_grid(small):
    rows = small.to_dict()["results"]
    assert small.ok and {row["scheme"] for row in rows} == set(argument.SCHEMES)
    cells = by_cell(rows)
    assert len(cells) == 2 * 4 * 3 + 2 * 2 * 2 + 2 * 2 + 3 and all(len(of) == 4 for of in cells.values())
    assert all(row["freed"] > 0 and row["error"] is None for row in rows)


def test_what_it_is_about(small):
    """A child's own page costs anonmm one look a walk; what is shared costs all walks the same; only anonmm copies."""
    cells = by_cell(small.to_dict()["results"])
    own = cells["swapout", 1, None, 1.0, 16]
    assert looked(own["anonmm"]) == looked(own["pte_chain"]) == 4
    assert looked(own["anon_vma"]) > 4 * 8
    shared = cells["swapout", 1, None, 0.0, 16]
    assert len({looked(shared[scheme]) for scheme in ("pte_chain", "anonmm", "anon_vma")}) == 1
    for (part, _, moved, rewritten, processes), rows in cells.items():
        if part == "mremap":
            copies = (processes - 1) * 64 * (1 - rewritten) if moved == "all" else 0
            assert {scheme: row["pages_copied_mremap"] for scheme, row in rows.items()} == {
                scheme: copies if scheme == "anonmm" else 0 for scheme in rows}


def test_counts_are_the_same_again(small):
    again = rmapcore.compare("the_argument", schemes=("anonmm", "anon_vma"), **SMALL).to_dict()["results"]
    timed = ("ns_reclaim", "ns_mremap")
    first = [{key: value for key, value in row.items() if key not in timed} for row in small.to_dict()["results"]
             if row["scheme"] in ("anonmm", "anon_vma")]
    assert [{key: value for key, value in row.items() if key not in timed} for row in again] == first


def test_the_table(small):
    text = small.table()
    assert max(map(len, text.splitlines())) <= 130
    assert "swapout: anon_vma looks at up to" in text and "pages copied by mremap, in all cells" in text


def test_a_scheme_that_loses_pages_is_told():
    rows = rmapcore.compare("the_argument", schemes=("anonmm",), **SMALL).to_dict()["results"]
    rows[0]["missed"], rows[1]["error"] = 3, "out of memory"
    rows += [{**rows[2], "scheme": "other", "digest": "else"}]
    assert list(argument.find_problems(rows)) == [
        "anonmm, 1 processes, 0% rewritten: the reverse map missed 3 entries",
        "anonmm, 4 processes, 0% rewritten: out of memory",
        "other, 16 processes, 0% rewritten: programs saw other contents than under the first scheme",
    ]


@pytest.mark.parametrize(("options", "error", "reason"), [
    ({"ram": "1GiB"}, ValueError, "RAM, swap and limits of its own"),
    ({"arch": ("i386", "x86_64")}, ValueError, "one architecture"),
    ({"size": 3}, UnknownName, "it has pages, most"), ({"pages": 1}, ValueError, "pages: 1"),
    ({"pages": 64, "most": 64}, ValueError, "too few for 16 areas"),
])
def test_bad_arguments(options, error, reason):
    with pytest.raises(error, match=reason):
        rmapcore.compare("the_argument", **options)


# --- the page ---------------------------------------------------------------------------------------------------------


def tables_of_the_page():
    """[title, [first columns, values]] of every table in the page's last block; empty first columns are filled in."""
    block = (DOCS / "the-argument.md").read_text(encoding="utf-8").split("```")[1]
    for part in re.split(r"\n\n(?=[A-Zm][^\n]*\n\n +)", block):
        lines = part.strip("\n").splitlines()
        rows, group = [], None
        for line in lines:
            match = re.match(r"^ ([\d,]+ areas?|moved by \w+|memory \w+| +) +(\d+%|) +([\d,]+)  +(.+)$", line)
            if match:
                group = (match[1], match[2]) if match[2] else group
                rows.append((*group, int(match[3].replace(",", "")), re.split(r"  +", match[4].strip())))
        if rows:
            yield lines[0], rows


def test_the_page_says_what_the_command_prints():
    """Every seventh cell of every table of the page is run again and must print the same."""
    tables = list(tables_of_the_page())
    assert [len(rows) for _, rows in tables] == [40, 20, 16, 16, 8, 3]
    cells = {(key["part"], key["areas"], key["moved"], f"{key['rewritten']:.0%}", key["processes"]): (workload, of)
             for key, workload, of in argument.cells({name: p.default for name, p in argument.PARAMETERS.items()})}
    checked = 0
    for title, rows in tables:
        for group, rewritten, processes, values in rows[::7]:
            kind, last = group.split()[0], group.split()[-1]
            key = {"moved": ("mremap", 1, last), "memory": ("malloc", 2, last)}.get(kind)
            key = key or ("split" if title.startswith("One") else "swapout", int(kind), None)
            workload, of = cells[(*key, rewritten, processes)]
            program = build(workload, of, 0, ("x86_64",))
            if not program.pages:
                dry_run(program, "anonmm", "2.6.7", "x86_64")
            for scheme, value in zip(argument.SCHEMES, values, strict=True):
                row = argument.figures(argument.run_cell(program, scheme, "2.6.7", "x86_64", None))
                found = (format_size(row["rmap_bytes_peak"]) if "bytes" in title else
                         f"{row['pages_copied_mremap']:,}" if "copied" in title else figure(looked(row)))
                assert found == value, (title, group, rewritten, processes, scheme)
                checked += 1
    assert checked >= 50


def test_the_numbers_of_the_text_are_in_the_table():
    text, table = (DOCS / "the-argument.md").read_text(encoding="utf-8").split("```")[:2]
    for number in ("514.0", "128.5", "42.41", "531.3", "38.75", "261,120", "156.8 KiB", "241.2 KiB", "30.83 KiB",
                   "9.283 MiB", "392 KiB", "15.95", "1,028", "64.44", "8,194"):
        assert number in text and number in table, number


# --- reports ----------------------------------------------------------------------------------------------------------


def test_names_of_reports():
    assert suffix_of("a/b.HTML") == ".html"
    with pytest.raises(ValueError, match=r"report 'x.pdf': the name must end in .html, .png, .svg"):
        suffix_of("x.pdf")


def test_a_report_without_the_extra(monkeypatch, small, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(RmapcoreError, match=r"need the extra `report`: pip install 'rmapcore\[report\]'"):
        small.report(tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["svg", "png", "html"])
@pytest.mark.parametrize("what", ["the_argument", "comparison"])
def test_reports(small, tmp_path, kind, what):
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    pytest.importorskip("jinja2", reason="the extra `report` is not installed")
    result = small if what == "the_argument" else rmapcore.compare("swapout", pages=200, processes=3, areas=2)
    paths = [tmp_path / f"{name}.{kind}" for name in "ab"]
    for path in paths:
        result.report(path)
    one, other = (path.read_bytes() for path in paths)
    assert one == other                                  # the same data, the same bytes
    if kind == "png":
        assert one.startswith(b"\x89PNG") and len(one) > 20_000
        return
    text = one.decode("utf-8")
    assert "<svg" in text and not re.search(r'(?:href|src)="https?:', text) and "<script" not in text
    if kind == "html":
        assert (result.to_dict()["workload"]["name"] in text and "looked at" in text) or "Work for each page" in text


def test_the_command(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert main(["compare", "the_argument", "--set", "pages=64", "--set", "most=4", "--scheme", "anonmm", "--json",
                 str(path)]) == 0
    assert {row["scheme"] for row in json.loads(path.read_text())["results"]} == {"anonmm"}
    assert "What it comes to" in capsys.readouterr().out
    assert main(["compare", "the_argument", "--report", "x.pdf"]) == 2
    assert "must end in" in capsys.readouterr().err
