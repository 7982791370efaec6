"""Examples 1 to 6 of docs/facts/worked-examples.md on the machine; the numbers were derived there by hand."""
import pytest

import rmapcore

PAGE = 4096
RW, R, RWX = 3, 1, 7
PRIVATE_ANON, SHARED, FIXED = 0x22, 0x01, 0x10


def page_of(process, addr):
    return int(process.pagemap(addr, PAGE)["pfn"][0])


def mappers(machine, pfn):
    """Pids that map a frame, in the order of the scheme's walk."""
    return machine.whomaps([pfn])[1].tolist()


def test_example_1_pte_chain_order_follows_the_blocks():
    machine = rmapcore.Machine("pte_chain", arch="i386", ram="1MiB", swap="1MiB")
    a = machine.spawn("a")
    at = a.mmap(length=PAGE)
    a.write(at)
    pfn = page_of(a, at)
    family = {"a": a, **{name: a.fork() for name in "bcdefghi"}}
    order = {process.pid: name for name, process in family.items()}

    def walk():
        return "".join(order[pid] for pid in mappers(machine, pfn))

    assert machine.memory()["structures"]["pte_chain"]["live"] == 2     # B1 full, B2 with h and i
    assert walk() == "ihgfedcba"
    family["d"].exit()
    assert walk() == "hgfeicba"
    family["a"].exit()                                                   # empties B2
    assert walk() == "gfeicbh"
    assert machine.memory()["structures"]["pte_chain"]["live"] == 1
    for name in "bcefgh":
        family[name].exit()
    assert machine.memory()["structures"]["pte_chain"]["live"] == 1     # one entry, still a block
    machine.check()


def test_example_1_page_referenced_collapses_a_chain_of_one():
    machine = rmapcore.Machine("pte_chain", arch="i386", ram="64KiB", swap=0)
    a = machine.spawn()
    at = a.mmap(length=PAGE)
    a.write(at)
    a.fork().exit()
    assert machine.memory()["structures"]["pte_chain"]["live"] == 1
    machine.reclaim(1)                                                   # no swap: it only looks
    assert machine.memory()["structures"]["pte_chain"]["live"] == 0
    assert mappers(machine, page_of(a, at)) == [a.pid]


def test_example_2_prio_tree_visits_heap_and_radix_order():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    file = machine.file("f", 10 * PAGE)
    areas = {}
    for name, (first, last) in {"A": (0, 9), "B": (0, 9), "C": (3, 3), "D": (2, 5)}.items():
        process = machine.spawn(name)
        at = process.mmap(length=(last - first + 1) * PAGE, flags=SHARED, file=file, offset=first * PAGE)
        process.read(at, (last - first + 1) * PAGE)
        areas[process.pid] = name
        if name == "A":
            start = at
            first_process = process

    def query(index):
        before = machine.counters
        names = "".join(areas[pid] for pid in mappers(machine, page_of(first_process, start + index * PAGE)))
        return names, machine.counters.since(before)

    assert query(3)[0] == "ABDC"
    names, work = query(6)
    assert names == "AB"
    assert work["vmas_tried"] == 2
    machine.check()


def anonmm(machine, process):
    """The anonmm record of a process."""
    core = machine._core
    mm = core.view("pid_mm")[process.pid]
    return core.view("anonmms")[core.view("mms")["rmap"][mm]]


