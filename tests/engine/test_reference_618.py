"""The twin with kernel 6.18: what the live kernel does, in a few calls each, and random programs that its checks survive."""
import errno
from collections import Counter

import pytest

from programs import State, program, recorded, run_step
from reference import BusError, Machine, SegmentationFault

PAGE = 4096
A = 0x10000000
R, RW = 1, 3
PRIVATE, SHARED, FILE, ANON_SHARED = 0x32, 0x11, 0x12, 0x31       # all fixed
NONBLOCK_POPULATE, DROPPABLE = 0x18000, 0x38
MOVE, DONTUNMAP = 3, 5
DONTNEED, FREE, DONTFORK, WIPEONFORK, PAGEOUT, POPULATE_READ = 4, 8, 10, 18, 21, 22
GUARD_INSTALL, GUARD_REMOVE = 102, 103
SCHEMES = ("virtual_scan", "pte_chain", "rmap_chain", "anonmm", "anon_vma", "anon_vma_chain")


@pytest.fixture(params=["pte_chain", "anon_vma_chain"])
def machine(request):
    return Machine(request.param, kernel="6.18", ram=128 * PAGE, swap=128 * PAGE)


@pytest.fixture
def process(machine):
    return machine.spawn()


def at(page):
    return A + page * PAGE



def failure(call, *arguments):
    """The name of the error."""
    with pytest.raises(OSError) as caught:
        call(*arguments)
    return errno.errorcode[caught.value.errno]


