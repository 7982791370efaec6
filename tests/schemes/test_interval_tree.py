"""interval_tree: the order of areas, what a walk enters and proposes, and its bytes, by worked examples (rule G12)."""
import numpy as np
import pytest

import rmapcore

PAGE = 4096
READ, SHARED = 1, 0x01
AT = 0x40000000


def made(pages, **options):
    machine = rmapcore.Machine("anonmm", file_rmap="interval_tree", ram="4MiB", swap=0, **options)
    return machine, machine.file("f", pages * PAGE)


def mapping(machine, file, first, last):
    """A process that maps and has read the file's pages first to last, at AT."""
    process = machine.spawn()
    process.mmap(AT, (last - first + 1) * PAGE, READ, SHARED, file, first * PAGE)
    process.read(AT, (last - first + 1) * PAGE)
    return process


def query(machine, process, page):
    """(pids in walk order, nodes_visited, vmas_tried) for the page of the file at that place of the process."""
    pfn = int(process.pagemap(AT + page * PAGE, PAGE)["pfn"][0])
    before = machine.counters
    pids = machine.whomaps([pfn])[1].tolist()
    done = machine.counters.since(before)
    assert done["lock_i_mmap"] == 1 and done["lock_i_mmap_held"] == done["vmas_tried"]
    return pids, done["nodes_visited"], done["vmas_tried"]


def test_the_picture_of_the_mechanism():
    """A [3, 9] on top, B [1, 4] on its left, C [5, 7] on its right, D [8, 30] below C."""
    machine, file = made(31)
    a, b, _, d = (mapping(machine, file, *bounds) for bounds in ((3, 9), (1, 4), (5, 7), (8, 30)))
    assert query(machine, d, 2) == ([d.pid], 3, 1)                     # page 10: all but B are entered
    assert query(machine, a, 0) == ([b.pid, a.pid], 2, 2)              # page 3: both mappings found, C is not entered
    assert query(machine, a, 5) == ([a.pid, d.pid], 3, 2)              # page 8
    machine.check()


def test_a_child_stands_right_behind_its_parent():
    """Elder siblings come after younger ones; an equal start that is mapped later comes last, whatever its end."""
    machine, file = made(10)
    parent = mapping(machine, file, 0, 9)
    other = mapping(machine, file, 0, 3)
    children = [parent.fork() for _ in range(3)]
    for child in children:
        child.read(AT, 10 * PAGE)
    grandchild = children[1].fork()
    grandchild.read(AT, 10 * PAGE)
    elder = [parent, children[2], children[1], grandchild, children[0], other]
    assert query(machine, parent, 0)[0] == [process.pid for process in elder]
    assert query(machine, parent, 4)[0] == [process.pid for process in elder[:-1]]
    machine.check()


def test_who_changes_its_bounds_comes_back_last():
    machine, file = made(10)
    one, two = mapping(machine, file, 0, 9), mapping(machine, file, 0, 9)
    assert query(machine, one, 0)[0] == [one.pid, two.pid]
    before = machine.counters
    one.munmap(AT + 8 * PAGE, 2 * PAGE)                  # a piece is split off (in, out of the tree), and one re-enters
    assert machine.counters.since(before)["lock_i_mmap"] == 4
    assert query(machine, one, 0)[0] == [two.pid, one.pid]
    machine.check()


@pytest.mark.parametrize("windows", [1, 10, 100])
def test_windows_of_a_file(windows):
    """Each page lies in one area: a walk enters the nodes on the way to it, log2 of the areas or twice that at most."""
    machine, file = made(4 * windows)
    process = machine.spawn()
    for window in np.random.default_rng(1).permutation(windows).tolist():        # apart, so that none merges
        process.mmap(AT + 8 * window * PAGE, 4 * PAGE, READ, SHARED, file, 4 * window * PAGE)
        process.read(AT + 8 * window * PAGE, 4 * PAGE)
    for window in range(windows):
        pids, nodes, tried = query(machine, process, 8 * window + 3)
        assert (pids, tried) == ([process.pid], 1)
        assert nodes <= 2 * np.log2(windows + 1)
    machine.check()


def test_a_locked_shared_area_is_no_answer():
    """Not as with the prio_tree of 2.6.7: every area over the page is looked at."""
    machine, file = made(4)
    process = mapping(machine, file, 0, 3)
    process.mlock(AT, 4 * PAGE)
    before = machine.counters
    machine.reclaim(1)
    done = machine.counters.since(before)
    assert done["rmap_walks"] == done["ptes_tried"] == done["vmas_tried"] > 0
    assert process.rss == 4


def test_no_options():
    with pytest.raises(ValueError, match="no option 'line'"):
        rmapcore.Machine("anonmm", file_rmap="interval_tree:line=64")
