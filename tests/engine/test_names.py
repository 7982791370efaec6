"""Names of anonymous areas (rule QE15): who may have one, what merges, what keeps it; and random calls beside the twin."""
import errno
import random

import numpy as np
import pytest

import rmapcore
from differential import difference, observe, twin_of
from rmapcore.operations import Op
from rmapcore.units import PAGE

A = 0x10000000
RW, PRIVATE, FILE, SHARED, MOVE = 3, 0x32, 0x12, 0x31, 3          # all fixed
SCHEMES = ("anon_vma", "anon_vma_chain", "pte_chain")


def at(page):
    return A + page * PAGE


def mapped(process, first, pages, flags=PRIVATE, prot=RW, file=None):
    process.mmap(at(first), pages * PAGE, prot, flags, file)


def names(process):
    """[(first page, end, name)] of either kind of process."""
    if hasattr(process, "mm"):
        return [((area.start * PAGE - A) // PAGE, (area.end * PAGE - A) // PAGE, area.name) for area in process.mm.areas]
    known = process._machine.area_names | {0: None}
    return [((int(area["start"]) - A) // PAGE, (int(area["end"]) - A) // PAGE, known[int(area["name"])])
            for area in process.maps()]


def outcome(call, *arguments):
    """"" or the name of the error."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


@pytest.fixture(params=[(kind, scheme) for scheme in SCHEMES for kind in ("machine", "twin")], ids="-".join)
def machine(request):
    kind, scheme = request.param
    made = rmapcore.Machine if kind == "machine" else twin_of
    return made(scheme, kernel="6.18", ram=64 * PAGE, swap=64 * PAGE, max_map_count=12)


@pytest.fixture
def process(machine):
    process = machine.spawn()
    yield process
    machine.check()


def test_a_name_splits_and_an_equal_one_merges(process):
    mapped(process, 0, 6)
    process.name_area(at(2), 2 * PAGE, "b")
    assert names(process) == [(0, 2, None), (2, 4, "b"), (4, 6, None)]
    process.name_area(at(0), 2 * PAGE, "b")
    process.name_area(at(4), 1, "")                               # "" is a name; a byte is a page
    assert names(process) == [(0, 4, "b"), (4, 5, ""), (5, 6, None)]
    process.name_area(at(0), 6 * PAGE, None)
    assert names(process) == [(0, 6, None)]
    process.name_area(at(0), 0, "b")
    assert names(process) == [(0, 6, None)]


def test_fresh_ones_do_not_join_a_named_one(process):
    mapped(process, 0, 2)
    process.name_area(at(0), 2 * PAGE, "b")
    mapped(process, 2, 2)
    assert names(process) == [(0, 2, "b"), (2, 4, None)]
    mapped(process, 1, 1)                                         # mapped anew: the name is gone
    assert names(process) == [(0, 1, "b"), (1, 4, None)]


def test_the_heap(process):
    start = process.brk(0)
    process.brk(start + 2 * PAGE)
    process.brk(start + 3 * PAGE)
    assert len(names(process)) == 1
    process.name_area(start, 3 * PAGE, "heap")
    process.brk(start + 4 * PAGE)
    assert [name for _, _, name in names(process)] == ["heap", None]


def test_fork_and_mremap_keep_it_and_exec_does_not(process):
    mapped(process, 0, 4)
    process.name_area(at(0), 4 * PAGE, "b")
    process.write(at(0), 4 * PAGE)
    child = process.fork()
    child.mremap(at(1), PAGE, PAGE, MOVE, at(9))
    assert names(child) == [(0, 1, "b"), (2, 4, "b"), (9, 10, "b")]
    child.mremap(at(9), PAGE, PAGE, MOVE, at(1))
    assert names(child) == [(0, 4, "b")]
    child.mremap(at(2), 2 * PAGE, 3 * PAGE)                       # grows in place
    mapped(child, 5, 1)
    assert names(child) == [(0, 5, "b"), (5, 6, None)]
    child.execve()
    assert names(child) == []


def test_growing_takes_in_only_what_has_the_same_name(process):
    for name in ("b", None):
        mapped(process, 0, 5)
        process.name_area(at(0), 5 * PAGE, "b")
        process.munmap(at(2), PAGE)
        process.name_area(at(3), 2 * PAGE, name)
        process.mremap(at(0), 2 * PAGE, 3 * PAGE)
        assert names(process) == ([(0, 5, "b")] if name else [(0, 3, "b"), (3, 5, None)])


def test_holes_are_passed_over(process):
    mapped(process, 0, 1)
    mapped(process, 2, 1)
    assert outcome(process.name_area, at(0), 3 * PAGE, "b") == "ENOMEM"
    assert names(process) == [(0, 1, "b"), (2, 3, "b")]
    assert outcome(process.name_area, at(2), (1 << 63), "c") == "ENOMEM"        # far beyond user space
    assert names(process) == [(0, 1, "b"), (2, 3, "c")]


def test_what_is_no_range(process):
    mapped(process, 0, 1)
    assert outcome(process.name_area, at(0) + 1, PAGE, "b") == "EINVAL"
    assert outcome(process.name_area, at(0) + 1, 0, "b") == "EINVAL"
    assert outcome(process.name_area, at(0), (1 << 64) - at(0), "b") == "EINVAL"
    assert outcome(process.name_area, at(0), (1 << 64) - at(1), "b") == "ENOMEM"
    assert outcome(process.name_area, 0, (1 << 64) - 1, "b") == "EINVAL"
    assert names(process) == [(0, 1, "b")]


def test_files(process, machine):
    disk, memfd, zero = (machine.file(kind, 4 * PAGE, kind) for kind in ("disk", "shmem", "zero"))
    mapped(process, 0, 1)
    for first, (flags, file) in enumerate(((FILE, disk), (FILE, zero), (FILE, memfd), (0x11, memfd), (SHARED, None))):
        mapped(process, 1 + first, 1, flags, file=file)
    assert outcome(process.name_area, at(0), 6 * PAGE, "b") == "EBADF"          # the call ends there
    assert outcome(process.name_area, at(2), PAGE, None) == "EBADF"
    assert outcome(process.name_area, at(3), 3 * PAGE, "b") == ""
    assert names(process) == [(0, 1, "b"), (1, 2, None), (2, 3, None), (3, 4, "b"), (4, 5, "b"), (5, 6, "b")]


def test_a_seal_is_not_in_the_way(process):
    mapped(process, 0, 2)
    process.mseal(at(0), 2 * PAGE)
    process.name_area(at(1), PAGE, "b")
    assert names(process) == [(0, 1, None), (1, 2, "b")]


def test_the_limit_of_areas(process):
    for page in range(0, 22, 2):
        mapped(process, page, 1)
    mapped(process, 30, 3)
    assert len(names(process)) == 12
    assert outcome(process.name_area, at(31), PAGE, "b") == "EAGAIN"
    assert names(process)[-1] == (30, 33, None)
    assert outcome(process.name_area, at(30), 3 * PAGE, "b") == ""


# --- the machine alone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n" * 80, "a\\", "`", "$", "[", "]", "\n", "\x7f", "ä", b"name", 1])
def test_what_is_no_name(name):
    machine = rmapcore.Machine(kernel="6.18")
    process = machine.spawn()
    mapped(process, 0, 1)
    error, said = (ValueError, "79 printable") if isinstance(name, str) else (TypeError, "is not text")
    with pytest.raises(error, match=said):
        process.name_area(at(0), PAGE, name)
    assert names(process) == [(0, 1, None)] and machine.area_names == {}
    process.name_area(at(0), PAGE, "n" * 78 + "~")
    assert machine.area_names == {1: "n" * 78 + "~"}


def test_2_6_7_has_no_names():
    process = rmapcore.Machine().spawn()
    mapped(process, 0, 1)
    assert outcome(process.name_area, at(0), PAGE, "b") == "EINVAL" and names(process) == [(0, 1, None)]


def test_saved_and_copied(tmp_path):
    machine = rmapcore.Machine(kernel="6.18")
    process = machine.spawn()
    mapped(process, 0, 4)
    process.name_area(at(0), PAGE, "a")
    process.name_area(at(1), PAGE, "b")
    machine.save(tmp_path / "saved.npz")
    for other in (machine.copy(), rmapcore.Machine.load(tmp_path / "saved.npz")):
        assert other.area_names == {1: "a", 2: "b"}
        one, = other.processes.values()
        one.name_area(at(2), PAGE, "c")
        one.name_area(at(1), PAGE, "a")
        assert names(one) == [(0, 2, "a"), (2, 3, "c"), (3, 4, None)]
    assert machine.area_names == {1: "a", 2: "b"}


def test_as_an_operation():
    machine = rmapcore.Machine(kernel="6.18")
    process = machine.spawn()
    mapped(process, 0, 2)
    process.name_area(at(0), PAGE, "a")
    operations = np.zeros(2, rmapcore.OPERATION)
    operations["op"], operations["process"], operations["addr"], operations["length"] = Op.NAME_AREA, 1, at(1), PAGE
    operations["arg"] = 1 << 16, 1                                # no such number; the name that is there
    assert machine.run(operations).tolist() == [errno.EINVAL, 0]
    assert names(process) == [(0, 2, "a")]


# --- beside the twin ------------------------------------------------------------------------------------------------


def step_of(rng, n):
    """A random call by one of n processes: (its number, method, arguments)."""
    first, pages = rng.randrange(24), rng.randint(1, 6)
    span = at(first), pages * PAGE
    return rng.randrange(n), *rng.choice((
        ("mmap", (*span, rng.choice((1, 3)), rng.choice((PRIVATE, PRIVATE, SHARED)))),
        *[("name_area", (*span, rng.choice(("a", "b", None))))] * 3,
        ("munmap", span),
        ("mprotect", (*span, rng.choice((1, 3)))),
        ("mremap", (*span, rng.randint(1, 6) * PAGE, rng.choice((0, 1)))),
        ("mremap", (*span, span[1], MOVE, at(rng.randrange(24)))),
        ("write", span), ("brk", (0x1000000 + rng.randrange(8) * PAGE,)),
        ("name_area", (0x1000000 + rng.randrange(4) * PAGE, pages * PAGE, rng.choice(("a", None)))),
        ("fork", ()),
    ))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_random_calls(scheme, seed):
    rng = random.Random(seed)
    options = {"kernel": "6.18", "arch": "x86_64", "ram": 512 * PAGE, "swap": 512 * PAGE, "max_map_count": 24}
    machine = rmapcore.Machine(scheme, track_contents=True, **options)
    twin = twin_of(scheme, **options)
    pairs = [(machine.spawn(), twin.spawn())]
    named = 0
    for number in range(200):
        who, method, arguments = step_of(rng, len(pairs))
        if method == "fork":
            if len(pairs) < 4:
                pairs.append(tuple(one.fork() for one in pairs[who]))
            continue
        ends = []
        for one in pairs[who]:
            try:
                getattr(one, method)(*arguments)
                ends.append("")
            except OSError as error:
                ends.append(errno.errorcode[error.errno])
            except Exception as error:                            # each has its own SegmentationFault
                ends.append(type(error).__name__)
        assert ends[0] == ends[1], (number, method, arguments)
        for one, other in pairs:
            assert names(one) == names(other), (number, method, arguments)
        named += sum(name is not None for _, _, name in names(pairs[who][0]))
        machine.check()
    assert difference(observe(machine), observe(twin)) == [] and named > 100
