"""The twin itself: the examples of docs/facts/worked-examples.md, and random programs that its own checks must survive."""

import random
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

import reference
from programs import State, program, recorded, run_step
from reference import Machine, OutOfMemory
from reference.common import intervals
from reference.filemap.prio_tree import Tree
from reference.schemes import PteChain

PAGE = 4096
SCHEMES = ("pte_chain", "anonmm", "anon_vma")
ARCHES = ("i386", "i386-pae", "x86_64")
RW, RWX, R = 3, 7, 1
FIXED, MAYMOVE_FIXED = 0x32, 3
SEEDS = 10
ROOM = {"ram": 64 * PAGE, "swap": 64 * PAGE}


def frame_at(machine, process, addr):
    return machine.frames[process.pagemap(addr, 1)[0][6]]


def spans(process):
    return [(start // PAGE, end // PAGE, pgoff) for start, end, _, _, pgoff, _ in process.maps()]


# --- the folders ------------------------------------------------------------------------------------------------------


def test_kernels_have_files_of_the_same_names():
    """So that diff shows what changed. One that differs little from another has few."""
    home = Path(reference.__file__).parent
    files = {folder.name: {path.name for path in folder.glob("*.py")} for folder in home.glob("v*")}
    assert set(files) == {kernel.__module__.split(".")[1] for kernel in reference.KERNELS.values()}
    assert files["v2_6_7"] == files["v6_18"] and all(names <= files["v6_18"] for names in files.values())


@pytest.mark.parametrize(("folder", "allowed"), [
    ("common", set()), ("schemes", {"common"}), ("filemap", {"common", "schemes"})])
def test_what_is_common_knows_no_kernel(folder, allowed):
    for path in (Path(reference.__file__).parent / folder).glob("*.py"):
        assert set(re.findall(r"from \.\.(\w+)", path.read_text())) <= allowed, path


# --- worked examples --------------------------------------------------------------------------------------------------


def test_pte_chain_blocks():
    """Example 1: blocks of 7; the head's lowest entry fills holes; one left collapses when it is next referenced."""
    machine = Machine("pte_chain", "i386", **ROOM)
    chain, frame = PteChain(machine), machine.frames[1]
    assert chain.size == 7

    def add(names):
        for name in names:
            chain.entry_added(frame, *name)

    def blocks():
        return ["".join(entry[0] if entry else "." for entry in block) for block in frame.word]

    chain.entry_added(frame, "a", 0)
    assert frame.word == ("a", 0)
    chain.entry_added(frame, "b", 0)
    assert blocks() == [".....ba"]
    for name in "cdefg":
        chain.entry_added(frame, name, 0)
    assert blocks() == ["gfedcba"]
    chain.entry_added(frame, "h", 0)
    chain.entry_added(frame, "i", 0)
    assert blocks() == [".....ih", "gfedcba"]
    chain.entry_removed(frame, "d", 0)
    assert blocks() == ["......h", "gfeicba"]
    chain.entry_removed(frame, "a", 0)
    assert blocks() == ["gfeicbh"]
    assert [mm for mm, _, _ in chain.candidates(frame, "referenced")] == list("gfeicbh")
    for name in "gfeicb":
        chain.entry_removed(frame, name, 0)
    assert blocks() == ["......h"]
    chain.all_referenced(frame, ["h"])
    assert frame.word == ("h", 0)


def test_prio_tree():
    """Example 2, equal intervals included."""
    machine = Machine("anon_vma", **ROOM)
    process, file = machine.spawn(), machine.file("f", 10 * PAGE)
    places = {}
    for name, first, last in (("A", 0, 9), ("B", 0, 9), ("C", 3, 3), ("D", 2, 5)):
        places[name] = process.mmap(0, (last - first + 1) * PAGE, R, 1, file, first * PAGE)
    # C's flags and file equal B's, but its offset does not continue B's
    tree = file.record.tree
    starts = {addr // PAGE: name for name, addr in places.items()}

    def query(page):
        return "".join(starts[area.start] for node in tree.overlapping(page, Counter()) for area in node.areas)

    assert tree.bits == 4
    assert (tree.root.r, tree.root.h) == (0, 9)
    assert (tree.root.left.r, tree.root.left.h) == (2, 5)
    assert (tree.root.left.left.r, tree.root.left.left.h) == (3, 3)
    assert query(3) == "ABDC"
    assert query(6) == "AB"
    entered = Counter()
    list(tree.overlapping(6, entered))
    assert entered["nodes_visited"] == 1


def test_prio_tree_random():
    """Insertions and removals against a plain list."""
    rng = random.Random(4)
    tree, there = Tree(), {}
    for _ in range(3000):
        if there and rng.random() < 0.45:
            key = rng.choice(sorted(there))
            tree.remove(there.pop(key))
        else:
            r = rng.randrange(1 << rng.choice((2, 4, 7)))
            key = (r, r + rng.randrange(1 << rng.choice((1, 3, 6))))
            node = tree.insert(*key)
            assert there.get(key, node) is node
            there[key] = node
        page = rng.randrange(80)
        found = [(node.r, node.h) for node in tree.overlapping(page, Counter())]
        assert sorted(found) == sorted(key for key in there if key[0] <= page <= key[1])


def test_interval_tree_random():
    """Insertions, some right behind a node, and removals against a plain list."""
    rng = random.Random(4)
    tree, order = intervals.Tree(), []
    for _ in range(3000):
        if order and rng.random() < 0.45:
            tree.remove(order.pop(rng.randrange(len(order))))
        else:
            before = rng.choice(order) if order and rng.random() < 0.4 else None
            start = before.start if before else rng.randrange(50)
            node = intervals.Node(SimpleNamespace(pgoff=start, pages=rng.randrange(1, 20)))
            if before:
                tree.insert_after(node, before)
                order.insert(order.index(before) + 1, node)
            else:
                tree.insert(node)
                order.insert(sum(other.start <= start for other in order), node)
        assert list(tree.nodes()) == order
        for node in order:
            assert not (node.red and any(child and child.red for child in (node.left, node.right)))
        page = rng.randrange(70)
        assert list(tree.overlapping(page, Counter())) == [node for node in order if node.start <= page <= node.last]


def test_anonmm_counts_and_migration():
    """Example 3."""
    machine = Machine("anonmm", **ROOM)
    parent = machine.spawn()
    addr = parent.mmap(0x1000, PAGE, RW, FIXED)
    parent.write(addr)
    frame, head = frame_at(machine, parent, addr), parent.mm.word
    assert (frame.word, frame.index, frame.mapcount, head.count) == (head, 0x1000, 1, 3)
    child = parent.fork()
    own = child.mm.word
    assert (head.count, own.count, frame.mapcount) == (4, 1, 2)
    parent.exit()
    assert (head.mm, head.count, frame.mapcount) == (None, 3, 1)
    machine.page_referenced(frame)
    assert (frame.word, own.count, head.count) == (own, 2, 2)
    machine.check()
    child.exit()
    assert (own.count, head.count, head.ring) == (0, 1, [head])


def test_anonmm_mremap_copies():
    """Example 4."""
    machine = Machine("anonmm", **ROOM)
    parent = machine.spawn()
    parent.mmap(0x1000, PAGE, RW, FIXED)
    parent.write(0x1000)
    child = parent.fork()
    assert child.mremap(0x1000, PAGE, PAGE, MAYMOVE_FIXED, 0x9000) == 0x9000
    copy = frame_at(machine, child, 0x9000)
    assert (copy.word, copy.index, copy.mapcount) == (child.mm.word, 0x9000, 1)
    assert frame_at(machine, parent, 0x1000).mapcount == 1
    assert machine.counters["pages_copied_mremap"] == 1
    assert machine.counters["faults_cow"] == 0
    assert child.stamps(0x9000, 1) == parent.stamps(0x1000, 1)
    machine.check()


def test_anon_vma_sharing():
    """Example 5, both forms."""
    machine = Machine("anon_vma", **ROOM)
    process = machine.spawn()
    process.mmap(0x10000, 8 * PAGE, RW, FIXED)
    process.write(0x10000)
    shared = process.mm.areas[0].word
    process.mprotect(0x14000, 4 * PAGE, R)
    assert spans(process) == [(0x10, 0x14, 0x10), (0x14, 0x18, 0x14)]
    assert [area.word for area in process.mm.areas] == [shared, shared]
    process.mprotect(0x14000, 4 * PAGE, RW)
    assert spans(process) == [(0x10, 0x18, 0x10)]

    other = machine.spawn()
    other.mmap(0x10000, 8 * PAGE, RW, FIXED)
    other.mprotect(0x14000, 4 * PAGE, RWX)
    other.write(0x10000)
    lower, upper = other.mm.areas
    assert lower.word is not None and upper.word is None
    other.write(0x14000)
    assert upper.word is lower.word
    other.mprotect(0x14000, 4 * PAGE, RW)
    assert spans(other) == [(0x10, 0x18, 0x10)]
    machine.check()


def test_anon_vma_mremap_keeps_linearity():
    """Example 6: a moved area keeps its offset and no longer joins a fresh neighbour, unless it was never touched."""
    machine = Machine("anon_vma", **ROOM)
    process = machine.spawn()
    process.mmap(0x10000, 4 * PAGE, RW, FIXED)
    process.write(0x10000, 4 * PAGE)
    process.mremap(0x10000, 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, 0x50000)
    assert spans(process) == [(0x50, 0x54, 0x10)]
    assert frame_at(machine, process, 0x52000).index == 0x12
    process.mmap(0x54000, PAGE, RW, FIXED)
    assert spans(process) == [(0x50, 0x54, 0x10), (0x54, 0x55, 0x54)]
    process.mremap(0x52000, 2 * PAGE, 2 * PAGE, MAYMOVE_FIXED, 0x60000)
    assert spans(process) == [(0x50, 0x52, 0x10), (0x54, 0x55, 0x54), (0x60, 0x62, 0x12)]
    machine.check()

    fresh = machine.spawn()
    fresh.mmap(0x10000, 4 * PAGE, RW, FIXED)
    fresh.mremap(0x10000, 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, 0x50000)
    fresh.mmap(0x54000, PAGE, RW, FIXED)
    assert spans(fresh) == [(0x50, 0x55, 0x50)]


# --- single rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_contents_survive_swap(scheme):
    """What was written is read back, after more was written than memory holds (rules L1-L3)."""
    machine = Machine(scheme, ram=32 * PAGE, swap=300 * PAGE)
    process = machine.spawn()
    addr = process.mmap(length=100 * PAGE)
    process.write(addr, 100 * PAGE)
    assert process.swapped > 60
    assert process.stamps(addr, 100 * PAGE) == list(range(3, 103))
    child = process.fork()
    child.write(addr, 10 * PAGE)
    assert process.stamps(addr, 100 * PAGE) == list(range(3, 103))
    assert child.stamps(addr, 100 * PAGE) == [*range(104, 114), *range(13, 103)]
    machine.check()


def test_out_of_memory_without_swap():
    """Nothing can be freed: OutOfMemory, and what was done stays."""
    machine = Machine("anon_vma", ram=8 * PAGE, swap=0)
    process = machine.spawn()
    addr = process.mmap(length=20 * PAGE)
    with pytest.raises(OutOfMemory):
        process.write(addr, 20 * PAGE)
    assert process.rss == 7
    machine.check()


def test_dead_process():
    machine = Machine(**ROOM)
    process = machine.spawn()
    process.exit()
    with pytest.raises(ProcessLookupError):
        process.mmap(length=PAGE)
    assert not process.alive
    assert machine.processes == {}


# --- random programs --------------------------------------------------------------------------------------------------

PAIRS = [("pte_chain", None), ("pte_chain", "prio_tree"), ("anonmm", None), ("anonmm", "pte_chain"),
         ("anon_vma", None), ("anon_vma", "interval_tree"), ("anon_vma", "pte_chain"), ("anonmm", "list"),
         ("virtual_scan", None), ("virtual_scan", "prio_tree")]


def run_program(make, scheme, arch, seed, file_rmap=None):
    """Runs a program with checks; (counters, outcomes, most pages in swap)."""
    machine = Machine(scheme, arch, ram=(32 + seed * 7 % 33) * PAGE, swap=300 * PAGE, file_rmap=file_rmap)
    state, outcomes, most_swapped = State(), Counter(), 0
    for number, step in enumerate(make(seed, arch=arch)):
        outcome = run_step(machine, state, step)
        outcomes[step[0], outcome[1] if isinstance(outcome, tuple) and outcome[0] == "error" else "done"] += 1
        if number % 10 == 0:
            machine.check()
            pfns = range(1, machine.n_frames)
            assert [sorted(places) for places in machine.whomaps(pfns)] == [
                sorted(places) for places in machine.mappings(pfns)
            ]
            most_swapped = max(most_swapped, sum(process.swapped for process in machine.processes.values()))
    machine.check()
    return Counter(machine.counters), outcomes, most_swapped


@pytest.mark.parametrize(("make", "seeds"), [(recorded, range(SEEDS)), (program, (1, 2, 6, 8))], ids=["recorded", "program"])
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("scheme", "file_rmap"), PAIRS)
def test_programs(scheme, file_rmap, arch, make, seeds):
    """All seeds together use every part of the machine; spurious faults cannot happen on one processor."""
    counters, outcomes, swapped = Counter(), Counter(), []
    for seed in seeds:
        counts, ends, most = run_program(make, scheme, arch, seed, file_rmap)
        counters += counts
        outcomes += ends
        swapped.append(most)
    for name in ("faults_zero", "faults_file", "faults_swapin", "faults_cow", "pages_copied_cow", "cow_reuses",
                 "vma_merges", "vma_splits", "rmap_dups", "scanned_ptes"):
        assert counters[name] > 0, name
    assert counters["faults_spurious"] == 0
    assert scheme != "anonmm" or counters["pages_copied_mremap"] > 0
    assert all(most > 0 for most in swapped)
    ends = Counter()
    for (call, end), n in outcomes.items():
        ends[end] += n
        assert end != "done" or n > 0, call
    assert ends["done"] > 0.75 * ends.total()
    assert ends["OutOfMemory"] < 0.02 * ends.total()
    for access in ("touch", "read", "write"):
        total = sum(n for (call, _), n in outcomes.items() if call == access)
        assert outcomes[access, "done"] > 0.55 * total, access
