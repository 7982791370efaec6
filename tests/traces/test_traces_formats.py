"""Files people have: every form of one recording loads to the same operations, or is refused with the option that helps.

tests/data/formats: what perf 6.1 and strace 6.1 wrote of one small program, without address randomisation: it maps a file
by two descriptors, moves, locks and protects memory, attaches a segment, and has a thread, a child by fork and a program by
vfork. perf recorded two runs, one with call stacks, strace a run for each log. reported_*: files of a report.
"""
import gzip
import os
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zstandard

from recordings import PAGE, A, damaged, operations, started
from rmapcore.cli import main
from rmapcore.errors import TraceError
from rmapcore.operations import OPERATION, Op
from rmapcore.traces import importers, load_trace

FORMATS = Path(__file__).parent.parent / "data" / "formats"
WANTED = "perf script --show-mmap-events --show-task-events -F comm,pid,tid,time,event,trace"


def path_of(name):
    return FORMATS / f"{name}.zst"


def text_of(name):
    with open(path_of(name), "rb") as stream:
        return zstandard.ZstdDecompressor().stream_reader(stream).read()


SEEN_BY_SOME = {"ftruncate of a file that is not known to be mapped"}          # whose calls were all recorded


def without_times(trace):
    made = trace.operations.copy()
    made["arg"][made["op"] == Op.FAULT] = 0
    return made


# --- perf script ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "usual"), [
    ("default.txt", "usual.txt"), ("tid_and_all.txt", "usual.txt"), ("misc_and_flags.txt", "usual.txt"),
    ("no_comm.txt", "usual.txt"), ("no_time.txt", "usual.txt"), ("deltatime.txt", "usual.txt"),
    ("raw_syscalls.txt", "usual.txt"), ("stacks.txt", "stacks_usual.txt")])
def test_every_form_of_perf_script_is_the_same(name, usual):
    expected, trace = load_trace(path_of(usual)), load_trace(path_of(name))
    assert np.array_equal(without_times(trace), without_times(expected)) and trace.files == expected.files
    assert trace.summary["left_out"] == expected.summary["left_out"] and not trace.summary["assumed"].keys() - SEEN_BY_SOME
    assert (trace.summary["faults"], trace.summary["forks"], trace.summary["threads"], len(trace)) == (150, 2, 1, 217)
    if name not in ("misc_and_flags.txt", "no_time.txt", "deltatime.txt"):       # the first has nanoseconds
        assert trace.digest == expected.digest


def test_remarks_before_the_first_line_do_not_hide_its_columns(load):
    text = text_of("tid_and_all.txt")
    assert load(b"# captured on: today\n\n" + text).digest == load(text).digest


@pytest.mark.parametrize("name", ["usual.txt", "default.txt", "stacks.txt"])
def test_newest_first_is_put_in_order(load, name):
    text = text_of(name)
    trace = load(b"".join(reversed(text.splitlines(keepends=True))))
    assert trace.digest == load(text).digest and trace.summary["lines"] == text.count(b"\n")


def test_times_that_go_back_a_little_are_no_order(load):
    """Two processors' lines after one another: half of the steps go back."""
    recording = started()
    for turn in range(40):
        recording.time += -0.5 if turn % 2 else 0.4
        recording.mmap(100, A + turn * PAGE, PAGE)
    assert [one[2] for one in operations(load(recording), "addr")[1:]] == [A + turn * PAGE for turn in range(40)]


@pytest.mark.parametrize(("name", "says"), [
    ("no_tid.txt", "its lines have the pid and not the tid"), ("no_trace.txt", "its events have no fields"),
    ("no_event.txt", "its lines do not name their events"), ("no_records.txt", "its lines have no pid, and no PERF_RECORD_")])
def test_what_perf_script_did_not_print_is_asked_for(name, says):
    with pytest.raises(TraceError, match=says) as caught:
        load_trace(path_of(name))
    assert WANTED in str(caught.value) and caught.value.file == str(path_of(name))


def test_pids_without_a_beginning_are_refused(load):
    text = b"\n".join(line for line in text_of("usual.txt").split(b"\n") if b"PERF_RECORD_" not in line)
    with pytest.raises(TraceError, match="where a process begins"):
        load(text)


