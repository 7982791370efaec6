"""The jobs that bench/instructions.py has counted. It runs this file under callgrind:

    instructions_jobs.py TRACE PAGES SCHEME JOB [SCHEME JOB]...

A job is a function of a scheme and a number of pages that gives (n, work, did): work() is what is measured, n for how
many pages, entries or operations, and did(what work gave) must be n. Everything is made before and looked at after.
START and STOP are functions of libc that nothing else here calls: callgrind forgets its costs at the one and writes them
down at the other, so the profile has one part for each line that is printed: the job done, as a JSON list.
"""
import gc
import json
import os
import sys
from functools import partial
from unittest import mock

import embed_client
import numpy as np

import rmapcore
from rmapcore.pyx.look import probe
from rmapcore.pyx.machine import core as capacities
from rmapcore.studies.bench import ORDERS, empty, family, machine_of, scene
from rmapcore.units import PAGE

START, STOP = "getppid", "getsid"
SHARERS = 16
MAYMOVE, FIXED = 1, 2
CAPACITY = 1 << 24                     # page-table entries, and pages of files
SHUFFLE = 0                            # seed of random orders


def fit_callgrind():
    """Machines reserve less: under valgrind a program has some 60 GiB of addresses, and one arena alone is longer."""
    for bound in ("MOST_PTES", "MOST_FILE_PAGES"):
        if getattr(capacities, bound) > CAPACITY:
            setattr(capacities, bound, CAPACITY)


def shuffled(array):
    return np.random.default_rng(SHUFFLE).permutation(array)


# --- what programs do -------------------------------------------------------------------------------------------------


def fault_in_range(scheme, pages):
    _, process, address = empty(scheme, pages)
    return pages, lambda: process.write(address, pages * PAGE), lambda _: process.rss


def fault_in_random(scheme, pages):
    _, process, address = empty(scheme, pages)
    addresses = address + PAGE * shuffled(np.arange(pages, dtype=np.uint64))
    return pages, lambda: process.touch(addresses, True), lambda _: process.rss


def copy_on_write(scheme, pages):
    """A child writes all that it inherited, and the parent lives."""
    one = scene(scheme, pages, spare=pages + 64)
    child = one.process.fork()
    return (pages, lambda: child.write(one.address, pages * PAGE),
            lambda _: np.count_nonzero(child.pagemap(one.address, pages * PAGE)["mapcount"] == 1))


def swap_in(scheme, pages):
    one = scene(scheme, pages)
    one.age()
    one.machine.reclaim(pages)
    absent = pages - one.process.rss
    return absent, lambda: one.process.read(one.address, pages * PAGE), lambda _: pages - one.process.swapped


def fork(scheme, pages):
    parent = scene(scheme, pages).process
    return pages, parent.fork, lambda child: child.rss


def exit_shared(scheme, pages):
    """Another process shares all pages and keeps them."""
    parent = scene(scheme, pages).process
    child = parent.fork()
    return pages, child.exit, lambda _: parent.rss - pages * child.alive


def exit_last(scheme, pages):
    """The pages are freed."""
    one = scene(scheme, pages)
    return (pages, one.process.exit,
            lambda _: np.count_nonzero(one.machine.frames["mapcount"][one.pfns] == 0))


def mremap(scheme, pages):
    """An area moves with all of its pages."""
    one = scene(scheme, pages)
    old, new = one.address, one.address + 2 * pages * PAGE
    return (pages, lambda: one.process.mremap(old, pages * PAGE, pages * PAGE, MAYMOVE | FIXED, new),
            lambda _: np.count_nonzero(one.process.pagemap(new, pages * PAGE)["present"]))


# --- page tables ------------------------------------------------------------------------------------------------------


def scan(scheme, pages):
    one = scene(scheme, pages)
    return pages, lambda: probe.clear_young(one.machine._engine, one.process.pid), int


def lookup(order, scheme, pages):
    one = scene(scheme, pages)
    addresses = order(one.addresses)
    return pages, lambda: probe.lookup(one.machine._engine, one.process.pid, addresses), np.count_nonzero


# --- the reverse map, and reclaim -------------------------------------------------------------------------------------


