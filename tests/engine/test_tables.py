"""Page tables of kernel 6.18: when they come, go, and move whole (rules QC1-QC4). The changes were seen live, as VmPTE."""
import random

import pytest

import rmapcore
from differential import KNOWN, SOUND, difference, observe, run, twin_of, verdict
from rmapcore.schemes import SCHEMES

PAGE, M, G = 4096, 1 << 20, 1 << 30
A, B = 0x100000000000, 0x180000000000          # in 512 GiB of their own
RW, PRIVATE, SHARED, FIXED = 3, 0x32, 0x31, 3
DONTNEED, GUARD_INSTALL, GUARD_REMOVE = 4, 102, 103


class Program:
    """A process, and how many tables each of its steps adds."""

    def __init__(self, scheme="anon_vma_chain", kernel="6.18"):
        self.machine = rmapcore.Machine(scheme, kernel=kernel, ram="64MiB", swap="16MiB")
        self.process = self.machine.spawn()
        self.last = 0

    def added(self, process=None):
        now = (process or self.process).page_table_bytes // PAGE
        self.last, before = now, self.last
        self.machine.check()
        return now - before

    def map(self, at, length, flags=PRIVATE, file=None):
        self.process.mmap(at, length, RW, flags if file is None else flags & ~0x20, file)

    def touch(self, *places):
        self.process.touch(list(places), write=True)

    def move(self, old, length, new, new_length=None, flags=FIXED):
        self.process.mremap(old, length, new_length or length, flags, new)


@pytest.fixture
def one():
    return Program()


def test_munmap_frees_every_table_that_nothing_is_in(one):
    one.map(A, 64 * M)
    assert one.added() == 0
    one.process.read(A, 1)
    assert one.added() == 3
    one.touch(*range(A, A + 64 * M, 2 * M))
    assert one.added() == 31
    for start, length, right in ((16 * M, 32 * M, -16), (M, M, 0), (0, M, -1), (0, 64 * M, -17)):
        one.process.munmap(A + start, length)
        assert one.added() == right


def test_a_fault_that_fails_leaves_no_leaf_table(one):
    file, shmem = one.machine.file("f", 4 * PAGE), one.machine.file("s", 2 * PAGE, "shmem")
    for flags, mapped, write in ((PRIVATE, file, False), (PRIVATE, file, True), (SHARED, shmem, True), (SHARED, shmem, False)):
        one.map(A, 16 * PAGE, flags, mapped)
        with pytest.raises(rmapcore.BusError):
            (one.process.write if write else one.process.read)(A + 8 * PAGE, 1)
        assert one.added() == 2
        one.process.munmap(A, 16 * PAGE)
        assert one.added() == -2


def test_fault_around_of_a_fault_that_fails_makes_the_leaf_table(one):
    file = one.machine.file("f", 4 * PAGE)
    one.map(A, 16 * PAGE, PRIVATE, file)
    one.process.read(A, 1)
    one.process.munmap(A, 16 * PAGE)
    one.map(A, 16 * PAGE, SHARED, file)
    one.added()
    with pytest.raises(rmapcore.BusError):
        one.process.write(A + 8 * PAGE, 1)
    assert one.added() == 2
    with pytest.raises(rmapcore.BusError):
        one.process.read(A + 8 * PAGE, 1)
    assert one.added() == 1


def test_fork_copies_tables_without_entries(one):
    file = one.machine.file("f", 4 * M)
    for at, length, flags, mapped in ((0, 8 * M, PRIVATE, None), (8 * M, 2 * M, SHARED, None), (10 * M, 4 * M, SHARED, file),
                                      (3 * G, 2 * M, PRIVATE, None), (5 * G, 4 * M, PRIVATE, None)):
        one.map(A + at, length, flags, mapped)
    one.touch(A, A + 2 * M, A + 8 * M, A + 10 * M, A + 5 * G)
    one.process.read(A + 4 * M, 1)
    one.process.read(A + 3 * G, 1)
    one.process.madvise(A + 2 * M, PAGE, DONTNEED)
    one.process.munmap(A + 5 * G, 2 * M)
    child = one.process.fork()
    one.added(child)
    # one, one without entries, one of the zero page, untouched ones, two of areas that are not copied (with the last of its GiB
    # goes the table above), an area without anonymous pages, and one with tables above only
    for at, length, right in ((0, 2 * M, -1), (2 * M, 2 * M, -1), (4 * M, 2 * M, -1), (6 * M, 2 * M, 0), (8 * M, 2 * M, 0),
                              (10 * M, 4 * M, -1), (3 * G, 2 * M, 0), (5 * G + 2 * M, 2 * M, -2)):
        child.munmap(A + at, length)
        assert one.added(child) == right, (at, length)


