"""The newest calls by number: what the running kernel calls them when they are made. Headers have the older ones."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rmapcore.linux.capture.rings import TRACEFS
from rmapcore.linux.syscalls import SYSCALLS

OLDEST = 335
PROGRAM = "import ctypes\nfor number in {}:\n ctypes.CDLL(None).syscall(number, *[ctypes.c_long(-1)] * 6)"
ENTERED = re.compile(r"raw_syscalls:sys_enter: NR (\d+) .*\n.*syscalls:sys_enter_(\w+): ")


def test_numbers_of_calls_that_are_made(tmp_path):
    """With arguments that each refuses; uretprobe is left out, which ends a program that no probe has sent there."""
    folder = next((path for path in map(Path, TRACEFS) if (path / "events/syscalls").is_dir()), None)
    if folder is None:
        pytest.skip("no readable tracefs with events/syscalls")
    new = [call for call in SYSCALLS.values() if call.number >= OLDEST and call.name != "uretprobe"
           and (folder / f"events/syscalls/sys_enter_{call.name}").is_dir()]
    events = [word for call in new for word in ("-e", f"syscalls:sys_enter_{call.name}")]
    data = tmp_path / "perf.data"
    program = [sys.executable, "-I", "-S", "-c", PROGRAM.format([call.number for call in new])]
    try:
        done = subprocess.run(["perf", "record", "-q", "-o", data, "-e", "raw_syscalls:sys_enter", *events, "--", *program],
                              capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("perf is not installed")
    if not data.exists():
        pytest.skip(f"perf is not allowed here: {done.stderr.strip()[:200]}")
    text = subprocess.run(["perf", "script", "-i", data, "-F", "event,trace"], capture_output=True, text=True).stdout
    found = {name: int(number) for number, name in ENTERED.findall(text)}
    assert len(new) > 30 and {call.name: call.number for call in new} == {call.name: found.get(call.name) for call in new}
