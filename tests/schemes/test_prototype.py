"""Prototypes: what a class may say, and is told if it says something else; arrays of its own; exceptions in hooks."""
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import differential
import programs
import rmapcore
from everyone import Everyone
from rmapcore.pyx.seam import prototype
from rmapcore.pyx.seam.prototype import HOOKS
from rmapcore.schemes import SCHEMES

PAGE = 4096
PXD = Path(__file__).parent.parent.parent / "pyx" / "seam" / "scheme.pxd"
# of a walk there is one generator; the others are for speed, or for file sides
NOT_FOR_PROTOTYPES = {"walk_begin", "walk_next", "walk_hit", "walk_end", "pages_first", "area_nonlinear", "lead",
                      "leads_walked", "leads_unmapped"}


def machine_of(scheme, **options):
    return rmapcore.Machine(scheme, **{"ram": 64 * PAGE, "swap": 64 * PAGE, **options})


def test_public_names():
    """Under the names that stay."""
    from rmapcore.pyx.prototype import FAIL, NONE, QUERY, REFERENCED, SEEN, SWEEP, UNMAP, UNMAPPED, Prototype
    from rmapcore.pyx.scheme import Scheme
    assert (NONE, SEEN, UNMAPPED, FAIL) == (0, 1, 2, 3) == (QUERY, REFERENCED, UNMAP, SWEEP)
    assert rmapcore.Prototype is Prototype is prototype.Prototype and "Prototype" in rmapcore.__all__
    assert issubclass(Prototype, Scheme) and all(issubclass(spec.load(), Scheme) for spec in SCHEMES.values())


def test_the_seam_can_be_cimported_under_the_name_that_stays(tmp_path):
    """Cython takes rmapcore.pyx.scheme apart: it finds the declarations beside the installed modules."""
    cython = pytest.importorskip("Cython.Build.Cythonize").__name__
    source = tmp_path / "outside.pyx"
    source.write_text("from rmapcore.pyx.scheme cimport WALK_QUERY, HIT_SEEN, Lead, Outcome, Scheme, Walk\n\n\n"
                      "cdef class Outside(Scheme):\n    cdef bint walk_next(self, Walk* w) noexcept nogil:\n"
                      "        return w.purpose == WALK_QUERY\n")
    tree = tmp_path / "cimport" / "rmapcore"
    tree.mkdir(parents=True)
    (tree / "__init__.pxd").touch()
    (tree / "pyx").symlink_to(PXD.parent.parent)
    subprocess.run([sys.executable, "-m", "cython", "-3", "-I", str(tree.parent), str(source)], check=True, cwd=tmp_path)
    assert source.with_suffix(".c").exists() and cython


def test_every_hook_of_the_seam_is_a_prototypes_too():
    declared = set(re.findall(r"^    cdef (?:void|bint) (\w+)\(self", PXD.read_text(), re.MULTILINE))
    assert declared - NOT_FOR_PROTOTYPES == set(HOOKS) - {"walk"} and len(HOOKS) == len(set(HOOKS))


# --- what a class may say -----------------------------------------------------------------------------------------------


def nothing(self, *arguments):
    """A hook."""


@pytest.mark.parametrize(("said", "told"), [
    ({"page_frist": nothing}, "Mine.page_frist is no hook; did you mean page_first? names of helpers begin with _"),
    ({"area_forked": nothing}, "did you mean area_fork?"),
    ({"walks_": nothing}, "did you mean walk?"),
    ({"helper": staticmethod(nothing)}, "Mine.helper is no hook; names of helpers begin with _"),
    ({"walk_next": nothing}, "Mine.walk_next is no hook"),
    ({"wants_entries": True}, "Mine.wants_entries would not be heard: it follows from the hooks"),
    ({"linear": True}, "Mine.linear would not be heard: put it into traits"),
    ({"name": "other"}, "Mine.name would not be heard"),
    ({"traits": {"liner": True}}, "Mine.traits has no 'liner'; did you mean linear? there are era, linear"),
    ({"arrays": {"owner": ("page", np.uint32, 4)}}, "arrays: owner: ('page', "),
    ({"arrays": {"owner": ("frame", np.uint32)}}, "is not (frame or area or mm, dtype, bytes or 'word')"),
    ({"arrays": {"owner": ("frame", np.uint32, -1)}}, "is not (frame or area or mm, dtype, bytes or 'word')"),
    ({"arrays": {"owner": ("frame", object, 8)}}, "holds Python objects, which cannot be saved"),
    ({"arrays": {"walk": ("frame", np.uint8, 1)}, "walk": nothing}, "arrays: 'walk' is taken, or no name"),
    ({"arrays": {"check": ("frame", np.uint8, 1)}}, "arrays: 'check' is taken, or no name"),
    ({"arrays": {"2": ("frame", np.uint8, 1)}}, "arrays: '2' is taken, or no name"),
])
def test_what_nobody_would_hear_is_refused(said, told):
    cls = type("Mine", (rmapcore.Prototype,), said)
    for make in (cls, lambda: machine_of(cls)):
        with pytest.raises(ValueError, match=re.escape(told)):
            make()


