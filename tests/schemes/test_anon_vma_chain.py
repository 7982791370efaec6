"""The schemes with anon_vma_chains: examples 7 to 9 of docs/facts/worked-examples.md, what may merge in each era, the fault
of `degree`, and the bytes of a preforking server. All under the rules of 2.6.7, which say when pages are reused.
"""
import random

import pytest

import rmapcore
from differential import KNOWN, SOUND
from recordings import A, started
from rmapcore.cli import main

PAGE = 4096
RW, R, RWX = 3, 1, 7
FIXED = 0x32
V = 0x100000
CHAINED = ("anon_vma_chain_2010", "anon_vma_chain_degree", "anon_vma_chain")
REUSING = CHAINED[1:]


def start(scheme, pages=8, arch="x86_64", **options):
    """A machine, and a process with one area of written pages at V."""
    machine = rmapcore.Machine(scheme, arch=arch, **{"ram": "2MiB", "swap": "2MiB", **options})
    process = machine.spawn()
    process.mmap(V, pages * PAGE, RW, FIXED)
    process.write(V, pages * PAGE)
    return machine, process


def live(machine):
    """(anon_vmas, avcs)."""
    structures = machine.memory()["structures"]
    return structures["anon_vma"]["live"], structures["anon_vma_chain"]["live"]


def area_of(machine, process, address=V):
    """Number of the area at an address."""
    core = machine._core
    mms, areas = core.view("mms"), core.view("areas")
    at = int(mms["first"][core.view("pid_mm")[process.pid]])
    while not areas["start"][at] * PAGE <= address < areas["end"][at] * PAGE:
        at = int(areas["next"][at])
    return at


def own(machine, process, address=V):
    """The anon_vma of the area at an address."""
    return int(machine._core.view("areas")["rmap"][area_of(machine, process, address)])


def chain(machine, process, address=V):
    """Its chain's anon_vmas, newest first."""
    core = machine._core
    avcs, at, found = core.view("avcs"), int(core.view("av_chains")["newest"][area_of(machine, process, address)]), []
    while at:
        found.append(int(avcs["anon_vma"][at]))
        at = int(avcs["older"][at])
    return found


def frame(process, address=V):
    return int(process.pagemap(address, PAGE)["pfn"][0])


def word(machine, process, address=V):
    """The anon_vma that a page names."""
    return int(machine.frames["rmap"][frame(process, address)])


def walk(machine, process, address=V):
    """Pids that map a page, in the order of the walk, and how many areas were looked at."""
    before = machine.counters
    pids = machine.whomaps([frame(process, address)])[1].tolist()
    return pids, machine.counters.since(before)["vmas_tried"]


# --- worked examples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", CHAINED)
def test_example_7_chains_of_three_generations(scheme):
    machine, p = start(scheme)
    v1 = p.fork()
    v2 = v1.fork()
    a0, a1, a2 = (own(machine, process) for process in (p, v1, v2))
    assert chain(machine, p) == [a0] and chain(machine, v1) == [a1, a0] and chain(machine, v2) == [a2, a1, a0]
    assert live(machine) == (3, 6)
    assert word(machine, v2) == a0 and walk(machine, v2)[0] == [p.pid, v1.pid, v2.pid]
    v2.write(V)                                          # y: a copy
    assert word(machine, v2) == a2 and walk(machine, v2) == ([v2.pid], 1)
    v1.exit()
    assert live(machine) == (3, 4)
    v3 = v2.fork()
    assert chain(machine, v3)[-3:] == [a2, a1, a0]
    if scheme in REUSING:
        assert own(machine, v3) == a1 and live(machine) == (3, 7)
        v3.write(V + PAGE)
        assert word(machine, v3, V + PAGE) == a1
        assert walk(machine, v3, V + PAGE) == ([v3.pid], 2)          # V2, forked before it, is asked first
    else:
        assert len(chain(machine, v3)) == 4 and live(machine) == (4, 8)
    machine.check()


@pytest.mark.parametrize("scheme", CHAINED)
def test_example_8_reuse_moves_a_page_to_the_writers_anon_vma(scheme):
    machine, p = start(scheme)
    c = p.fork()
    a0, a1 = own(machine, p), own(machine, c)
    c.exit()
    x = frame(p)
    p.write(V)
    assert frame(p) == x and word(machine, p) == a0 and machine.counters["cow_reuses"] == 1
    c = p.fork()
    a1 = own(machine, c)
    p.exit()
    x = frame(c)
    assert word(machine, c) == a0
    c.write(V)
    assert frame(c) == x and word(machine, c) == a1
    assert word(machine, c, V + PAGE) == a0
    machine.check()