def test_advice_frees_leaf_tables_that_it_covers(one):
    one.map(A, 8 * M)
    one.touch(*range(A, A + 8 * M, M))
    assert one.added() == 6
    for start, length, right in ((PAGE, 2 * M, 0), (0, 2 * M, -1), (M, 5 * M, -2)):
        one.process.madvise(A + start, length, DONTNEED)
        assert one.added() == right
    one.touch(A + 2 * M, A + 4 * M)
    assert one.added() == 2
    one.process.mprotect(A + 3 * M, PAGE, 1)   # an area ends inside the first
    one.process.madvise(A + 2 * M, 4 * M, DONTNEED)
    assert one.added() == -1


def test_guards_keep_their_table(one):
    one.map(A, 4 * M)
    one.touch(*range(A, A + 4 * M, M))
    assert one.added() == 4
    one.process.madvise(A, PAGE, GUARD_INSTALL)
    one.process.madvise(A, 4 * M, DONTNEED)
    assert one.added() == -1
    one.process.madvise(A, 4 * M, GUARD_REMOVE)
    assert one.added() == 0
    one.process.madvise(A, 4 * M, DONTNEED)
    assert one.added() == -1
    one.process.madvise(A, 4 * M, GUARD_INSTALL)
    assert one.added() == 2


def test_whole_tables_move(one):
    one.map(A, 16 * M)
    one.touch(*range(A, A + 16 * M, M))
    assert one.added() == 10
    for step, right in ((lambda: one.move(A, 4 * M, B), 2),                                     # two leaf tables as they are
                        (lambda: one.move(A + 4 * M + PAGE, 2 * M, B + 8 * M + PAGE), 2),       # from inside an area
                        (lambda: one.move(A + 8 * M, 2 * M, B + 16 * M + PAGE), 1),             # to another offset
                        (lambda: one.process.munmap(A, 16 * M), -7), (lambda: one.process.munmap(B, 32 * M), -8)):
        step()
        assert one.added() == right


def test_a_scheme_is_asked_where_each_page_of_a_table_goes():
    """Of shared pages, page by page, before the table moves; those that it does not let go are copied."""
    class Asked(rmapcore.Prototype):
        _asked = ()

        def may_move(self, pfn, vpn):
            self._asked += (vpn * PAGE,)
            return vpn % 2 == 0 or bool(self.core.view("frames")["mapcount"][pfn] == 1)

    scheme = Asked(SCHEMES["anonmm"].load()())
    machine = rmapcore.Machine(scheme, kernel="6.18", ram="8MiB", swap=0)
    parent = machine.spawn()
    parent.mmap(A, 2 * M, RW, PRIVATE)
    pages = (0, 1, 2, 300, 511)
    parent.touch([A + page * PAGE for page in pages], write=True)
    child = parent.fork()
    child.mremap(A, 2 * M, 2 * M, FIXED, B)
    assert sorted(set(scheme._asked)) == [B + page * PAGE for page in pages]
    one, other = (process.pagemap(at, 2 * M)["pfn"][list(pages)] for process, at in ((parent, A), (child, B)))
    assert (one == other).tolist() == [page % 2 == 0 for page in pages]


@pytest.mark.parametrize("make", [lambda: "pte_chain", lambda: rmapcore.Prototype(SCHEMES["pte_chain"].load()())])
@pytest.mark.parametrize("length", [4 * M, 4 * M + PAGE])
def test_a_pte_chain_goes_along_with_the_table_that_its_entries_lie_in(make, length):
    """Of a table that moves whole nothing is written down again, of entries that move one by one each is."""
    machine = rmapcore.Machine(make(), kernel="6.18", ram="64MiB", swap="16MiB")
    parent = machine.spawn()
    parent.mmap(A, length, RW, PRIVATE)
    parent.write(A, length)
    child = parent.fork()
    before = dict(machine.counters)
    child.mremap(A, length, length, FIXED, B)
    after = dict(machine.counters)
    one_by_one = length % (2 * M) // PAGE
    assert after["rmap_moves"] - before["rmap_moves"] == one_by_one
    assert after["lock_chain"] - before["lock_chain"] == 2 * one_by_one
    _, pids, addresses = machine.whomaps(child.pagemap(B, PAGE)["pfn"])
    assert sorted(zip(pids.tolist(), addresses.tolist(), strict=True)) == [(parent.pid, A), (child.pid, B)]
    machine.check()
    machine.reclaim(3000)
    machine.check()


def test_a_move_begins_at_its_tables_if_nothing_is_before(one):
    one.map(A + PAGE, 8 * M - PAGE)
    one.touch(*range(A + PAGE, A + 8 * M, M))
    assert one.added() == 6
    one.move(A + PAGE, 8 * M - PAGE, B + PAGE)
    assert one.added() == 0
    one.map(B, PAGE)                           # now something is
    one.move(B + PAGE, 8 * M - PAGE, A + PAGE)
    assert one.added() == 3
    one.process.munmap(B, PAGE)
    assert one.added() == -3


