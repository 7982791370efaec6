"""perf.data and logs of strace that are made here: taken as they are."""
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rmapcore import compare, load_trace
from rmapcore.linux.calls import CALLS

PROGRAM = "import os, mmap\na = mmap.mmap(-1, 1 << 20)\na[0] = 1\nif not os.fork():\n a[4096] = 1\n os._exit(0)\nos.wait()"
FAULTS = ("exceptions:page_fault_user", "exceptions:page_fault_kernel")
TASKS = ("sched:sched_process_exec", "sched:sched_process_exit")
RAW = ("raw_syscalls:sys_enter", "raw_syscalls:sys_exit")
NAMES = ("mmap", "munmap", "brk", "clone", "execve")
EACH = tuple(f"syscalls:sys_{half}_{name}" for name in NAMES for half in ("enter", "exit"))
FILTER = "||".join(f"id=={number}" for number, _ in CALLS.values())


@pytest.fixture(params=["raw", "each", "stacks"])
def data(request, tmp_path):
    if shutil.which("perf") is None:
        pytest.skip("perf is not installed")
    path = tmp_path / "perf.data"
    words = ["perf", "record", "-q", "-d", "-c", "1", "-o", path, *(["-g"] if request.param == "stacks" else [])]
    for event in (*FAULTS, *TASKS, *(RAW if request.param == "raw" else EACH)):
        words += ["-e", event, *(["--filter", FILTER] if event in RAW else [])]
    done = subprocess.run([*words, "--", sys.executable, "-I", "-S", "-c", PROGRAM], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"perf is not allowed here: {done.stderr.strip()[:200]}")
    return path


def test_perf_data_is_as_its_text(data, tmp_path):
    trace = load_trace(data)
    assert trace.summary["forks"] == 1 and trace.summary["alive"] == trace.summary["lost"] == 0 < trace.summary["faults"]
    for options in ([], ["--ns"], ["-F", "+pid"]):
        text = tmp_path / "text"
        words = ["perf", "script", "-i", data, "--show-mmap-events", "--show-task-events", *options]
        with open(text, "wb") as stream:
            subprocess.run(words, stdout=stream, stderr=subprocess.DEVNULL, check=True)
        other = load_trace(text)
        names = [name for name in trace.operations.dtype.names if name != "arg"]         # of faults: the time
        assert np.array_equal(other.operations[names], trace.operations[names]) and other.files == trace.files
    result = compare(str(data), schemes=["anon_vma"])
    assert result.ok and result.to_dict()["results"][0]["calls"]["failed"] == 0


@pytest.mark.parametrize("options", [["-f"], ["-f", "-y", "-X", "raw"], ["-f", "-Y", "-ttt", "-T", "-yy"],
                                     ["-f", "-r", "-X", "verbose"]])
def test_logs_of_strace(options, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    path, program = tmp_path / "log", [sys.executable, "-I", "-S", "-c", PROGRAM]
    for words in (["strace", *options, "-o", path, *program], ["strace", *options, *program]):
        done = subprocess.run(words, capture_output=True)
        if "-o" not in words:
            path.write_bytes(done.stderr)
        trace = load_trace(path)
        assert trace.summary["forks"] == 1 and trace.summary["alive"] == 0
        assert set(trace.summary["left_out"]) == {"areas that execve mapped"}
        assert not [reason for reason in trace.summary["assumed"] if "PERF_RECORD_MMAP2" in reason]
