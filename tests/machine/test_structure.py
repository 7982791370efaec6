"""Machine.structure and Machine.walk: what a machine is made of, and whom the walk of a page asks.

Every scheme says it in plain words beside its walk, so each is compared with the walk itself on random programs: candidates
with whomaps, whom it asks with the counters, its objects with their numbers in memory().
"""
import copy

import numpy as np
import pytest

import rmapcore
from everyone import Everyone
from rmapcore.schemes import SCHEMES
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.programs import program
from rmapcore.verify.subject import Unsupported

PAGE = 4096
PROFILES = ("tree", "move", "mixed", "swap")
OBJECTS = {"anon_vma", "anon_vma_chain", "anonmm", "cow_context", "rmap_chain", "pte_chain"}
SIDES = ("list", "prio_tree", "interval_tree", "pte_chain")


def machines(scheme, profile, seed=7, steps=60):
    """The machine of a random program, every 20 steps and at its end."""
    case = program(seed, profile, steps)
    subject = Emulator(case.files, "6.18", scheme)
    for number, step in enumerate(case.steps, 1):
        try:
            subject.step(step)
        except Unsupported:
            break
        if number % 20 == 0:
            yield subject.machine
    yield subject.machine


def counted(machine, pfn):
    """What whomaps of a frame counts, as Machine.walk has it."""
    before = machine.counters
    _, pids, addresses = machine.whomaps([pfn])
    work = {name: count for name, count in machine.counters.since(before).items() if count}
    return work, set(zip(pids.tolist(), addresses.tolist(), strict=True))


def check_order(objects, steps):
    """Asserts that each entry comes right after the area or address space that it is looked up in."""
    asked = None
    for step in steps:
        if step.get("asked", ("",))[0] in ("area", "process"):
            asked = step["asked"]
        elif "entry" in step and asked:
            pid, address = step["entry"]
            fields = objects[asked]["fields"]
            assert pid == (asked[1] if asked[0] == "process" else objects[asked]["links"]["process"][1]), steps
            assert asked[0] == "process" or fields["start"] <= address < fields["end"], steps


def check_machine(machine):
    """Asserts all that must hold of both."""
    machine._engine.one_by_one = True          # whomaps begins no groups, whose walks are counted alike but end otherwise
    objects = machine.structure()
    entries = {name[1]: one["links"]["maps"] for name, one in objects.items() if name[0] == "entry"}
    frames = {to[1] for to in entries.values() if to[0] == "frame"} - {0}
    for pfn in frames:
        assert objects["frame", pfn]["fields"]["mapcount"] == sum(to == ("frame", pfn) for to in entries.values())
        walk = machine.walk(pfn)
        asked = [step["asked"] for step in walk["steps"] if "asked" in step]
        true = set(zip(*(part.tolist() for part in machine.mappings([pfn])[1:]), strict=True))
        assert set(walk["found"]) | set(walk["missed"]) == true
        assert not set(walk["found"]) & set(walk["missed"])
        if machine.sweeps:
            assert not walk["missed"]
            continue
        check_order(objects, walk["steps"])
        work, told = counted(machine, pfn)
        assert walk["counters"] == work
        assert set(walk["found"]) == told
        assert sum("entry" in step for step in walk["steps"]) == work.get("ptes_tried", 0)
        assert sum(kind == "area" for kind, _ in asked) == work.get("vmas_tried", 0), (pfn, walk)
        assert sum(kind == "process" for kind, _ in asked) == work.get("mms_tried", 0), (pfn, walk)
    return objects


def links_of(objects):
    """(object, name of the link, other) of all."""
    for name, one in objects.items():
        for key, to in one["links"].items():
            yield from ((name, key, other) for other in (to if isinstance(to, list) else [to]))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("scheme", rmapcore.schemes())
def test_whom_walks_ask_is_what_they_count(scheme, profile):
    defects = rmapcore.schemes()[scheme].count("known fault")
    for machine in machines(scheme, profile):
        objects = check_machine(machine)
        for name, key, other in links_of(objects):
            assert defects or other in objects, f"{name} leads by {key} to {other}, which is not there"
        structures = machine.memory()["structures"]
        for kind in {name[0] for name in objects} & OBJECTS:
            assert sum(name[0] == kind for name in objects) == structures[kind]["live"], kind


@pytest.mark.parametrize("side", SIDES)
def test_of_file_pages_too(side):
    machine = rmapcore.Machine("anonmm", kernel="6.18", ram="1MiB", file_rmap=side)
    machine.file("another", PAGE)              # numbers of files, lists and processes differ
    file = machine.file("lib", 8 * PAGE)
    parent = machine.spawn()
    places = [parent.mmap(0, pages * PAGE, "rw", flags, file, offset * PAGE)
              for pages, flags, offset in ((8, 2, 0), (2, 1, 1), (1, 2, 7), (4, 1, 4))]
    child = parent.fork()
    for process in (parent, child):
        for place in places:
            process.read(place, PAGE)
    child.write(places[0], PAGE)
    objects = check_machine(machine)
    listed = [other for name, key, other in links_of(objects) if name == ("file", file.number)]
    assert len(listed) == (0 if side == "pte_chain" else 8)


