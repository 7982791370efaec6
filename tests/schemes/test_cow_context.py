"""The schemes with COW contexts: what the prototype misses and the repaired one does not, program by program, their bytes, and
how a walk goes.

Programs are of pages: area(P, X, n) maps n private pages at page X and writes them, move is mremap to a fixed place.
"""
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import differential
import programs
import rmapcore
from rmapcore.verify.case import load
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.run import run

CASES = load(Path(__file__).parent.parent / "data" / "cases" / "proposals.jsonl")     # which hold on Linux 6.18
PAGE = 4096
A, B, D = 0x100000, 0x200000, 0x300000
FAITHFUL, REPAIRED, CHAIN = "cow_context_2026_05", "cow_context", "anon_vma_chain"
KINDS = ("cow_context", "maple_node", "remap_array")


class Lab:
    """A machine, and what it does told in pages."""

    def __init__(self, scheme, kernel="6.18", ram="16MiB", swap="16MiB", **options):
        self.machine = rmapcore.Machine(scheme, kernel, ram=ram, swap=swap, **options)
        self.at = {"P": self.machine.spawn("P")}

    def area(self, name, start, n):
        self.at[name].mmap(start * PAGE, n * PAGE, 3, 0x32)
        self.write(name, start, n)

    def write(self, name, start, n):
        self.at[name].write(start * PAGE, n * PAGE)

    def read(self, name, start, n=1):
        self.at[name].read(start * PAGE, n * PAGE)

    def move(self, name, start, n, to):
        self.at[name].mremap(start * PAGE, n * PAGE, n * PAGE, 3, to * PAGE)

    def fork(self, name, child):
        self.at[child] = self.at[name].fork()

    def unmap(self, name, start, n):
        self.at[name].munmap(start * PAGE, n * PAGE)

    def lost(self):
        """(mappings that walks do not find, mappings that they report though they are not there or a second time)."""
        pfns = np.flatnonzero(self.machine.frames["mapcount"]).tolist()
        told, true = (differential.who(self.machine, pfns, way) for way in ("whomaps", "mappings"))
        missed = sum(len(set(there) - set(found)) for found, there in zip(told, true, strict=True))
        return missed, sum(len(found) for found in told) - sum(len(set(there) & set(found))
                                                                 for found, there in zip(told, true, strict=True))

    def places(self, name, vpn):
        """Who maps the page that a process has there, as the scheme's walk finds it: [(process, page)]."""
        pfn = int(self.at[name].pagemap(vpn * PAGE, PAGE)["pfn"][0])
        names = {process.pid: label for label, process in self.at.items()}
        return [(names[pid], address // PAGE) for pid, address in differential.who(self.machine, [pfn], "whomaps")[0]]

    def walk(self, name, vpn):
        """What a walk of that page counts: (contexts entered, alive, look-ups, areas, entries tried, found)."""
        before = self.machine.counters
        self.places(name, vpn)
        after = self.machine.counters
        return tuple(after[key] - before[key] for key in (
            "nodes_visited", "mms_tried", "vma_lookups", "vmas_tried", "ptes_tried", "ptes_found"))

    def bytes(self):
        return sum(entry["bytes"] for name, entry in self.machine.memory()["structures"].items()
                   if name.startswith((*KINDS, "anon_vma")))

    def kinds(self):
        """{structure: how many there are}, of those there are."""
        return {name: entry["live"] for name, entry in self.machine.memory()["structures"].items()
                if name.startswith(KINDS) and entry["live"]}

    def spans(self, name):
        """The records of a process: {(first, last): [offsets]}, offsets as signed numbers."""
        core = self.machine._core
        contexts, spans, nodes, offsets = (core.view(arena) for arena in (
            "cow_contexts", "remap_spans", "remap_nodes", "remap_offsets"))
        mm = next(mm for mm in core.view("mms") if mm["alive"] and mm["pid"] == self.at[name].pid)
        found, todo = {}, [int(contexts["root"][mm["rmap"]])]
        while todo:
            node = todo.pop()
            if not node:
                continue
            todo += nodes["child"][node].tolist()
            chain, here = [], int(spans["first"][node])
            while here:
                chain.append(int(offsets["off"][here].astype(np.int64)))
                here = int(offsets["next"][here])
            found[int(nodes["start"][node]), int(nodes["last"][node])] = chain
        return dict(sorted(found.items()))


# --- the holes ----------------------------------------------------------------------------------------------------------


def moved(*offsets):
    """Areas of one origin, moved away one after the other; then a fork."""
    def run(lab):
        for offset in offsets:
            lab.area("P", A, 4)
            lab.move("P", A, 4, A + offset)
        lab.fork("P", "C")
    return run


def hole_1(lab):
    lab.area("P", A, 4)
    lab.move("P", A, 4, B)


def hole_1_file(lab):
    file = lab.machine.file("f", 10 * PAGE)
    lab.at["P"].mmap(0x700 * PAGE, 10 * PAGE, 3, 0x12, file)
    lab.write("P", 0x703, 1)


def hole_2(lab):
    lab.area("P", A, 1)
    lab.fork("P", "C")
    lab.write("P", A, 1)


def hole_2_control(lab):
    lab.area("P", A, 1)
    lab.fork("P", "C")
    lab.write("C", A, 1)


def swapped(*readers):
    """A page of three that goes to swap, and comes back by these in turn."""
    def run(lab):
        lab.area("P", A, 1)
        lab.fork("P", "C")
        lab.fork("P", "E")
        while any(process.rss for process in lab.at.values()):
            lab.machine.reclaim(8)
        for reader in readers:
            lab.read(reader, A)
    return run


def hole_5(lab):
    lab.area("P", A, 4)
    lab.move("P", A, 4, B)
    lab.area("P", A + 4, 4)
    lab.move("P", A + 4, 4, B + 4)
    lab.fork("P", "C")


def grown(lab):
    """In place, the moved area."""
    lab.area("P", A, 4)
    lab.move("P", A, 4, B)
    lab.at["P"].mremap(B * PAGE, 4 * PAGE, 8 * PAGE, 0)
    lab.write("P", B + 4, 4)


def hole_5_growth(lab):
    grown(lab)
    lab.fork("P", "C")


def hole_5_file(lab):
    file = lab.machine.file("f", 16 * PAGE)
    lab.at["P"].mmap(B * PAGE, 4 * PAGE, 3, 0x12, file)
    lab.write("P", B, 4)
    lab.at["P"].mremap(B * PAGE, 4 * PAGE, 8 * PAGE, 0)
    lab.write("P", B + 4, 4)
    lab.fork("P", "C")


def hole_6(lab):
    lab.area("P", A, 8)
    lab.move("P", A, 8, B)
    lab.move("P", B, 4, D)
    lab.fork("P", "C")


def hole_6_second_half(lab):
    lab.area("P", A, 8)
    lab.move("P", A, 8, B)
    lab.move("P", B + 4, 4, D)
    lab.fork("P", "C")


def hole_6b(lab):
    lab.area("P", A, 8)
    lab.move("P", A, 8, D)
    lab.move("P", D, 8, A - 4)
    lab.area("P", A, 8)
    lab.move("P", A + 4, 4, B)
    lab.fork("P", "C")


HOLES = {                      # program, (missed, extra) by the prototype
    "H1": (hole_1, (4, 0)), "H1 file": (hole_1_file, (1, 0)),
    "H2": (hole_2, (1, 0)), "H2 control": (hole_2_control, (0, 0)),
    "H3": (swapped("C", "P", "E"), (2, 0)), "H3 P first": (swapped("P", "C", "E"), (0, 0)),
    "H3 P stays": (swapped("C", "E"), (1, 0)),
    "H4 a": (moved(0x80, 0x40), (4, 0)), "H4 a control": (moved(0x40, 0x80), (0, 0)),
    "H4 b": (moved(0x80, 0x40, 0x20), (8, 0)), "H4 c": (moved(-0x40, 0x40), (8, 0)),
    "H4 c turned": (moved(0x40, -0x40), (4, 0)),
    "H4 d": (moved(0x10, 0x20, 0x80, 0x18), (8, 4)), "H4 d shorter": (moved(0x20, 0x80, 0x40), (4, 0)),
    "H5": (hole_5, (4, 0)), "H5 growth before": (grown, (8, 0)), "H5 growth": (hole_5_growth, (4, 0)),
    "H5 file": (hole_5_file, (0, 0)),
    "H6": (hole_6, (4, 0)), "H6 second half": (hole_6_second_half, (0, 0)), "H6 b": (hole_6b, (4, 0)),
}


@pytest.mark.parametrize("name", HOLES)
def test_what_the_prototype_misses(name):
    program, expected = HOLES[name]
    labs = {scheme: Lab(scheme) for scheme in (FAITHFUL, REPAIRED, CHAIN)}
    for lab in labs.values():
        program(lab)
    assert {scheme: lab.lost() for scheme, lab in labs.items()} == {FAITHFUL: expected, REPAIRED: (0, 0), CHAIN: (0, 0)}
    labs[REPAIRED].machine.check()
    differential.check(labs[FAITHFUL].machine)


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_copies_of_file_pages_have_an_offset_of_their_own_in_7_3(scheme):
    """H1's second program: nothing is recorded, and nothing missed."""
    lab = Lab(scheme, "7.3")
    hole_1_file(lab)
    assert lab.lost() == (0, 0) and lab.spans("P") == {} and lab.places("P", 0x703) == [("P", 0x703)]


@pytest.mark.parametrize(("name", "faithful", "repaired"), [("H1", 352, 352), ("H2", 192, 192)])
def test_bytes_of_small_programs(name, faithful, repaired):
    for scheme, size in ((FAITHFUL, faithful), (REPAIRED, repaired)):
        lab = Lab(scheme)
        HOLES[name][0](lab)
        assert lab.bytes() == size


def test_records_of_the_holes():
    for name, process, faithful, repaired in (
            ("H4 a", "C", {(A, A + 3): [0x40, 0x80]}, {(A, A + 3): [0x40, 0x80]}),
            ("H4 d", "P", {(A, A + 3): [0x10, 0x18, 0x80, 0x80]}, {(A, A + 3): [0x10, 0x18, 0x20, 0x80]}),
            ("H5", "P", {(A, A + 3): [B - A]}, {(A, A + 3): [B - A], (A + 4, A + 7): [B - A]}),
            ("H6", "P", {(A, A + 7): [D - A]}, {(A, A + 3): [D - A], (A + 4, A + 7): [B - A]}),
            ("H6 second half", "P", {(A, A + 3): [B - A], (A + 4, A + 7): [B - A, D - A - 4]},
             {(A, A + 3): [B - A], (A + 4, A + 7): [D - A - 4]}),
            ("H6 b", "P", {(A, A + 7): [B - A - 4]}, {(A, A + 3): [-4], (A + 4, A + 7): [0xFFFFC]})):
        for scheme, spans in ((FAITHFUL, faithful), (REPAIRED, repaired)):
            lab = Lab(scheme)
            HOLES[name][0](lab)
            assert lab.spans(process) == spans, (name, scheme)


@pytest.mark.parametrize(("scheme", "left"), [(FAITHFUL, 1), (REPAIRED, 0), (CHAIN, 0)])
@pytest.mark.parametrize(("writer", "stays"), [("C2", True), ("C1", False)])
def test_an_unmapping_walk_ends_early(scheme, left, writer, stays):
    """H9: P is unmapped, one mapping is left, and the newest child has a copy of its own; only a reclaim shows it."""
    lab = Lab(scheme, track_contents=True)
    lab.area("P", A, 1)
    lab.fork("P", "C1")
    lab.fork("P", "C2")
    lab.write(writer, A, 1)
    assert lab.lost() == (0, 0)
    other = "C1" if writer == "C2" else "C2"
    pfn = int(lab.at["P"].pagemap(A * PAGE, PAGE)["pfn"][0])
    for _ in range(4):
        lab.machine.reclaim(1)
    present = sum(int(lab.at[name].pagemap(A * PAGE, PAGE)["pfn"][0]) == pfn for name in ("P", other))
    assert present == (left if stays else 0)


def test_high_indices_leak():
    """H11: three moves from an origin above 16 TiB, then exit."""
    for start, scheme, left in ((0x7FF000000, FAITHFUL, {"remap_array_4": 1}), (A, FAITHFUL, {}), (0x7FF000000, REPAIRED, {})):
        lab = Lab(scheme)
        for offset in (0x40, 0x80, 0xC0):
            lab.area("P", start, 4)
            lab.move("P", start, 4, start + offset)
        assert lab.kinds() == {"cow_context": 1, "maple_node": 1, "remap_array_4": 1}
        lab.at["P"].exit()
        assert lab.kinds() == left and lab.bytes() == 40 * len(left)
        differential.check(lab.machine)


@pytest.mark.parametrize("home", [True, False])
def test_a_record_stays_when_its_area_goes(home):
    """H12: a move home, or munmap."""
    found = {}
    for scheme in (FAITHFUL, REPAIRED):
        lab = Lab(scheme)
        hole_1(lab)
        if home:
            lab.move("P", B, 4, A)
        else:
            lab.unmap("P", B, 4)
        lab.fork("P", "C")
        assert lab.lost() == (0, 0)
        found[scheme] = lab.spans("P")
        lab.machine.check()
    assert found == {FAITHFUL: {(A, A + 3): [B - A]}, REPAIRED: {}}


@pytest.mark.parametrize(("scheme", "areas"), [(FAITHFUL, 8), (REPAIRED, 1), (CHAIN, 1)])
def test_areas_with_and_without_pages(scheme, areas):
    """H13: a heap that grows by a page, which is written, eight times."""
    lab = Lab(scheme)
    heap = lab.at["P"].brk(0)
    for i in range(8):
        lab.at["P"].brk(heap + (i + 1) * PAGE)
        lab.at["P"].write(heap + i * PAGE)
    assert len(lab.at["P"].maps()) == areas
    lab.machine.check()


@pytest.mark.parametrize("scheme", [FAITHFUL, *differential.SOUND])
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_truth_side(case, scheme):
    """What is mapped where does not depend on what a scheme misses."""
    verdict = run(case, partial(Emulator, scheme=scheme), universal=True)
    assert verdict.outcome == "pass", verdict.reason


# --- contexts, walks ----------------------------------------------------------------------------------------------------


def contexts(lab):
    """References of the contexts in use, oldest first."""
    refs = lab.machine._core.view("cow_contexts")["refs"]
    return refs[refs > 0].tolist()


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_how_long_a_context_lives(scheme):
    lab = Lab(scheme)
    lab.area("P", A, 1)
    lab.fork("P", "C")
    assert contexts(lab) == [3, 1] and lab.places("C", A) == [("P", A), ("C", A)]
    lab.at["P"].exit()
    assert contexts(lab) == [2, 1] and lab.places("C", A) == [("C", A)]
    before = lab.machine.counters["lock_anonmm"]
    lab.at["C"].exit()
    assert contexts(lab) == [] and lab.machine.counters["lock_anonmm"] == before + 1
    lab.machine.check()


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_the_last_sharer_takes_the_page(scheme):
    lab = Lab(scheme)
    hole_2(lab)
    assert contexts(lab) == [4, 1]             # mm, child and two pages; mm
    lab.write("C", A, 1)
    assert contexts(lab) == [3, 2] and lab.lost() == (0, 0)
    lab.machine.check()


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_a_page_of_the_dead_dies_in_the_swap_cache(kernel):
    """A page that went to swap keeps its context until its frame is freed, however that comes about."""
    lab = Lab(REPAIRED, kernel, ram=64 * PAGE, swap=256 * PAGE)
    lab.area("P", A, 40)
    lab.fork("P", "C")
    lab.at["P"].exit()
    pin = lab.at["C"].pin(A * PAGE)
    while lab.at["C"].rss > 20:
        lab.machine.reclaim(8)
    lab.machine.check()
    lab.at["C"].exit()
    lab.machine.check()
    assert contexts(lab) == [1]                # the pinned page's, which may still be in the swap cache without the pin
    pin.release()
    lab.machine.check()
    lab.machine.reclaim(8)
    lab.machine.check()
    assert contexts(lab) == []


def test_order_of_a_walk():
    """Children before their parents, the newest first, after the page's own context."""
    lab = Lab(REPAIRED)
    lab.area("P", A, 2)
    for parent, child in (("P", "C1"), ("P", "C2"), ("P", "C3"), ("C2", "G1"), ("C2", "G2")):
        if child == "G1":
            lab.write("C2", A + 1, 1)
        lab.fork(parent, child)
    assert [name for name, _ in lab.places("P", A)] == ["P", "C3", "G2", "G1", "C2", "C1"]
    assert [name for name, _ in lab.places("C2", A + 1)] == ["C2", "G2", "G1"]
    lab = Lab(REPAIRED)
    lab.area("P", A, 1)
    for parent, child in (("P", "C"), ("C", "G"), ("G", "H")):
        lab.fork(parent, child)
    assert [name for name, _ in lab.places("P", A)] == ["P", "H", "G", "C"]


def test_a_line_of_the_dead():
    """g times: fork, the child writes page 0 of 4, the parent exits. Two contexts are looked at, all are passed."""
    lab = Lab(REPAIRED)
    lab.area("P", A, 4)
    for _ in range(50):
        lab.fork("P", "C")
        lab.write("C", A, 1)
        lab.at["P"].exit()
        lab.at["P"] = lab.at.pop("C")
    assert lab.bytes() == 96 * 51
    assert lab.walk("P", A + 2) == (51, 1, 1, 1, 1, 1)
    assert lab.walk("P", A) == (1, 1, 1, 1, 1, 1)


def test_a_moved_area():
    for scheme, found in ((FAITHFUL, []), (REPAIRED, [("P", 0x52)])):
        lab = Lab(scheme)
        lab.area("P", 0x10, 4)
        lab.move("P", 0x10, 4, 0x50)
        assert lab.spans("P") == {(0x10, 0x13): [0x40]}
        assert lab.places("P", 0x52) == found
        assert lab.walk("P", 0x52) == ((1, 1, 2, 1, 1, 1) if found else (1, 1, 1, 0, 0, 0))
        lab.fork("P", "C")
        assert lab.spans("C") == lab.spans("P")
        assert lab.places("P", 0x52) == [("P", 0x52), ("C", 0x52)]
        assert lab.walk("P", 0x52) == (2, 2, 4, 2, 2, 2)


def test_three_areas_of_one_origin():
    lab = Lab(FAITHFUL)
    for to in (0x50, 0x90, 0xD0):
        lab.area("P", 0x10, 4)
        lab.move("P", 0x10, 4, to)
    assert lab.spans("P") == {(0x10, 0x13): [0x40, 0x80, 0xC0]} and lab.kinds()["remap_array_4"] == 1
    lab.fork("P", "C")
    assert lab.walk("P", 0xD1) == (2, 2, 8, 6, 6, 2)


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_copies_of_two_files(scheme):
    """Both libraries have page 3: an index leads to both places."""
    lab = Lab(scheme)
    for start, name in ((0x700, "a"), (0x900, "b")):
        lab.at["P"].mmap(start * PAGE, 10 * PAGE, 3, 0x12, lab.machine.file(name, 10 * PAGE))
        lab.write("P", start + 3, 1)
    lab.fork("P", "C")
    assert lab.spans("P") == lab.spans("C") == {(0, 9): [0x700, 0x900]}
    assert lab.walk("P", 0x703) == (2, 2, 5, 3, 3, 2)        # P: 0, 0x700, 0x900; C: 0, 0x700
    assert lab.lost() == (0, 0)


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_one_record_of_many_offsets(scheme):
    """Bytes of arrays by their capacity; the largest that are told apart have 1024 offsets, twice as many count as two."""
    lab = Lab(scheme, ram="64MiB")
    for i in range(1100):
        lab.area("P", A, 1)
        lab.move("P", A, 1, B + 2 * i)
        if i + 1 in (1, 2, 3, 17, 512, 513, 1024, 1025):
            capacity = 1 << i.bit_length() if i else 0
            kinds = {"cow_context": 1, "maple_node": 1}
            if capacity:
                kinds[f"remap_array_{min(capacity, 1024)}"] = max(1, capacity // 1024)
            assert lab.kinds() == kinds
    slab = lab.machine.memory()["structures"]["remap_array_1024"]
    assert (slab["size"], slab["per_slab"], slab["slab_bytes"]) == (8200, 0, 2 * 12288)
    lab.unmap("P", B, 2 * 1100)
    lab.machine.check()
    assert lab.spans("P") == {} if scheme == REPAIRED else len(lab.spans("P")[A, A]) == 1100


@pytest.mark.parametrize(("ranges", "nodes"), [(1, 1), (7, 1), (8, 3), (79, 11), (80, 14)])
def test_maple_nodes(ranges, nodes):
    """Ranges apart from one another: two slots each and one behind them, 16 a leaf, 10 leaves a node above."""
    lab = Lab(REPAIRED)
    for i in range(ranges):
        lab.area("P", A + 4 * i, 1)
        lab.move("P", A + 4 * i, 1, B + 8 * i)
    assert lab.kinds()["maple_node"] == nodes


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_options(scheme):
    sizes = {}
    for options in ("", ":page_bytes=12", ":vma=0"):
        structures = rmapcore.Machine(scheme + options, "6.18", ram="1MiB", swap=0).memory()["structures"]
        sizes[options] = structures["page"]["size"], structures["vm_area_struct"]["size"]
    assert sizes == {"": (64, 192), ":page_bytes=12": (72, 192), ":vma=0": (64, 168)}
    for options in (":page_bytes=5", ":vma=24", ":other=1"):
        with pytest.raises(ValueError, match=options[1:].partition("=")[0]):
            rmapcore.Machine(scheme + options, ram="1MiB", swap=0)


# --- against the twin ---------------------------------------------------------------------------------------------------


def random_moves(seed, n):
    """A random program of moves, parts of moves, growth, forks, exits, writes and reclaims around a few places."""
    chance = random.Random(seed)
    lives, made = [0], 1
    steps = [("spawn", 0)]
    places = [0x40000000 + i * 16 * PAGE for i in range(12)]
    for _ in range(n):
        process = chance.choice(lives)
        start = chance.choice(places) + chance.randrange(4) * PAGE
        length = chance.randint(1, 6) * PAGE
        call = chance.choice(("mmap", "move", "move", "move", "write", "write", "write", "fork", "exit", "munmap", "grow",
                              "protect", "reclaim", "read"))
        if call == "mmap":
            steps.append(("mmap", process, start, length, 3, 0x32, None, 0))
        elif call == "move":
            to = chance.choice(places) + chance.randrange(4) * PAGE
            steps.append(("mremap", process, start, length, length, 3, to))
        elif call == "grow":
            steps.append(("mremap", process, start, length, length + 2 * PAGE, 0, 0))
        elif call == "fork" and len(lives) < 5:
            steps.append(("fork", process))
            lives.append(made)
            made += 1
        elif call == "exit" and len(lives) > 1:
            steps.append(("exit", process))
            lives.remove(process)
        elif call in ("munmap", "write", "read"):
            steps.append((call, process, start, length))
        elif call == "protect":
            steps.append(("mprotect", process, start, length, chance.choice((1, 3))))
        elif call == "reclaim":
            steps.append(("reclaim", 0, chance.randint(1, 20)))
    return steps


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_programs_of_moves(scheme, seed, kernel):
    """The twin sees the same, and keeps as many objects of each kind."""
    options = {"kernel": kernel, "ram": 60 * PAGE, "swap": 200 * PAGE}
    machines = [rmapcore.Machine(scheme, track_contents=True, **options), differential.twin_of(scheme, **options)]

    def compare(machines, number):
        one, other = (differential.observe(machine) for machine in machines)
        assert one == other, f"after {number} steps: {differential.difference(one, other)}"
        live = {name: entry["live"] for name, entry in machines[0].memory()["structures"].items()
                if name.startswith(KINDS) and entry["live"]}
        census = machines[1].anon.census()
        arrays = {f"remap_array_{size}": n for size, n in census.pop("arrays").items()}
        assert live == {name: n for name, n in (census | arrays).items() if n}
        differential.check(machines[0])
        if scheme == REPAIRED:
            machines[1].check()

    differential.run(machines, random_moves(seed, 250), 10, compare)


@pytest.mark.parametrize("seed", range(12))
def test_the_repaired_scheme_misses_nothing(seed):
    """Random programs with all calls, under both kernels; ten thousand of them were run once."""
    kernel = ("6.18", "2.6.7")[seed % 2]
    machine = rmapcore.Machine(REPAIRED, kernel, ram=40 * PAGE, swap=300 * PAGE, track_contents=True)
    state = programs.State()
    for number, step in enumerate(programs.program(20000 + seed, 250, "x86_64", kernel), 1):
        programs.run_step(machine, state, step)
        if number % 10 == 0:
            machine.check()


def test_a_saved_machine_goes_on(tmp_path):
    lab = Lab(REPAIRED)
    HOLES["H4 d"][0](lab)
    lab.machine.save(tmp_path / "machine")
    again = rmapcore.Machine.load(tmp_path / "machine")
    again.check()
    child = again.processes[max(again.processes)]
    child.mremap((A + 0x20) * PAGE, 4 * PAGE, 4 * PAGE, 3, D * PAGE)
    again.check()
    for process in list(again.processes.values()):
        process.exit()
    assert all(again.memory()["structures"][name]["live"] == 0 for name in ("cow_context", "maple_node"))
    again.check()


# --- room -------------------------------------------------------------------------------------------------------------


def lowered(lab, name, spare):
    """The pool `name` ends `spare` records beyond what was ever used; gives its capacity back when called."""
    pools = lab.machine._core.writable("pools")
    number = next(number for number, called in lab.machine._core.pool_names.items() if called == name)
    was, pools["capacity"][number] = int(pools["capacity"][number]), pools["bump"][number] + spare

    def give_back():
        pools["capacity"][number] = was

    return give_back


def moved_from_places_of_their_own(lab, n):
    for number in range(n):
        lab.area("P", A + 2 * number, 1)
        lab.move("P", A + 2 * number, 1, B + 3 * number)


@pytest.mark.parametrize("scheme", [FAITHFUL, REPAIRED])
def test_a_fork_of_moved_areas_asks_for_their_records_only(scheme):
    """The prototype records areas of files again in the parent, and none of these."""
    lab = Lab(scheme)
    moved_from_places_of_their_own(lab, 40)
    give_back = lowered(lab, "remap offsets", 200)
    lab.fork("P", "C")
    give_back()
    assert lab.lost() == (0, 0)
    with pytest.raises(rmapcore.ArenaFull, match="remap offsets"):
        lowered(lab, "remap offsets", 0)
        lab.fork("P", "D")
    assert set(lab.machine.processes) == {1, 2}


@pytest.mark.parametrize("pool", ["remap spans", "remap offsets"])
def test_a_moved_stack_that_has_no_room_does_not_grow(pool):
    """Its growth is a record more: a touch below it says ArenaFull, and the stack is as long as before."""
    lab = Lab(REPAIRED)
    process = lab.at["P"]
    process.mmap(A * PAGE, 4 * PAGE, 3, 0x122)                     # MAP_GROWSDOWN
    lab.write("P", A, 4)
    lab.move("P", A, 4, B)
    before = process.maps().tolist()
    give_back = lowered(lab, pool, 0)
    with pytest.raises(rmapcore.ArenaFull, match=pool):
        lab.write("P", B - 1, 1)
    assert process.maps().tolist() == before and process.rss == 4
    give_back()
    lab.write("P", B - 1, 1)
    assert process.maps()["start"].tolist() == [(B - 1) * PAGE] and process.rss == 5
    lab.fork("P", "C")
    assert lab.lost() == (0, 0)
    lab.machine.check()
