"""What comes from Python is checked before it is used: answers, candidates, arrays; the very call tells what is wrong."""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from everyone import Everyone
from rmapcore.pyx.seam.prototype import QUERY, Prototype
from rmapcore.schemes import SCHEMES

PAGE = 4096
AT = 0x40000000
FIXED = 0x32
TESTS = Path(__file__).parent.parent


def machine_of(cls, inner=None, **options):
    """A machine whose scheme is of this class, and a process with 4 written pages at AT."""
    scheme = cls(SCHEMES[inner].load()()) if inner else cls()
    machine = rmapcore.Machine(scheme, **{"ram": 64 * PAGE, "swap": 64 * PAGE, **options})
    process = machine.spawn()
    process.mmap(AT, 4 * PAGE, 3, FIXED)
    process.write(AT, 4 * PAGE)
    return machine, process


def late(**hooks):
    """Everyone with these hooks, which come into force when `on` is set."""
    def wrap(name, hook):
        def method(self, *arguments):
            if not self.on:
                usual = getattr(Everyone, name, None)
                return usual(self, *arguments) if usual else name in ("compatible", "may_bridge") or None
            return hook(self, *arguments)
        return method

    return type("Late", (Everyone,), {"on": False, **{name: wrap(name, hook) for name, hook in hooks.items()}})


def switched_on(machine):
    machine._engine.anon.on = True
    return machine


CALLS = {
    "area_link": lambda m, p: p.mmap(AT + 16 * PAGE, PAGE, 3, FIXED),
    "anon_prepare": lambda m, p: p.write(AT),
    "page_first": lambda m, p: m.run(written(p, AT + 4 * PAGE)),
    "compatible": lambda m, p: p.mmap(AT + 4 * PAGE, PAGE, 3, FIXED),
    "may_move": lambda m, p: p.mremap(AT, PAGE, PAGE, 3, AT + 32 * PAGE),
    "mm_fork": lambda m, p: p.fork(),
    "mm_exit": lambda m, p: p.exit(),
}


def written(process, at):
    """Operations: a map, a write and another one."""
    operations = np.zeros(3, rmapcore.OPERATION)
    operations["op"] = rmapcore.Op.MMAP, rmapcore.Op.WRITE, rmapcore.Op.WRITE
    operations["process"] = process.pid
    operations["addr"], operations["length"], operations["prot"], operations["flags"] = at, PAGE, 3, FIXED
    return operations


# --- answers of hooks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hook", "answer", "told"), [
    ("area_link", 3, "3 is an answer, and nothing was asked"), ("page_first", True, "True is an answer"),
    ("mm_fork", [], r"\[\] is an answer"), ("mm_exit", 2**70, "1180591620717411303424 is an answer"),
    ("compatible", None, "None is neither True nor False"), ("compatible", -1, "-1 is neither True nor False"),
    ("may_move", "yes", "'yes' is neither True nor False"), ("may_move", np.ones(2), "neither True nor False"),
    ("may_move", float("nan"), "nan is neither True nor False"),
])
def test_a_wrong_answer_comes_out_of_the_call(hook, answer, told):
    machine, process = machine_of(late(**{hook: lambda self, *arguments: answer}))
    with pytest.raises(TypeError, match=told) as caught:
        CALLS[hook](switched_on(machine), process)
    assert caught.value.__notes__ == [f"in {hook} of scheme late"]
    machine._engine.anon.on = False
    other = machine.spawn()                    # it came out once, and the machine goes on
    assert other.write(other.mmap(length=PAGE))["zero"] == 1


def test_a_hook_with_a_yield_is_told():
    def page_first(self, pfn, v, vpn):
        yield

    machine, process = machine_of(late(page_first=page_first))
    with pytest.raises(TypeError, match=r"<generator ob.* is an answer, and nothing was asked"):
        CALLS["page_first"](switched_on(machine), process)


@pytest.mark.parametrize("answer", [True, np.True_])
def test_a_numpy_bool_is_one(answer):
    machine, process = machine_of(late(may_move=lambda self, *arguments: answer))
    assert CALLS["may_move"](switched_on(machine), process) == AT + 32 * PAGE


def test_the_run_ends_with_the_operation_whose_hook_failed():
    machine, process = machine_of(late(area_link=lambda self, v: 1 / 0))
    before = machine.totals["operations"]
    with pytest.raises(ZeroDivisionError):
        switched_on(machine).run(written(process, AT + 16 * PAGE))
    assert machine.totals["operations"] == before + 1 and len(process.maps()) == 2       # the mmap is done
    machine.check()


@pytest.mark.parametrize("call", [lambda p: p.touch([AT], False), lambda p: p.pin(AT)])
def test_a_hook_that_fails_in_a_touch_or_a_pin_is_told_by_that_call(call):
    machine, process = machine_of(late(page_first=lambda self, *arguments: 1 / 0))
    while process.swapped < 4:
        machine.reclaim(4)
    switched_on(machine)
    with pytest.raises(ZeroDivisionError):
        call(process)
    assert machine._core.view("head")["n_pins"][0] == 0 and process.rss == 1      # the page came in, and nobody has a pin
    machine._engine.anon.on = False
    machine.spawn()


