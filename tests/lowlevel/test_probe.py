"""The batches of probe against pagemap, counters and check()."""
import numpy as np
import pytest

import rmapcore
from rmapcore.pyx.look import probe
from rmapcore.schemes import walking

PAGE = 4096
PAGES = 1100                                   # more than a leaf table of every architecture
SCHEMES = walking()                      # page_referenced and try_to_unmap are walks of one page
ARCHES = ["i386", "i386-pae", "x86_64"]
PRESENT, RW, ACCESSED, DIRTY = 1, 2, 0x20, 0x40
MASK = (1 << 63) - 1


@pytest.fixture(params=SCHEMES)
def scheme(request):
    return request.param


@pytest.fixture(params=ARCHES)
def arch(request):
    return request.param


def family(scheme="anon_vma", arch="x86_64", children=0, swap=4 * PAGES):
    """A machine with a parent of PAGES written pages, its children, the area's address, and the frames by page."""
    machine = rmapcore.Machine(scheme, arch=arch, ram=4 * PAGES * PAGE, swap=swap * PAGE)
    parent = machine.spawn()
    address = parent.mmap(length=PAGES * PAGE)
    parent.touch(address + PAGE * np.random.default_rng(1).permutation(PAGES), True)
    children = [parent.fork() for _ in range(children)]
    return machine, [parent, *children], address, parent.pagemap(address, PAGES * PAGE)["pfn"].astype(np.uint32)


def young(process, address):
    return int(process.pagemap(address, PAGES * PAGE)["young"].sum())


def quiet(machine, processes, pfns):
    """Nothing looks used: reclaim would take the frames in this order."""
    for process in processes:
        probe.clear_young(machine._engine, process.pid)
    probe.deactivate(machine._engine, pfns)


def arenas(machine):
    return {name: np.array(machine._core.view(name)).tobytes() for name in machine._core.arenas}