def test_a_source_that_stays_keeps_no_table_of_a_move_that_began_early(one):
    one.map(A + PAGE, 8 * M - PAGE)
    one.touch(*range(A + PAGE, A + 8 * M, M))
    assert one.added() == 6
    one.move(A + PAGE, 8 * M - PAGE, B + PAGE, flags=7)                 # DONTUNMAP: but the two above the leaves
    assert one.added() == 2


def test_a_move_that_fails_halfway_brings_back_what_it_moved_and_nothing_else():
    machine = rmapcore.Machine("anonmm", kernel="6.18", ram=64 * PAGE, swap=0)
    parent, other = machine.spawn(), machine.spawn()
    parent.mmap(A, 16 * PAGE, RW, PRIVATE)
    parent.write(A, 16 * PAGE)
    child = parent.fork()
    behind = B + 40 * PAGE
    child.mmap(behind, PAGE, RW, PRIVATE)
    child.write(behind, PAGE)
    other.mmap(A, 64 * PAGE, RW, PRIVATE)
    other.write(A, (int(machine._core.view("head")["frames_free"][0]) - 5) * PAGE)
    with pytest.raises(rmapcore.OutOfMemory):
        child.mremap(A, 16 * PAGE, 16 * PAGE, FIXED, B + PAGE)
    mine, theirs = (process.pagemap(A, 16 * PAGE)["pfn"] for process in (child, parent))
    assert (mine == theirs).tolist() == [False] * 5 + [True] * 11       # so many were copied
    assert child.pagemap(behind, PAGE)["present"].all()
    machine.check()


@pytest.mark.parametrize(("start", "length", "made"), [(M, 2 * M, 4), (M, M - PAGE, 3), (M, M, 3)])
def test_a_move_that_reaches_a_border_or_not(one, start, length, made):
    one.map(A + start, length)
    one.touch(A + start, A + start + length - PAGE)
    assert one.added() == made
    one.move(A + start, length, B + start)
    assert one.added() == 0


def test_a_gigabyte_moves_with_the_table_above(one):
    one.map(A, G)
    one.map(A + G, 2 * M)
    one.touch(*range(A, A + G, 2 * M))
    assert one.added() == 514
    for step, right in ((lambda: one.move(A, G, B), 1), (lambda: one.move(B, G, B + 2 * G), 0),
                        (lambda: one.process.munmap(A + G, 2 * M), -1), (lambda: one.move(B + 2 * G, G, B, flags=7), 0),
                        (lambda: one.process.munmap(B, 4 * G), -514)):
        step()
        assert one.added() == right


def test_moves_of_little(one):
    def steps():
        one.map(A, 4 * M)
        one.touch(A, A + 2 * M)
        yield 4
        one.move(A, 4 * M, B, flags=7)                 # DONTUNMAP: its tables above stay
        yield 2
        one.process.munmap(A, 4 * M)
        yield -2
        one.process.munmap(B, 4 * M)
        yield -4
        one.map(A, 4 * M)
        one.map(A + 8 * M, 2 * M)
        one.touch(A + 8 * M)
        yield 3
        one.move(A, 4 * M, B)                          # nothing moves, but the new place gets a table
        yield 1
        one.process.munmap(B, 4 * M)
        yield -1
        one.process.munmap(A, 16 * M)
        yield -3
        one.map(A, 4 * M)
        one.touch(A)
        one.process.madvise(A, PAGE, DONTNEED)
        yield 3
        one.move(A, PAGE, B + 5 * PAGE)                # a leaf table for no entry
        yield 3
        one.process.munmap(B, 4 * M)
        yield -3
        one.move(A + 2 * M, 2 * M, B)
        yield 1
        one.process.munmap(B, 4 * M)
        one.process.munmap(A, 4 * M)
        yield -4
        one.map(A, 4 * M)
        one.touch(A, A + 2 * M)
        one.move(A, 4 * M, B + 6 * M, 6 * M)           # and growing
        yield 4
        one.process.munmap(B, 16 * M)
        yield -4
        one.map(A, 2 * M + PAGE)
        one.touch(A, A + 2 * M)
        one.move(A, 2 * M + PAGE, B)                   # a table, and a page of the next
        yield 4

    for number, right in enumerate(steps()):
        assert one.added() == right, number


