"""The seam: a scheme with no walk of one page fits it, also in Python, and defects seeded in any hook are caught."""
import re
from pathlib import Path

import pytest

import programs
import rmapcore
from differential import SOUND
from rmapcore.pyx.scheme import Scheme
from rmapcore.pyx.seam.prototype import HOOKS, NONE, QUERY, SWEEP, Prototype
from rmapcore.schemes import registry

SCHEMES = registry()
PAGE = 4096
PRIVATE_FIXED = 0x32


class Sweeper(Prototype):
    """Keeps nothing and walks nothing: every sweep proposes all pages of all areas, from the oldest address space on."""

    traits = {"sweeps": True}

    def walk(self, pfn, purpose):
        assert (pfn, purpose) == (0, SWEEP)
        areas, mms = self.core.view("areas"), self.core.view("mms")
        mm = int(self.core.view("head")["mm_first"][0])
        while mm:
            v = int(mms["first"][mm])
            while v:
                for vpn in range(int(areas["start"][v]), int(areas["end"][v])):
                    yield mm, v, vpn
                v = int(areas["next"][v])
            mm = int(mms["next"][mm])


@pytest.mark.parametrize("file_rmap", ["none", "prio_tree", "interval_tree"])
def test_a_scheme_that_sweeps_can_be_written_in_python(file_rmap):
    machine = rmapcore.Machine(Sweeper(), file_rmap=file_rmap, ram=64 * PAGE, swap=256 * PAGE, track_contents=True)
    parent = machine.spawn()
    at = parent.mmap(length=40 * PAGE)
    parent.write(at, 40 * PAGE)
    child = parent.fork()
    child.write(at, 10 * PAGE)
    before = parent.stamps(at, 40 * PAGE).tolist(), child.stamps(at, 40 * PAGE).tolist()
    assert machine.reclaim(30)["freed"] >= 30
    machine.check()
    more = parent.mmap(length=60 * PAGE)
    parent.write(more, 60 * PAGE)                        # more than RAM holds: direct reclaim sweeps
    machine.check()
    assert (parent.stamps(at, 40 * PAGE).tolist(), child.stamps(at, 40 * PAGE).tolist()) == before


def test_an_exception_in_a_prototypes_hook_reaches_the_caller():
    class Broken(Prototype):
        def anon_prepare(self, v):
            raise ZeroDivisionError(f"area {v}")

    machine = rmapcore.Machine(Broken(), ram="1MiB", swap=0)
    process = machine.spawn()
    at = process.mmap(length=PAGE)
    with pytest.raises(ZeroDivisionError, match="area"):
        process.write(at)


def with_defect(scheme, hook):
    """The scheme with one hook that does nothing (or says yes)."""
    answer = True if hook in ("compatible", "may_move", "may_swapin") else None
    faulty = type("Faulty", (Prototype,), {hook: lambda self, *arguments: answer})
    return faulty(SCHEMES[scheme].load()())


def first_violation(machine, seed):
    """Runs a random program, checking often; the rule violated first, or None."""
    state = programs.State()
    for number, step in enumerate(programs.program(seed, 300, machine.arch)):
        programs.run_step(machine, state, step)
        if number % 3 == 0:
            try:
                machine.check()
            except rmapcore.InconsistentState as error:
                return error.rule
    return None


# what each scheme without known faults must hear; a hook that is not listed does nothing in that scheme
FAMILY = ("mm_exec", "mm_fork", "mm_exit", "page_first", "page_last", "may_move", "page_moved")
LISTS = ("area_unlink", "area_split", "area_clone", "area_merge", "area_fork", "anon_prepare", "page_first")
CHAINED = ("mm_exec", "mm_fork", "mm_exit", "page_first", "page_last", "page_moved")
HEARD = {
    "pte_chain": ("pages_mapped", "pages_forked", "pages_unmapping", "page_moved"),
    "rmap_chain": CHAINED,
    "anonmm": FAMILY,
    "anonmm_naive": FAMILY,
    "anon_vma": LISTS,
    "anon_vma_unshared": LISTS,
    "anon_vma_chain_2010": LISTS,
    "anon_vma_chain": (*LISTS, "area_after"),  # without area_before an avc would stand in a tree twice
    "cow_context": ("mm_exec", "mm_fork", "mm_exit", "area_clone", "area_fork", "anon_prepare", "page_first", "page_last",
                    "page_freed"),
    "virtual_scan": ("mm_exec", "mm_fork", "mm_exit"),
}


@pytest.mark.parametrize("scheme", SOUND)
def test_hooks_are_listed(scheme):
    if scheme not in HEARD:
        pytest.skip(f"{scheme}: nothing says what it must hear, so no defects are seeded in its hooks")
    assert set(HEARD[scheme]) <= set(HOOKS)


@pytest.mark.parametrize(("scheme", "hook"), [(scheme, hook) for scheme, hooks in HEARD.items() for hook in hooks])
def test_a_defect_in_a_hook_is_caught(scheme, hook):
    caught = (first_violation(rmapcore.Machine(with_defect(scheme, hook), ram=40 * PAGE, swap=300 * PAGE,
                                               file_rmap=SCHEMES[scheme].files, track_contents=True), seed)
              for seed in range(8))
    assert any(caught)


