"""A page that only the swap cache has while its area is forked or moved (rule G20): nothing rewrites the root that it names
until it is mapped again.
"""
import numpy as np
import pytest
from inpages import PAGE, A, B, Program

from rmapcore.pyx.look import probe

LAZY, LOSING, EAGER = "anon_vma_lazy", "anon_vma_lazy:repair=0", "anon_vma_chain"


def unmapped_to_the_swap_cache(run, at):
    """The page is in memory, in the swap cache, and nothing maps it."""
    run.machine.reclaim(10)
    run.p.read(at * PAGE, PAGE)
    pfn = run.pfn(run.p, at)
    while run.machine.frames["mapcount"][pfn]:           # it is young at first
        probe.unmap_frames(run.machine._engine, np.array([pfn], np.uint32))
    return pfn


@pytest.mark.parametrize(("scheme", "missed", "size"), [
    (LAZY, 0, 232), (LOSING, 1, 232), (EAGER, 0, 400)])
def test_l6_a_page_in_the_swap_cache_at_fork(scheme, missed, size):
    run = Program(scheme)
    run.area(run.p, A, 1)
    pfn = unmapped_to_the_swap_cache(run, A)
    child = run.p.fork()
    child.read(A * PAGE, PAGE)
    run.p.read(A * PAGE, PAGE)
    assert run.pfn(child, A) == run.pfn(run.p, A) == pfn
    assert run.missed() == missed and run.bytes() == size


@pytest.mark.parametrize(("scheme", "missed"), [(LAZY, 0), (LOSING, 1), (EAGER, 0)])
def test_l6b_a_page_in_the_swap_cache_that_moves(scheme, missed):
    run = Program(scheme)
    run.area(run.p, A, 1)
    pfn = unmapped_to_the_swap_cache(run, A)
    run.move(run.p, A, 1, B)
    run.p.read(B * PAGE, PAGE)
    assert run.pfn(run.p, B) == pfn and run.missed() == missed
