"""File side `list` (rule G9): its order, its closed forms, its bytes, and its own check."""
import re
from pathlib import Path

import numpy as np
import pytest

import rmapcore

PAGE = 4096
READ, READ_WRITE, SHARED, PRIVATE = 1, 3, 0x01, 0x02
BASE = 0x40000000
SOURCE = Path(__file__).resolve().parent.parent.parent / "pyx" / "filemap" / "list.pyx"


def tried(machine, pfns):
    """vmas_tried of a walk of each of these frames."""
    counts = []
    for pfn in pfns:
        before = machine.counters
        machine.whomaps([pfn])
        counts.append(machine.counters.since(before)["vmas_tried"])
    return counts


def pfn_of(process, addr):
    return int(process.pagemap(addr, PAGE)["pfn"][0])


def pids(machine, pfn):
    return machine.whomaps([pfn])[1].tolist()


@pytest.mark.parametrize("arch", ["i386", "i386-pae", "x86_64"])
@pytest.mark.parametrize(("windows", "processes"), [(1, 1), (1, 7), (9, 1), (10, 4), (100, 101), (3, 50), (64, 2)])
def test_walks_of_many_windows(windows, processes, arch):
    """V windows in P processes: w*P areas for window w, so V*P for the last and P*(V+1)/2 on average."""
    machine = rmapcore.Machine("anonmm", arch=arch, file_rmap="list", ram=256 * PAGE, swap=0)
    file = machine.file("windows", windows * PAGE, "shmem")
    parent = machine.spawn()
    places = [BASE + 2 * number * PAGE for number in range(windows)]
    for number, at in enumerate(places):
        parent.mmap(at, PAGE, READ_WRITE, SHARED, file, number * PAGE)
    parent.touch(np.array(places), True)
    for _ in range(processes - 1):
        parent.fork()
    pfns = [pfn_of(parent, at) for at in places]
    counts = tried(machine, pfns)
    assert counts == [number * processes for number in range(1, windows + 1)]
    assert counts[-1] == windows * processes
    assert 2 * sum(counts) == windows * processes * (windows + 1)
    before = machine.counters
    _, _, addresses = machine.whomaps(pfns)
    done = machine.counters.since(before)
    assert sorted(set(addresses.tolist())) == places
    assert done["ptes_tried"] == done["ptes_found"] == windows * processes   # what lies outside costs no entry
    assert done["lock_i_mmap"] == windows and done["lock_i_mmap_held"] == done["vmas_tried"]
    machine.check()


def test_a_page_that_walks_never_finish_with_costs_the_whole_list():
    """Mapped in the last window only, or with a mapping elsewhere still to come: all areas of the file are passed."""
    machine = rmapcore.Machine("anon_vma", file_rmap="list", ram="1MiB", swap=0)
    file = machine.file("f", 8 * PAGE)
    owner, late = machine.spawn(), machine.spawn()
    for number in range(8):
        owner.mmap(BASE + 2 * number * PAGE, PAGE, READ, SHARED, file, number * PAGE)
    owner.read(BASE)
    pfn = pfn_of(owner, BASE)
    assert tried(machine, [pfn]) == [1]
    late.mmap(BASE, PAGE, READ, SHARED, file)
    late.read(BASE)
    assert tried(machine, [pfn]) == [9]


def test_order_of_forks_and_of_the_two_lists():
    """Private areas first; each child right before its parent; what was split off or moved at the tail."""
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram="1MiB", swap=0)
    file = machine.file("f", 8 * PAGE)
    shared, a = machine.spawn("shared"), machine.spawn("a")
    shared.mmap(BASE, 8 * PAGE, READ, SHARED, file)
    a.mmap(BASE, 8 * PAGE, READ, PRIVATE, file)
    shared.read(BASE, 8 * PAGE)
    a.read(BASE, 8 * PAGE)
    b = a.fork()
    c = a.fork()
    d = b.fork()
    pfn, far = pfn_of(a, BASE), pfn_of(a, BASE + 7 * PAGE)
    assert pids(machine, pfn) == [d.pid, b.pid, c.pid, a.pid, shared.pid]
    d.munmap(BASE + 4 * PAGE, PAGE)                      # the upper piece is new: at the tail
    assert pids(machine, pfn) == [d.pid, b.pid, c.pid, a.pid, shared.pid]
    assert pids(machine, far) == [b.pid, c.pid, a.pid, d.pid, shared.pid]
    c.mremap(BASE, 8 * PAGE, 8 * PAGE, 3, 2 * BASE)
    assert pids(machine, far) == [b.pid, a.pid, d.pid, c.pid, shared.pid]
    b.exit()
    assert pids(machine, far) == [a.pid, d.pid, c.pid, shared.pid]
    machine.check()


def test_changed_bounds_keep_the_place():
    """A merge and a shrink leave the area where it is, and take no lock."""
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram="1MiB", swap=0)
    file = machine.file("f", 8 * PAGE)
    first, second = machine.spawn(), machine.spawn()
    first.mmap(BASE, 2 * PAGE, READ, SHARED, file)
    second.mmap(BASE, 4 * PAGE, READ, SHARED, file)
    before = machine.counters
    first.mmap(BASE + 2 * PAGE, 2 * PAGE, READ, SHARED, file, 2 * PAGE)
    done = machine.counters.since(before)
    assert done["vma_merges"] == 1 and done["lock_i_mmap"] == 0
    first.read(BASE + 2 * PAGE)
    second.read(BASE + 2 * PAGE)
    assert pids(machine, pfn_of(first, BASE + 2 * PAGE)) == [first.pid, second.pid]


