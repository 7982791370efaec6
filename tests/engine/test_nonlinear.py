"""remap_file_pages and nonlinear areas: worked examples, closed forms, errnos (rules A3a, E11, E12, G7a, G9a, H1a, K6a)."""
import errno

import numpy as np
import pytest

import rmapcore

PAGE = 4096
READ, READ_WRITE, SHARED, PRIVATE, ANON, FIXED = 1, 3, 0x01, 0x02, 0x20, 0x10
NONBLOCK, NONLINEAR, DONTNEED = 0x10000, 0x800000, 4
AT = 0x40000000
ARCHES = ("i386", "i386-pae", "x86_64")
TREES = ("prio_tree", "interval_tree")
SIDES = (*TREES, "pte_chain", "list")


def made(side="prio_tree", pages=16, ram=256, kind="disk", arch="x86_64", swap=0):
    """A machine, and a process that has written all pages of a file through a shared mapping."""
    machine = rmapcore.Machine("anonmm", arch=arch, file_rmap=side, ram=ram * PAGE, swap=swap * PAGE, track_contents=True)
    file = machine.file("f", pages * PAGE, kind)
    process = machine.spawn()
    process.mmap(AT, pages * PAGE, READ_WRITE, SHARED, file)
    process.write(AT, pages * PAGE)
    return machine, file, process


def reverse(process, pages, at=AT, flags=0):
    for page in range(pages):
        process.remap_file_pages(at + page * PAGE, PAGE, 0, pages - 1 - page, flags)


def pages_at(process, pages, at=AT):
    """Which page of the file each place shows: pages were written in order by operations that follow one another."""
    seen = process.stamps(at, pages * PAGE).astype(np.int64)
    return (seen - 3).tolist()                           # spawn and mmap were operations 1 and 2


def make_old(machine):
    """Clears every young bit, as two looks of reclaim at every page would."""
    entries = machine._core.writable("entries")
    leaves = np.flatnonzero(machine._core.view("tables")["level"] == 0)
    for table in leaves[leaves > 0]:
        per = 1 << machine._core.geometry["bits"]
        part = entries[table * per:(table + 1) * per]
        part[part & 1 == 1] &= ~part.dtype.type(0x20)
    machine._core.writable("frames")["flags"] &= ~np.uint32(4)


def delta(machine, before, *names):
    done = machine.counters.since(before)
    return tuple(done[name] for name in names)


# --- what a program sees ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["disk", "shmem"])
@pytest.mark.parametrize("arch", ARCHES)
def test_a_window_in_reverse_order_reclaimed_and_faulted_back(side, kind, arch):
    machine, _, process = made(side, 16, 64, kind, arch, swap=64)
    assert pages_at(process, 16) == [*range(16)]
    reverse(process, 16)
    backwards = [*range(15, -1, -1)]
    assert pages_at(process, 16) == backwards
    assert process.maps()["flags"].tolist() == [0xFB | NONLINEAR]
    assert process.maps()["pgoff"].tolist() == [0]       # still the linear one
    assert process.rss == 16
    machine.check()
    assert machine.reclaim(16)["freed"] == 16
    assert process.rss == 0 and process.swapped == 0
    assert pages_at(process, 16) == backwards            # file entries
    child = process.fork()
    assert pages_at(child, 16) == backwards
    machine.check()
    faults = child.read(AT, 16 * PAGE)
    assert faults["file"] == 16 and sum(faults.values()) == 16
    assert pages_at(child, 16) == backwards and child.rss == 16
    child.write(AT)                                      # page 15 of the file, through its new place
    assert process.stamps(AT, PAGE) == child.stamps(AT, PAGE) != 18
    machine.check()


