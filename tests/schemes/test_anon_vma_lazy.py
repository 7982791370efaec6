"""anon_vma_lazy (rule G20): small programs with what they leave, its switches, its structures, and what it costs in the
workloads that it was argued about with. Bytes are those of x86_64: 104 an anon_vma, 64 an avc. The rules of 6.18.
"""
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from inpages import FIXED, LAZY_WORD, PAGE, RW, A, B, D, Program, R

import rmapcore
from rmapcore.verify.case import load
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.run import run

CASES = Path(__file__).parent.parent / "data" / "cases" / "proposals.jsonl"
OWN, PARENT = "anon_vma_lazy:child_pages=own", "anon_vma_lazy"
EAGER = "anon_vma_chain"


# --- the vectors of the proposal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "objects", "locks"), [(EAGER, (3, 3, 0), 12), (PARENT, (0, 0, 0), 0)])
def test_l1_without_a_fork_there_is_nothing(scheme, objects, locks):
    run = Program(scheme)
    for at in (A, B, D):
        run.area(run.p, at, 4)
    assert run.objects() == objects
    counted = run.since(("mms_tried", "vma_lookups", "vmas_tried", "ptes_tried", "lock_anon_vma"),
                        lambda: [run.walk(run.p, at + page) for at in (A, B, D) for page in range(4)])
    assert counted == ((12, 12, 12, 12, 0) if scheme == PARENT else (0, 0, 12, 12, 12)) and counted[-1] == locks
    run.machine.check()


def test_l2_pieces_keep_the_root():
    run = Program()
    run.area(run.p, 0x10, 8)
    run.protect(run.p, 0x12, 2, R)
    assert len(run.p.maps()) == 3 and run.objects() == (0, 0, 0)
    assert run.walk(run.p, 0x15) == ({(run.p.pid, 0x15)}, 1) and run.lazy(run.p, 0x15)
    run.machine.check()


def test_l3_a_swallowed_root_is_kept():
    run = Program()
    run.area(run.p, 0x10, 4)
    run.area(run.p, 0x0c, 4, RW | 4)
    run.protect(run.p, 0x0c, 4, RW)
    assert len(run.p.maps()) == 1 and run.objects() == (0, 0, 1)
    assert run.walk(run.p, 0x11) == ({(run.p.pid, 0x11)}, 1)
    assert run.machine.memory()["structures"]["detached_vma"]["bytes"] == 196
    run.machine.check()
    run.unmap(run.p, 0x0c, 8)
    assert run.objects() == (0, 0, 0)
    run.machine.check()


@pytest.mark.parametrize(("scheme", "size"), [(PARENT, 232), (OWN, 232), (EAGER, 400)])
def test_l4_fork(scheme, size):
    run = Program(scheme)
    run.area(run.p, A, 1)
    run.p.mmap(B * PAGE, PAGE, RW, FIXED)                # never touched: nothing on either side
    child = run.p.fork()
    assert run.bytes() == size and not run.lazy(run.p, A)
    assert run.walk(child, A) == ({(run.p.pid, A), (child.pid, A)}, 2)
    run.machine.check()


@pytest.mark.parametrize(("scheme", "size"), [(PARENT, 528), (OWN, 696), (EAGER, 696)])
def test_l4b_two_generations(scheme, size):
    run = Program(scheme)
    run.area(run.p, A, 4)
    child = run.p.fork()
    run.write(child, A)
    grandchild = child.fork()
    run.write(grandchild, A + 1)
    assert run.bytes() == size and run.missed() == 0
    run.machine.check()


def test_l5_a_move_makes_an_anon_vma_and_rewrites_the_pages():
    run = Program()
    run.area(run.p, 0x10, 4)
    run.area(run.p, A, 4)
    assert run.since(["rmap_moves"], lambda: run.move(run.p, 0x10, 4, 0x50)) == (4,)
    structures = run.machine.memory()["structures"]
    assert run.bytes() == 168 and structures["anon_vma_chain"]["peak"] == 2
    assert run.walk(run.p, 0x51) == ({(run.p.pid, 0x51)}, 1) and not run.lazy(run.p, 0x51)
    assert run.lazy(run.p, A)
    run.machine.check()


@pytest.mark.parametrize(("scheme", "tried"), [(PARENT, 2), (OWN, 1), (EAGER, 1)])
def test_l7_the_childs_own_page(scheme, tried):
    run = Program(scheme)
    run.area(run.p, A, 1)
    child = run.p.fork()
    run.write(child, A)
    assert run.walk(child, A) == ({(child.pid, A)}, tried)


# --- what the vectors leave open ----------------------------------------------------------------------------------------