def test_an_mm_without_pages_is_passed():
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram="1MiB", swap=0)
    file = machine.file("f", 8 * PAGE)
    empty, full = machine.spawn(), machine.spawn()
    for process in (empty, full):
        process.mmap(BASE, 8 * PAGE, READ, SHARED, file)
    full.read(BASE)
    before = machine.counters
    assert pids(machine, pfn_of(full, BASE)) == [full.pid]
    done = machine.counters.since(before)
    assert (done["vmas_tried"], done["ptes_tried"]) == (2, 1)


def test_a_locked_shared_area_is_looked_at_like_any_other():
    """page_referenced reads its entry; the prio_tree of 2.6.7 answers without a look."""
    counts = {}
    for side in ("list", "prio_tree", "interval_tree"):
        machine = rmapcore.Machine("anonmm", file_rmap=side, ram=16 * PAGE, swap=0)
        file = machine.file("f", 8 * PAGE)
        process = machine.spawn()
        process.mmap(BASE, 8 * PAGE, READ, SHARED, file)
        process.mlock(BASE, 8 * PAGE)
        before = machine.counters
        machine.reclaim(1)
        counts[side] = machine.counters.since(before)["ptes_tried"]
        assert machine.counters["rmap_walks"] > 0
        assert process.rss == 8
    assert counts["prio_tree"] == 0 and counts["list"] == counts["interval_tree"] > 0


@pytest.mark.parametrize(("arch", "word"), [("i386", 4), ("i386-pae", 4), ("x86_64", 8)])
def test_bytes(arch, word):
    """A list_head in each area, two in each address_space (docs/facts/structures.md)."""
    memory = rmapcore.Machine("anonmm", arch=arch, file_rmap="list", ram="1MiB", swap=0).memory()["structures"]
    assert memory["vm_area_struct"]["size"] == 16 * word + (4 if arch == "i386-pae" else 0)
    assert memory["address_space (rmap part)"]["size"] == 4 * word


def test_saved_and_copied(tmp_path):
    machine = damaged_later()
    machine.save(tmp_path / "machine")
    pfns = np.flatnonzero(machine.frames["mapcount"])
    answers = [one.whomaps(pfns) for one in (machine, machine.copy(), rmapcore.Machine.load(tmp_path / "machine"))]
    for other in answers[1:]:
        assert all((one == two).all() for one, two in zip(answers[0], other, strict=True))


# --- its own check ----------------------------------------------------------------------------------------------------


def damaged_later():
    """File 1 with three private areas and two shared ones, file 2 with one of each."""
    machine = rmapcore.Machine("anonmm", file_rmap="list", ram="1MiB", swap=0)
    files = [machine.file(name, 8 * PAGE) for name in "fg"]
    parent = machine.spawn()
    for number, file in enumerate(files):
        parent.mmap(BASE + 16 * number * PAGE, 2 * PAGE, READ, SHARED, file)
        parent.mmap(BASE + (16 * number + 4) * PAGE, 2 * PAGE, READ, PRIVATE, file)
    parent.mmap(BASE + 8 * PAGE, 2 * PAGE, READ, PRIVATE, files[0], 4 * PAGE)
    parent.read(BASE, 2 * PAGE)
    child = parent.fork()
    child.munmap(BASE + 16 * PAGE, 8 * PAGE)
    return machine


def lost_area(links, heads):
    last = heads["last"][1][0]
    heads["last"][1][0] = links["prev"][last]
    links["next"][links["prev"][last]] = 0


def area_on_another_file(links, heads):
    heads["first"][2][0], heads["first"][1][0] = heads["first"][1][0], heads["first"][2][0]


def lists_mixed_up(links, heads):
    heads["first"][1] = heads["first"][1][::-1].copy()


def endless_list(links, heads):
    links["next"][heads["last"][1][0]] = heads["first"][1][0]


def link_beyond_the_arena(links, heads):
    links["next"][heads["last"][1][1]] = 1 << 24


def link_that_does_not_lead_back(links, heads):
    links["prev"][heads["last"][1][0]] = heads["last"][1][0]


def first_with_a_predecessor(links, heads):
    links["prev"][heads["first"][2][1]] = heads["first"][2][0]


def wrong_tail(links, heads):
    heads["last"][1][0] = heads["first"][1][0]


def tail_of_an_empty_list(links, heads):
    heads["last"][3][1] = heads["last"][1][1]


DAMAGE = [("FL1", lost_area), ("FL1", area_on_another_file), ("FL1", lists_mixed_up), ("FL1", endless_list),
          ("FL1", link_beyond_the_arena), ("FL2", link_that_does_not_lead_back), ("FL2", first_with_a_predecessor),
          ("FL2", wrong_tail), ("FL2", tail_of_an_empty_list)]


@pytest.mark.parametrize(("rule", "damage"), DAMAGE, ids=lambda value: getattr(value, "__name__", value))
def test_damage_is_found(rule, damage):
    machine = damaged_later()
    machine.file("empty", PAGE)
    machine.check()
    damage(machine._core.writable("list_links"), machine._core.writable("list_heads"))
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    assert caught.value.rule == rule, caught.value


def test_every_rule_is_shown_to_fire():
    rules = re.findall(r'"([A-Z]{1,2}\d{1,2})"', SOURCE.read_text(encoding="utf-8"))
    assert set(rules) == {rule for rule, _ in DAMAGE} | {"FL3"}        # tests/damage/list.py