@pytest.mark.parametrize("side", SIDES)
def test_nothing_is_forgotten_by_dontneed_moves_and_truncation(side):
    machine, file, process = made(side)
    reverse(process, 16)
    process.madvise(AT, 8 * PAGE, DONTNEED)
    assert process.rss == 8 and pages_at(process, 16) == [*range(15, -1, -1)]
    assert process.mremap(AT, 16 * PAGE, 16 * PAGE, 3, 2 * AT) == 2 * AT
    assert pages_at(process, 16, 2 * AT) == [*range(15, -1, -1)]
    file.truncate(4 * PAGE)
    assert process.rss == 4                              # places 12 to 15
    with pytest.raises(rmapcore.BusError):
        process.read(2 * AT)
    file.truncate(16 * PAGE)
    assert pages_at(process, 16, 2 * AT)[12:] == [3, 2, 1, 0]
    assert set(process.stamps(2 * AT, 12 * PAGE).tolist()) == {0}
    process.write(2 * AT)
    machine.check()
    process.munmap(2 * AT, 16 * PAGE)
    process.mmap(2 * AT, 16 * PAGE, READ_WRITE, SHARED, file)
    assert process.stamps(2 * AT + 15 * PAGE, PAGE)[0] > 0             # page 15 is what was written
    assert process.maps()["flags"].tolist() == [0xFB]                  # a fresh mapping is linear
    machine.check()


