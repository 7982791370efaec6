"""Page tables without reverse mapping: look-ups in batches, and the sweep that clears young bits."""
import numpy as np
import pytest

from rmapcore.pyx.look import probe
from rmapcore.studies.bench import scene

PAGE = 4096
SPARSE_PAGES = 1 << 18                         # a table each at the largest stride: 1 GiB


def addresses_of(one, pages, order):
    """The addresses of all pages, ascending or shuffled."""
    numbers = np.arange(pages, dtype=np.uint64)
    if order == "random":
        np.random.default_rng(0).shuffle(numbers)
    return one.address + PAGE * numbers


@pytest.mark.parametrize("order", ["sorted", "random"])
def test_lookup(measure, pages, order):
    """One look-up per page. No scheme has a part in it."""
    one = scene("anon_vma", pages)
    addresses = addresses_of(one, pages, order)
    entries = measure("page-table look-up", pages,
                      lambda: probe.lookup(one.machine._engine, one.process.pid, addresses))
    assert np.count_nonzero(entries) == pages


@pytest.mark.parametrize("stride", [1, 16, 512])
def test_lookup_in_sparse_tables(measure, pages, stride):
    """The same where only every stride-th page is there: more tables for as many look-ups."""
    n_pages = min(pages, SPARSE_PAGES)
    one = scene("anon_vma", 1)
    area = one.process.mmap(length=n_pages * stride * PAGE)
    addresses = area + PAGE * stride * np.arange(n_pages, dtype=np.uint64)
    one.process.touch(addresses, False)
    np.random.default_rng(0).shuffle(addresses)
    entries = measure("page-table look-up, random in sparse tables", n_pages,
                      lambda: probe.lookup(one.machine._engine, one.process.pid, addresses))
    assert np.count_nonzero(entries) == n_pages


@pytest.mark.parametrize("access", ["young", "old"])
def test_scan(measure, pages, access):
    """Clears the young bits of a whole process."""
    one = scene("anon_vma", pages)

    def setup():
        if access == "young":
            one.process.write(one.address, pages * PAGE)
        else:
            probe.clear_young(one.machine._engine, one.process.pid)
        return ()

    young = measure("page-table scan", pages, lambda: probe.clear_young(one.machine._engine, one.process.pid), setup)
    assert young == (pages if access == "young" else 0)


def test_pagemap(measure, pages):
    """The record of every page, as users ask for it."""
    one = scene("anon_vma", pages)
    records = measure("pagemap", pages, lambda: one.process.pagemap(one.address, pages * PAGE))
    assert records["present"].all()


def test_mappings(measure, pages):
    """The oracle: who maps each frame, by a scan of all tables."""
    one = scene("anon_vma", pages)
    offsets, _, addresses = measure("mappings by scan", pages, lambda: one.machine.mappings(one.pfns))
    assert offsets[-1] == pages and (addresses == one.addresses).all()