def grown_heap(scheme, process_of):
    """Areas of a heap after brk has gone up by a page twice, and the anon_vmas before and after its first new page."""
    machine = rmapcore.Machine(scheme, ram="1MiB", swap=0)
    process = machine.spawn()
    heap = process.brk(0)
    process.brk(heap + PAGE)
    process.write(heap)
    process = process_of(process)
    for pages in (2, 3):
        process.brk(heap + pages * PAGE)
    areas = len(process.maps())
    before = live(machine)[0]
    process.write(heap + PAGE)
    machine.check()
    return areas, live(machine)[0] - before


@pytest.mark.parametrize("scheme", CHAINED)
def test_example_9_brk_after_fork(scheme):
    forked = grown_heap(scheme, lambda process: process.fork())
    assert grown_heap(scheme, lambda process: process) == (1, 0)
    assert forked == ((1, 0) if scheme == "anon_vma_chain_2010" else (2, 1))       # the rule came with 3.0


# --- what may merge -----------------------------------------------------------------------------------------------------


def joined(scheme, low, high, fork=False):
    """Is [V, V + 2 pages) one area after its halves get equal flags? low, high: whether they were written first. The upper
    one is changed; fork: by a child."""
    machine = rmapcore.Machine(scheme, ram="1MiB", swap=0)
    process = machine.spawn()
    process.mmap(V, 2 * PAGE, RW, FIXED)
    process.mlock(V + PAGE, PAGE) if high else None
    process.mprotect(V + PAGE, PAGE, RWX)
    if low:
        process.mlock(V, PAGE)
        process.munlock(V, PAGE)
    if high:
        process.munlock(V + PAGE, PAGE)
    if fork:
        process = process.fork()
    process.mprotect(V + PAGE, PAGE, RW)
    machine.check()
    return len(process.maps()) == 1


@pytest.mark.parametrize(("scheme", "neither", "low", "high", "low_inherited", "high_inherited"), [
    ("anon_vma_chain_2010", True, True, True, True, True),
    ("anon_vma_chain_degree", True, True, False, False, False),
    ("anon_vma_chain", True, True, True, False, False),
])
def test_one_of_two_neighbours_has_pages(scheme, neither, low, high, low_inherited, high_inherited):
    """docs/facts/anon-vma-chain.md, "What may merge, by kernel"; the neighbour is the lower half, the range the upper one."""
    assert joined(scheme, False, False) == neither
    assert joined(scheme, True, False) == low
    assert joined(scheme, False, True) == high
    assert joined(scheme, True, False, fork=True) == low_inherited
    assert joined(scheme, False, True, fork=True) == high_inherited


@pytest.mark.parametrize("scheme", CHAINED)
def test_pieces_of_an_inherited_area_join_again(scheme):
    machine, p = start(scheme)
    c = p.fork()
    c.mprotect(V + 2 * PAGE, 2 * PAGE, R)
    assert len(c.maps()) == 3 and len(set(chain(machine, c))) == 2
    c.mprotect(V + 2 * PAGE, 2 * PAGE, RW)
    assert len(c.maps()) == 1
    machine.check()


@pytest.mark.parametrize("scheme", CHAINED)
def test_a_neighbours_anon_vma_is_adopted_unless_it_was_forked(scheme):
    anon_vmas = {}
    for fork in (False, True):
        machine = rmapcore.Machine(scheme, ram="1MiB", swap=0)
        process = machine.spawn()
        process.mmap(V, 2 * PAGE, RW, FIXED)
        process.mprotect(V + PAGE, PAGE, RWX)
        process.write(V)
        if fork:
            process = process.fork()
        before = live(machine)
        process.write(V + PAGE)
        anon_vmas[fork] = tuple(after - then for after, then in zip(live(machine), before, strict=True))
        machine.check()
    assert anon_vmas == {False: (0, 1), True: (1, 1)}


