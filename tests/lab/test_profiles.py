"""compare(profile=True) and --profile: rows that say whose the work was, and nothing else is different."""
import json
from pathlib import Path

import pytest

import rmapcore
from rmapcore.cli import main
from rmapcore.lab import profiles

FEW = {"pages": 600, "schemes": ["anonmm", "anon_vma_chain"], "kernel": "6.18"}


def without_time(data):
    rows = [{name: value for name, value in row.items() if name not in ("seconds", "ns_per_page", "profile")}
            for row in data["results"]]
    return {**data, "results": rows}


@pytest.fixture(scope="module")
def profiled():
    return rmapcore.compare("swapout", profile=True, **FEW)


def test_nothing_else_is_different(profiled):
    assert without_time(profiled.to_dict()) == without_time(rmapcore.compare("swapout", **FEW).to_dict())


def test_rows_sum_to_the_counters(profiled):
    for row in profiled.to_dict()["results"]:
        counters, found = row["counters"], row["profile"]
        for what, rows in found["by"].items():
            for name, count in counters.items():
                assert sum(line.get(name, 0) for line in rows) == count, (what, name)
            assert not any("unknown" in line.values() for line in rows), what
        walks = sum(measures["ptes_tried"]["walks"] for side in found["walks"].values() for measures in side.values())
        assert walks == counters["rmap_walks"] > 0
        assert found["series"][-1]["rmap_walks"] == counters["rmap_walks"]
        assert [line["phase"] for line in found["by"]["phase"]] == list(row["seconds"])
        peak = max(sample["rmap_bytes"] for sample in found["series"])
        assert 0 < peak <= row["memory"]["rmap_bytes_peak"]
        assert found["longest"][0]["ptes_tried"] == found["series"][-1]["longest_walk"]


def test_the_rest_is_summed():
    machine = rmapcore.Machine("anonmm", ram="4MiB", swap="4MiB")
    profile = machine.profile()
    processes = [machine.spawn(f"p{number}") for number in range(30)]
    for number, process in enumerate(processes, 1):
        process.write(process.mmap(length=4096 * number), 4096 * number)
    rows = profiles.data_of(profile)["by"]["process"]
    assert len(rows) == profiles.MOST_ROWS + 1 and rows[-1]["others"] == 31 - profiles.MOST_ROWS
    assert sum(row.get("faults_zero", 0) for row in rows) == machine.counters["faults_zero"] == 30 * 31 // 2


def test_names_come_from_the_recording():
    result = rmapcore.compare(Path(__file__).parents[1] / "data" / "redis-bgsave.perf.txt.zst", "anonmm", profile=True)
    by = result.to_dict()["results"][0]["profile"]["by"]
    assert not any("unknown" in row.values() for rows in by.values() for row in rows)
    assert by["program"][0]["name"] == "redis-server" and by["area"][0]["name"] == "redis-server"
    assert "of 17887 redis-server" in result.table()


def test_the_command(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert main(["compare", "swapout", "--pages", "300", "--scheme", "anonmm", "--profile", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    for text in ("Entries tried in a walk", "p99.9", "Areas under anonmm", "Calls under anonmm", "the longest walk tried",
                 "most for reverse mapping after operation"):
        assert text in printed
    assert json.loads(path.read_text())["results"][0]["profile"]["walks"]["anon"]["unmap"]["ptes_tried"]["p99"] >= 1
    assert main(["compare", "the_argument", "--profile"]) == 2
    assert "the_argument has no profile" in capsys.readouterr().err


def test_the_page_shows_what_the_command_prints(capsys):
    page = (Path(__file__).parents[2] / "docs" / "profile.md").read_text()
    command = next(line for line in page.splitlines() if line.startswith("`rmapcore compare swapout")).split("`")[1]
    assert main(command.split()[1:]) == 0
    assert page.split("```")[1].strip() in capsys.readouterr().out
