"""Figures of README and of pages that no test beside what they tell of compares: what the command beside them prints again.

Times apart: they are the machine's. The pages of profiles, locks, hunt, both arguments and the reference have their own tests.
"""
import re
import shlex
from pathlib import Path

import pytest

import rmapcore
from rmapcore.cli import main

ROOT = Path(__file__).parents[2]
TIMES = re.compile(r"(Time of the emulation\n)(.*?)(\n\n[A-Z])", re.DOTALL)


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def figures(name, words):
    """The groups of a regular expression in a page whose lines are joined."""
    return list(re.search(words, " ".join(page(name).split())).groups())


def without_times(table):
    """The lines of a table, without what the machine's own speed decides."""
    return TIMES.sub(r"\1\3", table).strip().splitlines()


def test_the_table_of_the_readme(capsys):
    command, block = re.search(r"`rmapcore (compare swapout --pages \d+)`:.*?\n```\n(.*?)\n```", page("README.md"),
                               re.DOTALL).groups()
    assert main(shlex.split(command)) == 0
    assert without_times(block) == without_times(capsys.readouterr().out)
    bytes_a_page, = figures("README.md", r"pays for it with (\d+) bytes of kernel memory a page")
    assert f"   {bytes_a_page}." in block


def test_why_there_is_a_reverse_map():
    said = figures("README.md", r"4,096 cold pages .*? read (\S+) entries .*?hot=1024`\), (\S+) if they .*?hot=65536`\); "
                   r"`anonmm` looks at (\S+) and (\S+),")
    tables = [rmapcore.compare("cold_beside_hot", ["virtual_scan", "anonmm"], hot=hot).table() for hot in (1024, 65536)]
    swept = [re.search(r"^ virtual_scan +0 .* (\S+)$", table, re.MULTILINE)[1] for table in tables]
    tried = [re.search(r"^ anonmm +(\S+)", table, re.MULTILINE)[1] for table in tables]
    assert [*swept, *tried] == said


def emulated(records, words):
    return [record["emulated"] for record in records if words in record["quantity"]]


def test_row_7():
    """Each span of the page of published figures is that of all workloads of the row."""
    said = figures("docs/reproduce.md", r"the saving against chains \((\S+) to (\S+) % .*?ratio of anon_vma to anonmm \((\S+) "
                   r"to (\S+)\) and .*?\((\S+) to (\S+) %\)")
    records, spans = rmapcore.reproduce(7).records, []
    for words, scale, form in (("saving of work", 100, ".1f"), ("anon_vma to anonmm", 1, ".3f"), ("file pages", 100, ".1f")):
        values = [scale * one for one in emulated(records, words)]
        spans += [format(one, form) for one in (min(values), max(values))]
    assert spans[3] == "1.010" and spans == said


def test_lat_proc():
    said = figures("docs/reproduce.md", r"300 anonymous pages comes to (\S+), of one with 40 to (\S+), .*? (\d+) % with the "
                   r"workload's 300 anonymous pages, (\d+) % with 40")
    runs = [[one for one in rmapcore.reproduce(7, pages=pages).records if one["workload"] == "lat_proc"] for pages in (300, 40)]
    ratios = [f"{one:.3f}" for run in runs for one in emulated(run, "anon_vma to anonmm")]
    assert [*ratios, *(f"{one:.0%}"[:-1] for run in runs for one in emulated(run, "anonmm to partial"))] == said


def test_row_3():
    said, = figures("docs/reproduce.md", r"Emulated: (\d+) % at the peak of `kernbench`")
    assert [f"{one:.0%}"[:-1] for one in emulated(rmapcore.reproduce(3).records, "at the peak")] == [said]


@pytest.mark.long
def test_rows_at_the_published_size():
    trees = figures("docs/reproduce.md", r"within a node\. (\S+) for 14.2, (\S+) for 13.3, and (\S+) for 6.5;")
    nodes = {f"{one:.2f}" for one in emulated(rmapcore.reproduce([4, 5]).records, "prio_tree: nodes entered, mean")}
    assert {*trees} <= nodes
    whole = figures("docs/reproduce.md", r"walks that do not stop: (\S+) with 1,000 children that write all, "
                    r"(\S+) with a tenth, (\S+) with half")
    stopped = figures("docs/reproduce.md", r"Walks that stop at mapcount, as all here do, pass (\S+), (\S+) and (\S+) areas")
    records = rmapcore.reproduce(11).records
    for said, words in ((whole, "anon_vma_chain: areas its anon_vma leads to"), (stopped, "anon_vma_chain: vmas_tried")):
        found = {record["parameters"]["rewritten"]: record["emulated"] for record in records if words in record["quantity"]}
        assert [float(one) for one in said] == [pytest.approx(found[part], abs=0.006) for part in (1.0, 0.1, 0.5)], words


SNIPPETS = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md"])
def test_what_is_shown_in_python_runs(name):
    shown = SNIPPETS.findall(page(name))
    assert shown
    for code in shown:
        exec(compile(code, name, "exec"), {})
