"""Calls that change areas seldom, made by a real program and recorded: its areas and pages are those of the replay."""
import json
import subprocess
import sys

import numpy as np
import pytest

from programs import rare_calls
from rmapcore import CaptureError, Machine, capture, load_trace
from rmapcore.operations import Op
from rmapcore.units import PAGE

PROGRAM = [sys.executable, "-I", "-S", rare_calls.__file__]


def letters(prot):
    return "".join(letter if prot & 1 << bit else "-" for bit, letter in enumerate("rwx"))


@pytest.fixture
def recorded(tmp_path, capfd):
    """(what the program has found, its Trace)"""
    alone = subprocess.run(PROGRAM, capture_output=True, text=True)
    if alone.returncode:
        pytest.skip(f"a call of the program is not allowed here: {alone.stderr.splitlines()[-1]}")
    try:
        report = capture(PROGRAM, tmp_path / "text", tool="perf")
    except CaptureError as error:
        pytest.skip(str(error))
    assert report.ok and report.status == 0
    return json.loads(capfd.readouterr().out), load_trace(tmp_path / "text")


def test_areas_and_pages_of_a_real_program(recorded):
    live, trace = recorded
    operations = trace.operations_for("6.18")
    machine = Machine("anon_vma_chain", kernel="6.18", ram="1GiB")
    files = [machine.file(*file, warm=True) for file in trace.files]
    last = np.flatnonzero(operations["op"] == Op.EXIT)[-1]
    assert not machine.run(operations[:last], files=files).any()
    (process,) = machine.processes.values()
    names = ["", *(file.name for file in trace.files)]
    areas = [[int(area["start"]), int(area["end"]), letters(area["prot"])] for area in process.maps()
             if rare_calls.FIRST <= area["start"] < rare_calls.LAST or names[area["file"]].startswith(rare_calls.OBJECTS)]
    assert areas == [area[:3] for area in live["areas"]] and len(areas) >= 11
    pages = [place // PAGE + int(page) for place in rare_calls.PLACES.values()
             for page in np.flatnonzero(process.pagemap(place, rare_calls.PAGES * PAGE)["present"])]
    assert pages == live["pages"] and len(pages) == 10
    assert trace.summary["forks"] == 1 and not [reason for reason in trace.summary["left_out"] if "exec" in reason]