def test_example_3_anonmm_counts_and_migration():
    machine = rmapcore.Machine("anonmm", ram="64KiB", swap=0)
    p = machine.spawn()
    p.mmap(addr=0x1000, length=PAGE, flags=PRIVATE_ANON | FIXED)
    p.write(0x1000)
    pfn = page_of(p, 0x1000)
    assert machine.frames["index"][pfn] == 0x1000
    assert anonmm(machine, p)["count"] == 3                              # mm, itself as head, the page
    p_object = int(machine.frames["rmap"][pfn])
    c = p.fork()
    assert anonmm(machine, p)["count"] == 4
    assert machine.frames["mapcount"][pfn] == 2
    p.exit()
    assert machine.frames["rmap"][pfn] == p_object                       # the dead mm's object lives on
    assert machine._core.view("anonmms")[p_object]["count"] == 3
    machine.reclaim(1)                                                   # page_referenced, no swap: migrates only
    assert machine.frames["rmap"][pfn] != p_object
    assert anonmm(machine, c)["count"] == 2
    assert machine._core.view("anonmms")[p_object]["count"] == 2
    c.exit()
    assert machine.memory()["structures"]["anonmm"]["live"] == 0
    machine.check()


def test_example_4_anonmm_copies_a_shared_page_that_moves():
    machine = rmapcore.Machine("anonmm", ram="1MiB", swap=0)
    p = machine.spawn()
    p.mmap(addr=0x1000, length=PAGE, flags=PRIVATE_ANON | FIXED)
    p.write(0x1000)
    x = page_of(p, 0x1000)
    c = p.fork()
    c.mremap(0x1000, PAGE, PAGE, 3, 0x9000)
    y = page_of(c, 0x9000)
    assert y != x
    assert machine.frames["index"][y] == 0x9000
    assert machine.frames["mapcount"][[x, y]].tolist() == [1, 1]
    assert machine.counters["pages_copied_mremap"] == 1
    assert machine.counters["faults_cow"] == 0
    machine.check()


def pgoffs(process):
    return [(int(area["start"]), int(area["end"]), int(area["prot"]), int(area["pgoff"])) for area in process.maps()]


def test_example_5_anon_vma_pieces_share_and_merge_again():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    p = machine.spawn()
    p.mmap(addr=0x10000, length=8 * PAGE, flags=PRIVATE_ANON | FIXED)
    p.write(0x10000)
    p.mprotect(0x14000, 4 * PAGE, R)
    assert pgoffs(p) == [(0x10000, 0x14000, RW, 0x10), (0x14000, 0x18000, R, 0x14)]
    assert machine.memory()["structures"]["anon_vma"]["live"] == 1
    p.mprotect(0x14000, 4 * PAGE, RW)
    assert pgoffs(p) == [(0x10000, 0x18000, RW, 0x10)]
    machine.check()


def test_example_5_variant_a_neighbours_anon_vma_is_adopted():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    p = machine.spawn()
    p.mmap(addr=0x10000, length=8 * PAGE, flags=PRIVATE_ANON | FIXED)
    p.mprotect(0x14000, 4 * PAGE, RWX)
    p.write(0x10000)
    p.write(0x14000)
    assert machine.memory()["structures"]["anon_vma"]["live"] == 1
    p.mprotect(0x14000, 4 * PAGE, RW)
    assert len(p.maps()) == 1
    machine.check()


@pytest.mark.parametrize("faulted", [True, False])
def test_example_6_moved_areas_keep_their_offset(faulted):
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    p = machine.spawn()
    p.mmap(addr=0x10000, length=4 * PAGE, flags=PRIVATE_ANON | FIXED)
    if faulted:
        p.write(0x10000, 4 * PAGE)
    p.mremap(0x10000, 4 * PAGE, 4 * PAGE, 3, 0x50000)
    p.mmap(addr=0x54000, length=PAGE, flags=PRIVATE_ANON | FIXED)
    if not faulted:
        assert pgoffs(p) == [(0x50000, 0x55000, RW, 0x50)]
        return
    assert pgoffs(p) == [(0x50000, 0x54000, RW, 0x10), (0x54000, 0x55000, RW, 0x54)]
    assert machine.frames["index"][page_of(p, 0x52000)] == 0x12
    p.munmap(0x54000, PAGE)
    p.mremap(0x52000, 2 * PAGE, 2 * PAGE, 3, 0x60000)
    assert pgoffs(p) == [(0x50000, 0x52000, RW, 0x10), (0x60000, 0x62000, RW, 0x12)]
    machine.check()
