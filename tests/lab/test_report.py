"""--report: the page of a run and of two, in a real browser, and what it is made of."""
import json
import re
import shutil
from pathlib import Path

import pytest

import browser
import rmapcore
from rmapcore.cli import main
from rmapcore.lab.diff import Difference

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
pytest.importorskip("jinja2", reason="the extra `report` is not installed")
DATA = Path(__file__).parents[1] / "data"
RECORDING = DATA / "redis-bgsave.perf.txt.zst"
MOST_BYTES = 2_000_000
SCHEMES = ["anonmm", "anon_vma_chain"]


@pytest.fixture(scope="module")
def result():
    return rmapcore.compare(RECORDING, SCHEMES, kernel="6.18", profile=True)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    result.report(path)
    return path


def column(text, caption, number):
    """The numbers of a column of the table of that title."""
    start = text.index(f'aria-label="{caption}"')
    body = text[text.index("<tbody>", start):text.index("</tbody>", start)]
    cells = [re.findall(r"<td[^>]*>", row) for row in body.split("<tr>")[1:]]
    return [int(re.search(r'data-value="(-?\d+)"', row[number])[1]) for row in cells]


def test_what_it_shows(result, page):
    text = page.read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    assert not re.search(r'(?:href|src)="(?!#)', text) and "url(http" not in text and "@import" not in text
    data = result.to_dict()
    recording = data["workload"]["recording"]
    for words in (recording["digest"], rmapcore.__version__, "Work for each page freed", "referenced, anon pages",
                  "unmap, file pages", "Longest walk so far",
                  "seconds of the recording", "The ten longest walks, anonmm", "redis-server"):
        assert words in text, words
    for row in data["results"]:
        title = f"By calls, {row['scheme']}"
        assert sum(column(text, title, 2)) == row["counters"]["rmap_walks"] > 0
        assert sum(column(text, title, 3)) == row["counters"]["ptes_tried"]
        longest = [walk["ptes_tried"] for walk in row["profile"]["longest"][:10]]
        assert column(text, f"The ten longest walks, {row['scheme']}", 4) == longest
        assert f"Objects that programs held, at their most, {row['scheme']}" in text
    assert "Entries tried in a walk\n" not in text            # the tables of the terminal, without those of the profile


def test_it_shows_locks(tmp_path):
    """As sortable tables and a plot, and no longer as text."""
    result = rmapcore.compare("one_root", SCHEMES[1], kernel="6.18", profile=True, cpus=4)
    result.report(tmp_path / "locks.html")
    text = (tmp_path / "locks.html").read_text(encoding="utf-8")
    (row,) = result.to_dict()["results"]
    found = row["locks"]
    assert column(text, f"Kinds of locks on 4 processors, {SCHEMES[1]}", 1) == [one["acquisitions"] for one in found["classes"]]
    waited = [one["waits"] for one in found["objects"] if one["waits"]]
    assert column(text, f"Locks that were waited for most, {SCHEMES[1]}", 3) == waited and waited
    assert column(text, f"Who waited for whom, {SCHEMES[1]}", 3) == [one["waits"] for one in found["pairs"]]
    assert "Speed-up" in text and "Waited for under" not in text
    in_browser(tmp_path / "locks.html")


