"""--flame and --trace-events: sums that are the counters, names that break nothing, and the programs that open such files."""
import json
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import browser
import rmapcore
from rmapcore.cli import main
from rmapcore.core.counting import COUNTERS
from rmapcore.core.program import Phase, Program
from rmapcore.lab import timeline
from rmapcore.operations import OPERATION, Op
from rmapcore.schemes import registry

DATA = Path(__file__).parents[1] / "data"
RECORDING = DATA / "redis-bgsave.perf.txt.zst"
LINE = re.compile(r"(.*) (\d+)")               # as flamegraph.pl takes one apart: the last blank ends the stack
FEW = {"pages": 400, "kernel": "6.18", "profile": True}
NOT_STEPS = {name for name in COUNTERS if name.startswith("faults_") or name.endswith("_held")}


def parsed(text):
    """{stack: count} of collapsed stacks."""
    found = {}
    for line in text.split("\n")[:-1]:
        match = LINE.fullmatch(line)
        assert match, line
        stack = tuple(match[1].split(";"))
        assert all(frame and frame == frame.strip() and frame.isprintable() for frame in stack), line
        assert stack not in found, line
        found[stack] = int(match[2])
    return found


def written(result, what, tmp_path):
    path = tmp_path / what
    getattr(result, what)(path)
    return path.read_text(encoding="utf-8")


def steps(stacks, place=0):
    """{(frame at this place, counter): sum}; ptes_tried are those found and those not."""
    found = Counter()
    for stack, count in stacks.items():
        for counter in set(stack[3:]):
            found[stack[place], counter] += count
    return found


@pytest.fixture(scope="module")
def compared():
    return rmapcore.compare("swapout", ["anonmm", "anon_vma_chain"], **FEW)


@pytest.fixture(scope="module")
def replayed():
    return rmapcore.compare(RECORDING, ["anonmm", "pte_chain"], profile=True)


# --- stacks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", list(rmapcore.kernels()))
def test_stacks_sum_to_the_counters_of_every_scheme(kernel, tmp_path):
    schemes = [name for name, entry in registry().items() if not entry.defects]
    result = rmapcore.compare("swapout", schemes, **{**FEW, "kernel": kernel})
    found = steps(parsed(written(result, "flame", tmp_path)))
    for row in result.to_dict()["results"]:
        for name, count in row["counters"].items():
            assert found[row["scheme"], name] == (0 if name in NOT_STEPS else count), (row["scheme"], name)
    assert found["pte_chain", "ptes_found"] > 0


def test_stacks_are_process_call_and_step(replayed, tmp_path):
    stacks = parsed(written(replayed, "flame", tmp_path))
    assert {stack[0] for stack in stacks} == {"anonmm", "pte_chain"}
    assert ("anonmm", "redis-server 17887", "fork", "rmap_dups") in stacks
    by = {row["call"]: row for row in replayed.to_dict()["results"][0]["profile"]["by"]["call"]}
    calls = Counter()
    for stack, count in stacks.items():
        if stack[0] == "anonmm" and "ptes_tried" in stack:
            calls[stack[2]] += count
    assert calls == {call: row["ptes_tried"] for call, row in by.items() if "ptes_tried" in row}


