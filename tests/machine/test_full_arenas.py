"""Arenas that are full (rule A6): a call finds room or says ArenaFull, and then nothing has changed, unless the rule says so.

Random programs run on machines whose pools are lowered, call by call, to little more than was ever used. A call that says
ArenaFull is made again when the pool has its old capacity: it must then do what it would have done.
"""
import functools

import numpy as np
import pytest

import rmapcore
from differential import check
from programs import State as Made
from programs import program, run_step
from rmapcore.schemes import SCHEMES

PAGE = 4096
AT = 0x40000000
WARM, STEPS, SEEDS = 60, 180, 12       # steps before a pool is lowered, steps of a program, programs
UNREAD = ("frames", "slots")           # their capacity is RAM and swap: a call that finds no frame is OutOfMemory's
FILE_SIDES = {"virtual_scan": "none", "anonmm": "list", "rmap_chain": "pte_chain"}
VM_LOCKED = MAP_LOCKED = 0x2000
MAP_POPULATE, MREMAP_FIXED, MADV_POPULATE = 0x8000, 2, (22, 23)
BY_AREA = {"mprotect", "madvise", "munlock", "mbind", "mseal", "name"}
BY_PAGE = {"mlock", "mlockall", "munlockall", "remap_file_pages"}


def pool_of(machine, name):
    return next(number for number, called in machine._core.pool_names.items() if called == name)


def lower(machine, pool, spare):
    """The pool ends `spare` records beyond what was ever used. Its old capacity."""
    pools = machine._core.writable("pools")
    was = int(pools["capacity"][pool])
    pools["capacity"][pool] = pools["bump"][pool] + spare
    return was


def everything(machine):
    """All arenas as they are, but for capacities, the count of operations, and where to look first."""
    arrays = {name: machine._core.view(name).copy() for name in machine._core.arenas}
    arrays["pools"]["capacity"] = 0
    arrays["head"]["op_index"] = 0
    for field in ("cache", "hole_vpn", "hole_pages"):
        arrays["mms"][field] = 0
    return arrays


def promises(machine, made, step, done):
    """Does rule A6 say that this call changes nothing? done: what the exception says."""
    name, index, *arguments = step
    if name in BY_PAGE:
        return False
    if name in ("touch", "read", "write"):
        return done == 0
    if not hasattr(made.processes[index] if index < len(made.processes) else None, "maps") or name not in (
            "mmap", "brk", "mremap", *BY_AREA):
        return True
    areas = made.processes[index].maps()
    if (areas["flags"] & VM_LOCKED).any() or machine._core.view("mms")["def_flags"].any():
        return False                       # it may populate
    if name == "mmap":
        return not arguments[3] & (MAP_LOCKED | MAP_POPULATE)
    if name == "mremap":
        return not arguments[3] & MREMAP_FIXED
    if name == "brk":
        return True
    start = made.address(arguments[0])
    within = (areas["start"] < start + arguments[1]) & (areas["end"] > start)
    return within.sum() <= 1 and not (name == "madvise" and arguments[2] in MADV_POPULATE)


def run_lowered(machine, steps, pool, spare):
    """Runs a program; names of the calls that found the pool full, and for how many nothing was to change."""
    made, full, whole = Made(), [], 0
    for number, step in enumerate(steps):
        if number < WARM:
            run_step(machine, made, step)
            continue
        lengths = len(made.results), len(made.pins)
        before = everything(machine)
        was = lower(machine, pool, spare)
        try:
            run_step(machine, made, step)
        except rmapcore.ArenaFull as error:
            full.append(step[0])
            after = everything(machine)
            check(machine)
            if promises(machine, made, step, error.done):
                whole += 1
                changed = [name for name in before if not np.array_equal(before[name], after[name])]
                assert not changed, (step, changed)
            del made.results[lengths[0]:], made.pins[lengths[1]:]
            machine._core.writable("pools")["capacity"][pool] = was
            run_step(machine, made, step)
        finally:
            machine._core.writable("pools")["capacity"][pool] = was
    check(machine)
    return full, whole


@functools.cache
def program_of(seed, kernel):
    return program(seed, STEPS, "x86_64", kernel)


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_lowered_pools(scheme, kernel):
    """Each pool of the machine and of its scheme, by 0, 1 and 5 records more than were ever used."""
    found, promised, runs = set(), 0, list(SCHEMES).index(scheme)
    for pool in range(1, 16):
        for spare in (0, 1, 5):
            machine = rmapcore.Machine(scheme, kernel, ram=64 * PAGE, swap=128 * PAGE, file_rmap=FILE_SIDES.get(scheme),
                                       track_contents=True)
            name = machine._core.pool_names.get(pool, UNREAD[0])
            if name not in UNREAD:
                full, whole = run_lowered(machine, program_of(runs % SEEDS, kernel), pool, spare)
                found |= {(name, call) for call in full}
                promised += whole
                runs += 1
    assert promised > 20 and {("tables", "fork"), ("areas", "mmap")} <= found
    if scheme.startswith("anon_vma_chain"):
        assert {("anon_vma_chain", "fork"), ("anon_vma", "fork")} <= found
    if scheme.startswith("cow_context"):
        assert {("remap spans", "mremap"), ("remap offsets", "mremap")} <= found


