"""Recordings that this machine makes: the program's lines out of perf's, strace's lines as perf's, and real programs."""
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import perf_script
import pytest
import zstandard

from recordings import operations
from rmapcore import CaptureError, capture, compare, load_trace
from rmapcore.cli import main
from rmapcore.linux.capture import command, output, perf, perfdata, strace
from rmapcore.traces.strace import Converter

DATA = Path(__file__).parent.parent / "data"
PYTHON = [sys.executable, "-I", "-S", "-c"]
FORKS = "import os\nfor _ in range({}):\n if not os.fork(): os._exit(0)\n os.wait()"


@pytest.fixture
def can_trace():
    if not strace.present():
        pytest.skip("strace is not installed")


@pytest.mark.parametrize("content", [b"", b"PERFILE2", b"PERFILE2" + bytes(200),
                                     struct.pack("<8sQQQQQQ", b"PERFILE2", 104, 136, 104, 0, 104, 50)])
def test_a_file_that_perf_has_not_finished(tmp_path, content):
    (tmp_path / "perf.data").write_bytes(content)
    with pytest.raises(CaptureError, match=r"cannot? be read|no file that can be read|cut off"):
        perfdata.Recording(tmp_path / "perf.data", 0, 60)


READS = """
import mmap, os, sys
place = mmap.mmap(-1, 8192)
with open(sys.executable, "rb", buffering=0) as file:
    file.readinto(place)
    os.preadv(file.fileno(), [place], 4096)
    os.pread(file.fileno(), 4096, 512)
"""


def test_the_twin_that_the_kernel_prints(tmp_path, can_record):
    """The same events of each thread and the same records, but for the names of kernel functions."""
    recorder = perf.Recorder(tmp_path, 4 << 20)
    shell = "for i in 1 2 3; do /bin/true; (exec /bin/echo $i); done | cat > /dev/null; exec \"$@\""
    ended = command.run(["/bin/sh", "-c", shell, "sh", *PYTHON, READS])
    recorder.rings.pause()
    printed = Path(recorder.rings.instance, "trace").read_text(errors="replace")
    recorder.stop()
    theirs, pids = perf_script.records(recorder.records, ended.pid)
    printed = perf_script.events(printed, pids)
    ours = b"".join(perfdata.Recording(recorder.data, recorder.pages, ended.pid).blocks()).decode().splitlines()
    assert [line for line in ours if "PERF_RECORD_" in line] == theirs and len(theirs) > 50

    def nameless(said):
        return re.sub(r" ip=\S+", "", said)

    found = {tid: [] for tid in pids}
    for line in ours:
        if "PERF_RECORD_" not in line:
            who, _, said = line[16:].split(None, 2)
            found[int(who.partition("/")[2])].append(f"{who} {said.removesuffix(' ' * 15 + '0')}")
    assert len(found) == 9 and sum(map(len, found.values())) > 1000
    for tid, said in found.items():            # before its execve the first process was capture's
        theirs = printed[tid][-len(said):] if tid == ended.pid else printed[tid]
        assert list(map(nameless, said)) == list(map(nameless, theirs))


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_operations_in_place_of_text(tmp_path, size):
    """What is written as text and loaded is what is written at once: all but where it came from."""
    with zstandard.open(DATA / "postgres.perf.txt.zst", "rb") as stream:
        text = stream.read()
    paths = [tmp_path / name for name in ("a.txt", "a.ops")]
    for path in paths:
        with output.writer(path) as write:
            for at in range(0, len(text), size):
                write(text[at:at + size])
    parsed, saved = map(load_trace, paths)
    assert isinstance(saved.operations, np.memmap) and (saved.operations == parsed.operations).all()
    assert {**vars(saved), "operations": None, "source": None} == {**vars(parsed), "operations": None, "source": None}