def shared(scheme, pages, sharers):
    """A scene whose frames are each mapped by so many processes, in `pages` entries together, none young."""
    one = scene(scheme, pages // sharers, "frames_shuffled")
    for _ in range(sharers - 1):
        one.process.fork()
    one.age()
    return one, shuffled(one.pfns)


def page_referenced(sharers, scheme, pages):
    one, pfns = shared(scheme, pages, sharers)
    return (len(pfns) * sharers, lambda: probe.referenced(one.machine._engine, pfns),
            lambda counts: np.count_nonzero(counts == 0) * sharers)


def try_to_unmap(sharers, scheme, pages):
    """Swap slots included."""
    one, pfns = shared(scheme, pages, sharers)
    return (len(pfns) * sharers, lambda: probe.unmap_frames(one.machine._engine, pfns),
            lambda _: sum(process.swapped for process in one.machine.processes.values()))


def ageing_young(scheme, pages):
    """Pages just written stay on the active list, under 2.6.7."""
    machine = scene(scheme, pages).machine
    return pages, lambda: probe.aged(machine._engine, pages), int


def ageing_old(scheme, pages):
    """The next time they go to the inactive list."""
    one = scene(scheme, pages)
    one.aged()
    one.renew()
    return pages, one.aged, int


def swapout(order, scheme, pages):
    """From the inactive list, each page mapped once and old."""
    one = scene(scheme, pages, order)
    one.age()
    return pages, lambda: one.machine.reclaim(pages), lambda result: result.freed


def swapout_of_a_family(every, scheme, pages):
    """Pages that all of SHARERS processes map, or have rewritten (every: 1): by page-table entry."""
    one = family(scheme, pages, SHARERS, every, "lru_shuffled")
    one.age()
    return (len(one.slots), lambda: one.machine.reclaim(len(one.pfns)),
            lambda _: sum(process.swapped for process in one.machine.processes.values()))


def replay(trace, scheme, pages):
    """A recording, memory unlimited."""
    machine = machine_of(scheme, ram="4GiB", swap=0)
    return len(trace), lambda: trace.replay(machine), lambda done: done["done"] + done["failed"]


def profiled(job, start, scheme, pages):
    """A job while the machine keeps a profile, or its locks."""
    made = []
    with mock.patch.object(rmapcore.Machine, "__init__", watched(start, made)):
        n, work, did = job(scheme, pages)
    assert len(made) == 1, "the job is of one machine"
    return n, work, did


def watched(start, made):
    usual = rmapcore.Machine.__init__

    def init(machine, *arguments, **named):
        usual(machine, *arguments, **named)
        made.append(start(machine))
    return init


# --- through the C interface ------------------------------------------------------------------------------------------


def held(machine):
    """The client in C, and the handle of a machine that it holds."""
    client = embed_client.load()
    handle = client.adopt(machine)
    client.hold(handle)
    return client, handle


def from_c(name, order, scheme, pages):
    """A call of the client in C for each page."""
    one = scene(scheme, pages)
    client, handle = held(one.machine)
    array = order(one.pfns.astype(np.uint64) if name.startswith("whomaps") else one.addresses)
    return pages, lambda: getattr(client, name)(handle, one.process.pid, array), int


def ring_from_c(scheme, pages):
    """Records of pages that went, taken out."""
    one = scene(scheme, pages)
    client, handle = held(one.machine)
    client.watch(handle, 1 << pages.bit_length())
    one.process.munmap(one.address, pages * PAGE)
    return pages, lambda: client.drain(handle, 0, one.addresses), int


def fault_from_c(scheme, pages):
    """Each access brings a page back and sends another away."""
    machine = machine_of(scheme, ram=(pages // 2 + 64) * PAGE, swap=(2 * pages + 64) * PAGE)
    process = machine.spawn()
    address = process.mmap(length=pages * PAGE, prot="rw")
    process.write(address, pages * PAGE)
    client, handle = held(machine)
    addresses = address + PAGE * np.arange(pages, dtype=np.uint64)
    return pages, lambda: client.touch(handle, process.pid, addresses), int


JOBS = {
    "fault_in_range": fault_in_range, "fault_in_random": fault_in_random, "copy_on_write": copy_on_write,
    "swap_in": swap_in, "fork": fork, "exit_shared": exit_shared, "exit_last": exit_last, "mremap": mremap,
    "scan": scan, "lookup_sorted": partial(lookup, np.sort), "lookup_random": partial(lookup, shuffled),
    "page_referenced": partial(page_referenced, 1), f"page_referenced_{SHARERS}": partial(page_referenced, SHARERS),
    "try_to_unmap": partial(try_to_unmap, 1), f"try_to_unmap_{SHARERS}": partial(try_to_unmap, SHARERS),
    "ageing_young": ageing_young, "ageing_old": ageing_old,
    **{f"swapout_{order}": partial(swapout, order) for order in ORDERS},
    f"swapout_{SHARERS}": partial(swapout_of_a_family, 0), f"swapout_{SHARERS}_rewritten": partial(swapout_of_a_family, 1),
    "replay": replay,
    "c_translate_sorted": partial(from_c, "translate", np.sort), "c_translate_random": partial(from_c, "translate", shuffled),
    "c_touch_sorted": partial(from_c, "touch", np.sort), "c_touch_many_sorted": partial(from_c, "touch_many", np.sort),
    "c_touch_many_random": partial(from_c, "touch_many", shuffled),
    "c_whomaps": partial(from_c, "whomaps", np.sort), "c_whomaps_many": partial(from_c, "whomaps_many", np.sort),
    "c_ring": ring_from_c, "c_fault": fault_from_c,
}
WATCHED = ("fork", "swapout_sequential", f"swapout_{SHARERS}", "replay")
JOBS |= {f"profiled_{name}": partial(profiled, JOBS[name], rmapcore.Machine.profile) for name in WATCHED}
JOBS |= {f"locked_{name}": partial(profiled, JOBS[name], rmapcore.Machine.locks) for name in WATCHED}
del JOBS[f"locked_swapout_{SHARERS}"]          # it does not repeat to 2 %
# of which one scheme does all: what is around the schemes is the same for each
AROUND = [name for name in JOBS if name.startswith(("c_", "profiled_", "locked_"))]
WALKS = [name for name in JOBS if name.startswith(("page_referenced", "try_to_unmap"))]     # of one page


def main(trace, pages, *pairs):
    fit_callgrind()
    recorded = partial(replay, rmapcore.load_trace(trace))
    jobs = {**JOBS, "replay": recorded, "profiled_replay": partial(profiled, recorded, rmapcore.Machine.profile),
            "locked_replay": partial(profiled, recorded, rmapcore.Machine.locks)}
    gc.disable()
    for scheme, name in zip(pairs[::2], pairs[1::2], strict=True):
        n, work, did = jobs[name](scheme, int(pages))
        os.getppid()
        result = work()
        os.getsid(0)
        if did(result) != n:
            raise AssertionError(f"{name} of {scheme}: {did(result):,} of {n:,} done")
        print(json.dumps([name, scheme, n]), flush=True)
        del work, did, result          # the next machine needs the addresses of this one
        gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
