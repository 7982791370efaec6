"""Process.touch and translate with arrays: what single accesses and pagemap say, in fewer calls."""
import numpy as np
import pytest

import rmapcore
from rmapcore import Fault
from rmapcore.core.snapshot import held

PAGE = 4096
AT = 0x40000000
PAGES = 96
KINDS = ("zero", "file", "swapin", "cow", "spurious")


def family(kernel="2.6.7", track=True, frames=64):
    """A machine too small for what its three processes have: anonymous memory, a shared file, a private one."""
    machine = rmapcore.Machine("anon_vma", kernel, ram=frames * PAGE, swap=400 * PAGE, track_contents=track)
    parent = machine.spawn()
    file = machine.file("file", 16 * PAGE)
    parent.mmap(AT, PAGES * PAGE, 3, 0x32)
    parent.mmap(AT + PAGES * PAGE, 16 * PAGE, 3, 0x11, file)
    parent.mmap(AT + (PAGES + 16) * PAGE, 16 * PAGE, 3, 0x12, file)
    parent.write(AT, 40 * PAGE)
    return machine, [parent, parent.fork(), parent.fork()]


def accesses(seed, n, processes):
    rng = np.random.default_rng(seed)
    near = np.cumsum(rng.integers(-1, 4, n)) % (PAGES + 32)                # many in a row, as first touches of a loop are
    pages = np.where(rng.random(n) < 0.5, near, rng.integers(0, PAGES + 32, n))
    pids = np.array([process.pid for process in processes])[np.repeat(rng.integers(0, 3, n), rng.integers(1, 9, n))[:n]]
    return (AT + pages * PAGE + rng.integers(0, PAGE, n)).astype(np.uint64), rng.random(n) < 0.5, pids.astype(np.uint32)


@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
@pytest.mark.parametrize("seed", range(3))
def test_batches_do_what_single_accesses_do(seed, kernel, track):
    one, processes = family(kernel, track)
    other, others = family(kernel, track)
    by_pid = {process.pid: process for process in others}
    addresses, writes, pids = accesses(seed, 3000, processes)
    kinds = []
    for start in range(0, 3000, 600):
        part = slice(start, start + 600)
        kinds += processes[0].touch(addresses[part], writes[part], pids[part], out="kinds").tolist()
    expected = []
    for address, write, pid in zip(addresses.tolist(), writes.tolist(), pids.tolist(), strict=True):
        faults = by_pid[pid].write(address) if write else by_pid[pid].read(address)
        assert sum(faults.values()) <= 1
        expected.append(next((number for number, kind in enumerate(KINDS, 1) if faults[kind]), 0))
    assert kinds == expected and len(set(kinds)) >= 5
    assert held(one) == held(other)
    one.check()


def test_kinds_and_counts_agree():
    machine, (process, child, _) = family()
    addresses, writes, _ = accesses(7, 500, [process] * 3)
    twin = machine.copy()
    kinds = process.touch(addresses, writes, out="kinds")
    assert kinds.dtype == np.uint8 and kinds.shape == (500,)
    counts = twin.process(process.pid).touch(addresses, writes)
    assert [int(np.sum(kinds == number)) for number in range(1, 6)] == [counts[kind] for kind in KINDS]
    assert [fault.name.lower() for fault in Fault] == ["none", *KINDS] and list(Fault) == list(range(6))
    assert sum(child.touch(AT, True).values()) == 1 and child.touch(AT, True) == dict.fromkeys(KINDS, 0)
    assert child.touch([AT], False, out="kinds").tolist() == [Fault.NONE]


def test_one_process_with_one_write_goes_the_same_way():
    """Without any array but the addresses, as it was before."""
    for write in (False, True, np.True_, 1):
        one, (process, _, _) = family(frames=300)
        other, (twin, _, _) = family(frames=300)
        addresses, _, _ = accesses(3, 700, [process] * 3)
        assert process.touch(addresses, write) == twin.touch(addresses, np.full(700, bool(write)))
        assert held(one) == held(other)


def test_what_comes_as_addresses():
    machine, (process, _, _) = family()
    plain = process.translate(np.array([AT, AT + 5 * PAGE + 7], np.uint64))
    both = (AT, AT + 5 * PAGE + 7)
    for other in (both, list(both), np.array(both), np.array([both[0], 0, both[1]], np.uint64)[::2],
                  np.array([[both[0]], [both[1]]]), np.array(both, ">u8")):
        assert process.translate(other).tolist() == plain.tolist()
    assert process.touch(np.zeros(0, np.uint64), True) == dict.fromkeys(KINDS, 0)
    assert process.touch([], [], [], "kinds").tolist() == process.translate([]).tolist() == []
    machine.check()