def test_operations_of_what_is_no_recording(tmp_path):
    """Whoever writes is not held up, and what was there stays."""
    path = tmp_path / "a.ops"
    path.write_bytes(b"before")
    with pytest.raises(CaptureError, match="cannot be read: this is no perf script recording"), output.writer(path) as write:
        for _ in range(20):
            write(b"no such line\n")
    with pytest.raises(KeyboardInterrupt), output.writer(path) as write:
        write(b"no such line\n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.ops"]


STRACE = """\
7  1.000001 execve("/bin/sh", [...], 0x7ffc /* 9 vars */) = 0 (DELAYED)
7  1.000002 brk(NULL) = 0x5500000000
7  1.000003 mmap(NULL, 8192, 0x5, 0x2, 3</lib/a, \\303\\251(1).so>(deleted), 0x1000) = 0x7f0000000000
7  1.000003 --- SIGCHLD {si_signo=SIGCHLD, si_pid=3} ---
7  1.000004 mprotect(0x7f0000000000, 4096, 0x1) = -1 EACCES (Permission denied)
7  1.000005 shmget(0, 4096, 0x3ff) = 5
7  1.000006 shmat(5, NULL, 0) = 0x7f0000100000
7  1.000007 vfork( <unfinished ...>
8  1.000008 execve("/bin/ls", [...], 0x5 /* 9 vars */) = 0 (DELAYED)
8  1.000009 exit_group(0) = ?
7  1.000010 <... vfork resumed>) = 8
8  1.000011 +++ exited with 0 +++
7  1.000012 clone3({flags=0x11200, child_tid=0x7f, exit_signal=0, stack=0x7f, stack_size=0x7fff80, tls=0x7f}, 88) = 9
9  1.000013 mremap(0x7f0000000000, 8192, 4096, 0) = 0x7f0000000000
9  1.000014 +++ exited with 0 +++
7  1.000015 clone3({flags=0, exit_signal=17, stack=NULL, stack_size=0}, 88) = 10
10 1.000016 madvise(0x7f0000100000, 4096, 0x4) = 0
10 1.000017 +++ killed by SIGKILL +++
7  1.000018 exit_group(0) = ?
7  1.000019 +++ exited with 0 +++
"""


def converted(lines_of_strace, image, path):
    """-> the converter, its text and the trace of it. image: the file that every process is found to map."""
    lines = Converter(lambda pid: [(0x400000, 4096, 0, "fe:00", "3", "r-xp", image)])
    text = "\n".join(made for line in lines_of_strace.splitlines() for made in lines.convert(line))
    path.write_text(text + "\n", encoding="latin-1")
    return lines, text, load_trace(path)


def test_lines_of_strace_become_lines_of_perf(tmp_path):
    lines, _, trace = converted(STRACE, "/bin/sh", tmp_path / "text")
    image = ("MMAP", 0x400000, 4096)
    assert [(name, pid) for name, pid in operations(trace) if name != "MMAP"] == [
        ("SPAWN", 7), ("SETBRK", 7), ("SPAWN", 8), ("EXIT", 8), ("MREMAP", 7), ("FORK", 7), ("MADVISE", 10), ("EXIT", 10),
        ("EXIT", 7)]
    assert [(name, addr, length) for name, _, addr, length in operations(trace, "addr", "length") if name == "MMAP"] == [
        image, ("MMAP", 0x7F0000000000, 8192), ("MMAP", 0x7F0000100000, 4096), image]
    assert [file.name for file in trace.files] == ["/bin/sh", "/lib/a, é(1).so", "/SYSV00000005"]
    assert [file.kind for file in trace.files] == ["disk", "disk", "shmem"]
    assert trace.summary["left_out"] == {"mprotect failed: EACCES": 1}
    assert lines.processes == 3 and trace.summary["threads"] == 1 and trace.summary["alive"] == 0