def test_what_is_heard():
    class Fine(rmapcore.Prototype):
        """Helpers, attributes of its own and the methods of every scheme."""

        traits = {"era": "6.18", "table_locks": False}
        file_rmap = "list"
        depth = 3

        def _helper(self):
            return self.depth

        def check(self):
            return ()

        def overhead(self):
            return {"page": self._helper()}

    machine = machine_of(Fine)
    assert machine.file_rmap == "list" and machine.memory()["structures"]["page"]["size"] == 64      # 60 + 3, in words


def test_wants_follow_from_the_hooks():
    for hook, wants in (("pages_mapped", "wants_entries"), ("pages_forked", "wants_entries"),
                        ("pages_unmapping", "wants_entries"), ("page_last", "wants_last"), ("page_freed", "wants_freed"),
                        ("may_move", "wants_moves"), ("page_moved", "wants_moves"), ("page_first", None)):
        made = type("Mine", (rmapcore.Prototype,), {hook: nothing})()
        flags = ("wants_entries", "wants_last", "wants_freed", "wants_moves")
        assert [name for name in flags if getattr(made, name)] == [wants] * bool(wants)
    inner = SCHEMES["pte_chain"].load()()
    outer = rmapcore.Prototype(inner)
    assert outer.wants_entries and outer.wants_moves and not outer.wants_last


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_prototype_that_defines_nothing_hands_everything_on(scheme, kernel):
    """Its machine is the inner scheme's, byte for byte."""
    load = SCHEMES[scheme].load()
    machines = [rmapcore.Machine(made, kernel, ram=48 * PAGE, swap=300 * PAGE, file_rmap="prio_tree",
                                 track_contents=True)
                for made in (load(), rmapcore.Prototype(load()))]

    def compare(machines, number):
        one, other = ({name: machine._core.view(name).tobytes() for name in machine._core.arenas} for machine in machines)
        assert {name for name in one if one[name] != other[name]} == set(), number
        assert machines[0].memory() == machines[1].memory()

    differential.run(machines, programs.program(3, 200, kernel=kernel), 50, compare)


# --- arrays of its own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arch", "page", "area"), [("i386", 28 + 4 + 8, 56 + 16 + 1), ("x86_64", 48 + 8 + 8, 112 + 32 + 1)])
def test_declared_sizes_count_as_the_kernels(arch, page, area):
    """2.6.7's structures, the links of prio_tree (16 or 32 bytes an area), a word and 8 bytes a page, 1 an area, 2 an mm."""
    machine = machine_of(Everyone, arch=arch)
    machine.spawn().mmap(length=PAGE)
    found = machine.memory()["structures"]
    assert (found["page"]["size"], found["vm_area_struct"]["size"]) == (page, area)
    assert found["mm_struct (rmap part)"]["bytes"] == 2
    machine.check()                            # P3: running totals are what live objects cost


def test_arrays_belong_to_one_machine():
    one, other = machine_of(Everyone), machine_of(Everyone)
    for machine in (one, other):
        machine.spawn().write(machine.processes[1].mmap(length=PAGE))
    one._engine.anon.owner[1] = 7
    assert other._engine.anon.owner[1] == 1 and one._engine.anon.owner.dtype == np.uint32
    assert len(one._engine.anon.owner) == 64 and {"everyone.owner", "everyone.prepared"} <= set(one._core.arenas)


def test_check_finds_what_a_damaged_array_loses():
    machine = machine_of(Everyone)
    process = machine.spawn()
    at = process.mmap(length=PAGE)
    process.write(at)
    machine.check()
    pfn = int(process.pagemap(at, PAGE)["pfn"][0])
    machine._engine.anon.place[pfn] += 1
    with pytest.raises(rmapcore.InconsistentState, match="W1"):
        machine.check()


# --- exceptions in hooks ------------------------------------------------------------------------------------------------


class Broken(Everyone):
    """Fails in `where`, once it is set."""

    where = None

    def page_first(self, pfn, v, vpn):
        self._meet("page_first")
        super().page_first(pfn, v, vpn)

    def may_move(self, pfn, vpn):
        self._meet("may_move")
        return super().may_move(pfn, vpn)

    def mm_exit(self, mm):
        self._meet("mm_exit")

    def walk(self, pfn, purpose):
        self._meet("walk")
        yield from super().walk(pfn, purpose)

    def compatible(self, v, source):
        self._meet("compatible")
        return True

    def _meet(self, hook):
        if hook == self.where:
            raise ZeroDivisionError(hook)