@pytest.mark.parametrize("order", ["sorted", "random"])
def test_lookup_gives_what_pagemap_says(arch, order):
    machine, (parent,), address, _ = family(arch=arch)
    machine.reclaim(300)
    parent.mprotect(address + 50 * PAGE, 60 * PAGE, "none")
    before = arenas(machine)
    pages = np.arange(-5, PAGES + 2000)        # beyond both ends: empty entries and tables that do not exist
    if order == "random":
        pages = np.random.default_rng(2).permutation(pages)
    addresses = (address + PAGE * pages).astype(np.uint64) + np.uint64(123)
    entries = probe.lookup(machine._engine, parent.pid, addresses)
    records = np.concatenate([parent.pagemap(int(at) // PAGE * PAGE, PAGE) for at in addresses])
    present = records["present"] != 0
    assert 0 < present.sum() < PAGES
    assert (((entries & np.uint64(MASK)) >> np.uint64(12))[present] == records["pfn"][present]).all()
    assert ((entries & np.uint64(ACCESSED) != 0)[present] == (records["young"] != 0)[present]).all()
    assert ((entries & np.uint64(DIRTY) != 0)[present] == (records["dirty"] != 0)[present]).all()
    assert ((entries & np.uint64(PRESENT | RW) == PRESENT | RW)[present] == (records["writable"] != 0)[present]).all()
    assert (entries[records["swapped"] != 0] != 0).all()
    assert (entries[~present & (records["swapped"] == 0)] == 0).all()
    slots = probe.places(machine._engine, parent.pid, addresses)
    stored = np.array(machine._core.view("entries")).ravel()
    assert (np.where(slots > 0, stored[slots], 0) == entries).all()
    assert arenas(machine) == before


def test_lookup_at_the_end_of_user_space(arch):
    machine, (parent,), _, _ = family(arch=arch)
    end = machine._core.geometry["task_vpn"] * PAGE
    top = parent.mmap(end - PAGE, PAGE, "rw", 0x32)
    parent.write(top)
    addresses = np.array([top, end, end + PAGE, (1 << 64) - 1, 0, top], np.uint64)
    entries = probe.lookup(machine._engine, parent.pid, addresses)
    assert entries[0] == entries[5] != 0
    assert entries[1:5].tolist() == [0] * 4
    assert probe.lookup(machine._engine, parent.pid, addresses[:0]).tolist() == []


def test_sweep_young_clears_every_young_entry_of_one_process(scheme, arch):
    machine, (parent, child), address, _ = family(scheme, arch, 1)
    child.read(address, 90 * PAGE)
    parent.mprotect(address, 30 * PAGE, "none")
    zero = parent.mmap(length=20 * PAGE)
    parent.read(zero, 20 * PAGE)
    file = machine.file("f", 20 * PAGE)
    parent.read(parent.mmap(0, 20 * PAGE, 1, 2, file), 20 * PAGE)
    machine.check()
    before, expected = machine.counters, young(parent, address) + 40
    entries = np.array(machine._core.view("entries")).ravel()
    assert young(child, address) == 90
    assert probe.clear_young(machine._engine, parent.pid) == expected
    changed = entries ^ np.array(machine._core.view("entries")).ravel()
    assert np.count_nonzero(changed) == np.count_nonzero(changed == ACCESSED) == expected
    assert young(parent, address) == 0 and young(child, address) == 90
    assert probe.clear_young(machine._engine, parent.pid) == 0
    assert not any(machine.counters.since(before).values())
    machine.check()


def test_sweep_young_leaves_swap_entries_alone(arch):
    machine, (parent,), address, _ = family(arch=arch)
    machine.reclaim(PAGES // 2)
    slots = parent.pagemap(address, PAGES * PAGE)["slot"]
    assert (slots > 0).sum() >= PAGES // 2
    probe.clear_young(machine._engine, parent.pid)
    assert (parent.pagemap(address, PAGES * PAGE)["slot"] == slots).all()
    machine.check()


def test_deactivate_gives_reclaim_its_order(scheme):
    machine, processes, address, pfns = family(scheme)
    order = np.random.default_rng(3).permutation(PAGES)
    quiet(machine, processes, pfns[order])
    machine.check()
    head = machine._core.view("head")[0]
    assert (head["n_active"], head["n_inactive"]) == (0, PAGES)
    assert head["inactive_tail"] == pfns[order[0]] and head["inactive"] == pfns[order[-1]]
    machine.reclaim(64)
    present = processes[0].pagemap(address, PAGES * PAGE)["present"]
    assert sorted(np.flatnonzero(present == 0)) == sorted(order[:64])
    before = arenas(machine)
    free = pfns[order[:10]]
    probe.deactivate(machine._engine, free)    # free frames are on no list
    assert arenas(machine) == before


def test_referenced_counts_young_entries_and_the_frames_own_sign(scheme, arch):
    machine, (parent, child, _), address, pfns = family(scheme, arch, 2)
    child.read(address, 100 * PAGE)
    expected = sum(process.pagemap(address, PAGES * PAGE)["young"].astype(np.int64)
                   for process in machine.processes.values())
    expected = expected + (machine.frames["flags"][pfns] >> 2 & 1)
    assert len(set(expected.tolist())) > 1
    order = np.random.default_rng(4).permutation(PAGES)
    before = machine.counters
    assert probe.referenced(machine._engine, pfns[order]).tolist() == expected[order].tolist()
    work = machine.counters.since(before)
    assert work["rmap_walks"] == PAGES and work["ptes_found"] == 3 * PAGES
    assert young(parent, address) == young(child, address) == 0
    assert not probe.referenced(machine._engine, pfns).any()
    machine.check()


@pytest.mark.parametrize("children", [0, 3])
def test_unmap_leaves_swap_entries_and_a_cached_frame(scheme, arch, children):
    machine, processes, address, pfns = family(scheme, arch, children)
    quiet(machine, processes, pfns)
    before = machine.counters
    taken = np.random.default_rng(5).permutation(pfns)[:700]
    assert probe.unmap_frames(machine._engine, taken).tolist() == [probe.UNMAPPED] * 700
    work = machine.counters.since(before)
    assert work["rmap_removes"] == work["ptes_found"] == 700 * (1 + children)
    gone = np.isin(pfns, taken)
    for process in processes:
        records = process.pagemap(address, PAGES * PAGE)
        assert ((records["swapped"] != 0) == gone).all()
        assert len(np.unique(records["slot"][gone])) == 700
        assert process.swapped == 700 and process.rss == PAGES - 700
    assert (machine.frames["mapcount"][taken] == 0).all()
    machine.check()
    assert probe.unmap_frames(machine._engine, taken[:5]).tolist() == [probe.UNMAPPED] * 5
    machine.check()
    processes[-1].write(address, PAGES * PAGE)           # all come back
    machine.check()


def test_unmap_fails_at_young_and_locked_pages(scheme):
    machine, (parent,), address, pfns = family(scheme)
    assert probe.unmap_frames(machine._engine, pfns[:10]).tolist() == [probe.FAIL] * 10       # written: young
    assert probe.unmap_frames(machine._engine, pfns[:10]).tolist() == [probe.UNMAPPED] * 10
    machine.check()
    parent.mlock(address + 20 * PAGE, 5 * PAGE)
    quiet(machine, [parent], pfns[10:])
    answers = probe.unmap_frames(machine._engine, pfns[15:30])
    assert (answers == probe.FAIL).tolist() == [5 <= i < 10 for i in range(15)]
    machine.check()


def test_unmap_without_swap(scheme):
    machine, processes, _, pfns = family(scheme, swap=11)
    quiet(machine, processes, pfns)
    answers = probe.unmap_frames(machine._engine, pfns[:20]).tolist()
    assert answers == [probe.UNMAPPED] * 10 + [probe.NO_SLOT] * 10
    machine.check()


def test_file_pages(scheme):
    machine = rmapcore.Machine(scheme, ram="4MiB")
    process = machine.spawn()
    address = process.mmap(0, 50 * PAGE, 3, 1, machine.file("f", 50 * PAGE))
    process.write(address, 50 * PAGE)
    pfns = process.pagemap(address, 50 * PAGE)["pfn"]
    probe.clear_young(machine._engine, process.pid)
    assert not (probe.referenced(machine._engine, pfns) > 1).any()
    assert probe.unmap_frames(machine._engine, pfns).tolist() == [probe.UNMAPPED] * 50
    assert process.rss == 0
    machine.check()


def test_ideal_twice_changes_nothing(scheme, arch):
    machine, (parent,), address, pfns = family(scheme, arch)
    slots = probe.places(machine._engine, parent.pid, (address + PAGE * np.arange(PAGES)).astype(np.uint64))
    before = arenas(machine)
    order = np.random.default_rng(6).permutation(PAGES)
    assert probe.ideal(machine._engine, pfns[order], slots[order]) == PAGES
    entries = np.array(machine._core.view("entries")).ravel()
    was = np.frombuffer(before["entries"], entries.dtype)
    assert (np.flatnonzero(entries != was) == np.sort(slots)).all()
    assert (entries[slots] ^ was[slots] == DIRTY).all()
    frames = np.frombuffer(before["frames"], machine.frames.dtype)
    assert (machine.frames["flags"][pfns] ^ frames["flags"][pfns] == 1 << 4).all()
    assert probe.ideal(machine._engine, pfns[order], slots[order]) == PAGES
    assert arenas(machine) == before
    machine.check()


def test_ideal_of_shared_pages(scheme, arch):
    """One toggle for each frame, one for each of its entries; nothing of other frames."""
    machine, processes, address, pfns = family(scheme, arch, children=2)
    processes[1].write(address, 40 * PAGE)
    slots = np.stack([probe.places(machine._engine, process.pid, address + PAGE * np.arange(PAGES, dtype=np.uint64))
                      for process in processes], axis=1).ravel()
    offsets = np.arange(0, 3 * PAGES + 1, 3, dtype=np.int64)
    before = [process.pagemap(address, PAGES * PAGE) for process in processes]
    flags = machine.frames["flags"].copy()
    assert probe.ideal_shared(machine._engine, pfns, offsets, slots) == 3 * PAGES - 40
    for number, process in enumerate(processes):
        toggled = process.pagemap(address, PAGES * PAGE)["dirty"] != before[number]["dirty"]
        assert toggled.tolist() == [number != 1 or page >= 40 for page in range(PAGES)]
    changed = np.flatnonzero(machine.frames["flags"] != flags)
    assert sorted(pfns.tolist()) == changed.tolist()
    assert probe.ideal_shared(machine._engine, pfns, offsets, slots) == 3 * PAGES - 40
    assert (machine.frames["flags"] == flags).all()
    machine.check()


def test_ideal_of_shared_pages_takes_no_other_shapes():
    machine, _, _, pfns = family()
    slots = np.ones(6, np.uint32)
    for offsets in ([0, 2, 4], [1, 2, 4, 6], [0, 2, 4, 5]):
        with pytest.raises(ValueError, match=r"3 frames, . offsets and 6 slots"):
            probe.ideal_shared(machine._engine, pfns[:3], np.array(offsets, np.int64), slots)
    with pytest.raises(ValueError, match="descend"):
        probe.ideal_shared(machine._engine, pfns[:3], np.array([0, 4, 2, 6], np.int64), slots)
    assert probe.ideal_shared(machine._engine, np.full(1, 1 << 30, np.uint32), np.array([0, 6], np.int64), slots) == 0
    assert probe.ideal_shared(machine._engine, pfns[:1], np.array([0, 1], np.int64), np.full(1, (1 << 32) - 1, np.uint32)) == 0


def test_ideal_passes_over_what_does_not_belong_together():
    machine, (parent,), address, pfns = family()
    slots = probe.places(machine._engine, parent.pid, (address + PAGE * np.arange(PAGES)).astype(np.uint64))
    before = arenas(machine)
    assert probe.ideal(machine._engine, pfns, np.roll(slots, 1)) == 0
    assert probe.ideal(machine._engine, np.full(3, 4 * PAGES, np.uint32), slots[:3]) == 0
    assert probe.ideal(machine._engine, pfns[:3], np.full(3, (1 << 32) - 1, np.uint32)) == 0
    assert arenas(machine) == before
    with pytest.raises(ValueError, match="do not go together"):
        probe.ideal(machine._engine, pfns, slots[:5])


def test_bad_arguments():
    machine, (parent,), _, _ = family()
    for batch in (probe.referenced, probe.unmap_frames, probe.deactivate):
        for wrong in ([0], [4 * PAGES], [-1], [1.5]):
            with pytest.raises(ValueError, match="frame numbers"):
                batch(machine._engine, wrong)
        batch(machine._engine, [])
    for pid in (99, 1 << 31):
        with pytest.raises(ProcessLookupError):
            probe.clear_young(machine._engine, pid)
        with pytest.raises(ProcessLookupError):
            probe.lookup(machine._engine, pid, np.zeros(1, np.uint64))
    parent.exit()
    with pytest.raises(ProcessLookupError):
        probe.places(machine._engine, parent.pid, np.zeros(1, np.uint64))
    machine.check()


def test_aged_is_what_reclaim_does_to_the_active_list(scheme, arch):
    machine, (parent,), address, _ = family(scheme, arch)
    head = machine._core.view("head")[0]
    before = machine.counters
    assert probe.aged(machine._engine, 300) == 300         # young: they stay
    assert machine.counters.since(before)["rmap_walks"] == 300
    assert young(parent, address) == PAGES - 300
    assert (head["n_active"], head["n_inactive"]) == (PAGES, 0)
    machine.check()
    assert probe.aged(machine._engine, PAGES) == PAGES     # the 300 are old now
    assert (head["n_active"], head["n_inactive"]) == (PAGES - 300, 300)
    assert probe.aged(machine._engine, 1 << 40) == PAGES - 300
    assert (head["n_active"], head["n_inactive"]) == (0, PAGES)
    machine.check()


def test_activate_takes_the_inactive_in_order():
    machine = rmapcore.Machine("anon_vma", kernel="6.18", ram=40 * 4096, swap=0)
    process = machine.spawn()
    at = process.mmap(length=8 * 4096)
    process.write(at, 8 * 4096)
    pfns = process.pagemap(at, 8 * 4096)["pfn"].astype(np.uint32)
    probe.activate(machine._engine, pfns[::-1])
    before = machine._core.view("head")["active_tail"][0], machine._core.view("head")["n_active"][0]
    assert before == (pfns[-1], 8)                         # the first that was moved is the oldest
    probe.activate(machine._engine, pfns)                  # they are there already
    assert (machine._core.view("head")["active_tail"][0], machine._core.view("head")["n_active"][0]) == before
    machine.check()