@pytest.mark.parametrize(("kernel", "arch"), [("2.6.7", "x86_64"), ("2.6.7", "i386"), ("6.18", "x86_64")])
def test_entries_in_runs_and_one_by_one(kernel, arch):
    """Where somebody watches, each entry is told, and so moved by itself: the same entries and tables either way."""
    chance = random.Random(f"{kernel} {arch}")
    machines = [rmapcore.Machine("anon_vma", kernel, arch, ram="64MiB", swap="16MiB", **more) for more in ({}, {"watch": 8})]
    processes = [machine.spawn() for machine in machines]
    places = [0x10000000 + number * 32 * M for number in range(3)]
    at, length = places[0], 3000 * PAGE
    for process in processes:
        process.mmap(at, length, RW, PRIVATE)
    for turn in range(1, 31):
        touched = [at + page * PAGE for page in chance.sample(range(3000), chance.choice([0, 5, 500]))]
        part = sorted(chance.sample(range(3001), 2))
        to = places[turn % 3] + chance.randrange(5000) * PAGE
        for process in processes:
            process.touch(touched, write=True)
            process.madvise(at + part[0] * PAGE, (part[1] - part[0]) * PAGE, DONTNEED)
            process.mremap(at, length, length, FIXED, to)
        at = to
        first, second = ((process.pagemap(at, length).tolist(), process.page_table_bytes) for process in processes)
        assert first == second
        machines[0].check()
    assert machines[0].totals == machines[1].totals and machines[1].gone_lost > 0


def test_2_6_7_frees_by_gigabytes_and_moves_entries():
    one = Program("anon_vma", "2.6.7")
    one.map(0x40000000, 8 * M)
    one.touch(*range(0x40000000, 0x40000000 + 8 * M, 2 * M))
    assert one.added() == 6
    one.process.munmap(0x40000000, 4 * M)
    assert one.added() == 0
    one.move(0x40000000 + 4 * M, 4 * M, 0x50000000)
    assert one.added() == 2


# --- beside the twin --------------------------------------------------------------------------------------------------


def steps(seed, n, arch):
    """A program about whole tables: places are multiples of 2 MiB, or off by as much at both ends of a move."""
    rng = random.Random(seed)
    low, high = (A, B) if arch == "x86_64" else (0x40000000, 0x90000000)
    spans = [start + i * 2 * M for start, n in ((low, 8), (low + G - 4 * M, 4), (high, 8)) for i in range(n)]
    yield ("spawn", 0)
    yield ("file", 0, 8 * M, "disk")
    living, born = [0], 1
    for _ in range(n):
        who = rng.choice(living)
        at = rng.choice(spans) + rng.choice((0, 0, PAGE, M))
        to = rng.choice(spans) + (at % (2 * M) if rng.random() < 0.8 else 0)
        length = rng.choice((PAGE, M, 2 * M, 2 * M, 4 * M, 6 * M + PAGE, 2 * M - at % (2 * M)))
        middle, last = at + length // 2 // PAGE * PAGE, at + length - PAGE
        kind = rng.choice(("map", "map", "touch", "touch", "touch", "read", "move", "move", "move", "unmap", "dontneed",
                           "guard", "protect", "reclaim", "fork"))
        if kind == "map":
            flags, file = rng.choice(((PRIVATE, None), (PRIVATE, None), (SHARED, None), (0x12, 0), (0x11, 0)))
            yield ("mmap", who, at, length, RW, flags, file, 0)
        elif kind == "touch":
            yield ("touch", who, (at, middle, last), rng.random() < 0.8)
        elif kind == "read":
            yield ("read", who, at, 2 * PAGE)
        elif kind == "move":
            yield ("mremap", who, at, length, length, rng.choice((3, 3, 7)), to)
        elif kind == "unmap":
            yield ("munmap", who, at, length)
        elif kind == "dontneed":
            yield ("madvise", who, at, length, DONTNEED)
        elif kind == "guard":
            yield ("madvise", who, at, min(length, 4 * PAGE), rng.choice((GUARD_INSTALL, GUARD_REMOVE)))
        elif kind == "protect":
            yield ("mprotect", who, at, length, rng.choice((1, RW)))
        elif kind == "reclaim":
            yield ("reclaim", 0, 8)
        elif len(living) < 4:
            yield ("fork", who)
            living.append(born)
            born += 1
        else:
            yield ("exit", who)
            living.remove(who)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", KNOWN)
@pytest.mark.parametrize("arch", ["i386", "i386-pae", "x86_64"])
def test_random_programs_about_tables(scheme, arch, seed):
    """Little memory, so that moves that copy fail now and then."""
    program = list(steps(seed, 120, arch))
    sizes = {"kernel": "6.18", "arch": arch, "ram": 48 * PAGE, "swap": 32 * PAGE}
    machines = [rmapcore.Machine(scheme, track_contents=True, **sizes), twin_of(scheme, **sizes)]

    def compare(machines, number):
        one, other = (observe(machine) for machine in machines)
        assert one == other, f"step {number} {program[number - 1]}: {difference(one, other)}"
        if scheme in SOUND:
            assert verdict(machines[0])
        else:
            assert verdict(machines[0]) == verdict(machines[1])

    run(machines, program, 20, compare)