@pytest.mark.parametrize("arch", ["i386", "i386-pae", "x86_64"])
def test_translate(arch):
    machine = rmapcore.Machine(arch=arch, ram="1MiB", swap="1MiB")
    process = machine.spawn()
    process.mmap(AT, 1200 * PAGE, 3, 0x32)
    process.write(AT, 100 * PAGE)
    process.read(AT + 200 * PAGE, 10 * PAGE)
    process.write(AT + 1100 * PAGE)
    machine.reclaim(30)
    before = held(machine)
    addresses = AT - PAGE + np.random.default_rng(0).integers(0, 1300 * PAGE, 2000)
    found = process.translate(addresses)
    assert found.dtype == np.int64
    pfns = process.pagemap(AT - PAGE, 1300 * PAGE)["pfn"][(addresses - AT + PAGE) // PAGE]
    assert np.array_equal(found, np.where(pfns < 0, -1, pfns * PAGE + addresses % PAGE))
    assert (found >= PAGE).any() and (found < 0).any() and ((found >= 0) & (found < PAGE)).any()
    assert process.translate(int(addresses[0])) == found[0] and isinstance(process.translate(AT), int)
    assert process.translate(np.array([0, 1 << 63, (1 << 64) - 1], np.uint64)).tolist() == [-1, -1, -1]
    assert held(machine) == before


WRONG = [
    (TypeError, "addresses: they must be whole numbers, not float64", lambda p: p.touch([1.5], True)),
    (TypeError, "addresses: they must be whole numbers, not float64", lambda p: p.translate([1.5])),
    (ValueError, "addresses: they must be numbers from 0 to", lambda p: p.touch([AT, -1], True)),
    (TypeError, "write: True, False or an array of them, not of int64", lambda p: p.touch([AT, AT], [1, 0])),
    (ValueError, "write: 1 elements for 2 addresses", lambda p: p.touch([AT, AT], [True])),
    (ValueError, "process: 1 elements for 2 addresses", lambda p: p.touch([AT, AT], True, [1])),
    (ValueError, "process: they must be numbers from 0 to 4294967295", lambda p: p.touch([AT], True, [1 << 32])),
    (rmapcore.UnknownName, "out 'pfn' is unknown; known: kinds", lambda p: p.touch([AT], True, out="pfn")),
]


@pytest.mark.parametrize(("kind", "text", "act"), WRONG)
def test_wrong_arguments(kind, text, act):
    machine, (process, _, _) = family()
    before = held(machine)
    with pytest.raises(kind, match=text):
        act(process)
    assert held(machine) == before


def test_failures_say_how_far_it_came():
    machine, (process, child, _) = family()
    beyond = AT + (PAGES + 40) * PAGE
    for write, out in ((True, None), ([True, True, True], "kinds")):
        with pytest.raises(rmapcore.SegmentationFault) as caught:
            process.touch([AT, AT + PAGE, beyond + 5], write, out=out)
        assert (caught.value.done, caught.value.address) == (2, beyond)
    child.exit()
    with pytest.raises(ProcessLookupError):
        process.touch([AT] * 3, True, [process.pid, child.pid, process.pid])
    for act in (lambda: child.touch([AT], True), lambda: child.translate(AT), lambda: child.write(AT), lambda: child.read(AT)):
        with pytest.raises(ProcessLookupError):
            act()
    machine.check()


def test_long_batches_are_sliced():
    """More than a slice, of one process and of two in turns."""
    machine = rmapcore.Machine(ram="1MiB", swap=0)
    one = machine.spawn()
    one.mmap(AT, 64 * PAGE, 3, 0x32)
    other = one.fork()
    addresses = (AT + np.arange(600_000) % 64 * PAGE).astype(np.uint64)
    assert one.touch(addresses, True)["zero"] == 64
    pids = np.where(np.arange(600_000) % 128 < 64, one.pid, other.pid)
    assert one.touch(addresses, True, pids)["zero"] == 64
    assert (one.translate(addresses) != -1).all() and machine.totals["operations"] == 1_200_003
