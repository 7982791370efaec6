"""Whole swapout: reclaim takes every page from the inactive list; and ageing, where it looks at the active list.

Both beside the ideal memory pass over the same pages in the same order, and with one page at a time instead of groups.
"""
import pytest

from rmapcore.schemes import walking
from rmapcore.studies.bench import ORDERS, scene

PAGE = 4096
CHILDREN = 8

orders = pytest.mark.parametrize("order", ORDERS)
ways = pytest.mark.parametrize("alone", [False, True], ids=["groups", "one_by_one"])


def name(what, order):
    return f"{what}, {order.replace('_', ' ')}"


@orders
def test_ideal_swapout(measure, pages, order):
    """The yardstick: each victim's frame record and entry are known, read, compared and written."""
    one = scene("anon_vma", pages, order)
    one.age()
    assert measure(name("swapout", order), pages, one.ideal) == pages


@orders
@ways
def test_swapout(measure, scheme, pages, order, alone):
    """page_referenced, swap slot, try_to_unmap and free; each page is mapped once and old."""
    def setup():
        one = scene(scheme, pages, order)
        one.age()
        one.one_by_one(alone)
        return (one.machine,)

    result = measure(name("swapout", order), pages, lambda machine: machine.reclaim(pages), setup)
    assert result.freed == pages
    assert result.scanned == pages or scheme not in walking()


@orders
def test_ideal_ageing(measure, pages, order):
    """The yardstick in the order of the active list."""
    assert measure(name("ageing", order), pages, scene("anon_vma", pages, order).ideal) == pages


@orders
@ways
@pytest.mark.parametrize("scheme", walking())
def test_ageing(measure, scheme, pages, order, alone):
    """page_referenced of every page of the active list; each is mapped once and young, so that it stays there."""
    one = scene(scheme, pages, order)
    one.one_by_one(alone)

    def setup():
        one.process.write(one.address, pages * PAGE)
        return ()

    before = one.machine.counters
    assert measure(name("ageing", order), pages, one.aged, setup) == pages
    assert one.machine.counters.since(before)["ptes_found"] >= pages


@orders
def test_swapout_of_young_pages(measure, scheme, pages, order):
    """The same from the active list, right after the pages were written: ageing is part of it."""
    def setup():
        return (scene(scheme, pages, order).machine,)

    result = measure(f"{name('swapout', order)}, young", pages, lambda machine: machine.reclaim(pages), setup)
    assert result.freed == pages


def test_swapout_of_a_family(measure, scheme, pages):
    """Half of the pages of a parent are swapped out of it and its children, ageing included."""
    def setup():
        one = scene(scheme, pages)
        for _ in range(CHILDREN):
            one.process.fork()
        return (one.machine,)

    result = measure("swapout, family of 9", pages // 2, lambda machine: machine.reclaim(pages // 2), setup)
    assert result.freed >= pages // 2
