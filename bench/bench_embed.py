"""The C interface, from C: embed_client.c does one thing many times. A page is an access, a frame, or a record of the ring.

Issue 15's targets are for 1 Mi pages (RMAPCORE_BENCH_PAGES=1048576), held: translate 10 ns in order and 40 at random, touch 15
in order, touch_many 8 and 25, a record taken out of the ring 3, whomaps 40 sorted, a fault with eviction 500.
"""
import embed_client
import pytest
from embed_client import Scene

import rmapcore

KERNELS = list(rmapcore.kernels())


@pytest.fixture(scope="module")
def client():
    return embed_client.load()


@pytest.fixture
def scene(client):
    scenes = []

    def make(*arguments, **options):
        scenes.append(Scene(client, *arguments, **options))
        return scenes[-1]
    yield make
    for one in scenes:
        one.close()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", ["sorted", "random"])
@pytest.mark.parametrize("name", ["translate", "translate_many", "touch", "touch_many"])
def test_access(measure, scene, pages, name, order, kernel):
    one = scene(pages, kernel)
    array = getattr(one, order)
    assert measure(f"C: {name}, {order}", pages, lambda: one.do(name, array)) == pages


@pytest.mark.parametrize("name", ["whomaps", "whomaps_many"])
def test_reverse(measure, scene, pages, name):
    one = scene(pages, "6.18")
    frames = one.frames()
    assert measure(f"C: {name}, sorted", pages, lambda: one.do(name, frames)) == pages


def test_ring(measure, scene, pages):
    """Taken out again: what a client pays for hearing of each page that is gone."""
    one = scene(pages, "6.18", watch=1 << (pages - 1).bit_length())


    def setup():
        one.anew()
        return ()
    assert measure("C: ring", pages, lambda: one.do("drain", one.sorted[:1]), setup) == pages


@pytest.mark.parametrize("kernel", KERNELS)
def test_fault_with_eviction(measure, scene, pages, kernel):
    """Round and round through twice as much as RAM holds: every access brings one page back and sends another away."""
    one = scene(pages, kernel, ram=pages // 2 + 64)
    before = one.machine.counters
    measure("C: fault with eviction", pages, lambda: one.do("touch", one.sorted))
    assert one.machine.counters.since(before)["faults_swapin"] >= pages
