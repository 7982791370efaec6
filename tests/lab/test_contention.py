"""compare(cpus=N) and --cpus: locks of a row on N processors, and nothing else is different."""
import json
import re
from pathlib import Path

import numpy as np
import pytest

import rmapcore
import uffdio_move
from rmapcore.cli import main
from rmapcore.core.lockrules import COSTS, MODES, Rules, rules_of
from rmapcore.lab.contention import steps_to

ROOT = Path(__file__).parents[2]
FEW = {"pages": 600, "schemes": ["anonmm", "anon_vma_chain"], "kernel": "6.18"}


def without_time(data):
    rows = [{name: value for name, value in row.items() if name not in ("seconds", "ns_per_page", "locks")}
            for row in data["results"]]
    return {**data, "results": rows}


def locks_of(workload, scheme="anon_vma_chain", cpus=4, **more):
    return rmapcore.compare(workload, scheme, kernel="6.18", cpus=cpus, **more).to_dict()["results"][0]["locks"]


def test_nothing_else_is_different_and_all_is_said_twice_alike():
    result = rmapcore.compare("swapout", cpus=3, **FEW)
    assert without_time(result.to_dict()) == without_time(rmapcore.compare("swapout", **FEW).to_dict())
    again = rmapcore.compare("swapout", cpus=3, profile=True, **FEW)
    alone = {row["scheme"]: row for row in rmapcore.compare("swapout", profile=True, **FEW).to_dict()["results"]}
    for row, other in zip(result.to_dict()["results"], again.to_dict()["results"], strict=True):
        assert other["profile"] == alone[other["scheme"]]["profile"]          # its ledger hears what it would without
        assert row["locks"] == other["locks"] and row["locks"]["order"] is None and row["locks"]["lost"] == 0
        counters = row["counters"]
        for one in row["locks"]["held"]:
            if f"lock_{one['lock']}" in counters and one["lock"] != "page_table":
                assert one["acquisitions"] == counters[f"lock_{one['lock']}"]
        assert [run["cpus"] for run in row["locks"]["scaling"]] == [1, 2, 3]
        assert row["locks"]["scaling"][0]["time"] == row["locks"]["scaling"][0]["busy"]
        assert row["locks"]["speed_up"] == row["locks"]["scaling"][0]["time"] / row["locks"]["time"] > 1


def test_steps():
    assert [steps_to(n) for n in (1, 2, 3, 4, 6, 16)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4], [1, 2, 4, 6], [1, 2, 4, 8, 16]]


@pytest.mark.parametrize(("v", "c"), [(20, 2), (60, 5)])
def test_one_root(v, c):
    """The closed forms of the threads: chains 2 a split, 2v a fork, v an exit; lazy ones less; contexts none but one a fork."""
    def taken(scheme, lock):
        calls = locks_of("one_root", scheme, areas=v, children=c)["calls"]
        return {one["call"]: one["acquisitions"] for one in calls if one["lock"] == lock}

    chains = taken("anon_vma_chain", "anon_vma")
    walks = chains["reclaim"]
    assert chains == {"mprotect": 2 * (v - 1), "fork": 2 * v * c, "reclaim": walks, "exit": v * (c + 1), "write": 1}
    assert walks >= 2 * v
    assert taken("anon_vma_lazy", "anon_vma") == {"fork": v * (c + 1), "reclaim": walks, "exit": v * (c + 1)}
    assert taken("cow_context", "anonmm") == {"fork": c, "exit": c}       # their pages have gone, so their contexts go
    found = locks_of("one_root", areas=v, children=c)
    assert {one["lock"]: one["objects"] for one in found["classes"]}["anon_vma"] == 1


def test_one_library():
    """Programs that do nothing but map and unmap one library gain little from processors, if its tree's lock is held long."""
    found = locks_of("one_library", cpus=8, areas=400, workers=8, rounds=6, costs={"lock_i_mmap": 2000})
    top = found["objects"][0]
    assert (top["lock"], top["what"]) == ("i_mmap", "of libc.so.6") and top["contended"] > 0.5
    assert found["longest"]["lock"] == "i_mmap" and found["speed_up"] < 1.7
    held = next(one for one in found["held"] if one["lock"] == "i_mmap")
    assert held["hold"] <= found["time"] * 1.01


def test_server_reclaim():
    found = locks_of("server_reclaim", cpus=8, pages=400, children=8, rounds=4)
    assert found["objects"][0]["lock"] == "anon_vma" and found["classes"][0]["failed"] > 0
    assert found["pairs"][0]["lock"] == "anon_vma"
    contexts = locks_of("server_reclaim", "cow_context", cpus=8, pages=400, children=8, rounds=4)
    assert contexts["classes"][0]["lock"] == "page_table"      # of forks, exits and walks; the scheme's own lock is hardly met
    assert (sum(one["wait"] for one in contexts["classes"] if one["lock"] != "page_table")
            < sum(one["wait"] for one in found["classes"]) / 100)


def test_independent_programs_scale():
    """kernbench's compilers share files and no memory: eight processors do more than twice what one does."""
    found = locks_of("one_library", cpus=8, areas=8, workers=8, rounds=6, costs={"faults_file": 100_000})
    assert found["speed_up"] > 6