def test_what_is_left_of_an_area_of_which_a_part_moved_is_found():
    """It has an anon_vma, its pages go on naming the root, which stays until a fork has rewritten them."""
    run = Program()
    run.area(run.p, A, 8)
    run.move(run.p, A + 2, 4, B)
    assert run.objects()[:2] == (1, 3) and run.missed() == 0
    assert run.lazy(run.p, A) and run.lazy(run.p, A + 7) and not run.lazy(run.p, B)
    run.machine.check()
    child = run.p.fork()
    assert not run.lazy(run.p, A) and not run.lazy(child, A + 7) and run.missed() == 0
    assert run.machine._core.view("lazy_roots")["holders"].tolist() == [0, 0]
    run.machine.check()


def test_a_move_into_a_lazy_area_and_into_one_without_pages():
    """A merge at the target: the pages name what the target names."""
    run = Program()
    run.area(run.p, A, 4)
    run.area(run.p, A + 4, 4)
    run.move(run.p, A, 8, B)                             # one area of 8 pages, from one place
    run.area(run.p, A, 4)
    run.move(run.p, A, 4, D)
    run.area(run.p, A + 4, 4)
    run.move(run.p, A + 4, 4, D + 4)
    assert run.missed() == 0
    run.machine.check()


def test_what_merges():
    """LAZY with NONE and LAZY; NONE with REGULAR, not with PARENT; LAZY never with REGULAR."""
    run = Program()
    run.area(run.p, A, 2)
    run.p.mmap((A + 2) * PAGE, 2 * PAGE, RW, FIXED)
    assert len(run.p.maps()) == 1                        # LAZY, NONE
    child = run.p.fork()
    for process, areas in ((run.p, 1), (child, 2)):
        process.mmap((A + 4) * PAGE, 2 * PAGE, RW, FIXED)
        assert len(process.maps()) == areas              # REGULAR, NONE; PARENT, NONE
    run.area(run.p, A + 6, 2, R | 4 | RW)
    run.protect(run.p, A + 6, 2, RW)
    assert len(run.p.maps()) == 2                        # REGULAR, LAZY
    run.machine.check()


@pytest.mark.parametrize(("scheme", "generations", "size"), [
    (PARENT, 50, 168), (PARENT, 100, 168), ("anon_vma_lazy:reuse=0", 100, 16800), (EAGER, 50, 504), (EAGER, 100, 504)])
def test_a_daemon_that_forks_and_exits(scheme, generations, size):
    run = Program(scheme)
    run.area(run.p, A, 4)
    process = run.p
    for _ in range(generations):
        child = process.fork()
        run.write(child, A)
        process.exit()
        process = child
    assert run.bytes() == size and run.missed() == 0
    run.machine.check()


@pytest.mark.parametrize(("scheme", "anon_vmas"), [(PARENT, 1), ("anon_vma_lazy:adopt=0", 10)])
def test_pieces_that_are_forked_share_an_anon_vma(scheme, anon_vmas):
    run = Program(scheme)
    run.area(run.p, A, 10)
    for page in range(0, 10, 2):
        run.protect(run.p, A + page, 1, R)
    run.p.fork()
    assert run.objects() == (anon_vmas, 20, 0)
    run.machine.check()


def test_options():
    for scheme, text in (("anon_vma_lazy:adopt=2", "adopt is '2'; allowed are 1, 0"), ("anon_vma_lazy:x=1", "no option 'x'"),
                         ("anon_vma_lazy:child_pages=1", "allowed are parent, own")):
        with pytest.raises(ValueError, match=text):
            rmapcore.Machine(scheme, ram="1MiB")


# --- the workloads of the argument, small --------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "each", "peak"), [
    (PARENT, 232, lambda n: 104 * n + 64 * (3 * n - 1)), (EAGER, 400, lambda n: 632 * n - 232)])
def test_w1_many_children_of_which_one_keeps_each_area(scheme, each, peak):
    n = 20
    run = Program(scheme)
    for i in range(n):
        run.area(run.p, A + 2 * i, 1)
    most = 0
    for k in range(n):
        child = run.p.fork()
        most = max(most, run.bytes())
        for i in range(n):
            if i != k:
                run.unmap(child, A + 2 * i, 1)
    assert run.bytes() == each * n and most == peak(n)
    assert sum(run.walk(run.p, A + 2 * i)[1] for i in range(n)) == 2 * n and run.missed() == 0


@pytest.mark.parametrize(("scheme", "f", "mappings", "roots", "tried", "size"), [
    (PARENT, 1, 800, 486, 960, 13_120), (OWN, 1, 800, 486, 800, None), (EAGER, 1, 800, 486, 800, 14_800),
    (PARENT, 2, 4960, 3593, 10_125, 87_920), (OWN, 2, 4960, 3593, 6965, None), (EAGER, 2, 4960, 3593, 6965, 114_800)])
