"""The tree of a file's areas, node by node as the twin has it, after each area that comes or goes."""
import random

import pytest

import rmapcore
from reference.filemap.prio_tree import Tree

PAGE = 4096
BASE = 0x40000000
SHARED_FIXED = 0x11


def shape_of_machine(machine, number):
    """(bits, nodes in order: (first, last, left below, right below))."""
    root, nodes, areas = (machine._core.view(name) for name in ("prio_roots", "prio_nodes", "areas"))

    def below(at):
        if not at:
            return None
        first = int(areas["pgoff"][at])
        last = first + int(areas["end"][at] - areas["start"][at]) - 1
        return first, last, below(int(nodes["left"][at])), below(int(nodes["right"][at]))

    return int(root["bits"][number]) or 1, below(int(root["node"][number]))


def shape_of_twin(tree):
    def below(node):
        return node and (node.r, node.h, below(node.left), below(node.right))
    return tree.bits, below(tree.root)


def run(intervals):
    """Maps and unmaps in the order of [(first, last) to come or to go]."""
    machine = rmapcore.Machine("anonmm", ram="1MiB", swap=0, file_rmap="prio_tree", max_file_pages=1 << 29)
    process, file, tree, there = machine.spawn(), machine.file("f", 1 << 40), Tree(), {}
    for number, (first, last) in enumerate(intervals):
        if (first, last) in there:
            at, node = there.pop((first, last))
            process.munmap(at, (last - first + 1) * PAGE)
            tree.remove(node)
        else:
            at = BASE + number * (1 << 24)
            process.mmap(at, (last - first + 1) * PAGE, 1, SHARED_FIXED, file, first * PAGE)
            there[first, last] = at, tree.insert(first, last)
        yield shape_of_machine(machine, file.number), shape_of_twin(tree)
    machine.check()


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 7, 8, 255, 256, (1 << 20) - 1, 1 << 20])
def test_bits_are_as_many_as_the_last_page_needs(last):
    for one, other in run([(last, last), (0, 0), (last, last), (0, 0), (last, last)]):
        assert one == other
        bits, root = one
        assert root is None or bits >= max(root[1].bit_length(), 1)
    assert one[0] == max(last.bit_length(), 1)


@pytest.mark.parametrize("seed", range(5))
def test_random_areas(seed):
    rng = random.Random(seed)
    most = (4, 8, 30, 300, 5000)[seed % 5]
    known = []
    for _ in range(60):
        first = rng.randrange(most)
        last = min(first + rng.randrange(1 << rng.randrange(8)), most)
        known.append(rng.choice(known) if known and rng.random() < 0.3 else (first, last))
    for number, (one, other) in enumerate(run(known)):
        assert one == other, f"after {known[:number + 1]}"