@pytest.mark.parametrize(("scheme", "hook", "copies"), [("anonmm", "may_swapin", 1), ("rmap_chain", "pages_mapped", 0)])
def test_a_missed_place_at_swap_in_is_caught(scheme, hook, copies):
    """A swapped page that one sharer moved comes back to two addresses: anonmm copies it, rmap_chain chains the other one."""
    for faulty in (False, True):
        machine = rmapcore.Machine(with_defect(scheme, hook) if faulty else scheme, file_rmap=SCHEMES[scheme].files,
                                   ram=64 * PAGE, swap=64 * PAGE)
        parent = machine.spawn()
        parent.mmap(0x10000, PAGE, 3, PRIVATE_FIXED)
        parent.write(0x10000)
        child = parent.fork()
        while not child.swapped:
            machine.reclaim(1)
        child.mremap(0x10000, PAGE, PAGE, 3, 0x50000)
        parent.read(0x10000)
        child.read(0x50000)
        if faulty:
            with pytest.raises(rmapcore.InconsistentState):
                machine.check()
        else:
            machine.check()
            assert machine.counters["pages_copied_mremap"] == copies
            one, other = parent.pagemap(0x10000, PAGE)["pfn"], child.pagemap(0x50000, PAGE)["pfn"]
            assert (one == other).all() == (copies == 0)


def test_a_missing_import_is_caught():
    """anon_vma: pages cross into an area that was never faulted (the bug that 2.6.8 fixed)."""
    for faulty in (False, True):
        scheme = with_defect("anon_vma", "area_import") if faulty else "anon_vma"
        machine = rmapcore.Machine(scheme, file_rmap="prio_tree", ram=64 * PAGE, swap=64 * PAGE)
        process = machine.spawn()
        process.mmap(0x10000, 8 * PAGE, 3, PRIVATE_FIXED)
        process.mprotect(0x10000, 4 * PAGE, 1)
        process.write(0x14000, 4 * PAGE)                 # the upper half has an anon_vma, the lower one none
        process.mprotect(0x14000, 2 * PAGE, 1)           # case 5: the lower half takes over the head of the upper
        assert len(process.maps()) == 2
        if faulty:
            with pytest.raises(rmapcore.InconsistentState):
                machine.check()
        else:
            machine.check()


def test_a_wrong_merge_is_caught():
    """anon_vma: a hole between areas of different anon_vmas joins only one of them."""
    for faulty in (False, True):
        scheme = with_defect("anon_vma", "compatible") if faulty else "anon_vma"
        machine = rmapcore.Machine(scheme, file_rmap="prio_tree", ram=64 * PAGE, swap=64 * PAGE)
        process = machine.spawn()
        for start in (0x10000, 0x12000):
            process.mmap(start, PAGE, 3, PRIVATE_FIXED)
            process.write(start)
        process.mmap(0x11000, PAGE, 3, PRIVATE_FIXED)
        assert len(process.maps()) == (1 if faulty else 2)
        if faulty:
            with pytest.raises(rmapcore.InconsistentState):
                machine.check()
        else:
            machine.check()


def test_a_candidate_proposed_twice_is_extra():
    """A scheme that reports one place twice misses another; both are counted."""
    class Twice(Prototype):
        def walk(self, pfn, purpose):
            for candidate in self.candidates(pfn, QUERY):
                for _ in range(2):
                    outcome = yield candidate
                    if outcome == NONE:
                        break

    machine = rmapcore.Machine(Twice(SCHEMES["anon_vma"].load()()), file_rmap="prio_tree", ram="1MiB", swap=0)
    process = machine.spawn()
    at = process.mmap(length=PAGE)
    process.write(at)
    child = process.fork()
    frames, missed, extra, _ = rmapcore.pyx.look.query.crosscheck(machine._engine)
    assert (frames, missed, extra) == (1, 1, 1)
    with pytest.raises(rmapcore.InconsistentState):
        machine.check()
    child.exit()


WANTS = {"wants_entries": ("pages_mapped", "pages_forked", "pages_unmapping"), "wants_last": ("page_last",),
         "wants_freed": ("page_freed",), "wants_moves": ("may_move", "page_moved")}


def hooks_in_the_source(cls):
    """Names of the hooks that a compiled class and its bases below Scheme define, read from their files."""
    hooks = set()
    for base in cls.__mro__[:cls.__mro__.index(Scheme)]:
        path = Path(__file__).parents[2].joinpath(*base.__module__.split(".")[1:]).with_suffix(".pyx")
        if not path.exists():
            pytest.skip(f"{base.__name__.lower()}: its hooks are not in a file of pyx/")
        body = path.read_text(encoding="utf-8").split(f"cdef class {base.__name__}(", 1)[1].split("\ncdef class ", 1)[0]
        hooks.update(re.findall(r"^    cdef \w+ (\w+)\(self", body, re.MULTILINE))
    return hooks


@pytest.mark.parametrize("name", SCHEMES)
def test_what_a_compiled_scheme_wants_follows_from_its_hooks(name):
    scheme = SCHEMES[name].load()()
    hooks = hooks_in_the_source(type(scheme))
    assert {flag: getattr(scheme, flag) for flag in WANTS} == {flag: bool(hooks & set(of)) for flag, of in WANTS.items()}