def test_executable_areas_alone_are_refused(load):
    """perf record without -d."""
    lines = text_of("usual.txt").split(b"\n")
    with pytest.raises(TraceError, match="perf record -d"):
        load(b"\n".join(line for line in lines if b"PERF_RECORD_MMAP2" not in line or b"]: r-xp" in line))


def test_page_faults_without_their_error_codes_are_refused(load):
    text = started().line(100, "         1 page-faults:  ffffffff817554ea elf_load+0x28a ([kernel.kallsyms])").text()
    with pytest.raises(TraceError, match="exceptions:page_fault_user"):
        load(text)


def test_a_tid_of_which_nothing_is_known_is_a_process(load):
    """Default fields, and a thread that perf has found running, but of which it has printed nothing."""
    text = started().mmap(100, A, PAGE).fault(55, A).text()
    trace = load(re.sub(rb"(\d+)/(\d+) +(?=\d+\.)", rb"\2 [001] ", text))
    assert operations(trace) == [("SPAWN", 100), ("MMAP", 100)]
    assert trace.summary["left_out"] == {"fault without a known address space": 1}


def test_reported_files():
    trace = load_trace(path_of("reported_perf_record_of_a_running_process.txt"))
    assert trace.summary["faults"] == Counter(trace.operations["op"].tolist())[Op.FAULT] == 189
    assert load_trace(path_of("reported_lost_17_events.txt")).summary["lost"] == 17
    assert load_trace(path_of("reported_with_call_stacks.txt")).summary["faults"] == 3


# --- perf.data --------------------------------------------------------------------------------------------------------


@pytest.fixture
def perf(tmp_path, monkeypatch):
    """A function that puts a command `perf` of these lines of shell in place, and gives a file that it is to read."""
    def put(*lines):
        command = tmp_path / "perf"
        command.write_text("\n".join(["#!/bin/sh", *lines]))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        data = tmp_path / "perf.data"
        data.write_bytes(b"PERFILE2" + bytes(100))
        return data
    return put


def test_perf_data_is_read_by_perf(perf, tmp_path, capsys):
    (tmp_path / "text").write_bytes(text_of("usual.txt"))
    data = perf(f'echo "$@" > {tmp_path}/words; echo warning >&2; cat {tmp_path}/text')
    trace = load_trace(data)
    assert trace.digest == load_trace(path_of("usual.txt")).digest and trace.source == str(data)
    words = (tmp_path / "words").read_text()
    assert words.startswith(f"script -i {data} --force") and "-F comm,pid,tid,time,event,trace" in words
    assert main(["compare", str(data), "--scheme", "anon_vma"]) == main(["replay", str(data), "--check"]) == 0
    assert "217 operations" in capsys.readouterr().out


def test_perf_that_fails_says_why(perf):
    with pytest.raises(TraceError, match=r"perf\.data: perf script: no time field$"):
        load_trace(perf("echo a warning >&2", "echo no time field >&2", "echo >&2", "exit 3"))
    with pytest.raises(TraceError, match=r"perf script: exit status 9$"):
        load_trace(perf("exit 9"))
    with pytest.raises(TraceError, match="MMAP2 cannot be read"):          # an error before perf has written all
        load_trace(perf("yes '            prog   100/100  3.5: PERF_RECORD_MMAP2 100/100: [0x'"))


