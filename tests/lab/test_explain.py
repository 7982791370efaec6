"""rmapcore explain: what is drawn, as text of Graphviz and as SVG; what cannot be drawn; the pictures of docs/explain.md."""
import html
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rmapcore
from everyone import Everyone
from rmapcore.cli import main
from rmapcore.errors import CaseError, RmapcoreError, UnknownName
from rmapcore.studies.explain import explain, picture
from rmapcore.studies.explain.drawing import MOST

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE_OF_DOCS = ROOT / "docs" / "explain.md"
CASES = str(ROOT / "docs" / "explain" / "family.jsonl")
COMMANDS = re.findall(r"^    rmapcore (explain .*) -o (docs/explain/\S+)$", PAGE_OF_DOCS.read_text(), re.MULTILINE)
WHERE = re.compile(r' (?:x|y|cx|cy|rx|ry|d|points|width|height|viewBox|transform|font-family|text-anchor)="[^"]*"|<!--.*?-->',
                   re.DOTALL)


def drawn(svg):
    """An SVG without where things are, which fonts decide."""
    return WHERE.sub("", svg).split("<svg", 1)[1]


def texts(dot):
    """All that stands in labels, in order."""
    found = (html.unescape(text).replace("\xa0", " ").strip() for text in re.findall(r">([^<>]+)<", dot))
    return [text for text in found if text]


