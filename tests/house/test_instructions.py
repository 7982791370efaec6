"""The count of instructions in bench/: how it reads profiles, compares and decides; and once for real, if valgrind is here."""
import json
import shutil
from pathlib import Path

import pytest

import instructions
import rmapcore

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDING = ROOT / "tests" / "data" / "redis-bgsave.perf.txt.zst"

# What callgrind writes. In the first part ours cost 100 + 20, 3 of libc called by them and 7 in another of our modules;
# Python's 5000, what ours cost in all, what Python calls of libc, and what ours call of Python are not ours.
PROFILE = """\
# callgrind format
creator: callgrind-3.19.0
part: 1
desc: Trigger: --dump-before=getsid
positions: line
events: Ir
summary: 6000

ob=/usr/lib/libpython3.11.so.1.0
fl=???
fn=evaluate
0 5000
cob=/lib/pyx/fault.so
cfi=???
cfn=touch
calls=1 0
0 130
cob=/usr/lib/libc.so.6
cfi=???
cfn=malloc
calls=1 0
0 40

ob=/lib/pyx/fault.so
fl=???
fn=touch
0 100
12 20
cob=/usr/lib/libc.so.6
cfi=???
cfn=memset
calls=1 0
0 3
cfn=map_frame
calls=9 0
0 55
cob=/lib/pyx/schemes/anonmm.so
cfi=???
cfn=page_first
calls=1 0
0 7
cob=/usr/lib/libpython3.11.so.1.0
cfi=???
cfn=raise
calls=1 0
0 900

ob=/lib/pyx/schemes/anonmm.so
fl=???
fn=page_first
0 7

ob=/lib/pyxel/other.so
fn=draw
0 11

totals: 5141
part: 2
desc: Trigger: --dump-before=getsid
ob=/lib/pyx/fault.so
fn=touch
3 42

part: 3
desc: Trigger: Program termination
ob=/lib/pyx/fault.so
fn=touch
3 999
""".splitlines(keepends=True)


@pytest.fixture
def gate(monkeypatch, tmp_path):
    """gate(before, now): exit status of --check with a baseline of `before`, made here, where `now` would be counted."""
    monkeypatch.setattr(instructions, "BASELINE", tmp_path / "instructions.json")
    monkeypatch.setattr(instructions.shutil, "which", lambda name: f"/usr/bin/{name}")

    def run(before, now, **other):
        instructions.BASELINE.write_text(json.dumps({**instructions.environment(), **other, "jobs": before}))
        monkeypatch.setattr(instructions, "measure", lambda: now)
        return instructions.main(["--check"])
    return run


def test_costs_are_those_of_the_kernels():
    assert instructions.costs(PROFILE, "/lib/pyx") == [130, 42]
    assert instructions.costs(PROFILE, "/lib/pyxel") == [11, 0]
    assert instructions.costs(PROFILE, "/elsewhere") == [0, 0]


def test_the_same_passes(gate, capsys):
    figures = {"fork": {"anonmm": 46.5, "anon_vma": 1046.0}}
    assert gate(figures, {"fork": {"anonmm": 47.4, "anon_vma": 1026.0}}) == 0
    out = capsys.readouterr().out
    assert "+1.9%" in out and "-1.9%" in out and "1,026.00" in out
    assert out.splitlines()[-1] == "instructions: 2 compared, 0 failed, tolerance 2%"


def test_dearer_fails_and_is_named(gate, capsys):
    assert gate({"fork": {"anonmm": 46.5, "anon_vma": 46.5}, "scan": {"anonmm": 10.0}},
                {"fork": {"anonmm": 47.5, "anon_vma": 46.5}, "scan": {"anonmm": 5.0}}) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("DEARER")] == [
        "DEARER: fork of anonmm: 46.50 -> 47.50 instructions a page, +2.2%"]
    assert "cheaper (--update keeps the gain): scan of anonmm" in lines
    assert lines[-1] == "instructions: 3 compared, 1 failed, tolerance 2%"


def test_cheaper_and_gone_are_told(gate, capsys):
    assert gate({"fork": {"anonmm": 46.5, "old": 1.0}, "jump": {"anonmm": 2.0}}, {"fork": {"anonmm": 40.0}}) == 0
    out = capsys.readouterr().out
    assert "cheaper (--update keeps the gain): fork of anonmm\n" in out
    assert "gone (--update drops them): fork of old, jump of anonmm\n" in out


@pytest.mark.parametrize("now", [{"fork": {"anonmm": 46.5, "fresh": 9.0}}, {"fork": {"anonmm": 46.5}, "hop": {"fresh": 9.0}}])
def test_without_a_baseline_fails(gate, capsys, now):
    assert gate({"fork": {"anonmm": 46.5}}, now) == 1
    assert "new (no baseline, run --update): " in capsys.readouterr().out