def test_w2_trees_of_forks(scheme, f, mappings, roots, tried, size):
    run = Program(scheme, ram=16384)
    rng = random.Random(1)
    for i in range(10):
        run.area(run.p, A + 32 * i, 16)

    def grow(process, depth):
        if process is not run.p:
            for i in range(10):
                for page in rng.sample(range(16), 4):
                    run.write(process, A + 32 * i + page)
        for _ in range(f if depth < 4 else 0):
            grow(process.fork(), depth + 1)

    grow(run.p, 0)
    ours = np.unique([run.pfn(run.p, A + 32 * i + page) for i in range(10) for page in range(16)])
    assert run.since(["ptes_tried"], lambda: run.machine.whomaps(ours)) == (roots,)
    pfns = np.flatnonzero(run.machine.frames["mapcount"] > 0)
    assert int(run.machine.frames["mapcount"].sum()) == mappings
    assert run.since(["ptes_tried"], lambda: run.machine.whomaps(pfns)) == (tried,) and run.missed() == 0
    assert size is None or run.bytes() == size


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_w3_merges_and_splits_before_and_after_sharing(moves, seed):
    run = Program(ram=8192)
    rng = random.Random(seed)
    run.area(run.p, A, 64)
    child = None
    for step in range(200):
        process = run.p if child is None else rng.choice([run.p, child])
        at, pages, kind = rng.randrange(64), rng.randint(1, 6), rng.random()
        pages = min(pages, 64 - at)
        if kind < 0.5:
            run.protect(process, A + at, pages, rng.choice([R, RW]))
        elif kind < 0.7:
            run.area(process, A + at, pages)
        elif moves:
            run.protect(process, A + at, pages, RW)
            run.move(process, A + at, pages, B + 0x100 * step + at)
            run.area(process, A + at, pages)
        else:
            run.protect(process, A + at, 1, RW)
            run.write(process, A + at)
        run.machine.check()
        if step == 99:
            child = run.p.fork()


def test_w5_a_middle_piece_moves():
    run = Program()
    run.area(run.p, 0x100, 16)
    run.protect(run.p, 0x108, 4, R)
    child = run.p.fork()
    run.move(run.p, 0x108, 4, 0x180)
    pages = range(0x100, 0x110)
    assert sum(run.walk(child, page)[1] for page in pages) == 32 and run.missed() == 0
    assert run.objects()[0] == 1 and run.bytes() == 104 + 64 * 6      # 3 pieces of each
    run.machine.check()


@pytest.mark.parametrize(("kernel", "scheme", "size"), [("6.18", PARENT, 3600), ("6.18", EAGER, 8640), ("7.3", PARENT, 3600)])
def test_w6_private_copies_of_libraries(kernel, scheme, size):
    libraries, children = 10, 3
    run = Program(scheme, kernel=kernel)
    for i in range(libraries):
        file = run.machine.file(f"lib{i}", 32 * PAGE)
        run.p.mmap((0x700 + 0x40 * i) * PAGE, 32 * PAGE, RW, 0x12, file)
        run.write(run.p, 0x700 + 0x40 * i, 8)
    for _ in range(children):
        run.p.fork()
    assert run.bytes() == size
    tried = sum(run.walk(run.p, 0x700 + 0x40 * i + page)[1] for i in range(libraries) for page in range(8))
    assert tried == 8 * libraries * (children + 1) and run.missed() == 0


@pytest.mark.parametrize("down", [False, True])
def test_w7_moves_from_one_place(down):
    n = 20
    run = Program()
    for i in sorted(range(n), reverse=down):
        run.area(run.p, A, 16)
        run.move(run.p, A, 16, B + 0x40 * i)
    child = run.p.fork()
    assert run.bytes() == 232 * n
    assert all(run.walk(child, B + 0x40 * i + 3)[1] == 2 for i in range(n)) and run.missed() == 0


@pytest.mark.parametrize(("scheme", "forking", "objects"), [
    (PARENT, 0, (20, 140)), (PARENT, 1, (48, 216)), (EAGER, 0, (188, 308)), (EAGER, 1, (216, 384))])
def test_w8_apps_of_a_zygote(scheme, forking, objects):
    a, n, b = 20, 6, 8
    run = Program(scheme, ram=16384)
    for i in range(a):
        run.area(run.p, A + 2 * i, 1)
    apps = [run.p.fork() for _ in range(n)]
    for app in apps:
        for i in range(b):
            run.area(app, B + 2 * i, 1)
    for app in apps[:forking]:
        app.fork()
    assert run.objects()[:2] == objects and run.missed() == 0


