"""What is no argument is told by its name: every public call, each of its arguments, everything that it cannot be.

A value of another type is a TypeError, a wrong one of the right type a ValueError, and both say which argument it was. A
system call says as Linux does, by OSError, which numbers it refuses. Nothing else comes out, and the machine is as it was.
"""
import inspect
import math

import numpy as np
import pytest

import rmapcore
from rmapcore.process import Pin

PAGE = 4096
AT = 0x40000000
VALUES = {
    "nothing": [None],
    "truth": [True, False],
    "number": [-1, 1 << 70, -1 << 70, 10 ** 5000, np.int64(-5), np.uint64(2 ** 64 - 1)],
    "float": [1.5, math.nan, math.inf, np.float64(7.25), 1j],
    "text": ["x", "", "\0", "\udcff", "9" * 5000],
    "bytes": [b"x", bytearray(b"x")],
    "list": [[1.5], (), [None], ["x", 1]],
    "array": [np.zeros((2, 2)), np.array(["x"]), np.array([1.5]), np.array([None]), np.zeros(3, bool)],
    "mapping": [{}],
    "other": [object(), {1}, int, Ellipsis, range(3)],
}
ANYTHING = " ".join(VALUES)            # asked only whether it is true
ARRAY = ANYTHING.replace("nothing ", "")         # what is none is found out when an array is made of it
NUMBER, SIZE, NAME, PATH = "number", "number text", "text", "text bytes"
RANGE = {"addr": NUMBER, "length": NUMBER}
SCHEME = "text"

# the kinds that each argument takes
PROCESS = {
    "mmap": {**RANGE, "prot": SIZE, "flags": NUMBER, "file": "nothing", "offset": NUMBER},
    "munmap": RANGE, "mlock": {**RANGE, "flags": NUMBER}, "munlock": RANGE, "mseal": RANGE, "pagemap": RANGE, "stamps": RANGE,
    "read": RANGE, "write": RANGE, "brk": {"addr": NUMBER}, "mlockall": {"flags": NUMBER}, "pin": {"addr": NUMBER},
    "mprotect": {**RANGE, "prot": SIZE, "key": "nothing number"}, "madvise": {**RANGE, "advice": SIZE},
    "mbind": {**RANGE, "policy": NUMBER},
    "mremap": dict.fromkeys(("old_address", "old_size", "new_size", "flags", "new_address"), NUMBER),
    "remap_file_pages": {"addr": NUMBER, "size": NUMBER, "prot": SIZE, "pgoff": NUMBER, "flags": NUMBER},
    "name_area": {**RANGE, "name": "nothing text"}, "translate": {"addresses": ARRAY},
    "touch": {"addresses": ARRAY, "write": ARRAY, "process": "nothing list array", "out": "nothing text"},
}
GOOD = {"addr": AT, "length": PAGE, "prot": 1, "flags": 0, "file": None, "offset": 0, "advice": 4, "policy": 0, "size": PAGE,
        "old_address": AT, "old_size": PAGE, "new_size": PAGE, "new_address": 0, "pgoff": 0, "name": "n", "addresses": [AT],
        "write": True, "key": None, "process": None, "out": None}
MACHINE = {
    "spawn": {"name": NAME}, "file": {"name": NAME, "size": NUMBER, "kind": "text", "warm": ANYTHING},
    "reclaim": {"pages": NUMBER}, "process": {"pid": NUMBER}, "whomaps": {"pfns": ARRAY},
    "mappings": {"pfns": ARRAY}, "limit_stacks": {"limit": SIZE}, "save": {"path": PATH},
    "run": {"operations": "", "files": "nothing list", "stop": "nothing number"}, "walk": {"pfn": NUMBER},
    "locks": {"costs": "nothing mapping"},
    "name": {"names": "mapping"},
}
OPERATIONS = np.zeros(2, rmapcore.OPERATION)
MACHINE_GOOD = {"name": "n", "size": PAGE, "kind": "disk", "warm": False, "pages": 1, "pid": 1, "pfn": 1, "pfns": [1],
                "names": {1: "a"},
                "limit": PAGE, "path": "/nowhere/x", "operations": OPERATIONS, "files": None, "stop": 1, "costs": None}
