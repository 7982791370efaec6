"""Saved traces that somebody made up: refused with the field and its value, or harmless."""
import json
import random
import struct

import numpy as np
import pytest

import rmapcore
from recordings import MIB, PAGE, started
from rmapcore import TraceError, load_trace
from rmapcore.operations import OPERATION, Op
from rmapcore.studies.replaycheck import check_replay
from rmapcore.traces.states import AreaSeen, ProcessSeen, Run, State
from rmapcore.traces.trace import Trace, _header_digest

AREA = AreaSeen(MIB, 2 * MIB, "rw-p", 0, "00:00", "0", "rd,wr", "/lib/a", 1)


def made(*operations, files=(("/lib/a", MIB, "disk"),)):
    """A Trace of operations given as dicts; a few usual ones without."""
    usual = ({"op": Op.SPAWN, "process": 9}, {"op": Op.MMAP, "process": 9, "addr": MIB, "length": MIB, "prot": 3, "flags": 0x12,
                                              "other": 1},
             {"op": Op.FAULT, "process": 9, "addr": MIB, "flags": 6})
    array = np.zeros(len(operations or usual), OPERATION)
    for record, fields in zip(array, operations or usual, strict=True):
        for name, value in fields.items():
            record[name] = value
    end = len(array)
    state = State(7, end, {}, [ProcessSeen(9, 3, "a", 9, [(5, 1)], [AREA], [Run(256, 1, 0, 1, 0)])])
    return Trace(array, files, {"lines": 1, "faults": 1, "left_out": {"x": 1}, "assumed": {}, "recorded": {"kernel": "6.18"},
                                "stack_limit": 8 * MIB}, "made", None, [state], {end - 1: 1001}, [(end, 9, 1, 0)])


def changed(path, change):
    """Another header in place of a saved trace's, with the right digest."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[8:16])
    header = json.loads(content[16:16 + length])
    records = content[-header["count"] * 48:]
    del header["header_digest"]
    change(header)
    header["header_digest"] = _header_digest(header)
    text = json.dumps(header).encode()
    start = -(-(16 + len(text)) // 64) * 64
    path.write_bytes((content[:8] + struct.pack("<Q", len(text)) + text).ljust(start, b"\0") + records)


@pytest.mark.parametrize(("operation", "field", "value"), [
    ({"op": 0}, "op", 0), ({"op": 999, "process": 1}, "op", 999), ({"op": Op.TRUNCATE, "other": 0, "arg": 1 << 40}, "other", 0),
    ({"op": Op.PUNCH_HOLE, "other": 2}, "other", 2), ({"op": Op.WRITEBACK, "other": 2}, "other", 2),
    ({"op": Op.MMAP, "process": 1, "other": 2}, "other", 2),
    ({"op": Op.READ, "process": 0}, "process", 0), ({"op": Op.FORK, "process": 1}, "other", 0),
])
def test_operations_that_are_none_are_refused(operation, field, value, tmp_path):
    made({"op": Op.SPAWN, "process": 1}, operation).save(tmp_path / "t")
    with pytest.raises(TraceError, match=f"t: the saved trace is damaged: operation 1: {field} is {value}$"):
        load_trace(tmp_path / "t")


def test_an_operation_on_file_0_changes_nothing():
    """As an array, which no file has been checked for: it was record 0 of the files that became a terabyte."""
    machine = rmapcore.Machine("anon_vma")
    operations = made({"op": Op.TRUNCATE, "other": 0, "arg": 1 << 40}).operations
    assert machine.run(operations).tolist() == machine.run(operations, []).tolist() == [2]
    machine.check()


@pytest.mark.parametrize(("path", "value", "said"), [
    ("source", 5, "source is 5"), ("files", {"a": 1}, "files is {'a': 1}"),
    ("files", [["/a", -1, "disk"]], "a file is ['/a', -1"),
    ("files", [["/a", 1, "tape"]], "a file is"), ("files", [["/a", 1]], "a file is"), ("summary", [], "summary is []"),
    ("summary", {"lost": "many"}, "summary: lost is 'many'"),
    ("summary", {"left_out": {"x": None}}, "summary: left_out: x is None"),
    ("summary", {"stack_limit": 1 << 70}, "summary: stack_limit is"),
    ("summary", {"recorded": []}, "summary: recorded is []"), ("summary", {"operations": "x"}, "summary is"),
    ("expected", [[9, 1]], "expected is [9, 1]"), ("expected", {}, "expected is {}"),
    ("expected", [[0, 1 << 20]], "expected is"), ("lives", [[0, 1, 2]], "lives is [0, 1, 2]"),
    ("cold", [1], "says of whole files that they are cold"),
    ("lives", [[0, 1, 2, -1]], "lives is"), ("states", [[1, 2]], "a state is [1, 2]"),
    ("states", [[1, 99, []]], "its place is 99"), ("states", [[1, 0, [[1]]]], "a process is"),
    ("states", [[1, 0, [[1, 1, "a", 1, [], [list(AREA[:3])], []]]]], "an area is"),
    ("states", [[1, 0, [[1, 1, "a", 1, [], [], [[0, 1 << 30, 0, 1, 0]]]]]], "pages is"),
    ("states", [[1, 0, [[1, 1, "a", 1, [], [], [[0, 1 << 26, 0, 1, 0], [1 << 26, 9, 0, 1, 0]]]]]], "pages of a process is"),
    ("count", -1, "count is -1"), ("count", True, "count is True"), ("digest", None, "digest is None"),
])
def test_fields_of_the_header_are_checked(path, value, said, tmp_path):
    made().save(tmp_path / "t")
    changed(tmp_path / "t", lambda header: header.update({path: value}))
    with pytest.raises(TraceError) as caught:
        load_trace(tmp_path / "t")
    assert said in str(caught.value) and str(caught.value).startswith(str(tmp_path / "t")) and len(str(caught.value)) < 300


def places(value, above=()):
    """The way to everything in lists and dicts."""
    yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*above, key))


def test_whatever_stands_in_a_header_is_refused_or_can_be_compared(tmp_path):
    """Every field, one after the other, becomes something else."""
    draw, path, loaded = random.Random(7), tmp_path / "t", 0
    values = (None, True, -1, 1 << 64, 2.5, "x", "", [], {}, [[]], 0)

    def change(header):
        chosen = draw.choice([place for place in places(header) if place and place[0] not in ("version", "dtype")])
        for key in chosen[:-1]:
            header = header[key]
        header[chosen[-1]] = draw.choice(values)

    for _ in range(300):
        made().save(path)
        changed(path, change)
        try:
            trace = load_trace(path)
        except TraceError as error:
            assert "damaged" in str(error) or "should have" in str(error)
            continue
        loaded += 1
        trace.repeated(2)
        if loaded % 5 == 0:
            rmapcore.compare(trace, "anon_vma", ram="1MiB", swap="1MiB").table()
            check_replay(trace).table()
    assert loaded > 20


def test_a_usual_one_is_loaded_and_compared(tmp_path, load):
    trace = load(started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6))
    trace.save(tmp_path / "t")
    assert rmapcore.compare(tmp_path / "t", "anon_vma").ok
    made().save(tmp_path / "t")
    assert load_trace(tmp_path / "t").states[0].to_list() == made().states[0].to_list()