def test_a_nonlinear_area_is_asked_last():
    machine = rmapcore.Machine("anon_vma", ram="1MiB")
    file = machine.file("data", 4 * PAGE)
    process = machine.spawn()
    at = process.mmap(0, 4 * PAGE, "rw", 1, file)
    process.remap_file_pages(at, PAGE, 0, 3)
    process.mmap(0x50000000, 4 * PAGE, "rw", 0x11, file)
    process.read(at, PAGE)
    pfn = int(process.pagemap(at, PAGE)["pfn"][0])
    steps = machine.walk(pfn)["steps"]
    assert [step["asked"][0] for step in steps if "asked" in step] == ["file", "area", "area"]
    assert steps[-1] == {"entry": (process.pid, at), "found": True}
    assert list(machine.structure()["file", file.number]["links"]) == ["i_mmap", "i_mmap_nonlinear"]


@pytest.mark.parametrize("scheme", rmapcore.schemes())
def test_nothing_changes(scheme):
    for machine in machines(scheme, "swap", steps=40):
        before = dict(machine.counters)
        arenas = {name: copy.deepcopy(machine._core.view(name)) for name in machine._core.arenas if name != "counters"}
        machine.structure()
        for pfn in np.flatnonzero(machine.frames["mapcount"])[:20].tolist():
            if pfn:
                machine.walk(pfn)
        assert dict(machine.counters) == before
        for name, array in arenas.items():
            assert np.array_equal(machine._core.view(name), array), name


def small(scheme):
    machine = rmapcore.Machine(scheme, ram="1MiB", swap="1MiB")
    process = machine.spawn("a")
    at = process.mmap(length=4 * PAGE)
    process.write(at, 4 * PAGE)
    return machine, process, process.fork(), at


def test_a_walk_in_its_order():
    machine, parent, child, at = small("anonmm")
    pfn = int(parent.pagemap(at, PAGE)["pfn"][0])
    assert machine.walk(pfn) == {
        "frame": pfn, "steps": [
            {"asked": ("anonmm", 1)}, {"asked": ("process", parent.pid)}, {"entry": (parent.pid, at), "found": True},
            {"asked": ("anonmm", 2)}, {"asked": ("process", child.pid)}, {"entry": (child.pid, at), "found": True}],
        "found": [(parent.pid, at), (child.pid, at)], "missed": [],
        "counters": {"rmap_walks": 1, "mms_tried": 2, "ptes_tried": 2, "ptes_found": 2, "lock_anonmm": 1,
                     "lock_anonmm_held": 2}}


def test_a_prototype_shows_its_arrays_and_its_candidates():
    machine, parent, child, at = small(Everyone)
    pfn = int(parent.pagemap(at, PAGE)["pfn"][0])
    objects = machine.structure()
    assert objects["frame", pfn]["fields"]["place"] == at // PAGE
    assert objects["process", parent.pid]["fields"]["children"] == 1
    steps = machine.walk(pfn)["steps"]
    assert [step["asked"] for step in steps if "asked" in step][:2] == [("process", parent.pid), ("process", child.pid)]
    assert [step["entry"] for step in steps if "entry" in step] == [(parent.pid, at), (child.pid, at)]


def test_a_prototype_with_an_inner_scheme_shows_that_one():
    class Hearing(rmapcore.Prototype):
        def __init__(self):
            super().__init__(SCHEMES["anon_vma"].load()())

    machine, parent, _, at = small(Hearing)
    pfn = int(parent.pagemap(at, PAGE)["pfn"][0])
    assert machine.structure()["frame", pfn]["links"] == {"anon_vma": ("anon_vma", 1)}
    assert [step["asked"][0] for step in machine.walk(pfn)["steps"] if "asked" in step] == ["anon_vma", "area", "area"]


@pytest.mark.parametrize("rows", [[1], [("a", 1, {})], [("mm", 1 << 40, {}, {})], [("a", 1, {}, {"b": 3})], [("a", 1, {}, 3)]])
def test_rows_that_are_none_are_told(rows):
    class Talking(Everyone):
        def structure(self):
            return rows

    machine, *_ = small(Talking)
    with pytest.raises(ValueError, match=r"structure\(\) of scheme talking: .* is not \(kind, number, fields, links\)"):
        machine.structure()


def test_what_a_walk_raises_comes_out():
    class Failing(Everyone):
        def walk(self, pfn, purpose):
            yield 1, 0, 1 << 60

    machine, parent, _, at = small(Failing)
    with pytest.raises(ValueError, match="is outside of user space"):
        machine.walk(int(parent.pagemap(at, PAGE)["pfn"][0]))


def test_bad_arguments():
    machine, *_ = small("anon_vma")
    for pfn in (0, 200):
        with pytest.raises(ValueError, match=f"frame {pfn} is mapped nowhere"):
            machine.walk(pfn)
    with pytest.raises(ValueError, match="pfn"):
        machine.walk(1 << 40)
    with pytest.raises(TypeError, match="pfn"):
        machine.walk("1")


def test_a_machine_too_large_to_be_shown_says_so():
    machine = rmapcore.Machine("anon_vma", ram="512MiB")
    process = machine.spawn()
    pages = (1 << 16) + 1
    process.write(process.mmap(length=pages * PAGE), pages * PAGE)
    with pytest.raises(ValueError, match=r"65,537 page-table entries, and structure\(\) is for 65,536"):
        machine.structure()