def spans(process):
    return [((start - A) // PAGE, (end - A) // PAGE, prot) for start, end, prot, *_ in process.maps()]


def seen(process, pages=4, first=0):
    """A letter a page: a anonymous, f file, z zero page, w swapped, g guard, - nothing."""
    return "".join("g" if row[9] else "w" if row[1] else "-" if not row[0] else "z" if row[6] == 0 else "a" if row[2] else "f"
                   for row in process.pagemap(at(first), pages * PAGE))


def frames(process, pages=4, first=0):
    return [row[6] for row in process.pagemap(at(first), pages * PAGE)]


def mapped(process, pages=4, prot=RW, flags=PRIVATE, file=None, first=0, offset=0):
    process.mmap(at(first), pages * PAGE, prot, flags, file, offset)


# --- calls ------------------------------------------------------------------------------------------------------------


def test_mmap_from_above(process, machine):
    top = (machine.arch.task - (128 << 20 >> 12)) * PAGE
    assert process.mmap(length=2 * PAGE) == top - 2 * PAGE
    assert process.mmap(length=PAGE) == top - 3 * PAGE
    assert process.mmap(at(3) - 5, PAGE) == at(2)                 # a hint is rounded down
    process.mmap(at(2), PAGE)                                     # and left alone if it is taken
    assert process.maps()[0][:2] == (at(2), at(3))
    process.mmap(at(600), PAGE, RW, PRIVATE | 0x100)
    assert process.mmap(at(400), PAGE) != at(400)                 # too close below a growing area
    assert process.mmap(at(600 - 257), PAGE) == at(600 - 257)


def test_a_seal_in_the_way(process):
    mapped(process)
    mapped(process, prot=R, first=4)
    process.mseal(at(4), 4 * PAGE)
    assert failure(process.munmap, at(2), 4 * PAGE) == "EPERM"
    assert spans(process) == [(0, 2, RW), (2, 4, RW), (4, 8, R)]  # the first area is split already
    assert failure(process.mmap, at(4), PAGE, RW, PRIVATE) == "EPERM"
    assert failure(process.mprotect, at(3), 2 * PAGE, R) == "EPERM"
    assert spans(process) == [(0, 2, RW), (2, 3, RW), (3, 4, R), (4, 8, R)]     # what lies before it has changed
    assert failure(process.mremap, at(4), PAGE, PAGE, MOVE, at(20)) == "EPERM"
    assert failure(process.mremap, at(0), PAGE, PAGE, MOVE, at(5)) == "EPERM"
    assert failure(process.madvise, at(4), PAGE, DONTNEED) == "EPERM"
    process.mlock(at(4), PAGE)


def test_a_seal_lets_file_pages_go(process, machine):
    mapped(process, prot=R, flags=FILE, file=machine.file("f", 4 * PAGE))
    process.read(A)
    process.mseal(A, 4 * PAGE)
    process.madvise(A, 4 * PAGE, DONTNEED)
    assert seen(process) == "----"


def test_calls_go_up_to_a_hole(process):
    mapped(process, 2)
    mapped(process, 2, first=3)
    assert failure(process.mprotect, A, 5 * PAGE, R) == "ENOMEM"
    assert spans(process) == [(0, 2, R), (3, 5, RW)]
    assert failure(process.mlock, A, 5 * PAGE) == "ENOMEM"
    assert seen(process, 5) == "-----"                            # locked, not populated
    assert failure(process.madvise, A, 5 * PAGE, WIPEONFORK) == "ENOMEM"
    assert all(flags & 0x2000000 for _, _, _, flags, *_ in process.maps())      # advice passes over holes
    assert failure(process.mbind, A, 5 * PAGE, 2) == "EFAULT"
    process.mbind(A, 5 * PAGE, 0)


def test_locks_and_policies_come_and_go(process):
    mapped(process, 6)
    process.mlock(at(2), 2 * PAGE)
    process.mbind(at(1), 4 * PAGE, 2)
    assert [span[:2] for span in spans(process)] == [(0, 1), (1, 2), (2, 4), (4, 5), (5, 6)]
    assert seen(process, 6) == "--aa--"
    process.munlock(at(1), 4 * PAGE)
    process.mbind(at(2), PAGE, 0)
    process.mbind(A, 6 * PAGE, 0)
    assert spans(process) == [(0, 6, RW)]
    process.mlock(A, PAGE, 1)
    assert seen(process, 1) == "-"                                # on fault


def test_heap(process, machine):
    heap = process.brk(0)
    process.brk(heap + 4 * PAGE)
    process.munmap(heap, 4 * PAGE)
    assert failure(process.brk, heap + 2 * PAGE) == "ENOMEM"      # nothing there to give back
    assert process.brk(0) == heap + 4 * PAGE
    process.brk(heap + 5 * PAGE)
    assert process.brk(heap + 3 * PAGE) == heap + 3 * PAGE


def test_the_most_areas(process, monkeypatch):
    monkeypatch.setattr(process.machine, "most_areas", 12)
    for page in range(0, 26, 2):
        mapped(process, 1, first=page)                            # one more than the most
    assert failure(process.mmap, at(100), PAGE) == "ENOMEM"
    process.munmap(at(24), PAGE)
    mapped(process, 4, first=24)
    process.munmap(at(0), PAGE)                                   # 12 areas
    assert failure(process.munmap, at(25), PAGE) == "ENOMEM"
    assert failure(process.mprotect, at(25), PAGE, R) == "ENOMEM"
    assert failure(process.madvise, at(25), PAGE, DONTFORK) == "EAGAIN"
    assert failure(process.mremap, at(2), PAGE, 4 * PAGE, 1) == "ENOMEM"
    process.munmap(at(24), PAGE)
    assert len(process.maps()) == 12


# --- mremap -----------------------------------------------------------------------------------------------------------


def test_several_areas_move_with_their_gaps(process):
    mapped(process, 2)
    mapped(process, 2, R, first=2)
    mapped(process, 1, first=6)
    process.write(at(1))
    mapped(process, 8, R, first=40)
    assert process.mremap(at(1), 6 * PAGE, 6 * PAGE, MOVE, at(40)) == at(40)
    assert spans(process) == [(0, 1, RW), (40, 41, RW), (41, 45, R), (45, 46, RW), (46, 48, R)]
    assert seen(process, 2, 40) == "a-"
    assert failure(process.mremap, at(1), 6 * PAGE, 6 * PAGE, MOVE, at(80)) == "EFAULT"


def test_dontunmap(process):
    mapped(process)
    process.write(A, 4 * PAGE)
    process.mlock(A, PAGE)
    assert process.mremap(A, PAGE, PAGE, DONTUNMAP | 2, at(20)) == at(20)
    assert [(flags & 0x2000) != 0 for *_, flags, _, _ in process.maps()] == [False, False, True]
    process.mremap(at(1), 2 * PAGE, 2 * PAGE, DONTUNMAP, 0)
    assert seen(process) == "---a"
    assert failure(process.mremap, A, PAGE, 2 * PAGE, DONTUNMAP, 0) == "EINVAL"


def test_an_area_that_moved_as_a_whole_begins_anew(process):
    mapped(process)
    process.write(A)
    process.mremap(A, 4 * PAGE, 4 * PAGE, DONTUNMAP | 2, at(20))
    assert [area.anon for area in process.mm.areas] == [False, True]
    process.mprotect(A, 4 * PAGE, R)
    assert not process.maps()[0][3] & 0x100000                    # so its account is given back


def test_growing_in_place_takes_in_what_is_behind(process):
    mapped(process, 2)
    mapped(process, 2, first=4)
    process.write(A)
    assert process.mremap(A, 2 * PAGE, 4 * PAGE) == A
    assert spans(process) == [(0, 6, RW)]
    assert failure(process.mremap, at(4), 2 * PAGE, 1 << 60) == "EINVAL"


def test_an_inherited_area_takes_in_only_where_it_grows():
    parent = Machine("anon_vma_chain", kernel="6.18", ram=128 * PAGE, swap=0).spawn()
    mapped(parent, 2)
    parent.write(A)
    child = parent.fork()
    mapped(child, 2, first=4)
    child.mremap(A, 2 * PAGE, 4 * PAGE)
    assert spans(child) == [(0, 6, RW)]
    mapped(child, 2, first=6)
    assert spans(child) == [(0, 6, RW), (6, 8, RW)]


# --- faults and fork --------------------------------------------------------------------------------------------------


def test_fork_copies_where_pages_were_written(process, machine):
    mapped(process, 4, R, FILE, machine.file("f", 4 * PAGE))
    mapped(process, 4, first=4)
    process.read(A, 8 * PAGE)
    assert seen(process.fork(), 8) == "--------"
    process.write(at(5))
    assert seen(process.fork(), 8) == "----zazz"


def test_a_write_beyond_the_end_counts_as_one(process, machine):
    mapped(process, 2, RW, FILE, machine.file("f", PAGE))
    process.read(A)
    with pytest.raises(BusError):
        process.write(at(1))
    assert seen(process.fork(), 2) == "f-"


def test_what_fork_leaves_out(process):
    mapped(process, 6)
    process.write(A, 6 * PAGE)
    process.madvise(at(1), PAGE, DONTFORK)
    process.madvise(at(2), PAGE, WIPEONFORK)
    process.madvise(at(3), PAGE, GUARD_INSTALL)
    process.mlock(at(4), PAGE)
    child = process.fork()
    assert [span[:2] for span in spans(child)] == [(0, 1), (2, 3), (3, 4), (4, 5), (5, 6)]
    assert not any(flags & 0x2000 for *_, flags, _, _ in child.maps())
    assert seen(child, 6) == "a--gaa"
    assert seen(process, 6) == "aaagaa"


def test_exclusive_pages_are_written_in_place(process):
    mapped(process)
    process.write(A, 4 * PAGE)
    process.mprotect(A, PAGE, R)
    process.mprotect(A, PAGE, RW)
    assert process.write(A)["cow"] == 0                           # mprotect saw that it may be written
    child = process.fork()
    before = frames(process)
    child.exit()
    assert process.write(A, 2 * PAGE)["cow"] == 2
    assert frames(process) == before


def test_a_pin_makes_a_write_copy(process):
    mapped(process)
    process.write(A)
    process.fork().exit()
    pin = process.pin(A)
    process.write(A)
    assert frames(process, 1) != [pin.pfn]
    stamp = pin.stamp()
    assert stamp and process.stamps(A, 1) != [stamp]
    pin.release()
    process.machine.check()


def test_a_pin_outlives_its_process(process, machine):
    mapped(process)
    process.write(A)
    pin = process.pin(A)
    process.exit()
    machine.reclaim(100)
    machine.check()
    assert pin.stamp()
    pin.release()
    machine.check()


def test_fault_around(process, machine):
    file = machine.file("f", 40 * PAGE)
    mapped(process, 40, R, SHARED, file)
    assert process.read(at(3), PAGE)["file"] == 1
    assert seen(process, 40).count("f") == 1                      # nothing else was in memory
    process.read(A, 40 * PAGE)
    process.munmap(A, 40 * PAGE)
    mapped(process, 37, R, SHARED, file, first=3)
    process.read(at(20))
    assert seen(process, 40) == "-" * 16 + "f" * 16 + "-" * 8
    process.read(at(5))
    assert seen(process, 20) == "---" + "f" * 17                  # 16 from the start of the area on


def test_a_disk_file_hears_of_the_first_write(process, machine):
    mapped(process, 2, RW, SHARED, machine.file("f", 4 * PAGE))
    mapped(process, 2, RW, SHARED, machine.file("m", 4 * PAGE, "shmem"), first=2)
    process.read(A, 4 * PAGE)
    assert process.write(A, 4 * PAGE)["cow"] == 2
    assert process.machine.counters["pages_copied_cow"] == 0


def test_growth_keeps_its_distance(process):
    mapped(process, 1, flags=PRIVATE | 0x100, first=300)
    mapped(process, 1, first=40)
    process.write(at(297))
    with pytest.raises(SegmentationFault):
        process.write(at(296))
    process.mprotect(at(40), PAGE, 0)
    process.write(at(296))


def test_guards(process):
    mapped(process)
    process.write(A, 4 * PAGE)
    process.madvise(at(1), 2 * PAGE, GUARD_INSTALL)
    with pytest.raises(SegmentationFault):
        process.read(A, 4 * PAGE)
    process.madvise(A, 4 * PAGE, DONTNEED)
    assert seen(process) == "-gg-"
    assert failure(process.madvise, A, 4 * PAGE, POPULATE_READ) == "EFAULT"
    assert seen(process) == "zgg-"
    assert failure(process.mlock, A, 4 * PAGE) == "ENOMEM"
    process.munlock(A, 4 * PAGE)
    process.madvise(A, 4 * PAGE, GUARD_REMOVE)
    assert seen(process) == "a---"


def test_populating_is_for_those_who_wait(process):
    mapped(process, flags=PRIVATE | NONBLOCK_POPULATE)
    assert seen(process) == "----"


# --- reclaim ----------------------------------------------------------------------------------------------------------


def test_swap_knows_who_was_alone(process, machine):
    mapped(process)
    process.write(A, 4 * PAGE)
    process.madvise(A, 2 * PAGE, PAGEOUT)
    assert seen(process) == "wwaa"
    process.read(A)
    assert process.write(A)["cow"] == 0                           # made writable by the read
    child = process.fork()
    child.madvise(A, 4 * PAGE, PAGEOUT)
    assert seen(child) == "awaa"                                  # what others map stays
    process.read(at(1))
    child.read(at(1))
    assert frames(process) == frames(child)
    process.write(at(1))
    assert frames(process)[1] != frames(child)[1]
    machine.check()


def test_lazily_freed_pages(process, machine):
    mapped(process)
    process.write(A, 4 * PAGE)
    process.madvise(A, 4 * PAGE, FREE)
    process.write(at(1))
    process.read(at(2))
    child = process.fork()
    machine.reclaim(1000)
    assert (seen(process), seen(child)) == ("-w--", "-w--")
    assert machine.counters["faults_zero"] == 4
    assert process.stamps(A, 4 * PAGE)[0] == 0


def test_droppable_memory(process, machine):
    mapped(process, flags=DROPPABLE)
    process.write(A, 4 * PAGE)
    machine.reclaim(1000)
    assert seen(process) == "----"


# --- random programs --------------------------------------------------------------------------------------------------


def run_program(make, scheme, arch, seed):
    machine = Machine(scheme, arch, kernel="6.18", ram=(28 + seed * 7 % 33) * PAGE, swap=300 * PAGE)
    state, outcomes = State(), Counter()
    for number, step in enumerate(make(seed, 250, arch=arch, kernel="6.18")):
        outcome = run_step(machine, state, step)
        outcomes[step[0], outcome[1] if isinstance(outcome, tuple) and outcome[0] == "error" else "done"] += 1
        if number % 10 == 0:
            machine.check()
    machine.check()
    return Counter(machine.counters), outcomes


@pytest.mark.parametrize("make", [recorded, program])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_programs(scheme, make):
    """All seeds together use every part of the machine."""
    counters, outcomes = Counter(), Counter()
    for seed, arch in enumerate(("x86_64", "i386", "i386-pae", "x86_64", "x86_64")):
        counts, ends = run_program(make, scheme, arch, seed)
        counters += counts
        outcomes += ends
    for name in ("faults_zero", "faults_file", "faults_swapin", "faults_cow", "pages_copied_cow", "cow_reuses",
                 "vma_merges", "vma_splits", "rmap_dups", "scanned_ptes"):
        assert counters[name] > 0, name
    assert counters["faults_spurious"] == 0
    ends = Counter()
    for (_, end), n in outcomes.items():
        ends[end] += n
    assert ends["done"] > 0.75 * ends.total()
    assert ends["OutOfMemory"] < 0.02 * ends.total()
    for call in {call for call, _ in outcomes}:
        assert outcomes[call, "done"] > 0.3 * sum(n for (name, _), n in outcomes.items() if name == call), call