def test_names_cannot_break_a_line(tmp_path):
    names = ["a;b 7", "two\nlines", "\x1b[31mred\x1b[0m", "  blanks  ", ";;;", " \t ", "\udcff\udc80", "ünï", "12 34", "#"]
    machine = rmapcore.Machine("anonmm", ram="1MiB", swap="1MiB")
    profile = machine.profile()
    for name in names:
        process = machine.spawn(name)
        process.write(process.mmap(length=8192), 8192)
    row = timeline.kept(profile, [], np.zeros(0, np.uint16))
    stacks = parsed(timeline.stacks(["a;b\n2"], [row]))
    assert {stack[0] for stack in stacks} == {r"a:b\x0a2"}
    assert sum(count for stack, count in stacks.items() if stack[-1] == "rmap_adds") == machine.counters["rmap_adds"]
    program = Program("two\nlines \udcff ünï", {}, 0, [Phase("all", np.zeros(0, OPERATION), 0)], [])
    text = timeline.trace_events(program, ["a\n"], [row])
    assert text.encode("utf-8").isascii() is False and "\\u" not in text and r"two\x0alines \xff ünï" in json.dumps(
        json.loads(text), ensure_ascii=False).replace("\\\\", "\\")
    assert {stack[1] for stack in stacks} == {"a:b 7 1", r"two\x0alines 2", r"\x1b[31mred\x1b[0m 3", "blanks 4", "::: 5",
                                              r"\x09 6", r"\xff\x80 7", "ünï 8", "12 34 9", "# 10"}


def test_the_same_bytes_again(compared, tmp_path):
    again = rmapcore.compare("swapout", ["anonmm", "anon_vma_chain"], **FEW)
    for what in ("flame", "trace_events"):
        assert written(compared, what, tmp_path) == written(again, what, tmp_path)


def test_without_a_profile(tmp_path):
    result = rmapcore.compare("swapout", "anonmm", pages=200)
    for write in (result.flame, result.trace_events):
        with pytest.raises(ValueError, match="profile=True"):
            write(tmp_path / "file")
    assert not list(tmp_path.iterdir())


# --- timelines --------------------------------------------------------------------------------------------------------


def events_of(text):
    data = json.loads(text)
    threads = defaultdict(list)
    for event in data["traceEvents"]:
        assert event["ph"] in "MXiC" and event["pid"] >= 1
        if event["ph"] != "M":
            assert event["ts"] >= 0 and event["ts"] * 1024 % 1 == 0
        if event["ph"] == "X":
            assert event["dur"] >= 0 and event["dur"] * 1024 % 1 == 0
        threads[event["pid"], event.get("tid")].append(event)
    numbers = [thread for _, thread in threads if thread is not None]
    assert len(numbers) == len(set(numbers)) and 0 not in numbers
    return data, threads


def named(threads, process, name):
    """Events of a thread."""
    return next(events for (pid, _), events in threads.items() if pid == process and any(
        event["name"] == "thread_name" and event["args"]["name"] == name for event in events))


@pytest.mark.parametrize("of", ["compared", "replayed"])
def test_a_timeline(of, request, tmp_path):
    result = request.getfixturevalue(of)
    data, threads = events_of(written(result, "trace_events", tmp_path))
    for events in threads.values():            # slices of a thread follow one another
        slices = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["ph"] == "X")
        assert all(before[1] <= after[0] for before, after in pairwise(slices))
    for number, row in enumerate(result.to_dict()["results"], 2):
        passes = [event["args"] for event in named(threads, number, "reclaim") if event["ph"] == "X"]
        for what in ("scanned", "freed"):
            assert sum(one[what] for one in passes) == row["reclaim"][what] > 0
        assert sum(one["tried"] for one in passes) == row["counters"]["ptes_tried"]
        walks = [event for event in data["traceEvents"] if event.get("cat") == "walk" and event["pid"] == number]
        lengths = [int(event["name"].split()[0]) for event in walks]
        assert 0 < len(walks) <= min(4096, row["counters"]["rmap_walks"]) and min(lengths) > 1     # those of one are not long
        longest = row["profile"]["longest"][0]
        assert f"{longest['ptes_tried']} entries" in {event["name"] for event in walks}
        counters = defaultdict(list)
        for event in threads[number, None]:
            if event["ph"] == "C":
                counters[event["name"]].append(event["args"])
        series = row["profile"]["series"]
        assert [one["bytes"] for one in counters["bytes for reverse mapping"]] == [one["rmap_bytes"] for one in series]
        assert sum(one["walks"] for one in counters["walks since the last point"]) == row["counters"]["rmap_walks"]
    marks = Counter(event["name"].split()[0] for event in data["traceEvents"] if event["ph"] == "i")
    kinds = result.to_dict()["results"][0]["calls"]["by_kind"]
    assert marks["fork"] == kinds["FORK"]["done"] and marks["exit"] == kinds["EXIT"]["done"]
    lives = [event for event in data["traceEvents"] if event.get("cat") == "process" and event["ph"] == "X"]
    assert len(lives) == kinds["FORK"]["done"] + kinds.get("SPAWN", {"done": 0})["done"]