@pytest.mark.parametrize(("where", "call"), [
    ("page_first", lambda machine, process: process.write(0x40001000)),
    ("may_move", lambda machine, process: process.mremap(0x40000000, PAGE, PAGE, 3, 0x50000000)),
    ("mm_exit", lambda machine, process: process.exit()),
    ("walk", lambda machine, process: machine.reclaim(1)),
    ("walk", lambda machine, process: machine.whomaps([1])),
    ("walk", lambda machine, process: machine.check()),
    ("walk", lambda machine, process: machine.crosscheck()),
    ("walk", lambda machine, process: machine.walk(1)),
    ("compatible", lambda machine, process: process.mmap(0x40002000, PAGE, 3, 0x32)),
])
def test_an_exception_comes_out_of_the_call_that_met_it(where, call):
    machine = machine_of(Broken)
    process = machine.spawn()
    process.mmap(0x40000000, 2 * PAGE, 3, 0x32)
    process.write(0x40000000)
    machine._engine.anon.where = where
    with pytest.raises(ZeroDivisionError, match=where) as caught:
        call(machine, process)
    assert caught.value.__notes__ == [f"in {where} of scheme broken"]
    machine._engine.anon.where = None
    machine.spawn()                            # it comes out once


def test_an_exception_comes_out_of_compare_and_replay():
    class Fails(Everyone):
        def mm_fork(self, child, parent):
            raise ZeroDivisionError("fork")

    class Lost(Everyone):
        def walk(self, pfn, purpose):
            raise ZeroDivisionError(f"walk {purpose}")
            yield

    with pytest.raises(ZeroDivisionError, match="fork"):
        rmapcore.compare("swapout", schemes=[Fails], pages=40, processes=2)
    for workload, parameters in (("swapout", {"pages": 40}), ("the_argument", {"pages": 64, "most": 2})):
        with pytest.raises(ZeroDivisionError, match="walk 0") as caught:       # of the first check point
            rmapcore.compare(workload, schemes=["anonmm", Lost], **parameters)
        assert caught.value.__notes__ == ["in walk of scheme lost"]


@pytest.mark.parametrize(("candidate", "said"), [
    ((99, 0, 1), "no address space 99 is alive"), ((0, 0, 1), "no address space 0 is alive"),
    ((1, 1 << 20, 1), "there is no area 1048576"), ((1, 0, 1 << 40), "page 1099511627776 is outside of user space"),
    ((1, 0, 1, 1 << 31), "there is no entry 2147483648"), ((1, 0), r"\(1, 0\) is not \(mm, vma, vpn\)"),
    ("abc", "'abc' is not"), ((1, 0, "x"), "'x' is no whole number"), (None, "None is not"),
    ((1, 0, 1.0), "1.0 is no whole number"), ((1, 2, 1), "there is no area 2"),
    ((1, 1, 1), "page 1 of address space 1 is not in area 1"),
    ((1, 0, 1, 1), "entry 1 is not that of page 1 of address space 1"),
])
def test_a_candidate_that_cannot_be_is_told(candidate, said):
    class Wild(Everyone):
        def walk(self, pfn, purpose):
            yield candidate

    machine = machine_of(Wild)
    process = machine.spawn()
    process.write(process.mmap(length=PAGE))
    with pytest.raises((ValueError, TypeError), match=said):
        machine.whomaps([1])


def test_a_walk_that_is_no_generator_or_does_not_end_is_told():
    class Listed(Everyone):
        def walk(self, pfn, purpose):
            return [(1, 0, 1)]

    class Stubborn(Everyone):
        def walk(self, pfn, purpose):
            while True:
                try:
                    yield int(self.owner[pfn]), 0, int(self.place[pfn])
                except GeneratorExit:
                    raise KeyError("not now") from None

    for cls, error in ((Listed, TypeError), (Stubborn, KeyError)):
        machine = machine_of(cls)
        process = machine.spawn()
        process.write(process.mmap(length=PAGE))
        with pytest.raises(error):
            machine.whomaps([1])


def test_a_no_that_would_never_end_is_told():
    class Never(Everyone):
        def may_move(self, pfn, vpn):
            return False

    machine = machine_of(Never)
    process = machine.spawn()
    process.mmap(0x40000000, PAGE, 3, 0x32)
    process.write(0x40000000)
    process.fork()
    with pytest.raises(ValueError, match="is mapped once: it moves"):
        process.mremap(0x40000000, PAGE, PAGE, 3, 0x50000000)