EXECS = """\
7  1.000001 execve("/bin/sh", [...], 0x7ffc /* 9 vars */) = 0 (DELAYED)
7  1.000002 fork() = 8
8  1.000003 execveat(5</bin/a b>, "", [...], 0x7ffc /* 9 vars */, 0x1000) = 0 (DELAYED)
8  1.000004 execveat(-100, "/bin/c", [...], 0x7ffc /* 9 vars */, 0) = 0 (DELAYED)
8  1.000005 clone3({flags=0x10100, exit_signal=0, stack=NULL, stack_size=0}, 88) = 9
9  1.000006 execve("/bin/d", [...], 0x7ffc /* 9 vars */ <pid changed to 8 ...>
8  1.000007 +++ superseded by execve in pid 9 +++
8  1.000008 <... execve resumed>) = 12 (DELAYED)
8  1.000009 +++ exited with 0 +++
7  1.000010 +++ exited with 0 +++
"""


def test_every_way_to_execute_is_one_for_strace(tmp_path):
    _, text, trace = converted(EXECS, "/bin/x", tmp_path / "text")
    assert [(name, pid) for name, pid in operations(trace) if name != "MMAP"] == [
        ("SPAWN", 7), ("FORK", 7), ("EXECVE", 8), ("EXECVE", 8), ("EXECVE", 8), ("EXIT", 8), ("EXIT", 7)]
    assert re.findall("COMM exec: (.*):", text) == ["sh", "a b", "c", "d"] and not trace.summary["left_out"]


CUT = """\
7  1.000001 execve("/bin/sh", [...], 0x7ffc /* 9 vars */) = 0 (DELAYED)
7  1.000002 mmap(NULL, 8192, 0x3, 0x1, 3</memfd:a, b>(deleted), 0) = 0x7f0000000000
7  1.000003 dup2(3</memfd:a, b>(deleted), 9) = 9</memfd:a, b>(deleted)
7  1.000004 close(3</memfd:a, b>(deleted)) = 0
7  1.000005 prctl(0x29, 0x1, 0, 0, 0) = 0
7  1.000006 ftruncate(3</memfd:a, b>(deleted), 0) = -1 EBADF (Bad file descriptor)
7  1.000007 ftruncate(9</memfd:a, b>(deleted), 4096) = 0
"""


def test_strace_names_files_behind_results_and_arguments(tmp_path):
    _, _, trace = converted(CUT, "/bin/x", tmp_path / "text")
    assert operations(trace, "other", "arg")[3:] == [("TRUNCATE", 0, 2, 4096), ("TRUNCATE", 0, 2, 8192)]
    assert trace.summary["left_out"] == {"ftruncate failed: EBADF": 1, "prctl PR_SET_THP_DISABLE": 1}


def run(arguments, **options):
    return subprocess.run([sys.executable, "-P", "-m", "rmapcore", "capture", *arguments], capture_output=True, text=True,
                          timeout=60, **options)


def test_a_real_program(tmp_path, can_record):
    """Its output and input are its own; compare takes the file as it is."""
    path, report = tmp_path / "a.zst", tmp_path / "report"
    program = FORKS.format(20) + "\nprint(input(), os.read({}, 9))\nraise SystemExit(3)"
    reader, writer = os.pipe()                 # any open file is the command's, as those that a shell opens for it
    os.write(writer, b"too")
    os.close(writer)
    done = run(["-o", path, "--json", report, "--", *PYTHON, program.format(reader)], input="hello\n", pass_fds=[reader])
    os.close(reader)
    assert (done.returncode, done.stdout) == (0, "hello b'too'\n"), done.stderr
    said = json.loads(report.read_text())
    assert said["tool"] == "perf" and said["lost"] == 0 and said["status"] == 3 and said["processes"] == 21
    assert said["seconds"]["command"] > 0
    if said["overhead"] is not None:           # None: lost in the noise of other programs
        assert not said["overhead"]["measured"] and said["overhead"]["seconds"] > 0
    trace = load_trace(path)
    assert path.read_bytes().startswith(b"\x28\xb5\x2f\xfd")
    assert trace.summary["events"] == said["events"] and trace.summary["faults"] == said["faults"] > 500
    assert trace.summary["forks"] == 20 and trace.summary["alive"] == 0 and trace.summary["lost"] == 0
    result = compare(trace, schemes=["anon_vma"])
    assert result.ok and result.to_dict()["results"][0]["calls"]["failed"] == 0