def graphviz(dot):
    """The text as Graphviz reads it; asserts that it does."""
    done = subprocess.run([sys.executable, "-c", picture.DRAW.replace('format="svg"', 'format="plain"')], input=dot.encode(),
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


# --- the pictures of docs/explain.md --------------------------------------------------------------------------------------


def test_each_scheme_has_a_picture():
    assert {re.search(r"--scheme (\S+)", command)[1] for command, _ in COMMANDS} == set(rmapcore.schemes())
    assert {Path(path).name for _, path in COMMANDS} == {path.name for path in (ROOT / "docs" / "explain").glob("*.svg")}
    for _, path in COMMANDS:
        assert f"]({path.removeprefix('docs/')})" in PAGE_OF_DOCS.read_text()


@pytest.mark.parametrize(("command", "path"), COMMANDS)
def test_pictures_are_what_the_command_draws(command, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main([*shlex.split(command), "-o", str(tmp_path / "new.svg")]) == 0
    assert drawn((tmp_path / "new.svg").read_text()) == drawn((ROOT / path).read_text())
    assert capsys.readouterr().err == ""


def test_limits_are_those_of_the_page():
    page = PAGE_OF_DOCS.read_text()
    assert f"At most {MOST['frame']} pages, {MOST['area']} areas, {MOST['entry']} lines of entries" in page


# --- what is drawn ----------------------------------------------------------------------------------------------------------


def test_a_hole_is_red_and_told():
    found = explain(f"{CASES}:hole", "cow_context_2026_05")
    assert found.walk["missed"] == [(3, found.walk["missed"][0][1])]
    dot = found.dot()
    assert "Missed: c:16" in texts(dot)
    assert re.search(r'n\d+ -> n\d+:e\w+ \[label="missed", constraint=false, color="#b3261e"', dot)
    assert "       MISSED: c:16\n" in found.table()
    sound = explain(f"{CASES}:hole", "cow_context")
    assert not sound.walk["missed"] and "missed" not in sound.dot()


def test_steps_are_numbered_in_their_order():
    dot = explain(f"{CASES}:family", "anon_vma").dot()
    shown = texts(dot)
    for number, what in enumerate(("anon_vma 2", "area 6: 16 to 17", "17: page 3", "area 4: 16 to 17", "17: page 3"), 1):
        at = shown.index(str(number))
        assert shown[at + 1] == what


def test_the_point_and_the_page_can_be_chosen():
    before = explain(f"{CASES}:family", "anon_vma", at=2)
    assert before.title == "family after 2 of 5 steps: anon_vma, kernel 6.18"
    assert [name for name in before.objects if name[0] == "process"] == [("process", 2)]
    assert explain(f"{CASES}:family", "anon_vma", page="c:16").walk["frame"] == 4
    assert explain(f"{CASES}:family", "anon_vma", page="p0:16").walk["frame"] == 2
    assert explain(f"{CASES}:moved", "anon_vma", page="p0:64").walk["frame"] == 3
    assert explain("swapout", "pte_chain", pages=8, processes=2, at=10, page="1:0x40000000").walk["frame"] == 1
    assert explain(f"{CASES}:family", "anon_vma", at=0).walk is None


def test_kernels_unless_one_is_named():
    assert explain(f"{CASES}:family", "anon_vma").to_dict()["kernel"] == "6.18"
    assert explain("swapout", "anon_vma", pages=8).to_dict()["kernel"] == "2.6.7"
    assert explain("swapout", "anon_vma", "7.3", pages=8).to_dict()["kernel"] == "7.3"
    recording = rmapcore.load_trace(ROOT / "tests" / "data" / "redis-bgsave.perf.txt.zst")
    for recorded, nearest in ((None, "2.6.7"), ("6.12.1-amd64", "6.18")):
        recording.summary["recorded"] = {"kernel": recorded}
        assert explain(recording, "anon_vma_chain", at=300).to_dict()["kernel"] == nearest


def test_a_recording_is_drawn_before_its_first_exit():
    found = explain(str(ROOT / "tests" / "data" / "redis-bgsave.perf.txt.zst"), "anon_vma_chain", at=2000)
    dot = found.dot()
    assert len(dot) < 200_000
    assert re.search(r"Not drawn: .* more of ", " ".join(texts(dot)))
    graphviz(dot)


def test_what_is_too_much_is_counted_not_drawn():
    found = explain("swapout", "pte_chain", pages=100, processes=2, at=11)
    shown = " ".join(texts(found.dot()))
    left = int(re.search(r"(\d+) more of frame", shown)[1])
    frames = {one["links"]["maps"] for name, one in found.objects.items() if name[0] == "entry"}
    assert left + len(re.findall(r"\bpage \d+ mapped", shown)) == len(frames)
    assert re.search(r"and \d+ more lines of entries", shown)
    graphviz(found.dot())


def test_a_program_too_large_is_refused():
    with pytest.raises(ValueError, match="65,537 pages, and a picture is for 65,536 at the most"):
        explain("swapout", "anon_vma", pages=65_537)


def test_a_prototype_is_drawn():
    found = explain(f"{CASES}:family", Everyone)
    assert "owner: " in found.dot() and not found.walk["missed"]
    graphviz(found.dot())


NAMES = ['a"b', "a\\b", "<b>&amp;</b>", "a\nb", "a]b", "ä→", "x" * 500, "\udcff", "a\x00b", "-->", "]]>"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_not_obeyed(name):
    class Named(Everyone):
        def structure(self):
            return [("frame", 1, {name: name}, {name: (name, 1)}), (name, 1, {name: name}, {name: ("frame", 1)}),
                    ("mm", 1, {"tag": name}, {name: (name, 1)})]

    dot = explain(f"{CASES}:hole", Named, page="p0:16").dot()
    dot.encode()
    assert graphviz(dot).startswith("graph ")
    svg = explain(f"{CASES}:hole", Named, page="p0:16").svg()
    __import__("xml.dom.minidom", fromlist=["parseString"]).parseString(svg)


def test_the_same_input_gives_the_same_text():
    assert explain(f"{CASES}:family", "anon_vma_chain").dot() == explain(f"{CASES}:family", "anon_vma_chain").dot()


# --- the command ------------------------------------------------------------------------------------------------------------


def test_the_text_goes_to_standard_output(capsys):
    assert main(["explain", f"{CASES}:family", "--scheme", "anonmm"]) == 0
    shown = capsys.readouterr()
    assert shown.out == explain(f"{CASES}:family", "anonmm").dot() and shown.err == ""
    graphviz(shown.out)


def test_files_and_json(tmp_path, capsys):
    dot, data = tmp_path / "a.dot", tmp_path / "a.json"
    assert main(["explain", f"{CASES}:family", "--scheme", "anonmm", "-o", str(dot), "--json", str(data)]) == 0
    found = explain(f"{CASES}:family", "anonmm")
    assert dot.read_text() == found.dot()
    assert capsys.readouterr().out == found.table()
    assert json.loads(data.read_text()) == json.loads(json.dumps(found.to_dict()))
    assert main(["explain", f"{CASES}:family", "--scheme", "anonmm", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["walk"]["frame"] == 3


@pytest.mark.parametrize(("arguments", "told"), [
    (["nowhere"], "'nowhere' is neither a file nor a workload"),
    (["nowhere.jsonl"], "nowhere.jsonl: No such file or directory"),
    ([CASES], "holds 4 cases: say which, as family.jsonl:family"),
    ([f"{CASES}:none"], "holds no case 'none'"),
    ([f"{CASES}:family", "--at", "6"], "at: 6 is more than the 5 steps of family"),
    ([f"{CASES}:family", "--at", "-1"], "--at '-1' is not a whole number"),
    (["swapout", "--set", "pages=8", "--at", "1000"], "at: 1,000 is more than the"),
    ([f"{CASES}:family", "--page", "p9:16"], "page 'p9:16' is not PROCESS:PAGE; processes are p0, c, g"),
    ([f"{CASES}:family", "--page", "16"], "page '16' is not PROCESS:PAGE"),
    ([f"{CASES}:family", "--page", "p0:99"], "page p0:99 is not there: there is no walk of it"),
    ([f"{CASES}:family", "--page", "p0:L+1"], "page 'p0:L+1': 'L+1' is no address"),
    ([f"{CASES}:family", "--page", "p0:0xfffffffffffff"], "is beyond user space"),
    ([f"{CASES}:family", "--set", "pages=8"], "a case has no parameters: pages"),
    ([f"{CASES}:family", "--kernel", "9"], "kernel '9' is unknown"),
    ([f"{CASES}:family", "-o", "a.png"], "a.png: the name must end in .dot or .svg"),
    ([f"{CASES}:family", "-o", "/nowhere/a.dot"], "/nowhere: No such file or directory"),
    (["swapout", "--set", "pages=100000"], "swapout has 100,000 pages, and a picture is for 65,536 at the most"),
    (["swapout", "--set", "pages=200000", "--at", "10"], "page-table entries, and structure() is for 65,536 at the most"),
])
def test_bad_input(arguments, told, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["explain", *arguments, "--scheme", "anon_vma"]) == 2
    shown = capsys.readouterr()
    assert told in shown.err and shown.err.count("\n") == 1 and not shown.out
    assert not list(tmp_path.iterdir())


def test_a_step_that_cannot_be_done_is_told(tmp_path):
    case = tmp_path / "ksm.jsonl"
    case.write_text('{"id": "k", "steps": [{"op": "ksm_scan", "scans": 1}]}\n')
    with pytest.raises(CaseError, match="case k: KSM is not emulated"):
        explain(str(case), "anon_vma")


def test_bad_arguments_in_python():
    with pytest.raises(UnknownName):
        explain(f"{CASES}:family", "no_scheme")
    with pytest.raises(TypeError, match="at"):
        explain(f"{CASES}:family", "anon_vma", at="x")


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    found = explain(f"{CASES}:family", "anon_vma")
    with pytest.raises(RmapcoreError, match="SVG needs the extra `report`"):
        found.save(tmp_path / "a.svg")
    found.save(tmp_path / "a.dot")


def test_what_graphviz_says_is_told():
    with pytest.raises(RmapcoreError, match="Graphviz could not draw the picture"):
        picture.svg("no graph at all")


def test_representations():
    found = explain(f"{CASES}:family", "anon_vma")
    assert repr(found) == "<Explanation of family after 5 of 5 steps: anon_vma, kernel 6.18>"
    assert found._repr_html_().startswith("<pre>family after 5 of 5 steps")