def test_the_same_bytes_again(result, page, tmp_path):
    result.report(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def in_browser(path):
    """What a browser finds, and that there is nothing to complain of."""
    found = browser.run("page.mjs", file=str(path))
    for one in found["answers"]:
        where = one["width"], one["scheme"]
        assert one["said"] == [] and len(one["asked"]) == 1, where
        assert one["sizes"]["page"] == one["sizes"]["window"] == one["width"] and one["sizes"]["outside"] == [], where
        assert one["violations"] == [] and one["rules"] > 30, where
    backs = {one["scheme"]: one["sizes"]["back"] for one in found["answers"]}
    assert backs["light"] == "rgb(255, 255, 255)" and backs["dark"] != backs["light"]
    assert found["printed"] > 10_000
    return found


def test_in_a_browser(page):
    for one in in_browser(page)["answers"]:
        for table in one["sorted"]:
            assert table["down"] == sorted(table["up"], reverse=True) and table["up"] == sorted(table["up"])
            assert table["said"] == ["descending", "ascending"]
        assert any(len(set(table["up"])) > 1 for table in one["sorted"])


def test_names_cannot_break_a_page(tmp_path):
    path = tmp_path / "<script>alert(1)<\\script> $a$ \u65e5\u672c &.zst"
    shutil.copy(RECORDING, path)
    rmapcore.compare(path, "anonmm", profile=True).report(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)&lt;\\script&gt; $a$ \u65e5\u672c &amp;.zst" in text
    in_browser(tmp_path / "page.html")


@pytest.mark.parametrize("name", ["usual.txt.zst", "no_time.txt.zst", "raw_syscalls.txt.zst", "f.log.zst"])
def test_recordings_of_other_kinds_have_one(name, tmp_path):
    rmapcore.compare(DATA / "formats" / name, profile=True).report(tmp_path / "page.html")      # warnings are errors
    assert (tmp_path / "page.html").stat().st_size < MOST_BYTES


def test_machines_without_a_walk_have_one(tmp_path):
    rmapcore.compare("fork", profile=True, ram="64MiB").report(tmp_path / "page.html")
    assert "Over time" in (tmp_path / "page.html").read_text()


def test_the_command(tmp_path, capsys):
    page, picture = tmp_path / "page.html", tmp_path / "picture.svg"
    assert main(["compare", "swapout", "--pages", "300", "--scheme", "anonmm", "--report", str(page)]) == 0
    assert "Entries tried in a walk" in capsys.readouterr().out and "The ten longest walks" in page.read_text()
    assert main(["compare", "swapout", "--pages", "300", "--scheme", "anonmm", "--report", str(picture)]) == 0
    assert "Entries tried in a walk" not in capsys.readouterr().out and picture.read_text().startswith("<?xml")
    assert main(["replay", str(RECORDING), "--scheme", "anonmm", "--report", str(page)]) == 0
    assert "The ten longest walks" in page.read_text()
    capsys.readouterr()
    assert main(["replay", str(RECORDING), "--check", "--report", str(page)]) == 2
    assert "--check makes no profile and no report" in capsys.readouterr().err


# --- two runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The JSON of the same workload in two sizes of a family: walks are longer in the second."""
    folder = tmp_path_factory.mktemp("runs")
    for name, processes in (("a", 4), ("b", 8)):
        result = rmapcore.compare("swapout", SCHEMES, pages=600, processes=processes, kernel="6.18", profile=True)
        result.save(folder / f"{name}.json")
    return folder / "a.json", folder / "b.json"


def test_percentiles_fail(runs, capsys):
    paths = [str(path) for path in runs]
    assert main(["diff", *paths, "--fail-if", "p99 > +2%"]) == 1
    told = capsys.readouterr()
    for scheme in SCHEMES:
        assert f"{scheme} x86_64 6.18: profile.walks.anon.unmap.ptes_tried.p99 is 8, was 4: p99 > +2%" in told.err
    assert "profile.walks.anon.unmap.ptes_tried.p99" in told.out
    assert main(["diff", *paths, "--fail-if", "unmap.ptes_tried.p99 > +100%", "--fail-if", "p99 < -1%"]) == 0
    assert main(["diff", *paths[::-1], "--fail-if", "p99 > +2%"]) == 0
    capsys.readouterr()
    assert main(["diff", *paths, "--fail-if", "p98 > 1"]) == 2
    assert "no row of both runs has the figure 'p98'" in capsys.readouterr().err


def test_the_page_of_two_runs(runs, tmp_path, capsys):
    path = tmp_path / "two.html"
    assert main(["diff", *map(str, runs), "--report", str(path), "--fail-if", "p99 > +2%"]) == 1
    text = path.read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    for words in (f"Then: {runs[0]}", f"Now: {runs[1]}", "What differs", "The ten longest walks, anonmm, then",
                  "By areas, anon_vma_chain, now", "ptes_tried.p99 is 8, was 4"):
        assert words in text, words
    in_browser(path)


def test_runs_without_a_page(runs, tmp_path):
    bare = tmp_path / "bare.json"
    rmapcore.compare("swapout", SCHEMES, pages=600, kernel="6.18").save(bare)
    Difference(runs[0], bare).report(tmp_path / "bare.html")
    assert "What differs" in (tmp_path / "bare.html").read_text() and "ten longest" not in (tmp_path / "bare.html").read_text()
    with pytest.raises(ValueError, match=r"whose name ends in \.html"):
        Difference(*runs).report(tmp_path / "two.svg")
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps([{"name": "fill", "scheme": "anonmm", "pages": 1, "order": "sequential", "ours_ns": 1.0}]))
    with pytest.raises(ValueError, match="only runs of compare and replay"):
        Difference(bench, bench).report(tmp_path / "bench.html")