def test_holds_of_locks(tmp_path):
    result = rmapcore.compare("swapout", ["anonmm", "anon_vma_chain"], cpus=2, **FEW)
    data, threads = events_of(written(result, "trace_events", tmp_path))
    for events in threads.values():            # slices of a thread follow one another
        slices = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["ph"] == "X")
        assert all(before[1] <= after[0] for before, after in pairwise(slices))
    for number, row in enumerate(result.to_dict()["results"], 2):
        holds = defaultdict(list)
        for event in data["traceEvents"]:
            if event.get("cat") == "lock" and event["pid"] == number:
                holds[event["args"]["lock"].split()[0]].append(event)
        assert {"mmap", "vma"} < set(holds) and ("anonmm" in holds) == (row["scheme"] == "anonmm")
        longest = {one["lock"]: one["longest"] for one in row["locks"]["held"] if one["longest"]}
        assert {lock: max(int(event["name"].split()[0].replace(",", "")) for event in events)
                for lock, events in holds.items()} == longest
        forks = [event for event in holds["mmap"] if "fork of" not in event["name"] and event["args"]["mode"] == "w"]
        assert len(forks) >= row["calls"]["by_kind"]["FORK"]["done"]
    plain = rmapcore.compare("swapout", ["anonmm"], **FEW)
    assert '"cat": "lock"' not in written(plain, "trace_events", tmp_path)


def test_the_clock():
    operations = np.zeros(6, OPERATION)
    operations["op"] = [Op.SPAWN, Op.FAULT, Op.BRK, Op.FAULT, Op.FAULT, Op.EXIT]
    times, recorded = timeline.clock(operations)
    assert not recorded and times.tolist() == [0, 1000, 2000, 3000, 4000, 5000, 6000]
    operations["arg"] = [0, 5_000_000, 77, 5_008_000, 5_008_000, 0]
    times, recorded = timeline.clock(operations)
    assert recorded and np.allclose(times, [0, 0.125, 4, 8, 8.125, 8.25, 8.375], atol=1 / 1024)


def test_events_of_one_operation_share_its_time():
    starts, parts = timeline.spread(np.array([0.0, 8.0, 12.0]), np.array([1, 1, 1, 1, 2], np.uint64))
    assert starts.tolist() == [0, 2, 4, 6, 8] and parts.tolist() == [2, 2, 2, 2, 4]
    starts, parts = timeline.spread(np.array([0.0, 1.0]), np.ones(3, np.uint64))
    assert (starts + parts).tolist() == [*starts[1:].tolist(), 1.0]        # exactly, though a third is no double


def test_clocks_are_named(compared, replayed, tmp_path):
    assert "a millisecond" in json.loads(written(compared, "trace_events", tmp_path))["otherData"]["clock"]
    data = json.loads(written(replayed, "trace_events", tmp_path))
    assert "the recording's" in data["otherData"]["clock"]
    end = max(event["ts"] for event in data["traceEvents"] if event["ph"] != "M")
    times = replayed._program.phases[0].operations
    times = times["arg"][times["op"] == Op.FAULT]
    assert end == pytest.approx((int(times.max()) - int(times[0])) / 1000, rel=1e-3)


# --- commands, and who opens their files ------------------------------------------------------------------------------


