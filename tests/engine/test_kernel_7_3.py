"""Kernels 7.0 and 7.3: the order of chains, and the anonymous page offset of areas (rules QI1 to QI4). Machine and twin."""
import numpy as np
import pytest

import differential
import programs
import reference
import rmapcore
from differential import against_twin
from rmapcore.kernels import kernels

PAGE = 4096
RW, FIXED, PRIVATE_FIXED, SHARED_FIXED = 3, 0x32, 0x12, 0x11
MOVE = 3                                       # MREMAP_MAYMOVE | MREMAP_FIXED
KEEP = 7                                       # and MREMAP_DONTUNMAP
X, Y, Z = (base * PAGE for base in (0x100000, 0x200000, 0x300000))
ARCHES = ("i386", "i386-pae", "x86_64")
LINEAR = ("anon_vma", "anon_vma_chain_2010", "anon_vma_chain")


@pytest.fixture(params=[rmapcore.Machine, reference.Machine], ids=["machine", "twin"])
def make(request):
    return lambda kernel, scheme="anon_vma_chain": request.param(scheme, kernel=kernel, ram=256 * PAGE, swap=256 * PAGE)


def areas(process):
    """[(first page, pages, page offset)]"""
    return [(start // PAGE, (end - start) // PAGE, pgoff) for start, end, _, _, pgoff, _ in differential.areas(process)]


def index(machine, process, address):
    """Of the page there."""
    pfn = next(row[6] for row in differential.pages(process, address, address + PAGE))
    return int(machine.frames[pfn]["index"]) if isinstance(machine.frames, np.ndarray) else machine.frames[pfn].index


def file_of(machine, pages=16):
    return machine.file("library", pages * PAGE)


# --- chains (rule QI4) --------------------------------------------------------------------------------------------------


def chain(machine, process):
    """(the anon_vma of a process' only area, its chain's, newest first)."""
    core = machine._core
    area = int(core.view("mms")["first"][core.view("pid_mm")[process.pid]])
    avcs, at, found = core.view("avcs"), int(core.view("av_chains")["newest"][area]), []
    while at:
        found.append(int(avcs["anon_vma"][at]))
        at = int(avcs["older"][at])
    return int(core.view("areas")["rmap"][area]), found


def line(kernel, length):
    """Processes, each the child of the one before, and the anon_vmas that they were born with."""
    machine = rmapcore.Machine("anon_vma_chain", kernel=kernel, ram="1MiB", swap=0)
    processes = [machine.spawn()]
    processes[0].mmap(X, 4 * PAGE, RW, FIXED)
    processes[0].write(X, 4 * PAGE)
    while len(processes) < length:
        processes.append(processes[-1].fork())
    return machine, processes, [chain(machine, process)[0] for process in processes]


@pytest.mark.parametrize(("kernel", "orders"), [
    ("6.18", [[0], [1, 0], [2, 1, 0], [3, 2, 1, 0]]), ("7.0", [[0], [1, 0], [2, 0, 1], [3, 1, 0, 2]]),
    ("7.3", [[0], [1, 0], [2, 0, 1], [3, 1, 0, 2]])])
def test_a_copy_of_a_chain_turns_round(kernel, orders):
    machine, processes, born = line(kernel, 4)
    assert [[born.index(one) for one in chain(machine, process)[1]] for process in processes] == orders
    machine.check()


@pytest.mark.parametrize(("kernel", "length", "reused"), [("6.18", 4, 1), ("7.0", 4, 1), ("6.18", 5, 1), ("7.0", 5, 2)])
def test_which_of_several_that_may_be_reused(kernel, length, reused):
    """All between the first and the last have gone. 6.18 takes the oldest; 7.0 the first of [3, 1, 0, 2], [4, 2, 0, 1, 3]."""
    machine, processes, born = line(kernel, length)
    for process in processes[1:-1]:
        process.exit()
    assert chain(machine, processes[-1].fork())[0] == born[reused]
    machine.check()


# --- offsets (rules QI1 to QI3) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", LINEAR)
@pytest.mark.parametrize(("kernel", "expected"), [("6.18", 3), ("7.0", 3), ("7.3", X // PAGE + 3)])
def test_a_private_copy_of_a_file_page_has_the_areas_index(make, scheme, kernel, expected):
    machine = make(kernel, scheme)
    process = machine.spawn()
    process.mmap(X, 10 * PAGE, RW, PRIVATE_FIXED, file_of(machine))
    process.write(X + 3 * PAGE, PAGE)
    assert index(machine, process, X + 3 * PAGE) == expected
    assert areas(process) == [(X // PAGE, 10, 0)]
    machine.check()


@pytest.mark.parametrize(("kernel", "joined"), [("6.18", True), ("7.3", False)])
def test_a_moved_private_area_joins_no_fresh_one_whose_file_pages_go_on(make, kernel, joined):
    """Pages 0 to 3 of a file, written, are moved to Y; 4 to 7 are mapped behind them: the file goes on, their own index does
    not. Of a shared mapping only the file is asked."""
    for flags, one in ((PRIVATE_FIXED, joined), (SHARED_FIXED, True)):
        machine = make(kernel)
        process, file = machine.spawn(), file_of(machine)
        process.mmap(X, 4 * PAGE, RW, flags, file)
        process.write(X, 4 * PAGE)
        process.mremap(X, 4 * PAGE, 4 * PAGE, MOVE, Y)
        process.mmap(Y + 4 * PAGE, 4 * PAGE, RW, flags, file, 4 * PAGE)
        assert areas(process) == ([(Y // PAGE, 8, 0)] if one else [(Y // PAGE, 4, 0), (Y // PAGE + 4, 4, 4)])
        if flags == PRIVATE_FIXED:
            assert index(machine, process, Y) == (0 if kernel == "6.18" else X // PAGE)
        machine.check()


def test_an_unfaulted_private_area_begins_anew_where_it_is_moved(make):
    machine = make("7.3")
    process, file = machine.spawn(), file_of(machine)
    process.mmap(X, 4 * PAGE, RW, PRIVATE_FIXED, file)
    process.read(X, PAGE)                      # of the file: no page of its own
    process.mremap(X, 4 * PAGE, 4 * PAGE, MOVE, Y)
    process.mmap(Y + 4 * PAGE, 4 * PAGE, RW, PRIVATE_FIXED, file, 4 * PAGE)
    process.write(Y, PAGE)
    assert areas(process) == [(Y // PAGE, 8, 0)]
    assert index(machine, process, Y) == Y // PAGE
    machine.check()


def test_splits_and_growth_keep_the_anonymous_offset(make):
    machine = make("7.3")
    process, file = machine.spawn(), file_of(machine)
    process.mmap(X, 8 * PAGE, RW, PRIVATE_FIXED, file)
    process.write(X, 8 * PAGE)
    process.mremap(X, 8 * PAGE, 8 * PAGE, MOVE, Y)
    process.mprotect(Y + 2 * PAGE, 2 * PAGE, 1)
    process.munmap(Y + 6 * PAGE, 2 * PAGE)
    process.mremap(Y + 4 * PAGE, 2 * PAGE, 5 * PAGE)
    process.write(Y + 8 * PAGE, PAGE)
    assert areas(process) == [(Y // PAGE, 2, 0), (Y // PAGE + 2, 2, 2), (Y // PAGE + 4, 5, 4)]
    assert [index(machine, process, Y + page * PAGE) - X // PAGE for page in (0, 2, 5, 8)] == [0, 2, 5, 8]
    process.mprotect(Y + 2 * PAGE, 2 * PAGE, RW)
    assert areas(process) == [(Y // PAGE, 9, 0)]
    child = process.fork()
    child.write(Y, PAGE)
    assert index(machine, child, Y) == X // PAGE
    machine.check()


@pytest.mark.parametrize("scheme", LINEAR)
@pytest.mark.parametrize(("kernel", "offset"), [("6.18", X), ("7.3", Y)])
def test_what_dontunmap_leaves_begins_anew(make, scheme, kernel, offset):
    """An anonymous area that was moved from X to Y, then emptied by a move to Z: 6.18 goes on counting from X."""
    machine = make(kernel, scheme)
    process = machine.spawn()
    process.mmap(X, 4 * PAGE, RW, FIXED)
    process.write(X, 4 * PAGE)
    process.mremap(X, 4 * PAGE, 4 * PAGE, MOVE, Y)
    process.mremap(Y, 4 * PAGE, 4 * PAGE, KEEP, Z)
    process.write(Y, PAGE)
    assert areas(process) == [(Y // PAGE, 4, offset // PAGE), (Z // PAGE, 4, X // PAGE)]
    assert index(machine, process, Y) == offset // PAGE and index(machine, process, Z) == X // PAGE
    process.mmap(Y + 4 * PAGE, PAGE, RW, FIXED)
    assert len(areas(process)) == (3 if kernel == "6.18" else 2)
    machine.check()


def test_a_private_mapping_of_dev_zero_has_both(make):
    machine = make("7.3")
    process = machine.spawn()
    zero = machine.file("/dev/zero", 0, kind="zero")
    process.mmap(X, 4 * PAGE, RW, PRIVATE_FIXED, zero, 2 * PAGE)
    process.write(X, PAGE)
    assert areas(process) == [(X // PAGE, 4, 2)] and index(machine, process, X) == X // PAGE
    machine.check()


# --- the whole machine --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kernel", "scheme"), [("7.0", "anon_vma_chain"), ("7.3", "anon_vma_chain"), ("7.3", "anon_vma"),
                                                ("7.3", "anon_vma_chain_2010"), ("7.3", "anonmm")])
def test_machine_and_twin(kernel, scheme, seed):
    against_twin(programs.program, scheme, None, ARCHES[seed], seed, 200, 25, kernel)


def test_a_saved_machine_goes_on(tmp_path):
    machine = rmapcore.Machine("anon_vma_chain", kernel="7.3", ram="1MiB", swap="1MiB")
    process, file = machine.spawn(), file_of(machine)
    process.mmap(X, 4 * PAGE, RW, PRIVATE_FIXED, file)
    process.write(X, 4 * PAGE)
    process.mremap(X, 4 * PAGE, 4 * PAGE, MOVE, Y)
    machine.save(tmp_path / "machine.npz")
    again = rmapcore.Machine.load(tmp_path / "machine.npz")
    for one in (machine, again, machine.copy()):
        one.processes[process.pid].write(Y + PAGE, PAGE)
        assert index(one, one.processes[process.pid], Y + PAGE) == X // PAGE + 1
        one.check()


@pytest.mark.parametrize(("area", "shift", "message"), [
    (0, 1, "number 0"), (1, 1, "V10.*another"), (2, Y // PAGE + 1, "V10.*wraps")])
def test_a_saved_machine_with_a_wrong_offset_is_refused(tmp_path, area, shift, message):
    """V10: what an anonymous area has twice is the same; number 0 has nothing."""
    machine = rmapcore.Machine("anon_vma_chain", kernel="7.3", ram="1MiB", swap=0)
    process = machine.spawn()
    process.mmap(X, 4 * PAGE, RW, FIXED)
    process.mmap(Y, 4 * PAGE, RW, PRIVATE_FIXED, file_of(machine))
    machine.save(tmp_path / "machine.npz")
    with np.load(tmp_path / "machine.npz") as saved:
        arrays = dict(saved)
    arrays["anon_shifts"][area] = shift
    np.savez(tmp_path / "damaged.npz", **arrays)
    with pytest.raises(rmapcore.RmapcoreError, match=message):
        rmapcore.Machine.load(tmp_path / "damaged.npz")


def test_which_kernels_there_are():
    assert list(kernels()) == ["2.6.7", "6.18", "7.0", "7.3"]
