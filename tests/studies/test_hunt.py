"""hunt: finds known and planted faults from nothing, nothing where there is none, and says what it found in ways that work."""
import contextlib
import functools
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import hunt_guidance
import mended
import planted
import rmapcore
from differential import SOUND
from everyone import Everyone
from rmapcore.cli import main
from rmapcore.studies.hunt import hunt
from rmapcore.studies.hunt.finding import added
from rmapcore.studies.hunt.judge import at_the_end
from rmapcore.verify.case import Case, load
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.verification import verify

PROTOTYPE = "cow_context_2026_05"      # of known faults it has most
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "hunt.md").read_text(encoding="utf-8")
WALKING = [name for name in SOUND if not rmapcore.Machine(name, "6.18", ram="1MiB", swap=0).sweeps]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A short hunt, and where its programs are."""
    return hunt(PROTOTYPE, programs=24, directory=tmp_path_factory.mktemp("found"))


def causes(result):
    return {cause for one in result.findings for cause in mended.causes(one, result.scheme, result.kernel)}


# --- what it finds --------------------------------------------------------------------------------------------------------


def test_a_short_hunt_finds_several_holes(found):
    assert {"H1", "H2"} <= causes(found) and not found.ok
    shortest = {str(one.kind): one.words for one in reversed(found.findings)}
    assert shortest["missed, moved"] == ("mmap", "touch", "mremap")
    assert shortest["missed, in place"] == ("mmap", "touch", "fork", "touch")
    assert shortest["missed, private file"] == ("mmap", "touch")


def step(op, process, at=None, n=1, **fields):
    sizes = {"old": n, "new": n} if op == "mremap" else {} if op == "fork" else {"len": n}
    return {"op": op, "proc": process, **({"at": at} if at is not None else {}), **sizes, **fields}


def area(at, n, written, **fields):
    return [step("mmap", "p0", at, n, prot="rw", **fields), step("write", "p0", written)]


FORK, RECLAIM = step("fork", "p0", child="p1"), {"op": "reclaim"}
SECOND = step("fork", "p1", child="p2")
FILE = {"share": "private", "file": "F0", "pgoff": 3}
BEYOND = {                             # what docs/hunt.md says was not known: kind, process and page of the fault
    "H6, a file": (("missed", True, "private file"), "p1", 2,
                   [*area(1, 2, 2, **FILE), FORK, step("mremap", "p1", 1, to=0)]),
    "H6, twice": (("twice", True, "private file"), "p2", 0,
                  [*area(0, 1, 0, **FILE), FORK, step("mremap", "p1", 0, to=1, dontunmap=True), SECOND,
                   step("mremap", "p2", 1, to=0)]),
    "H9, unmapped": (("left", False, "in place"), "p1", 0,
                     [*area(0, 1, 0), FORK, SECOND, step("munmap", "p2", 0), RECLAIM]),
    "H3, no family": (("missed", True, "in place"), "p0", 0,
                      [*area(0, 1, 0), RECLAIM, FORK, step("read", "p1", 0), step("read", "p0", 0)]),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_was_not_known(name):
    kind, process, page, steps = BEYOND[name]
    case = Case(id=name, steps=steps, files={"F0": 16} if "file" in steps[0] else {}, needs=("swap", "memcg"))
    faults = {scheme: at_the_end(case, functools.partial(Emulator, kernel="6.18", scheme=scheme))
              for scheme in (PROTOTYPE, "cow_context", "anon_vma_chain")}
    assert (kind, process, page) in [(one.kind, one.process, one.page) for one in faults.pop(PROTOTYPE)]
    assert not any(faults.values())
    found = SimpleNamespace(case=case, kind=kind)
    assert name[:2] in mended.causes(found, PROTOTYPE, "6.18")


@pytest.mark.parametrize("scheme", planted.DEFECTS, ids=lambda scheme: scheme.__name__)
def test_planted_defects_are_found(scheme):
    result = next(result for programs in (4, 16, 64) if not (result := hunt(scheme, programs=programs)).ok)
    assert {one.kind.what for one in result.findings} <= planted.DEFECTS[scheme]


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18", "7.3"])
@pytest.mark.parametrize("scheme", [*WALKING, Everyone], ids=str)
def test_nothing_is_found_where_there_is_nothing(scheme, kernel):
    result = hunt(scheme, kernel, programs=4 if scheme is Everyone else 12)
    assert result.ok and result.programs and not result.kinds and not result.problems


def test_programs_that_found_nothing_are_as_many_as_the_page_says():
    """Its rows are copied from runs; a figure that was spoilt on the way does not sum, or is no figure."""
    rows, _, said = PAGE.partition("## Where nothing was found")[2].partition("\nThese ")
    total = 0
    for row in re.findall(r"^\| `.*\|$", rows, re.MULTILINE):
        schemes, *cells = row.strip("| ").split(" | ")
        for run in (run for cell in cells if cell != "-" for run in re.split(r", (?=[\d,]+ )", cell)):
            programs, each, _ = re.fullmatch(r"(\d{1,3}(?:,\d{3})?)( each)? \((\d{4})\)", run).groups()
            total += int(programs.replace(",", "")) * (schemes.count("`") // 2 if each else 1)
    assert f"{total:,}" == said.partition(" ")[0]


@pytest.mark.long
@pytest.mark.parametrize("scheme", mended.MENDED)
def test_every_known_fault_is_found_when_the_page_says(scheme):
    """From nothing, for five seeds; whose fault each program shows is asked afterwards."""
    rows = re.search(rf"^\| `{scheme}`: seed .*\n\|---.*\n((?:\| \d.*\n)+)", PAGE, re.MULTILINE)[1].splitlines()
    for seed, row in enumerate(rows):
        known, spent = mended.until_found(scheme, seed)
        assert row.split(" | ")[:-1] == [f"| {seed}", *(f"{number:,}" for number in known.values())]
        assert spent < 600 and seed < 5


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["anon_vma_2_6_7", "anon_vma_chain_degree"])
def test_what_guidance_would_bring_is_what_the_page_says(scheme):
    """Programs until the first fault, blind and guided; none within the time is what no test can hold it to."""
    make = functools.partial(Emulator, kernel="6.18", scheme=scheme)
    rows = dict(re.findall(rf"^\| `{scheme}`, (blind|guided) \| (.*) \| [^|]*\|$", PAGE, re.MULTILINE))
    assert set(rows) == {"blind", "guided"}
    for name, row in rows.items():
        for seed, cell in enumerate(row.split(" | ")):
            if cell != "none":
                assert hunt_guidance.searched(make, seed, name == "guided", 600)[0] == int(cell.replace(",", ""))


@pytest.mark.long
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18", "7.3"])
@pytest.mark.parametrize("scheme", WALKING)
def test_nothing_is_found_in_a_thousand_programs(scheme, kernel):
    assert hunt(scheme, kernel, seed=1000, programs=1000, jobs=2).ok


def test_walks_that_are_dear():
    """Private files of equal offsets collide in a COW context; under the chains nothing is dear."""
    result = hunt("cow_context", programs=12, cost=4)
    assert result.findings and all(one.ratio >= 4 and one.kind.what == "dear" for one in result.findings)
    assert hunt("anon_vma_chain", programs=12, cost=4).ok


# --- how it goes on ---------------------------------------------------------------------------------------------------------


def test_the_same_for_a_seed_and_a_number_of_programs():
    texts = {jobs: hunt(PROTOTYPE, programs=6, seed=3, jobs=jobs).to_json() for jobs in (1, 2)}
    assert texts[1] == texts[2] and json.loads(texts[1])["findings"]
    assert hunt(PROTOTYPE, programs=6, seed=4).to_json() != texts[1]


def test_programs_that_do_the_same_are_one_finding(found):
    one = found.findings[0]
    assert added(found.findings, one)[0] == found.findings
    for position, one in enumerate(found.findings):
        others = found.findings[:position] + found.findings[position + 1:]
        assert not any(one.includes(other) for other in others)


def test_one_defect_is_told_once(found):
    """H1 and H2 show in several programs, and are a group each; who is in a group stands beneath its first."""
    groups = [[(mended.causes(one, found.scheme, found.kernel), one) for one in group] for group in found.groups()]
    for defect in ("H1", "H2"):
        of = [group for group in groups if any(causes == [defect] for causes, _ in group)]
        assert len(of) == 1 and len(of[0]) > 1 and all(causes == [defect] for causes, _ in of[0])
    assert sum(map(len, groups)) == len(found.findings) and f"{len(groups)} kinds of walks" in found.table()
    shown = [int(number) for number in re.findall(r"^ *(\d+)\. ", found.table(), re.MULTILINE)]
    assert shown == [found.findings.index(one) + 1 for group in groups for _, one in group]


def test_broken_off_it_keeps_what_it_found():
    def stop(done, total, text):
        if text.endswith("2 found"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        hunt(PROTOTYPE, progress=stop)
    assert len(caught.value.partial.findings) == 2 and json.loads(caught.value.partial.to_json())["partial"]


def test_time_is_kept():
    result = hunt("anon_vma_chain", seconds=1)
    assert result.ok and result.programs


@pytest.mark.parametrize(("arguments", "text"), [
    ({"scheme": "virtual_scan"}, "no walk"), ({"scheme": "nothing"}, "unknown"), ({"kernel": "1.0"}, "1.0"),
    ({"cost": 1}, "factor"), ({"jobs": 0}, "jobs"), ({"programs": 0}, "programs"), ({"seconds": -1}, "seconds"),
])
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        hunt(**{"scheme": "anonmm", **arguments})


def test_a_scheme_that_others_do_not_find_is_hunted_by_one():
    class Local(Everyone):
        """Of this function."""

    with pytest.raises(ValueError, match="one job"):
        hunt(Local, programs=1, jobs=2)
    assert hunt(Local, programs=1).ok


# --- what it says -----------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_the_command_prints(found):
    block = re.search(r"begins and ends:\n\n```\n(.*?)```", PAGE, re.DOTALL)[1]
    printed = found.table().splitlines()
    assert len(block.splitlines()) > 10 and not [line for line in block.splitlines() if line not in [*printed, "…"]]


def test_every_program_in_python_shows_its_fault(found):
    for paths, one in zip(found.files, found.findings, strict=True):
        printed = io.StringIO()
        with open(paths[0]) as file, contextlib.redirect_stdout(printed):
            exec(compile(file.read(), paths[0], "exec"), {})
        told, true, totals = printed.getvalue().splitlines()
        assert ("'missed': 0" not in totals or "'extra': 0" not in totals) and told != true, one.calls()


def test_every_program_is_a_case_that_verify_runs(found):
    files = [paths[1] for paths in found.files]
    assert [load(path)[0].steps and load(path)[0].id for path in files] == [one.case.id for one in found.findings]
    result = verify(files)
    assert result.ok and {record["emulator"] for record in result.records} == {"pass"}
    assert verify(files, [PROTOTYPE]).usable


def test_every_program_in_c_compiles(found, tmp_path):
    for paths in found.files:
        built = subprocess.run(["cc", "-Wall", "-Werror", "-fsyntax-only", paths[2]], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr


def test_the_command(tmp_path, capsys):
    path = tmp_path / "out.json"
    arguments = ["hunt", PROTOTYPE, "--programs", "6", "--seed", "3", "--jobs", "1", "--directory", str(tmp_path)]
    assert main([*arguments, "--json", str(path)]) == 1
    out, err = capsys.readouterr()
    data = json.loads(path.read_text())
    assert len(data["findings"]) == err.count("misses") > 0
    for number, one in enumerate(data["findings"], 1):
        assert f"{number}. {one['kind']}: " in out and one["faults"][0]["text"] in one["what"]
        for suffix, text in (("py", "python"), ("jsonl", "case"), ("c", "c")):
            assert (tmp_path / f"hunt_{PROTOTYPE}_{number}.{suffix}").read_text() == one[text]
    assert main(["hunt", "anon_vma_chain", "--programs", "2", "--jobs", "1", "--cost", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert main(["hunt", "virtual_scan"]) == 2 and main(["hunt", PROTOTYPE, "--cost", "much"]) == 2
    capsys.readouterr()
    for arguments, known in ((["--cost", "cow_contexts"], "did you mean cow_context"), ([], "known: virtual_scan, "),
                             (["--cost", "3"], "known: virtual_scan, ")):
        assert main(["hunt", *arguments]) == 2 and known in capsys.readouterr().err
    assert main(["hunt", "--cost", "anon_vma_chain", "--programs", "1", "--jobs", "1"]) == 0


def test_the_command_is_broken_off_by_ctrl_c(tmp_path):
    """In processes of their own, which end too."""
    program = ("import os, signal, sys\nfrom rmapcore import cli\nfrom rmapcore.studies.hunt import search\n"
               "def found(self, tell=search.Search.tell):\n    tell(self)\n"
               "    if self.findings:\n        os.kill(os.getpid(), signal.SIGINT)\n"
               "search.Search.tell = found\nif __name__ == '__main__':\n    sys.exit(cli.main(sys.argv[1:]))\n")
    script = tmp_path / "script.py"
    script.write_text(program)
    ended = subprocess.run([sys.executable, str(script), "hunt", PROTOTYPE, "--jobs", "2", "--json", "-", "--directory",
                            str(tmp_path)], capture_output=True, text=True, timeout=120,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    assert ended.returncode == 130 and ended.stderr.endswith("interrupted\n"), ended.stderr
    data = json.loads(ended.stdout)
    assert data["partial"] and data["findings"]