@pytest.mark.parametrize("scheme", CHAINED)
def test_a_hole_between_areas_of_two_anon_vmas_joins_one(scheme):
    machine = rmapcore.Machine(scheme, ram="1MiB", swap=0)
    process = machine.spawn()
    for at in (V, V + 2 * PAGE):
        process.mmap(at, PAGE, RW, FIXED)
        process.write(at)
    process.mmap(V + PAGE, PAGE, RW, FIXED)
    assert [int(area["end"] - area["start"]) // PAGE for area in process.maps()] == [2, 1]
    machine.check()


# --- kernel 6.18 ----------------------------------------------------------------------------------------------------------


def test_an_area_whose_pages_have_all_moved_away_has_no_chain():
    machine, p = start("anon_vma_chain", pages=2, kernel="6.18")
    first = own(machine, p)
    to = p.mremap(V, 2 * PAGE, 2 * PAGE, 5)              # MAYMOVE, DONTUNMAP
    assert own(machine, p) == 0 and chain(machine, p) == [] and chain(machine, p, to) == [first]
    assert live(machine) == (1, 1) and walk(machine, p, to) == ([p.pid], 1)
    p.write(V)
    assert live(machine) == (2, 2) and own(machine, p) not in (0, first)
    machine.check()


def test_an_area_that_is_wiped_on_fork_has_no_chain_in_the_child():
    machine, p = start("anon_vma_chain", pages=2, kernel="6.18")
    p.madvise(V, 2 * PAGE, "wipeonfork")
    c = p.fork()
    assert own(machine, c) == 0 and live(machine) == (1, 1)
    c.write(V)
    assert chain(machine, c) == [own(machine, c)] and live(machine) == (2, 2)
    machine.check()


@pytest.mark.parametrize("inherited", [False, True])
def test_what_mremap_moves_joins_an_area_without_pages_unless_it_is_inherited(inherited):
    """6.16 on: the target without an anon_vma, the source with one; offsets continue: it comes back to its place."""
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="1MiB", swap=0)
    p = machine.spawn()
    p.mmap(V, 4 * PAGE, RW, FIXED)
    p.mlock(V + 2 * PAGE, 2 * PAGE)                      # two areas, of which the upper one has pages
    far = 0x40000000
    p.mremap(V + 2 * PAGE, 2 * PAGE, 2 * PAGE, 3, far)
    p.munlock(far, 2 * PAGE)
    if inherited:
        p = p.fork()
    p.mremap(far, 2 * PAGE, 2 * PAGE, 3, V + 2 * PAGE)
    assert len(p.maps()) == (2 if inherited else 1)
    assert len(chain(machine, p, V + 2 * PAGE)) == (2 if inherited else 1)
    machine.check()


# --- pages that come back from swap ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", CHAINED)
def test_a_page_that_comes_back_alone_is_the_areas_own_else_the_roots(scheme):
    machine, p = start(scheme, pages=2, ram=64 * PAGE, swap=64 * PAGE)
    c = p.fork()
    c.write(V + PAGE)
    while c.swapped < 2 or p.swapped < 2:
        machine.reclaim(4)
    c.read(V)                                            # p has an entry too
    assert word(machine, c) == own(machine, p)
    assert walk(machine, c)[0] == [c.pid]
    p.read(V)
    assert frame(p) == frame(c) and sorted(walk(machine, c)[0]) == sorted([p.pid, c.pid])
    c.read(V + PAGE)                                     # nobody else has
    assert word(machine, c, V + PAGE) == own(machine, c)
    machine.check()


@pytest.mark.parametrize(("scheme", "kept"), [("anon_vma_chain_2010", False), ("anon_vma_chain_degree", True),
                                              ("anon_vma_chain", True)])
def test_a_frame_that_stayed_in_the_swap_cache_keeps_what_it_named(scheme, kept):
    """2.6.37 on. The parent brought it in and dropped it again; then the child is the only one who can have it."""
    machine, p = start(scheme, pages=1, ram=64 * PAGE, swap=64 * PAGE)
    c = p.fork()
    while c.swapped == 0:
        machine.reclaim(1)
    p.read(V)
    p.madvise(V, PAGE, 4)
    c.read(V)
    assert word(machine, c) == own(machine, p if kept else c) and walk(machine, c)[0] == [c.pid]
    machine.check()


def test_kernel_6_18_says_by_a_flag_who_comes_back_alone():
    machine, p = start("anon_vma_chain", pages=2, kernel="6.18", ram=64 * PAGE, swap=64 * PAGE)
    c = p.fork()
    c.write(V + PAGE)
    machine.reclaim(60)
    assert c.swapped == 2 and p.swapped == 2
    for at in (V, V + PAGE):
        c.read(at)
    assert word(machine, c) == own(machine, p) and word(machine, c, V + PAGE) == own(machine, c)
    assert c.pagemap(V, 2 * PAGE)["writable"].tolist() == [0, 1]


# --- trees ----------------------------------------------------------------------------------------------------------------