def test_nonblock_maps_only_what_is_cached():
    machine, _, process = made(pages=8)
    make_old(machine)
    machine.reclaim(8)
    process.read(AT, 4 * PAGE)                           # pages 0 to 3 are cached
    before = machine.counters
    reverse(process, 8, flags=NONBLOCK)
    assert process.pagemap(AT, 8 * PAGE)["present"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert delta(machine, before, "rmap_adds", "rmap_removes", "faults_file") == (4, 4, 0)
    assert pages_at(process, 8) == [7, 6, 5, 4, 3, 2, 1, 0]
    process.remap_file_pages(AT, 8 * PAGE, 0, 0, NONBLOCK)             # back to the linear order
    assert process.pagemap(AT, 8 * PAGE)["present"].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert pages_at(process, 8) == [*range(8)]
    assert process.maps()["flags"][0] & NONLINEAR        # for good
    machine.check()
    process.mlock(AT, 8 * PAGE)
    assert process.rss == 8
    machine.check()


def test_a_linear_call_maps_pages_and_leaves_the_area_linear():
    machine, file, _ = made(pages=8)
    other = machine.spawn()
    other.mmap(AT, 8 * PAGE, READ, SHARED, file)
    other.remap_file_pages(AT + PAGE + 7, 3 * PAGE + 5, 0, 1)          # both rounded down
    assert other.rss == 3 and not other.maps()["flags"][0] & NONLINEAR
    assert other.pagemap(AT, 8 * PAGE)["present"].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("arch", ARCHES)
def test_errnos(arch):
    machine, file, process = made(pages=16, arch=arch)
    process.mmap(2 * AT, 4 * PAGE, READ_WRITE, PRIVATE | FIXED, file)
    process.mmap(2 * AT + 8 * PAGE, 4 * PAGE, READ_WRITE, PRIVATE | ANON | FIXED)
    process.munmap(AT + 12 * PAGE, PAGE)
    before, areas = machine.counters, process.maps().tolist()
    for addr, size, prot, pgoff in [
        (AT, PAGE, 1, 1), (AT, 0, 0, 1), (AT, PAGE - 1, 0, 1),
        (3 * AT if arch == "x86_64" else AT // 2, PAGE, 0, 1), (1 << 50, PAGE, 0, 1), (AT, 1 << 60, 0, 1),
        (AT + 11 * PAGE, 2 * PAGE, 0, 1), (AT, 4 * PAGE, 0, 13), (AT, PAGE, 0, 16), (AT, PAGE, 0, 1 << 29),
        (AT, PAGE, 0, 1 << 40), (AT, PAGE, 0, (1 << 64) - 1), (2 * AT, PAGE, 0, 1), (2 * AT + 8 * PAGE, PAGE, 0, 1),
    ]:
        with pytest.raises(OSError) as caught:
            process.remap_file_pages(addr, size, prot, pgoff)
        assert caught.value.errno == errno.EINVAL, (addr, size, prot, pgoff)
    assert machine.counters == before and process.maps().tolist() == areas
    process.exit()
    with pytest.raises(ProcessLookupError):
        process.remap_file_pages(AT, PAGE, 0, 1)


def test_out_of_memory_keeps_what_was_done():
    machine = rmapcore.Machine("anonmm", ram=9 * PAGE, swap=0)
    file = machine.file("f", 16 * PAGE)
    process = machine.spawn()
    process.mmap(AT, 16 * PAGE, READ, SHARED, file)
    process.mlock(AT, 4 * PAGE)
    process.mmap(2 * AT, 4 * PAGE, READ_WRITE, PRIVATE | ANON)
    process.write(2 * AT, 4 * PAGE)
    with pytest.raises(rmapcore.OutOfMemory):
        process.remap_file_pages(AT, 3 * PAGE, 0, 8)     # of locked pages: no frame can be freed
    assert process.maps()["flags"][0] & NONLINEAR
    machine.check()


def test_areas_merge_only_with_their_kind():
    machine, _, process = made(pages=16)
    process.mprotect(AT + 8 * PAGE, 8 * PAGE, READ)
    process.remap_file_pages(AT, PAGE, 0, 5)
    process.mprotect(AT + 8 * PAGE, 8 * PAGE, READ_WRITE)
    assert len(process.maps()) == 2
    process.remap_file_pages(AT + 8 * PAGE, PAGE, 0, 5)
    before = machine.counters
    process.mprotect(AT + 8 * PAGE, 8 * PAGE, READ)
    process.mprotect(AT + 8 * PAGE, 8 * PAGE, READ_WRITE)
    assert len(process.maps()) == 1 and delta(machine, before, "vma_merges", "lock_i_mmap") == (1, 1)
    assert machine.whomaps([process.pagemap(AT, PAGE)["pfn"][0]])[2].tolist() == [AT, AT + 5 * PAGE, AT + 8 * PAGE]
    machine.check()


# --- trees ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", TREES)
def test_the_sweep_finds_a_given_page_only_by_luck(side):
    """128 pages in reverse order; reclaim asks for page 0 first, which is mapped in the last cluster. For it, for page 1 and
    for page 2 the clusters before go, 32 other pages each time; the sweep for page 3 comes to where all four were."""
    machine, _, process = made(side, pages=128, ram=256)
    for place in reversed(range(128)):
        process.remap_file_pages(AT + place * PAGE, PAGE, 0, 127 - place)
    make_old(machine)
    before = machine.counters
    result = machine.reclaim(1)
    assert (result["scanned"], result["failed"], result["unmapped"], result["freed"]) == (4, 3, 1, 1)
    assert delta(machine, before, "scanned_ptes", "rmap_removes", "vmas_tried") == (128, 128, 4)
    assert delta(machine, before, "ptes_found") == (0,)                # no entry was ever looked for
    assert process.rss == 0
    before = machine.counters
    assert machine.reclaim(127)["unmapped"] == 0                       # that work has been done
    assert delta(machine, before, "rmap_walks") == (0,)
    machine.check()


@pytest.mark.parametrize("side", TREES)
def test_young_entries_are_made_old_and_locked_areas_passed(side):
    machine, _, process = made(side, pages=32, ram=64)
    reverse(process, 32)
    other = process.fork()                               # its entries are old
    other.mlock(AT, 32 * PAGE)
    entries = process.pagemap(AT, 32 * PAGE)
    assert entries["young"].all() and entries["mapcount"].tolist() == [2] * 32
    assert machine.reclaim(1)["freed"] == 0              # every sweep passes the locked area: nobody is unmapped twice
    assert other.rss == 32 and process.rss == 0
    machine.check()
    other.munlock(AT, 32 * PAGE)
    assert machine.reclaim(1)["freed"] == 1
    assert other.rss == 0                                # one more sweep
    machine.check()


@pytest.mark.parametrize("side", TREES)
def test_the_end_of_an_unaligned_area_is_never_swept(side):
    """Clusters are aligned, cursors count from the area's start: 16 pages of 32 lie behind the last cluster."""
    machine = rmapcore.Machine("anonmm", file_rmap=side, ram=64 * PAGE, swap=0)
    file = machine.file("f", 32 * PAGE)
    process = machine.spawn()
    process.mmap(AT + 16 * PAGE, 32 * PAGE, READ, SHARED, file)
    reverse(process, 32, AT + 16 * PAGE)
    make_old(machine)
    assert machine.reclaim(32)["freed"] == 16
    assert process.pagemap(AT + 16 * PAGE, 32 * PAGE)["present"].tolist() == [0] * 16 + [1] * 16
    machine.check()


@pytest.mark.parametrize("side", TREES)
def test_a_longer_area_takes_no_cursor_beyond_the_end_of_another(side):
    """More clusters are asked for than the unaligned area has: still its end is never swept."""
    machine, file, process = made(side, pages=96, ram=200)
    process.remap_file_pages(AT, PAGE, 0, 95)
    short = machine.spawn()
    short.mmap(AT + 16 * PAGE, 32 * PAGE, READ, SHARED, file)
    reverse(short, 32, AT + 16 * PAGE)
    make_old(machine)
    machine.reclaim(64)
    assert short.pagemap(AT + 16 * PAGE, 32 * PAGE)["present"].tolist() == [0] * 16 + [1] * 16
    machine.check()


@pytest.mark.parametrize("side", TREES)
def test_linear_and_nonlinear_mappings_of_one_frame(side):
    """The tree gives the linear one; the other goes with its cluster, and is found by reading entries."""
    machine, file, process = made(side, pages=8, ram=32)
    linear = machine.spawn()
    linear.mmap(2 * AT, 8 * PAGE, READ, SHARED, file)
    linear.read(2 * AT, 8 * PAGE)
    reverse(process, 8)
    pfn = int(linear.pagemap(2 * AT + 2 * PAGE, PAGE)["pfn"][0])
    before = machine.counters
    _, pids, addresses = machine.whomaps([pfn])
    assert pids.tolist() == [linear.pid, process.pid]
    assert addresses.tolist() == [2 * AT + 2 * PAGE, AT + 5 * PAGE]
    assert delta(machine, before, "vmas_tried", "ptes_tried", "ptes_found", "scanned_ptes") == (2, 2, 2, 6)
    make_old(machine)
    before = machine.counters
    assert machine.reclaim(1)["freed"] == 1
    assert delta(machine, before, "rmap_removes", "scanned_ptes") == (9, 8)
    assert (linear.rss, process.rss) == (7, 0)
    machine.check()


@pytest.mark.parametrize("side", TREES)
def test_order_and_cursors_of_the_list(side):
    """Tail for who becomes nonlinear, is split off or moved; a child right after its parent, from 3.7 on at the tail too.
    Copies go on from the cursor."""
    machine, file, a = made(side, pages=96, ram=200)
    b = machine.spawn()
    b.mmap(AT, 96 * PAGE, READ, SHARED, file)
    for process in (a, b):
        process.remap_file_pages(AT, PAGE, 0, 95)
    child = a.fork()
    pfn = int(a.pagemap(AT, PAGE)["pfn"][0])
    second, third = (child, b) if side == "prio_tree" else (b, child)

    def order():
        """Each page is mapped twice by an area that is whole."""
        pids = machine.whomaps([pfn])[1].tolist()
        return [pid for pid, after in zip(pids, [*pids[1:], 0], strict=True) if pid != after], len(pids)

    assert order() == ([a.pid, second.pid, third.pid], 5)
    a.mremap(AT, 96 * PAGE, 96 * PAGE, 3, 2 * AT)
    assert order() == ([second.pid, third.pid, a.pid], 5)
    child.munmap(AT + 32 * PAGE, PAGE)                   # the upper piece is new
    assert order() == ([second.pid, third.pid, a.pid, child.pid], 5)
    machine.check()
    cursors = machine._core.writable("nonlinear_cursors")
    places = {int(v): machine._core.view("areas")["mm"][v] for v in np.flatnonzero(machine._core.view("areas")["alive"])}
    for v in places:
        cursors[v] = 64
    late = child.fork()
    areas = machine._core.view("areas")
    mine = [int(v) for v in np.flatnonzero(areas["alive"]) if int(v) not in places]
    assert len(mine) == len(late.maps()) == 2 and cursors[mine].tolist() == [64, 64]
    machine.check()


# --- list -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharers", [1, 2, 8, 20])
def test_a_page_off_its_place_goes_back_to_a_chain(sharers):
    """All sharers' entries are looked up once, through the lists; from then on nothing but the chain is asked."""
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram=64 * PAGE, swap=0)
    file = machine.file("f", 8 * PAGE)
    parent = machine.spawn()
    parent.mmap(AT, 8 * PAGE, READ, SHARED, file)
    parent.read(AT, 8 * PAGE)
    children = [parent.fork() for _ in range(sharers - 1)]
    pfn = int(parent.pagemap(AT + 5 * PAGE, PAGE)["pfn"][0])
    assert "pte_chain" not in machine.memory()["structures"]
    before = machine.counters
    parent.remap_file_pages(AT, PAGE, 0, 5)
    assert delta(machine, before, "lock_i_mmap", "lock_i_mmap_held", "scanned_ptes", "lock_chain") == (
        1, sharers, sharers, sharers + 1)
    blocks = machine.memory()["structures"]["pte_chain"]["live"]
    assert blocks == -(-(sharers + 1) // 7)
    before = machine.counters
    _, pids, addresses = machine.whomaps([pfn])
    assert (pids[0], addresses[0]) == (parent.pid, AT) and len(pids) == sharers + 1
    assert delta(machine, before, "vmas_tried", "nodes_visited", "ptes_tried") == (0, blocks, sharers + 1)
    machine.check()
    for process in children:
        process.exit()
    grandchild = parent.fork()
    grandchild.mremap(AT, 8 * PAGE, 8 * PAGE, 3, 2 * AT)
    assert sorted(machine.whomaps([pfn])[2].tolist()) == [AT, AT + 5 * PAGE, 2 * AT, 2 * AT + 5 * PAGE]
    machine.check()
    for process in (parent, grandchild):
        process.madvise(AT if process is parent else 2 * AT, 8 * PAGE, DONTNEED)
    assert machine.frames["rmap"][pfn] == 0              # unmapped: it is found by its file again
    parent.read(AT + 5 * PAGE)
    before = machine.counters
    assert machine.whomaps([pfn])[2].tolist() == [AT + 5 * PAGE]
    assert delta(machine, before, "vmas_tried", "nodes_visited") == (1, 0)
    machine.check()


def test_a_copy_at_the_place_of_a_page_goes_into_no_chain():
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram=64 * PAGE, swap=0)
    file = machine.file("f", 8 * PAGE)
    writer, process = machine.spawn(), machine.spawn()
    writer.mmap(AT, 8 * PAGE, READ_WRITE, PRIVATE, file)             # private areas are passed first
    writer.write(AT + 5 * PAGE, PAGE)
    process.mmap(AT, 8 * PAGE, READ, SHARED, file)
    process.read(AT + 5 * PAGE)
    process.remap_file_pages(AT, PAGE, 0, 5)
    pfn = int(process.pagemap(AT, PAGE)["pfn"][0])
    assert sorted(machine.whomaps([pfn])[2].tolist()) == [AT, AT + 5 * PAGE]
    machine.check()


@pytest.mark.parametrize("side", SIDES)
def test_saved_and_copied(side, tmp_path):
    """Copies go on hearing what they must."""
    machine, _, process = made(side)
    reverse(process, 16)
    machine.save(tmp_path / "machine")
    for other in (machine, machine.copy(), rmapcore.Machine.load(tmp_path / "machine")):
        twin = other.processes[process.pid]
        child = twin.fork()
        child.mremap(AT, 16 * PAGE, 16 * PAGE, 3, 2 * AT)
        child.munmap(2 * AT, 4 * PAGE)
        other.check()
        other.reclaim(20)
        other.check()
        assert other.counters["rmap_removes"] == machine.counters["rmap_removes"]


def test_machines_without_nonlinear_areas_keep_nothing():
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram=64 * PAGE, swap=0)
    assert not machine._engine.side.wants_entries and not machine._engine.side.wants_moves
    assert not machine._engine.side.entry_pool
