"""Whole swapout: reclaim takes every page from the inactive list, beside the ideal memory pass over the same pages."""
import pytest

from rmapcore.bench import ORDERS, scene

CHILDREN = 8


def name(order):
    return f"swapout, {order.replace('_', ' ')}"


@pytest.mark.parametrize("order", ORDERS)
def test_ideal(measure, pages, order):
    """The yardstick: each victim's frame record and entry are known, read, compared and written."""
    one = scene("anon_vma", pages, order)
    one.age()
    assert measure(name(order), pages, one.ideal) == pages


@pytest.mark.parametrize("order", ORDERS)
def test_swapout(measure, scheme, pages, order):
    """page_referenced, swap slot, try_to_unmap and free; each page is mapped once and old."""
    def setup():
        one = scene(scheme, pages, order)
        one.age()
        return (one.machine,)

    result = measure(name(order), pages, lambda machine: machine.reclaim(pages), setup)
    assert result.freed == result.scanned == pages


@pytest.mark.parametrize("order", ORDERS)
def test_swapout_of_young_pages(measure, scheme, pages, order):
    """The same from the active list, right after the pages were written: ageing is part of it."""
    def setup():
        return (scene(scheme, pages, order).machine,)

    result = measure(f"{name(order)}, young", pages, lambda machine: machine.reclaim(pages), setup)
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