def test_a_walk_passes_over_pieces_that_lie_elsewhere():
    """docs/facts/anon-vma-chain.md, "Walks": lists look at every piece of an area, trees only at those that hold the page."""
    tried = {}
    for scheme in CHAINED:
        machine, p = start(scheme, pages=16)
        for page in range(0, 16, 2):
            p.mprotect(V + page * PAGE, PAGE, R)
        tried[scheme] = walk(machine, p, V + 15 * PAGE)[1]
        machine.check()
    assert tried["anon_vma_chain_2010"] > 8 and tried["anon_vma_chain"] == tried["anon_vma_chain_degree"] == 1


@pytest.mark.parametrize("scheme", CHAINED)
def test_a_stack_that_grows_below_index_0(scheme):
    """Offsets wrap around: its pages are found all the same."""
    machine = rmapcore.Machine(scheme, ram="1MiB", swap="1MiB", track_contents=True)
    p = machine.spawn()
    p.mmap(0x4000, 4 * PAGE, RW, FIXED | 0x100)
    p.write(0x4000, 4 * PAGE)
    p.mremap(0x4000, 4 * PAGE, 4 * PAGE, 3, 0x200000)
    p.write(0x200000 - 16 * PAGE, 16 * PAGE)
    c = p.fork()
    c.write(0x200000 - 2 * PAGE)
    machine.check()
    assert machine.reclaim(8)["freed"] == 8
    machine.check()


# --- the fault of degree ------------------------------------------------------------------------------------------------


def double_reuse(scheme):
    """Two areas of Y call one anon_vma their own, with chains that differ, and merge. (machine, Y)

    b is left behind as a leaf: C took A's over instead. Z has two areas that hold it, each with an anon_vma of its own; when
    B exits, nobody needs b. Y, forked from Z, may then take it twice.
    """
    machine, p = start(scheme, pages=2)
    a = p.fork()
    b = a.fork()
    a.exit()
    c = b.fork()                                         # takes A's anon_vma
    for process in (b, c):                               # two users each: no reuse when Z is forked
        process.mprotect(V + PAGE, PAGE, RWX)
    z = c.fork()
    b.exit()                                             # b's own anon_vma: no user, no child, but in the chains of C and Z
    z.write(V, 2 * PAGE)
    y = z.fork()
    y.mprotect(V + PAGE, PAGE, RW)
    return machine, y


def test_areas_that_reuse_the_same_anon_vma_lose_pages_when_they_merge():
    machine, y = double_reuse("anon_vma_chain_degree")
    assert len(y.maps()) == 1
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    assert (caught.value.rule, caught.value.process, caught.value.address) == ("AC5", y.pid, V + PAGE)
    lost = frame(y, V + PAGE)
    assert y.pid not in machine.whomaps([lost])[1].tolist()
    assert y.pid in machine.mappings([lost])[1].tolist()
    for process in list(machine.processes.values()):     # and nothing breaks
        process.exit()
    assert live(machine) == (0, 0)
    machine.check()


def test_compare_shows_what_is_missed_and_fails(tmp_path, capsys):
    """double_reuse as a recording."""
    p, a, b, c, z, y = range(100, 106)
    recording = started(p).mmap(p, A, 2 * PAGE).fault(p, A).fault(p, A + PAGE).fork(p, a).fork(a, b).exit(a).fork(b, c)
    for process in (b, c):
        recording.call(process, "mprotect", start=A + PAGE, len=PAGE, prot=RWX)
    recording.fork(c, z).exit(b).fault(z, A, 7).fault(z, A + PAGE, 7).fork(z, y)
    recording.call(y, "mprotect", start=A + PAGE, len=PAGE, prot=RW)
    path = tmp_path / "reuse.txt"
    path.write_bytes(recording.text())
    assert main(["compare", str(path), "--scheme", "anon_vma_chain", "--scheme", "anon_vma_chain_degree"]) == 1
    assert "anon_vma_chain_degree on x86_64: the reverse map missed" in capsys.readouterr().err
    assert main(["compare", str(path), "--scheme", "anon_vma_chain"]) == 0


@pytest.mark.parametrize("scheme", [name for name in KNOWN if name != "anon_vma_chain_degree"])
def test_other_schemes_lose_nothing_there(scheme):
    machine, y = double_reuse(scheme)
    machine.check()
    if scheme == "anon_vma_chain":                       # it was reused once
        assert len(y.maps()) == 2 and own(machine, y) != own(machine, y, V + PAGE)


