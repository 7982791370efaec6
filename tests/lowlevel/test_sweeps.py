"""A few cold pages at the tail of the inactive list, beside hot page tables of growing size: exact work to free them.

Schemes with a reverse map look at the entries of these pages and at no others. virtual_scan comes to them through all others.
"""
import numpy as np
import pytest

import rmapcore
from reference import twin_of
from rmapcore.pyx.look import probe
from rmapcore.schemes import walking

PAGE = 4096
BASE = 0x40000000
HOT = 512                                      # pages of each hot process: one leaf table
SIZES = (1, 4, 16, 64)


def work_of(scheme, cold, n_hot, shared):
    """(freed, entries looked up in walks, entries swept) when `cold` pages are asked of a machine with n_hot hot processes.

    The cold pages are old and on the inactive list, the hot ones young and on the active list.
    """
    frames = HOT * (1 if shared else n_hot) + cold
    machine = rmapcore.Machine(scheme, ram=4 * frames * PAGE, swap=4 * frames * PAGE)
    idle = machine.spawn("idle")
    idle.mmap(BASE, cold * PAGE)
    idle.write(BASE, cold * PAGE)
    probe.clear_young(machine._engine, idle.pid)
    probe.deactivate(machine._engine, idle.pagemap(BASE, cold * PAGE)["pfn"])
    hot = [machine.spawn("hot")]
    hot[0].mmap(BASE, HOT * PAGE)
    if shared:
        hot[0].write(BASE, HOT * PAGE)
    while len(hot) < n_hot:
        hot.append(hot[0].fork() if shared else machine.spawn("hot"))
        if not shared:
            hot[-1].mmap(BASE, HOT * PAGE)
    for process in hot:
        process.touch(np.arange(BASE, BASE + HOT * PAGE, PAGE), not shared)
    before = machine.counters
    result = machine.reclaim(cold)
    machine.check()
    return result.freed, machine.counters.since(before)["ptes_tried"], result.scanned_ptes


@pytest.mark.parametrize("n_hot", SIZES)
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize(("cold", "circles"), [(32, 1), (1000, 2)])
def test_sweeps_go_through_all_page_tables(cold, circles, shared, n_hot):
    """Each time round every entry is read: 17, 65, 257, 1025 for each of 32 pages."""
    freed, tried, read = work_of("virtual_scan", cold, n_hot, shared)
    assert (freed, tried, read) == (cold, 0, circles * (n_hot * HOT + cold))


@pytest.mark.parametrize("n_hot", SIZES)
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize("cold", [32, 1000])
@pytest.mark.parametrize("scheme", walking())
def test_walks_do_not(scheme, cold, shared, n_hot):
    """Two walks for each cold page. Beside 1000 of them some 300 hot pages are aged, each at the cost of its mapcount."""
    if not twin_of(scheme):
        pytest.skip(f"{scheme} has no twin: nothing says how much it looks at")
    freed, tried, read = work_of(scheme, cold, n_hot, shared)
    assert (freed, read) == (cold, 0)
    aged, rest = divmod(tried - 2 * cold, n_hot if shared else 1)
    assert rest == 0 and aged <= (0 if cold == 32 else 320)