def test_perf_data_without_perf(tmp_path, monkeypatch, capsys):
    data = tmp_path / "perf.data"
    data.write_bytes(b"PERFILE2" + bytes(100))
    monkeypatch.setenv("PATH", "")
    assert main(["compare", str(data)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "perf is not installed here" in said and WANTED in said
    data.write_bytes(gzip.compress(data.read_bytes()))
    with pytest.raises(TraceError, match="decompress it first"):
        load_trace(data)


# --- strace -----------------------------------------------------------------------------------------------------------


def changes(trace):
    """What its operations do, under pids that count from 1 in the order of their appearance."""
    pids, made = {0: 0}, []
    for operation in trace.operations:
        values = dict(zip(OPERATION.names, operation.item(), strict=True))
        for field in ("process", "other") if values["op"] == Op.FORK else ("process",):
            values[field] = pids.setdefault(values[field], len(pids))
        made.append(tuple(values.values()))
    return made


@pytest.mark.parametrize("name", ["stderr.log", "decorated.log", "verbose.log", "stacks.log"])
def test_every_log_of_strace_is_the_same(name):
    expected, trace = load_trace(path_of("f.log")), load_trace(path_of(name))
    assert changes(trace) == changes(expected) and len(trace) == 49
    assert [Path(file.name).name for file in trace.files[:3]] == ["ld.so.cache", "libc.so.6", "a file"]
    assert trace.summary["left_out"] == {"areas that execve mapped": 2}
    assert trace.summary["assumed"].keys() - SEEN_BY_SOME == {"nothing is touched: strace sees no page faults"}
    assert (trace.summary["forks"], trace.summary["threads"], trace.summary["alive"]) == (2, 1, 0)


def test_a_log_has_the_calls_of_a_recording():
    """Another run of the same program, at the same addresses."""
    def calls(trace):
        kept = ("MMAP", "MUNMAP", "MREMAP", "MPROTECT", "MADVISE", "MLOCK", "MUNLOCK", "BRK", "SETBRK")
        return Counter(one for one in operations(trace, "addr", "length", "prot", "flags") if one[0] in kept)

    ours, theirs = (Counter({one[:1] + one[2:]: n for one, n in calls(load_trace(path_of(name))).items()})
                    for name in ("f.log", "usual.txt"))
    assert not ours - theirs and {name for name, *_ in theirs - ours} == {"MMAP"}          # those of execve


def test_a_log_newest_first(load):
    text = text_of("decorated.log")
    assert load(b"".join(reversed(text.splitlines(keepends=True)))).digest == load(text).digest


def test_a_log_without_children_says_so():
    trace = load_trace(path_of("not_followed.log"))
    assert trace.summary["left_out"]["processes and threads that strace did not follow (strace -f does)"] == 1
    assert (trace.summary["processes"], trace.summary["alive"]) == (2, 1)


def test_logs_that_are_refused(tmp_path, capsys):
    with pytest.raises(TraceError, match="how they began: record it with strace -f -e trace=%memory,%process,%desc,%ipc"):
        load_trace(path_of("memory.log"))
    (tmp_path / "log.8").write_bytes(text_of("not_followed.log"))
    assert main(["compare", str(tmp_path / "log.8"), "--scheme", "anon_vma"]) == 0
    (tmp_path / "log.9").write_bytes(b"set_robust_list(0x7f, 24) = 0\n+++ exited with 0 +++\n")
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "log.8")]) == 2
    assert re.fullmatch(r"rmapcore: .*log.8: this log has one process, and log.9 .* -ff\n", capsys.readouterr().err)


@pytest.mark.parametrize(("line", "says"), [
    ("7 mmap(NULL, 4096, PROT_MAGIC, MAP_PRIVATE, -1, 0) = 0x7f0000000000", "PROT_MAGIC is no flag that is known: '7 mmap"),
    ("7 mmap(NULL, 4096) = 0x7f0000000000", "a field cannot be read: '7 mmap")])
def test_a_line_of_strace_that_cannot_be_used_is_named(load, line, says):
    with pytest.raises(TraceError, match=says) as caught:
        load(f"7 execve(\"a\", [], 0) = 0\n7 brk(NULL) = 0x5600000\n{line}\n".encode())
    assert caught.value.line == 3


# --- the registry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("head", "name"), [
    (b"RMAPOPS1\x10", "saved trace"), (b"PERFILE2\x68", "perf.data"), (b"2ELIFREP\x68", "perf.data"),
    (b"noise\n[pid 7] brk(NULL) = 0x56\n", "strace"), (b"+++ exited with 0 +++\n", "strace"), (b"# a comment\n", "perf script"),
    (started().enter(100, "brk", brk=0).text(), "perf script"), (b"", "perf script")])
def test_what_is_recognised(head, name):
    assert next(one for one in importers.IMPORTERS if one.recognises(head)).name == name


@pytest.mark.parametrize("name", ["f.log", "stderr.log", "decorated.log", "verbose.log", "tid_and_all.txt", "raw_syscalls.txt"])
def test_damage_ends_in_a_trace_error(load, name):
    chance = random.Random(7)
    lines = text_of(name).splitlines(keepends=True)
    for _ in range(100):
        try:
            load(damaged(lines, chance, 4))
        except TraceError as error:
            assert error.file and str(error).count("\n") == 0