def test_w9_the_parent_writes_first():
    n = 20
    run = Program()
    run.area(run.p, A, n)
    child = run.p.fork()
    run.write(run.p, A, n)
    assert [run.walk(child, A + i)[1] for i in range(n)] == [2] * n
    assert [run.walk(run.p, A + i)[1] for i in range(n)] == [1] * n and run.missed() == 0


def test_w10_locks():
    """v areas, c forks: none for splits, 2 an area for the first fork and 1 for each later; 1 a walk after them; 1 an area of
    an exit."""
    v, c = 20, 2
    run = Program()
    run.area(run.p, A, v)
    locks = ["lock_anon_vma"]
    assert run.since(locks, lambda: [run.protect(run.p, A + page, 1, R) for page in range(0, v, 2)]) == (0,)
    children = []
    assert run.since(locks, lambda: children.append(run.p.fork())) == (2 * v,)
    assert run.since(locks, lambda: children.append(run.p.fork())) == (v,)
    assert run.since(locks, lambda: [run.walk(run.p, A + page) for page in range(v)]) == (v,)
    assert run.since(locks, children[0].exit) == (v,)
    assert run.objects() == (1, v * c, 0)


# --- its structures -----------------------------------------------------------------------------------------------------


def scene():
    """Roots of all kinds: two that are a group with one detached, one of pieces, one that is held by a REGULAR area."""
    run = Program()
    run.area(run.p, 0x10, 4)
    run.area(run.p, 0x0c, 4, RW | 4)
    run.protect(run.p, 0x0c, 4, RW)
    run.area(run.p, A, 8)
    run.move(run.p, A + 4, 2, B)
    run.area(run.p, D, 4)
    run.p.fork()
    run.area(run.p, D + 0x100, 4)
    run.area(run.p, D + 0x104, 4, RW | 4)
    run.protect(run.p, D + 0x104, 4, RW)
    run.machine.check()
    return run


DAMAGE = {
    "AL1 word": ("areas", "rmap", lambda run, at: LAZY_WORD),
    "AL1 distance": ("lazy_roots", "off", lambda run, at: 7),
    "AL1 mm": ("lazy_roots", "mm", lambda run, at: 2),
    "AL2 ring": ("lazy_roots", "next", lambda run, at: at),
    "AL2 holders": ("lazy_roots", "holders", lambda run, at: 9),
    "AL2 group": ("lazy_roots", "group", lambda run, at: 0),
    "AL3 area": ("lazy_roots", "area", lambda run, at: 1),
    "AL3 detached": ("lazy_roots", "detached", lambda run, at: 0),
    "AL3 own": ("lazy_areas", "own", lambda run, at: 0),
    "AL1 inherited": ("lazy_areas", "inherited", lambda run, at: 1),
    "AL1 root": ("lazy_areas", "root", lambda run, at: 0),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_check_sees_damage(damage):
    run = scene()
    name, field, value = DAMAGE[damage]
    core = run.machine._core
    areas, roots = core.view("areas"), core.view("lazy_roots")
    lazy_area = next(at for at in range(1, len(areas)) if areas["alive"][at] and areas["rmap"][at] & LAZY_WORD)
    standing = int(core.view("lazy_areas")["root"][lazy_area])
    at = standing if name == "lazy_roots" else lazy_area
    if damage == "AL3 detached":
        at = next(at for at in range(1, len(roots)) if roots["mm"][at] and not roots["area"][at])
    core.writable(name)[field][at] = value(run, at)
    with pytest.raises(rmapcore.InconsistentState, match=damage.split()[0]):
        run.machine.check()


def test_saved_and_copied(tmp_path):
    run = scene()
    run.machine.save(tmp_path / "machine.npz")
    for machine in (rmapcore.Machine.load(tmp_path / "machine.npz"), run.machine.copy()):
        machine.check()
        process = machine.processes[run.p.pid]
        process.munmap(0x0c * PAGE, 2 * PAGE)
        process.fork()
        machine.check()


# --- what is true whatever the scheme -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["6.18", "7.3"])
@pytest.mark.parametrize("scheme", [PARENT, OWN, "anon_vma_lazy:adopt=0,reuse=0", EAGER])
def test_cases_of_the_argument(scheme, kernel):
    """What programs of the holes and workloads of 2026 leave, as seen on Linux 6.18.44."""
    cases = load(CASES)
    assert len(cases) == 22
    for case in cases:
        verdict = run(case, partial(Emulator, scheme=scheme, kernel=kernel), universal=True)
        assert verdict.outcome == "pass", f"{case.id}: {verdict.reason}"