MADE = {
    "scheme": "text", "kernel": "text", "arch": "text", "ram": SIZE, "swap": SIZE, "file_rmap": "nothing text",
    "track_contents": ANYTHING, "max_ptes": "nothing number", "max_map_count": "nothing number", "stack_limit": SIZE,
    "max_file_pages": "nothing number", "watch": NUMBER,
}
FUNCTIONS = {
    rmapcore.compare: ({"workload": PATH, "schemes": "nothing text list", "kernel": "nothing text list", "arch": "text list",
                        "file_rmap": "nothing text", "ram": "nothing number text", "swap": "nothing number text",
                        "seed": NUMBER, "max_map_count": "nothing number", "stack_limit": "nothing number text",
                        "progress": "nothing", "max_text": "nothing number text", "profile": ANYTHING,
                        "cpus": "nothing number", "costs": "nothing mapping"},
                       {"workload": "swapout", "schemes": "anonmm", "pages": 64, "processes": 2}),
    rmapcore.check_scheme: ({"scheme": "text", "programs": NUMBER, "seed": NUMBER, "progress": "nothing"},
                            {"scheme": "anonmm", "programs": 0}),
    rmapcore.reproduce: ({"rows": "nothing number text list", "progress": "nothing"}, {"rows": "8", "children": 3}),
    rmapcore.load_trace: ({"path": PATH, "max_text": "nothing number text"}, {"path": "/nowhere/x"}),
    rmapcore.capture: ({"command": "list", "file": PATH, "tool": "nothing text", "plain": ANYTHING,
                        "buffer": "nothing number text", "progress": "nothing", "hold": ANYTHING,
                        "snapshots": "nothing number", "anonymise": ANYTHING},
                       {"command": ["/nowhere/x"], "file": "/nowhere/x"}),
    rmapcore.snapshot_of: ({"pids": "list", "progress": "nothing"}, {"pids": []}),
}
UNNAMED = ("progress",)                # Python says what cannot be called
ENDLESS = ("programs",)                # so many would be run
MISTAKES = (TypeError, ValueError, OSError, rmapcore.RmapcoreError)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Text is a path too, and files may come of it."""
    monkeypatch.chdir(tmp_path)


def machine_and_process():
    machine = rmapcore.Machine("anon_vma_chain", "6.18", ram="1MiB", swap="1MiB", track_contents=True, max_ptes=4096)
    process = machine.spawn()
    process.mmap(AT, 4 * PAGE, 3, 0x32)
    process.write(AT, 2 * PAGE)
    return machine, process


def everything(machine):
    """All arenas, but for the number of operations, and where to look first."""
    arrays = {name: machine._core.view(name).copy() for name in machine._core.arenas}
    arrays["head"]["op_index"] = 0
    arrays["mms"]["cache"] = 0
    return {name: array.tobytes() for name, array in arrays.items()}, len(machine._files)


def shown(value):
    return f"{type(value).__name__}-{value.bit_length()}" if isinstance(value, int) else repr(value)[:40]


def wrong_answers(call, taken, good, machine=None):
    """What is not as the head of this file says: texts."""
    found = []
    for argument, kinds in taken.items():
        for kind, values in VALUES.items():
            for value in values:
                if kinds == ANYTHING or (argument in ENDLESS and isinstance(value, int | np.integer) and value > 1):
                    continue
                before = machine and everything(machine)
                try:
                    call(**good | {argument: value})
                    told = None
                except MISTAKES as error:
                    told = error
                except BaseException as error:
                    found.append(f"{argument}={shown(value)}: {type(error).__name__}: {error}")
                    continue
                if isinstance(told, OSError | TypeError | ValueError) and machine and everything(machine) != before:
                    found.append(f"{argument}={shown(value)}: {told!r}, and something has changed")
                if argument not in UNNAMED and kind not in kinds.split() and not isinstance(told, TypeError) and not (
                        kinds == ARRAY or ("list" in kinds and (told is not None or value == {}))):
                    found.append(f"{argument}={shown(value)}: {told!r}, no TypeError")
                if type(told) in (TypeError, ValueError) and argument not in UNNAMED and argument.rstrip("s") not in str(told):
                    found.append(f"{argument}={shown(value)}: {told!r} does not say which argument")
                if told is not None and kind != "text" and len(str(told)) > 1000:
                    found.append(f"{argument}={shown(value)}: {len(str(told))} characters")
    return found


@pytest.mark.parametrize("name", PROCESS)
def test_system_calls(name):
    machine, process = machine_and_process()
    taken = PROCESS[name]
    good = {argument: GOOD[argument] for argument in taken}
    if name == "mmap":
        good["flags"] = 0x22
    assert wrong_answers(getattr(process, name), taken, good, machine) == []
    machine.check()


@pytest.mark.parametrize("name", MACHINE)
def test_calls_of_machines(name):
    machine, _ = machine_and_process()
    taken = MACHINE[name]
    good = {argument: MACHINE_GOOD[argument] for argument in taken}
    assert wrong_answers(getattr(machine, name), taken, good, machine) == []
    machine.check()


def test_files():
    machine, _ = machine_and_process()
    file = machine.file("f", 4 * PAGE)
    assert wrong_answers(file.truncate, {"size": NUMBER}, {}, machine) == []


def test_machines():
    assert wrong_answers(rmapcore.Machine, MADE, {"ram": "1MiB", "swap": 0}) == []
    assert wrong_answers(rmapcore.Machine.load, {"path": PATH, "scheme": "nothing text"}, {"path": "/nowhere/x"}) == []


def test_traces():
    machine, _ = machine_and_process()
    trace = rmapcore.Trace(OPERATIONS[:0], [], {}, "none")
    for name, taken in (("repeated", {"times": NUMBER}), ("replay", {"machine": ""}), ("save", {"path": PATH}),
                        ("operations_for", {"kernel": "text"})):
        good = {"path": "/nowhere/x"} if name == "save" else {}
        assert wrong_answers(getattr(trace, name), taken, good, machine) == [], name


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions(function):
    taken, good = FUNCTIONS[function]
    assert wrong_answers(function, taken, good) == []


def test_every_public_call_is_here():
    for cls, table in ((rmapcore.Machine, MACHINE), (rmapcore.Process, PROCESS)):
        calls = {name: set(inspect.signature(function).parameters) - {"self"}
                 for name, function in inspect.getmembers(cls, callable) if not name.startswith("_")}
        assert {name: set(taken) for name, taken in table.items()} == {
            name: arguments for name, arguments in calls.items() if arguments and name not in ("hold", "load")}
    functions = {function for function in map(vars(rmapcore).get, rmapcore.__all__) if inspect.isfunction(function)}
    assert {function for function in functions if inspect.signature(function).parameters} == set(FUNCTIONS)
    for function, (taken, _) in FUNCTIONS.items():
        assert set(taken) | {"parameters"} >= set(inspect.signature(function).parameters)
    assert set(inspect.signature(rmapcore.Machine).parameters) == set(MADE)
    assert [name for name, function in inspect.getmembers(Pin, callable) if name[0] != "_"
            and len(inspect.signature(function).parameters) > 1] == []