@pytest.mark.parametrize("scheme", ["anon_vma_chain_2010", "anon_vma_chain_degree", "anon_vma_chain"])
@pytest.mark.parametrize("name", ["anon_vma_chain", "anon_vma"])
@pytest.mark.parametrize("inside", [False, True], ids=["compiled", "prototype"])
def test_generations_fill_the_chains(scheme, name, inside):
    """What 65,000 areas and 90 generations do to arenas of full size."""
    areas, most = 50, 40
    if inside:
        scheme = rmapcore.Prototype(SCHEMES[scheme].load()())
    machine = rmapcore.Machine(scheme, "6.18", ram="32MiB", swap=0)
    process, others = machine.spawn(), []
    addresses = AT + 2 * PAGE * np.arange(areas, dtype=np.uint64)
    for address in addresses:
        process.mmap(int(address), PAGE, 3, 0x32)
    process.touch(addresses, True)
    pool = pool_of(machine, name)
    machine._core.writable("pools")["capacity"][pool] = (areas * most * most // 8 if name == "anon_vma_chain" else areas * most)
    with pytest.raises(rmapcore.ArenaFull, match=f"'{name}'"):
        for _ in range(most):
            others.append(process)
            child = process.fork()
            child.touch(addresses, True)
            process = child
    live, _, capacity = machine._core.pool(pool)
    assert live < capacity < live + areas * (len(others) + 2)
    machine.check()
    before = everything(machine)
    with pytest.raises(rmapcore.ArenaFull, match=f"'{name}'"):
        process.fork()
    after = everything(machine)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    for other in others[1:-1]:
        other.exit()
    process.exit()
    others[0].fork()
    machine.check()


def test_entries_that_a_list_writes_down_late():
    """Under `list` a page that is mapped off its linear place has all its entries chained at once."""
    machine = rmapcore.Machine("anonmm", "2.6.7", ram="1MiB", swap=0, file_rmap="list")
    file = machine.file("shared", 4 * PAGE, "shmem")
    processes = [machine.spawn() for _ in range(30)]
    for process in processes:
        process.mmap(AT, 4 * PAGE, 3, 0x11, file)
        process.read(AT, 4 * PAGE)
    pool = pool_of(machine, "pte_chain")
    was = lower(machine, pool, 1)
    with pytest.raises(rmapcore.ArenaFull, match="'pte_chain'"):
        processes[0].remap_file_pages(AT, PAGE, 0, 2)
    machine.check()
    assert machine._core.pool(pool)[0] == 0
    machine._core.writable("pools")["capacity"][pool] = was
    processes[0].remap_file_pages(AT, PAGE, 0, 2)
    assert machine._core.pool(pool)[0] > 1
    machine.check()


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("scheme", ["anonmm", "pte_chain", "rmap_chain", "anon_vma_chain"])
def test_a_move_that_finds_no_room_for_tables_keeps_its_pages(scheme, kernel):
    machine = rmapcore.Machine(scheme, kernel, ram="1MiB", swap=0, track_contents=True)
    process = machine.spawn()
    process.mmap(AT, 4 << 20, 3, 0x32)
    addresses = AT + np.array([0, PAGE, 1 << 20, 2 << 20, 3 << 20], dtype=np.uint64)
    process.touch(addresses, True)
    stamps = process.stamps(AT, 4 << 20).tolist()
    pool = pool_of(machine, "tables")
    for spare in range(4):
        was = lower(machine, pool, spare)
        with pytest.raises(rmapcore.ArenaFull, match="'tables'"):
            process.mremap(AT, 4 << 20, 4 << 20, 3, (1 << 40) + 5 * PAGE)
        machine._core.writable("pools")["capacity"][pool] = was
        assert process.stamps(AT, 4 << 20).tolist() == stamps
        machine.check()
    process.mremap(AT, 4 << 20, 4 << 20, 3, (1 << 40) + 5 * PAGE)
    assert process.stamps((1 << 40) + 5 * PAGE, 4 << 20).tolist() == stamps


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize(("name", "needed"), [("areas", 9), ("mms", 1), ("tables", 4), ("pids", 1)])
def test_fork_asks_for_all_that_the_child_takes(kernel, name, needed):
    """One record less than it takes is refused, and nothing has happened; as many will do. `anonmm` takes none of its own."""
    machine = rmapcore.Machine("anonmm", kernel, ram="1MiB", swap=0, track_contents=True)
    process = machine.spawn()
    for number in range(9):
        process.mmap(AT + 2 * number * PAGE, PAGE, 3, 0x32)
    process.write(AT)
    process.write(AT + 16 * PAGE)
    pool = pool_of(machine, name)
    was = lower(machine, pool, needed - 1)
    before = everything(machine)
    with pytest.raises(rmapcore.ArenaFull, match=f"'{name}'"):
        process.fork()
    after = everything(machine)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    machine._core.writable("pools")["capacity"][pool] = was
    lower(machine, pool, needed)
    child = process.fork()
    assert len(child.maps()) == 9
    machine.check()


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_a_cut_asks_for_no_more_than_it_takes(kernel):
    """The first page of an area gets another protection: one new area, and one link of the only area's chain."""
    machine = rmapcore.Machine("anon_vma_chain", kernel, ram="1MiB", swap=0)
    process = machine.spawn()
    process.mmap(AT, 4 * PAGE, 3, 0x32)
    process.write(AT, 4 * PAGE)
    pool = pool_of(machine, "anon_vma_chain")
    live, _, _ = machine._core.pool(pool)
    pools = machine._core.writable("pools")
    pools["capacity"][pool] = pools["bump"][pool]
    with pytest.raises(rmapcore.ArenaFull, match="'anon_vma_chain'"):
        process.mprotect(AT, PAGE, "r")
    pools["capacity"][pool] += 1
    process.mprotect(AT, PAGE, "r")
    assert machine._core.pool(pool)[0] == live + 1
    machine.check()