def test_recordings_run_at_their_time():
    found = locks_of(ROOT / "tests" / "data" / "redis-bgsave.perf.txt.zst")
    assert found["recorded_times"] and abs(found["speed_up"] - 1) < 0.01
    assert found["time"] > 1e9                 # the recording's seconds


def test_costs():
    slow = locks_of("one_root", areas=20, children=2, costs={"rmap_dups": 10**6})
    assert slow["costs"]["rmap_dups"] == 10**6 and slow["time"] > 40 * 10**6


def test_the_command(tmp_path, capsys):
    path = tmp_path / "out.json"
    command = ["compare", "one_library", "--set", "areas=40", "--set", "workers=4", "--set", "rounds=3", "--kernel", "6.18",
               "--scheme", "anon_vma_chain", "--cpus", "4"]
    assert main([*command, "--json", str(path), "--cost", "rmap_adds=70", "--cost", "operation=900"]) == 0
    printed = capsys.readouterr().out
    for text in ("Processors", "speed-up", "Locks under anon_vma_chain, on 4 processors", "Who takes them",
                 "Waited for under anon_vma_chain", "Who waited for whom", "the longest wait was", "of libc.so.6"):
        assert text in printed
    found = json.loads(path.read_text())["results"][0]["locks"]
    assert (found["costs"]["rmap_adds"], found["costs"]["operation"]) == (70, 900)
    for wrong, told in ((["--cpus", "0"], "from 1 to"), (["--cpus", "x"], "--cpus 'x'"),
                        (["--cost", "rmap_dups=1"], "how many cpus"), (["--cpus", "2", "--cost", "rmap_dup=1"], "rmap_dups"),
                        (["--cpus", "2", "--cost", "rmap_dups"], "KEY=VALUE")):
        assert main([*command[:-2], *wrong]) == 2
        assert told in capsys.readouterr().err
    assert main(["compare", "the_argument", "--cpus", "2"]) == 2
    assert "the_argument has no profile of locks" in capsys.readouterr().err
    assert main(["replay", str(ROOT / "tests" / "data" / "redis-bgsave.perf.txt.zst"), "--check", "--cpus", "2"]) == 2
    assert "--check makes no profile" in capsys.readouterr().err


def test_the_page_shows_what_the_commands_print(capsys):
    page = (ROOT / "docs" / "locks.md").read_text()
    shown = re.findall(r"^`(rmapcore compare [^`]+)`[^\n]*\n(?:[^`\n][^\n]*\n)*\n```\n(.*?)\n```", page, re.M | re.S)
    assert len(shown) >= 3
    for command, text in shown:
        assert main(command.split()[1:]) == 0
        printed = capsys.readouterr().out
        for part in text.split("\n...\n"):
            assert part.strip("\n") in printed, command


def test_the_page_has_the_costs_and_the_order():
    page = (ROOT / "docs" / "locks.md").read_text()
    told = {name: int(ns.replace(",", "")) for name, ns in re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", page, re.M)}
    locks = {name for name in COSTS if name.startswith("lock_")}
    assert {**told, **dict.fromkeys(locks, 25)} == COSTS
    for kernel in rmapcore.kernels():
        rules = rules_of(kernel)
        assert isinstance(rules, Rules) and len(rules.order) == len(set(rules.order))
        assert all(0 <= mode < len(MODES) for modes in rules.walks.values() for mode in modes)


def test_a_move_waits_for_a_walk():
    """UFFDIO_MOVE as a sequence of locks: as the page shows it; the wait is no longer than one walk, and 7.3 has none."""
    for pages, walks, areas in ((10, 3, 100), (1000, 20, 20_000)):
        waits = uffdio_move.run("6.18", pages, walks, areas).waits
        assert 0 < waits["wait"].max() <= areas * (COSTS["vmas_tried"] + COSTS["ptes_tried"]) + COSTS["lock_anon_vma"]
        assert len(uffdio_move.run("7.3", pages, walks, areas).waits) == 0


def test_the_page_shows_the_move(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["uffdio_move.py"])
    assert uffdio_move.main() == 0
    assert capsys.readouterr().out.strip() in (ROOT / "docs" / "locks.md").read_text()


def test_published_lengths():
    """A KSM page's walk through 22,168 areas took 228 ms: with their cost of an area passed over, so does a hold here."""
    machine = rmapcore.Machine("anon_vma", kernel="2.6.7", ram="64MiB", swap="64MiB")
    locks = machine.locks({"vmas_tried": 10_300})
    process = machine.spawn()
    n = 2000
    start = process.mmap(length=n * 4096)
    process.write(start, n * 4096)
    for number in range(0, n, 2):
        process.mprotect(start + number * 4096, 4096, "r")
    machine.reclaim(1)
    longest = locks.by("lock")
    longest = longest[longest["lock"] == "anon_vma"][0]["longest"]
    assert 0.9 < longest / (n * 10_300) < 1.1 and np.isclose(22_168 * 10_300, 228e6, rtol=0.01)
