"""The interval tree by itself: against a sorted list under random changes, with every invariant looked at after each."""
import random

import pytest

from rmapcore.pyx.parts.intervaltree import Door


def entered(door, v, b, e):
    """Nodes that a query to its end enters, by the words of the mechanism's docstring."""
    records = door.records
    if v == 0 or b > int(records["reach"][v]):
        return 0
    left, right = (int(child) for child in records["child"][v])
    return 1 + entered(door, left, b, e) + (entered(door, right, b, e) if records["start"][v] <= e else 0)


def assert_sound(door, order, bounds):
    """The tree holds exactly these nodes in this order, and its shape is a red-black tree's."""
    assert door.survey() == (order, [])
    assert not door.records[0].tobytes().strip(b"\0")
    reach, height = {0: -1}, {0: 0}

    def below(v):
        if v and v not in reach:
            children = [int(child) for child in door.records["child"][v]]
            for child in children:
                below(child)
            assert len({height[child] for child in children}) == 1               # black nodes on every path
            assert not (door.records["red"][v] and any(door.records["red"][child] for child in children))
            reach[v] = max(bounds[v][1], *(reach[child] for child in children))
            height[v] = height[children[0]] + 1 - int(door.records["red"][v])
            assert int(door.records["reach"][v]) == reach[v]

    below(door.root)
    assert len(reach) == len(order) + 1 and not door.records["red"][door.root]


@pytest.mark.parametrize(("span", "longest"), [(3, 2), (40, 10), (40, 200), (1 << 63, 1 << 62)])
@pytest.mark.parametrize("seed", range(6))
def test_random_changes(span, longest, seed):
    rng = random.Random(seed)
    size = rng.choice((6, 40, 120))
    door, order, bounds = Door(size), [], {}
    free = list(range(1, size))
    for _ in range(400):
        choice = rng.random()
        if free and choice < (0.35 if order and len(order) > size // 2 else 0.6):
            v = free.pop(rng.randrange(len(free)))
            if order and rng.random() < 0.4:
                before = rng.choice(order)
                start = bounds[before][0]
                order.insert(order.index(before) + 1, v)
            else:
                before, start = 0, rng.randrange(span)
                order.insert(next((i for i, other in enumerate(order) if bounds[other][0] > start), len(order)), v)
            bounds[v] = start, start + rng.randrange(longest)
            door.insert(v, *bounds[v], before)
        elif order:
            v = order.pop(rng.randrange(len(order)))
            door.remove(v)
            assert door.records["child"][v].tolist() == [0, 0] and door.records["parent"][v] == 0
            free.append(v)
        assert_sound(door, order, bounds)
        b = rng.randrange(span + longest)
        e = b + rng.choice((0, 0, rng.randrange(longest)))
        found = [v for v in order if bounds[v][0] <= e and b <= bounds[v][1]]
        assert door.query(b, e) == (found, entered(door, door.root, b, e))
        if found:                              # a query that is broken off has entered no more than it needed
            least = rng.randrange(1, len(found) + 1)
            part, n = door.query(b, e, least)
            assert part == found[:least] and least <= n <= entered(door, door.root, b, e)


def test_nodes_entered():
    """The picture of the docstring, and queries that end early."""
    door = Door(8)
    for v, bounds in enumerate(((3, 9), (1, 4), (5, 7), (8, 30)), 1):
        door.insert(v, *bounds)
    assert door.root == 1 and door.records["reach"][1:5].tolist() == [30, 4, 30, 30]
    assert door.query(10, 10) == ([4], 3)                # all but [1, 4]
    assert door.query(31, 40) == ([], 0)                 # the root does not reach so far
    assert door.query(0, 0) == ([], 2)                   # down to the left, and there it ends
    assert door.query(4, 4) == ([2, 1], 3)
    assert door.query(4, 4, 1) == ([2], 2)
    assert door.query(3, 9) == ([2, 1, 3, 4], 4)


def test_height():
    """2 log2(n + 1) at most, also where all come in order, and where each comes right behind the first."""
    for after in (False, True):
        door = Door(5000)
        for v in range(1, 5000):
            door.insert(v, 7 if after else v, 10 * v, 1 if after and v > 1 else 0)
        order = [1, *range(4999, 1, -1)] if after else list(range(1, 5000))
        assert door.survey() == (order, [])
        deepest = 0
        for v in range(1, 5000):
            depth, at = 0, v
            while at:
                depth, at = depth + 1, int(door.records["parent"][at])
            deepest = max(deepest, depth)
        assert deepest <= 24


def test_damage_is_seen():
    """Each kind of complaint of the survey."""
    for kind, field, change in (("reach", "reach", lambda n, root: 1), ("colour", "red", lambda n, root: 1),
                                ("links", "parent", lambda n, root: 3), ("order", "start", lambda n, root: 1 << 40)):
        door = Door(30)
        for v in range(1, 30):
            door.insert(v, v, v + 5)
        door.records[field][door.root] = change(door.records, door.root)
        assert kind in {complaint[0] for complaint in door.survey()[1]}
    door.records["child"][door.root, 0] = door.root      # a circle
    assert "links" in {complaint[0] for complaint in door.survey()[1]}