CALLS = ("fork", "fork", "fork", "exit", "exit", "split", "join", "write")


def family(seed):
    """A random program for families in which each process has one area of two pages, whole or in halves."""
    chance = random.Random(seed)
    return [(chance.choice(CALLS), chance.randrange(12)) for _ in range(300)]


def violation(scheme, program, every):
    """What check() says of a program, asked after every so many calls; None if it finds nothing. At most four live at once."""
    machine, first = start(scheme, pages=2)
    alive = [first]
    for number, (call, which) in enumerate(program, 1):
        process = alive[which % len(alive)]
        if call == "fork" and len(alive) < 4:
            alive.append(process.fork())
        elif call == "exit" and len(alive) > 1:
            alive.remove(process)
            process.exit()
        elif call == "write":
            process.write(V, 2 * PAGE)
        elif call in ("split", "join"):
            process.mprotect(V + PAGE, PAGE, RWX if call == "split" else RW)
        if number % every == 0 or number == len(program):
            try:
                machine.check()
            except rmapcore.InconsistentState as error:
                return error
    return None


def shrunk(program, fails):
    """Pieces are left out, ever smaller ones, as long as it still fails."""
    size = len(program) // 2
    while size:
        at = 0
        while at < len(program):
            rest = program[:at] + program[at + size:]
            if fails(rest):
                program = rest
            else:
                at += size
        size = size // 2 if size > 1 else 0
    return program


def test_random_families_find_the_fault_and_it_shrinks_to_a_few_calls():
    faulty = "anon_vma_chain_degree"
    program = next(program for program in map(family, range(200)) if violation(faulty, program, 20))
    program = shrunk(program, lambda program: violation(faulty, program, 20) is not None)
    assert len(program) <= 20, program
    error = violation(faulty, program, 1)
    assert error.rule == "AC5" and error.frame and error.process and error.address in (V, V + PAGE)
    for other in SOUND:
        assert violation(other, program, 1) is None


@pytest.mark.parametrize("scheme", ["anon_vma_chain_2010", "anon_vma_chain"])
def test_random_families_of_the_others_lose_nothing(scheme):
    assert all(violation(scheme, family(seed), 20) is None for seed in range(40))


@pytest.mark.parametrize(("scheme", "bounded"), [("anon_vma_chain_2010", False), ("anon_vma_chain_degree", True),
                                                 ("anon_vma_chain", True)])
def test_a_daemon_that_forks_and_exits(scheme, bounded):
    """What degree was made for (7a3ef208e662): without reuse each generation makes the chain longer."""
    machine, process = start(scheme)
    for _ in range(50):
        child = process.fork()
        process.exit()
        process = child
    anon_vmas, avcs = live(machine)
    assert (anon_vmas <= 3 and avcs <= 3) if bounded else (anon_vmas, avcs) == (51, 51)
    machine.check()


# --- bytes ----------------------------------------------------------------------------------------------------------------


def preforking(scheme, arch, children):
    """Bytes that reverse mapping adds to areas and in objects: a parent with 20 areas of a faulted page, and its children."""
    machine = rmapcore.Machine(scheme, arch=arch, ram="4MiB", swap=0)
    parent = machine.spawn()
    for number in range(20):
        parent.mmap(V + 2 * number * PAGE, PAGE, RW, FIXED)
        parent.write(V + 2 * number * PAGE)
    for _ in range(children):
        parent.fork()
    structures = machine.memory()["structures"]
    areas = structures["vm_area_struct"]["live"] * (12 if arch == "i386" else 24)
    return areas + structures["anon_vma"]["bytes"] + structures["anon_vma_chain"]["bytes"]


@pytest.mark.parametrize(("scheme", "arch", "anon_vma", "avc", "mib"), [
    ("anon_vma_chain_2010", "i386", 16, 24, 1.45), ("anon_vma_chain", "x86_64", 104, 64, 4.9)])
def test_bytes_of_a_preforking_server(scheme, arch, anon_vma, avc, mib):
    """docs/facts/structures.md, "Bytes of each scheme": 1,000 children of 20 areas; 60 children by the same sum."""
    def total(children):
        areas = 20 * (children + 1)
        return areas * (12 if arch == "i386" else 24) + 20 * (anon_vma + avc) + 20 * children * (anon_vma + 2 * avc)

    assert round(total(1000) / (1 << 20), 2 if mib < 2 else 1) == mib
    assert preforking(scheme, arch, 60) == total(60)
    assert preforking(scheme, arch, 1000) == total(1000)