def test_the_commands(tmp_path, capsys):
    flame, events = tmp_path / "stacks.txt", tmp_path / "events.json"
    files = ["--flame", str(flame), "--trace-events", str(events)]
    assert main(["compare", "swapout", "--pages", "300", "--scheme", "anonmm", *files]) == 0
    assert "Entries tried in a walk" in capsys.readouterr().out
    assert parsed(flame.read_text()) and json.loads(events.read_text())["traceEvents"]
    assert main(["replay", str(RECORDING), "--scheme", "anonmm", *files]) == 0
    assert "redis-server 17887" in flame.read_text() and "redis-server 17887" in events.read_text()
    capsys.readouterr()
    for wrong, error in (
        (["compare", "swapout", "--flame", str(tmp_path / "none" / "file")], "No such file or directory"),
        (["compare", "swapout", "--trace-events", str(tmp_path)], "Is a directory"),
        (["compare", "the_argument", "--flame", str(flame)], "the_argument has no profile"),
        (["replay", str(RECORDING), "--check", "--profile"], "--check makes no profile"),
        (["replay", str(RECORDING), "--check", *files], "--check makes no profile"),
    ):
        assert main(wrong) == 2
        assert error in capsys.readouterr().err


def test_speedscope_opens_both(replayed, tmp_path):
    stacks, events = (tmp_path / name for name in ("stacks.txt", "events.json"))
    replayed.flame(stacks)
    replayed.trace_events(events)
    collapsed, traced = browser.run("speedscope.mjs", files=[str(stacks), str(events)])
    assert collapsed["said"] == [] and traced["said"] == []
    names = [frame["name"] for frame in collapsed["exported"]["shared"]["frames"]]
    (profile,) = collapsed["exported"]["profiles"]
    found, stack, at = Counter(), [], 0
    for event in profile["events"]:
        if event["at"] > at:
            found[tuple(stack)] += event["at"] - at
            at = event["at"]
        if event["type"] == "O":
            stack.append(names[event["frame"]])
        else:
            assert stack.pop() == names[event["frame"]]
    assert found == parsed(stacks.read_text())
    frames = [frame["name"] for frame in traced["exported"]["shared"]["frames"]]
    opened = {profile["name"]: profile["events"] for profile in traced["exported"]["profiles"]}
    _, threads = events_of(events.read_text())
    for number, label in enumerate(("anonmm", "pte_chain"), 2):
        mine = next(found for name, found in opened.items() if name.startswith(f"{label} ") and "reclaim" in name)
        passes = [event for event in named(threads, number, "reclaim") if event["ph"] == "X"]
        begun = [frames[event["frame"]] for event in mine if event["type"] == "O"]
        assert len(begun) == len(passes)
        assert [name.split(" {")[0] for name in begun] == [event["name"] for event in passes]


def test_perfetto_opens_timelines(compared, replayed, tmp_path):
    """Every slice, mark and number is there, and it complains of nothing: what overlaps it drops, and says so here only."""
    made = {tmp_path / "compared.json": compared, tmp_path / "replayed.json": replayed,
            tmp_path / "holds.json": rmapcore.compare(RECORDING, ["anonmm", "anon_vma_chain"], cpus=2, profile=True)}
    for path, result in made.items():
        result.trace_events(path)
    answers = browser.run("perfetto.mjs", site=str(browser.perfetto()), files=list(map(str, made)), queries=[
        "select name, severity, value from stats where severity != 'info' and value != 0",
        "select name, dur > 0 as some, count() from slice group by 1, 2",
        "select process.name, count() from process_counter_track join process using (upid) join counter"
        " on counter.track_id = process_counter_track.id group by 1",
        "select distinct process.name from process where name is not null"])
    for path, (complaints, slices, numbers, names) in zip(made, answers, strict=True):
        events = json.loads(path.read_text())["traceEvents"]
        assert complaints == []
        assert {(name, bool(some)): count for name, some, count in slices} == Counter(
            (event["name"], event["ph"] == "X") for event in events if event["ph"] in "Xi")
        processes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
        assert {name for name, in names} == set(processes.values())
        assert dict(map(tuple, numbers)) == Counter(
            processes[event["pid"]] for event in events if event["ph"] == "C" for _ in event["args"])