# --- candidates of walks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [lambda m: m.whomaps([1]), lambda m: m.crosscheck(), lambda m: m.check(),
                                  lambda m: m.reclaim(2)])
@pytest.mark.parametrize(("candidate", "error"), [
    ((1 << 33, 0, 1), ValueError), ((1, 0), ValueError), (None, TypeError), ((1, 0, 1.5), TypeError), ((1, 0, -1), ValueError),
    ((-1, 0, 1), ValueError), ((1, 0, 2**70), ValueError), ([1, 0, 1], TypeError), ((1, 1, 1), ValueError),
    ((1, 0, 1, 600), ValueError), ((1, 0, float("nan")), TypeError), ((1, 0, "x"), TypeError), ((), ValueError),
])
def test_a_wrong_candidate_comes_out_of_every_call_that_walks(call, candidate, error):
    class Wild(Everyone):
        def walk(self, pfn, purpose):
            yield candidate

    machine, process = machine_of(Wild)
    with pytest.raises(error, match=re.escape(repr(candidate[2] if error is TypeError and isinstance(candidate, tuple)
                                                   else candidate))) as caught:
        call(machine)
    assert caught.value.__notes__ == ["in walk of scheme wild"] and process.rss == 4


def test_a_walk_that_raises_is_no_miss_of_compare():
    class Fails(Everyone):
        def walk(self, pfn, purpose):
            raise ZeroDivisionError("walk")
            yield

    with pytest.raises(ZeroDivisionError, match="walk"):
        rmapcore.compare("swapout", schemes=[Fails], pages=40, processes=2)


def test_a_walk_that_never_ends_is_told_soon():
    told = []

    class Endless(Everyone):
        def walk(self, pfn, purpose):
            while True:
                told.append(pfn)
                yield 1, 0, 0

    machine, _ = machine_of(Endless)
    for call in (lambda: machine.whomaps([1, 2, 3, 4]), lambda: machine.reclaim(4), machine.check):
        told.clear()
        with pytest.raises(ValueError, match="candidates are more than there can be, and no end: the last was"):
            call()
        assert set(told) == {told[0]} and 0 < len(told) < 10_000


@pytest.mark.parametrize("inner", ["anon_vma", "anon_vma_unshared", "anon_vma_2_6_7"])
def test_lists_that_became_circles_are_told(inner):
    """An area that was not taken off its list comes to the same list again."""
    class Misses(Prototype):
        def area_unlink(self, v):
            """The inner scheme hears nothing."""

    machine, process = machine_of(Misses, inner, file_rmap="prio_tree")
    with pytest.raises(ValueError, match=f"the walk of frame . goes in a circle under {inner}"):
        for _ in range(20):
            child = process.fork()
            child.munmap(AT, PAGE)
            child.exit()
            machine.whomaps(range(1, 10))
    assert process.rss == 4 and process.alive
    with pytest.raises(ValueError, match="goes in a circle"):
        machine._engine.anon.candidates(1, QUERY)
        machine._engine.anon.raise_kept()


@pytest.mark.parametrize("inner", ["anon_vma_chain", "anon_vma_chain_degree"])
def test_a_tree_that_nobody_left_is_entered_once(inner):
    class Misses(Prototype):
        def area_before(self, v):
            """The inner scheme hears nothing."""

    machine, process = machine_of(Misses, inner, file_rmap="interval_tree")
    for _ in range(10):
        process.mprotect(AT, PAGE, 1)
        process.mprotect(AT, PAGE, 3)
        process.fork().munmap(AT + PAGE, PAGE)
    assert len(machine.whomaps([1])[1]) <= 11


@pytest.mark.parametrize(("arguments", "error", "told"), [
    ((64, QUERY), ValueError, "64 is no frame from 0 to 63"), ((-1, QUERY), ValueError, "-1 is no frame"),
    ((2**70, QUERY), ValueError, "is no frame"), (("1", QUERY), TypeError, "'1' is no whole number"),
    ((1, 4), ValueError, "4 is no purpose"), ((1, -1), ValueError, "-1 is no purpose"),
    ((1, None), TypeError, "None is no whole number"),
])
def test_arguments_of_candidates_are_checked(arguments, error, told):
    machine, _ = machine_of(type("Outer", (Prototype,), {}), "anon_vma", file_rmap="prio_tree")
    with pytest.raises(error, match=told):
        machine._engine.anon.candidates(*arguments)
    assert len(machine._engine.anon.candidates(1, QUERY)) == 1 and machine._engine.anon.candidates(50, QUERY) == []
    for scheme in (Everyone(), Prototype(SCHEMES["anon_vma"].load()())):
        with pytest.raises(ValueError, match="has no inner scheme, or no machine yet"):
            scheme.candidates(1, QUERY)