NAMES = """
import ctypes, mmap, os
ctypes.CDLL(None).prctl(15, b"a\\nb 1/2 3: x")
with open("a\\nb", "w+b") as file:
    file.truncate(8192)
    shown = mmap.mmap(file.fileno(), 8192)
    shown[0] = 1
if not os.fork(): os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("tool", ["perf", "strace"])
def test_names_with_line_ends(tmp_path, tool, can_record, can_trace):
    """Of tasks and of files: what is written can be read."""
    path = tmp_path / "a.txt"
    done = run(["--tool", tool, "-o", path, "--", *PYTHON, NAMES], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trace = load_trace(path)
    assert trace.summary["forks"] == 1 and str(tmp_path / "a?b") in [file.name for file in trace.files]


@pytest.mark.parametrize("tool", ["perf", "strace"])
def test_a_program_that_is_broken_off(signals_heard, tmp_path, tool, can_record, can_trace):
    """By a signal that only we have got."""
    path = tmp_path / "a.txt"
    program = "import time\nprint(1, flush=True)\ntime.sleep(50)"
    words = [sys.executable, "-P", "-m", "rmapcore", "capture", "--tool", tool, "-o", path, "--", *PYTHON, program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=30)
    assert process.returncode == 0 and "SIGINT, broken off" in text
    assert load_trace(path).summary["alive"] == 0


def test_calls_only(tmp_path, can_trace):
    path = tmp_path / "a.zst"
    report = capture([*PYTHON, FORKS.format(3)], path, tool="strace")
    assert report.ok and report.lost is None and report.status == 0 and report.processes == 4 and report.missing
    summary = load_trace(path).summary
    assert summary["forks"] == 3 and summary["alive"] == 0 and summary["faults"] == 0 and summary["calls"] > 20
    result = compare(path, schemes=["anon_vma"])
    assert result.ok and result.to_dict()["results"][0]["calls"]["failed"] == 0


def test_overhead_against_a_plain_run(tmp_path, can_record):
    """The command runs twice, and the difference is what is said."""
    count = tmp_path / "count"
    report = capture(["/bin/sh", "-c", f"echo >> {count}"], tmp_path / "a", plain=True)
    assert count.read_text() == "\n\n" and report.overhead["measured"]
    assert report.overhead["seconds"] == report.seconds["command"] - report.seconds["plain"]
    assert f"{report.seconds['plain']:.3f} s" in report.text()


def test_a_gap_is_said(tmp_path, can_record, monkeypatch):
    class Lossy(perfdata.Converter):
        lost = 12

    monkeypatch.setattr(perfdata, "Converter", Lossy)
    report = capture(["true"], tmp_path / "a")
    assert not report.ok and "12 events" in report.text() and "--buffer" in report.text()
    assert load_trace(tmp_path / "a").summary["lost"] == 12        # and whoever reads the file says so too


@pytest.mark.parametrize(("arguments", "said"), [
    (["--", "no_such_program"], "'no_such_program' is not found"),
    ([], "no command"),
    (["--"], "no command"),
    (["no_such_program", "--plain", "-o"], "'no_such_program' is not found"),
    (["--tool", "gdb", "--", "true"], "tool 'gdb' is unknown; known: perf, strace"),
    (["--buffer", "many", "--", "true"], "buffer: 'many'"),
])
def test_what_cannot_be_recorded(tmp_path, arguments, said, capsys):
    assert main(["capture", "-o", str(tmp_path / "a"), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_where_nothing_can_record(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["capture", "-o", str(tmp_path / "a"), "--", "/bin/true"]) == 2
    assert "perf is not installed; strace is not installed" in capsys.readouterr().err
    assert main(["capture", "-o", str(tmp_path / "b" / "a"), "--", "/bin/true"]) == 2
    assert "No such file" in capsys.readouterr().err