@pytest.mark.parametrize("other", [{"compiler": "gcc 1.42"}, {"python": "2.7"}, {"machine": "vax"}])
def test_another_environment_is_skipped(gate, capsys, other):
    assert gate({}, {"fork": {"anonmm": 1.0}}, **other) == 0
    out = capsys.readouterr().out
    (name, value), = other.items()
    assert out.startswith(f"instructions: SKIPPED, {name} is ") and repr(value) in out and "--update" in out
    assert out.count("\n") == 1


def test_without_valgrind(gate, monkeypatch, capsys):
    monkeypatch.setattr(instructions.shutil, "which", lambda _: None)
    assert gate({}, {"fork": {"anonmm": 1.0}}) == 0
    assert capsys.readouterr().out == "instructions: SKIPPED, valgrind is not installed (apt-get install valgrind)\n"
    for mode in ([], ["--update"], ["--counters"]):
        assert instructions.main(mode) == 2
        assert capsys.readouterr() == ("", "instructions: valgrind is not installed (apt-get install valgrind)\n")


def test_update_is_what_check_compares_with(gate, monkeypatch, capsys):
    figures = {"fork": {"anonmm": 46.512, "anon_vma": 46.5}}
    monkeypatch.setattr(instructions, "measure", lambda: figures)
    assert instructions.main(["--update"]) == 0
    assert instructions.main(["--check"]) == 0
    written = json.loads(instructions.BASELINE.read_text())
    assert written.pop("jobs") == figures
    assert written == instructions.environment() and "unknown" not in written.values()


def test_a_baseline_that_cannot_be_read(gate, capsys):
    for text in (None, "{", "{}"):
        if text is not None:
            instructions.BASELINE.write_text(text if text == "{" else json.dumps(instructions.environment()))
        assert instructions.main(["--check"]) == 2
        err = capsys.readouterr().err
        assert err.startswith("instructions: ") and err.count("\n") == 1


def test_cost_of_counting(monkeypatch, capsys):
    monkeypatch.setattr(instructions, "build", lambda folder: ("counted", "uncounted"))
    monkeypatch.setattr(instructions.shutil, "which", lambda name: name)
    for scale, status in ((1.09, 0), (1.11, 1)):
        monkeypatch.setattr(instructions, "measure", lambda library, scale=scale: {
            "fork": {"anonmm": 100.0}, "exit": {"anonmm": {"counted": 100.0 * scale, "uncounted": 100.0}[library]}})
        assert instructions.main(["--counters"]) == status
        assert f"counting: {status} of 2 jobs pay more than 10 percent" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_for_real(tmp_path):
    rmapcore.load_trace(RECORDING).save(tmp_path / "trace")
    scheme = next(iter(rmapcore.schemes()))
    pairs = [("fork", scheme), ("lookup_sorted", scheme), ("lookup_random", scheme)]
    found = instructions.run(pairs, tmp_path / "trace", 1024)
    assert list(found) == pairs
    assert 2 < found["lookup_sorted", scheme] < found["lookup_random", scheme] < 1000
    assert 2 < found["fork", scheme] < 1000


def test_the_page_of_profiles_has_these_figures():
    """What a profile and a log of locks cost, of the baseline."""
    jobs = json.loads((ROOT / "bench" / "instructions.json").read_text())["jobs"]
    lines = (ROOT / "docs" / "profile.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| fork,", "| swapout,", "| replay of"))]
    names = ("fork", "swapout_sequential", "swapout_16", "replay")
    for line, name in zip(rows, names, strict=True):
        without = jobs[name]["anon_vma_chain@6.18"]
        watched = [jobs[f"{before}{name}"]["anon_vma_chain@6.18"] for before in ("profiled_", "locked_")
                   if f"{before}{name}" in jobs]
        cells = [f"{without:,.0f}", *(f"{figure:,.0f} ({(figure / without - 1) * 100:+.0f} %)" for figure in watched)]
        assert line.strip(" |").split(" | ")[1:len(cells) + 1] == cells


def test_the_page_of_speed_has_these_figures_of_the_schemes_of_2026():
    jobs = json.loads((ROOT / "bench" / "instructions.json").read_text())["jobs"]
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "performance.md").read_text().splitlines()
            if line.startswith("| `")]
    assert len(rows) == 12
    for name, *cells in rows:
        chain, *others = (jobs[name.strip("`")][scheme] for scheme in ("anon_vma_chain", "anon_vma_lazy", "cow_context"))
        assert cells == [f"{chain:,.0f}", *(f"{one:,.0f} ({(one / chain - 1) * 100:+.0f} %)" for one in others)], name