def test_an_inner_scheme_in_python_is_heard_too():
    class Inner(Everyone):
        def mm_fork(self, child, parent):
            raise ZeroDivisionError("inner")

    scheme = type("Outer", (Prototype,), {})(Inner())
    machine = rmapcore.Machine(scheme, ram=64 * PAGE, swap=0)
    process = machine.spawn()
    with pytest.raises(ZeroDivisionError, match="inner"):
        process.fork()
    assert machine.spawn().alive


# --- calls back into the machine, Ctrl-C ------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [
    lambda m, p: m.reclaim(1), lambda m, p: p.read(AT), lambda m, p: p.fork(), lambda m, p: m.whomaps([1]),
    lambda m, p: m.copy(), lambda m, p: m.spawn(), lambda m, p: m.run(written(p, AT)),
])
def test_a_call_back_is_an_error_of_that_call(again):
    told = []

    def page_first(self, pfn, v, vpn):
        with pytest.raises(rmapcore.MachineBusy, match="in the middle of an operation"):
            again(machine, process)
        told.append(pfn)
        Everyone.page_first(self, pfn, v, vpn)

    machine, process = machine_of(late(page_first=page_first))
    process.mmap(AT + 4 * PAGE, PAGE, 3, FIXED)
    assert switched_on(machine) and process.write(AT + 4 * PAGE)["zero"] == 1 and len(told) == 1
    machine.check()                            # the outer call went on


def test_a_call_back_that_is_not_caught_fails_the_outer_call():
    machine, process = machine_of(late(anon_prepare=lambda self, v: machine.reclaim(1)))
    process.mmap(AT + 16 * PAGE, PAGE, 3, FIXED)
    with pytest.raises(rmapcore.MachineBusy):
        switched_on(machine) and process.write(AT + 16 * PAGE)
    machine._engine.anon.on = False
    assert machine.reclaim(1)["freed"] == 1


def ctrl_c():
    """As from the terminal: heard at one of the next bytecodes."""
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10**9):
        pass


def forever(self, *arguments):
    self.came += 1
    ctrl_c()


def forever_yielding(self, pfn, purpose):
    self.came += 1
    yield 1, 0, 0
    ctrl_c()


@pytest.mark.usefixtures("signals_heard")
@pytest.mark.parametrize(("hooks", "call"), [
    ({"page_first": forever}, lambda m, p: p.write(AT + 4 * PAGE, 60 * PAGE)),
    ({"walk": forever_yielding}, lambda m, p: m.reclaim(8)), ({"walk": forever_yielding}, lambda m, p: m.check()),
    ({"walk": forever_yielding}, lambda m, p: m.whomaps([1, 2, 3])), ({"mm_exit": forever}, lambda m, p: p.exit()),
])
def test_ctrl_c_is_heard_at_once(hooks, call):
    """In the hook where it comes; once is enough, however many hooks would come."""
    machine, process = machine_of(late(**hooks), ram=256 * PAGE)
    process.mmap(AT + 4 * PAGE, 60 * PAGE, 3, FIXED)
    switched_on(machine)._engine.anon.came = 0
    with pytest.raises(KeyboardInterrupt):
        call(machine, process)
    assert machine._engine.anon.came == 1
    machine._engine.anon.on = False
    machine.spawn()


# --- objects and arrays -----------------------------------------------------------------------------------------------


def test_a_scheme_that_does_not_attach_is_refused():
    cls = type("Mine", (Everyone,), {"attach": lambda self, core: None})
    with pytest.raises(TypeError, match="scheme mine: its attach does not call that of the class it is made of"):
        rmapcore.Machine(cls)


def test_what_check_of_a_scheme_yields_is_checked():
    machine, _ = machine_of(type("Mine", (Everyone,), {"check": lambda self: [("X1", 1)]}))
    with pytest.raises(TypeError, match=r"check of scheme mine: \('X1', 1\) is not \(rule, frame, mm, vpn, text\)"):
        machine.check()


@pytest.mark.parametrize("pfns", [[-1], [64], [2**31], [2**70], [1.5], ["1"], [None], [[1, 2], [3, 4]], [True]])
def test_frames_that_there_are_not(pfns):
    machine, _ = machine_of(Everyone)
    for call in (machine.whomaps, machine.mappings):
        with pytest.raises((ValueError, TypeError)):
            call(pfns)


def test_values_that_no_call_takes():
    machine, process = machine_of(Everyone)
    with pytest.raises(TypeError, match="file: 3 is no File"):
        process.mmap(length=PAGE, file=3)
    with pytest.raises(TypeError, match="addr: 'x' is not a whole number"):
        process.munmap("x", PAGE)
    with pytest.raises(ValueError, match=r"pages: .* is not a whole number from 0"):
        machine.reclaim(2**70)


def test_300_wrong_answers_end_in_declared_exceptions_and_nothing_else():
    path = os.pathsep.join([str(TESTS), str(Path(rmapcore.__file__).parents[1])])
    done = subprocess.run([sys.executable, "-X", "faulthandler", Path(__file__).with_name("hookfuzz.py"), "7", "300"],
                          env=os.environ | {"PYTHONPATH": path},
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["right"] > 3000 and found["TypeError"] > 100 and found["ValueError"] > 100
