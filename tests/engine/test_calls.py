"""System calls that must fail: the errno that Linux gives, and a machine that is unchanged and consistent afterwards."""
import errno

import numpy as np
import pytest

import reference
import rmapcore
from differential import SOUND

PAGE = 4096
AT = 0x40000000
ANON, FIXED = 0x22, 0x32


@pytest.fixture(params=list(rmapcore.schemes()))
def process(request):
    """8 read-write pages at AT (the 4th read-only), a hole, one page, one locked page."""
    machine = rmapcore.Machine(request.param, ram="1MiB", swap="1MiB", track_contents=True)
    process = machine.spawn("p")
    process.mmap(AT, 8 * PAGE, 3, FIXED)
    process.write(AT, 8 * PAGE)
    process.mprotect(AT + 3 * PAGE, PAGE, 1)
    process.mmap(AT + 10 * PAGE, PAGE, 3, FIXED)
    process.mmap(AT + 12 * PAGE, PAGE, 3, FIXED)
    process.mlock(AT + 12 * PAGE, PAGE)
    return process


def snapshot(machine):
    """All state but the operation count and the counters."""
    state = {name: machine._core.view(name).copy() for name in machine._core.arenas if name not in ("counters", "head")}
    head = machine._core.view("head").copy()
    head["op_index"] = 0
    return {**state, "head": head}


def unchanged(machine, before):
    machine.check()
    after = snapshot(machine)
    # the cache of the area found last and the remembered hole are hints, not state
    for state in (before, after):
        for hint in ("cache", "hole_vpn", "hole_pages"):
            state["mms"][hint] = 0
    for name in before:
        assert np.array_equal(before[name], after[name]), name


CASES = {
    "mmap nothing": (errno.EINVAL, lambda p: p.mmap(0, 0)),
    "mmap neither private nor shared": (errno.EINVAL, lambda p: p.mmap(0, PAGE, 3, 0x20)),
    "mmap private and shared": (errno.EINVAL, lambda p: p.mmap(0, PAGE, 3, 0x23)),
    "mmap fixed unaligned": (errno.EINVAL, lambda p: p.mmap(AT + 1, PAGE, 3, FIXED)),
    "mmap too long": (errno.ENOMEM, lambda p: p.mmap(0, 1 << 47)),
    "mmap fixed beyond user space": (errno.ENOMEM, lambda p: p.mmap((1 << 47) - PAGE, PAGE, 3, FIXED)),
    "mmap no replace": (errno.EEXIST, lambda p: p.mmap(AT, PAGE, 3, 0x100022)),
    "mmap without file": (errno.EBADF, lambda p: p.mmap(0, PAGE, 3, 0x02)),
    "mmap unaligned offset": (errno.EINVAL, lambda p: p.mmap(0, PAGE, 3, 0x02, p._machine.file("f", PAGE), 1)),
    "mmap offset overflow": (errno.EOVERFLOW,
                             lambda p: p.mmap(0, PAGE, 3, 0x02, p._machine.file("f", PAGE), (1 << 64) - PAGE)),
    "munmap unaligned": (errno.EINVAL, lambda p: p.munmap(AT + 1, PAGE)),
    "munmap nothing": (errno.EINVAL, lambda p: p.munmap(AT, 0)),
    "munmap beyond user space": (errno.EINVAL, lambda p: p.munmap(AT, 1 << 47)),
    "mprotect unaligned": (errno.EINVAL, lambda p: p.mprotect(AT + 1, PAGE, 1)),
    "mprotect unknown bits": (errno.EINVAL, lambda p: p.mprotect(AT, PAGE, 0x10)),
    "munlock over a hole": (errno.ENOMEM, lambda p: p.munlock(AT, 11 * PAGE)),
    "mprotect of a hole": (errno.ENOMEM, lambda p: p.mprotect(AT + 8 * PAGE, 10 * PAGE, 1)),
    "mlock of a hole": (errno.ENOMEM, lambda p: p.mlock(AT + 8 * PAGE, 10 * PAGE)),
    "mlock2": (errno.EINVAL, lambda p: p.mlock(AT, PAGE, 1)),
    "madvise of a hole": (errno.ENOMEM, lambda p: p.madvise(AT + 8 * PAGE, PAGE, "dontneed")),
    "mlockall without flags": (errno.EINVAL, lambda p: p.mlockall(0)),
    "mlockall unknown flag": (errno.EINVAL, lambda p: p.mlockall(8)),
    "madvise unaligned": (errno.EINVAL, lambda p: p.madvise(AT + 1, PAGE, 4)),
    "madvise unknown": (errno.EINVAL, lambda p: p.madvise(AT, PAGE, 99)),
    "madvise of a later kernel": (errno.EINVAL, lambda p: p.madvise(AT, PAGE, "pageout")),
    "madvise dontneed locked": (errno.EINVAL, lambda p: p.madvise(AT + 12 * PAGE, PAGE, "dontneed")),
    "madvise willneed anonymous": (errno.EBADF, lambda p: p.madvise(AT, PAGE, "willneed")),
    "mremap unaligned": (errno.EINVAL, lambda p: p.mremap(AT + 1, PAGE, PAGE)),
    "mremap to nothing": (errno.EINVAL, lambda p: p.mremap(AT, PAGE, 0)),
    "mremap unknown flag": (errno.EINVAL, lambda p: p.mremap(AT, PAGE, PAGE, 8)),
    "mremap fixed without maymove": (errno.EINVAL, lambda p: p.mremap(AT, PAGE, PAGE, 2, AT + 20 * PAGE)),
    "mremap fixed overlapping": (errno.EINVAL, lambda p: p.mremap(AT, 3 * PAGE, 3 * PAGE, 3, AT + PAGE)),
    "mremap fixed onto itself": (errno.EINVAL, lambda p: p.mremap(AT, PAGE, PAGE, 3, AT)),
    "mremap fixed unaligned": (errno.EINVAL, lambda p: p.mremap(AT, PAGE, PAGE, 3, AT + 20 * PAGE + 1)),
    "mremap of nothing": (errno.EFAULT, lambda p: p.mremap(AT + 8 * PAGE, PAGE, 2 * PAGE, 1)),
    "mremap over a border": (errno.EFAULT, lambda p: p.mremap(AT + 2 * PAGE, 2 * PAGE, 4 * PAGE, 1)),
    "mremap no room": (errno.ENOMEM, lambda p: p.mremap(AT + 10 * PAGE, PAGE, 4 * PAGE)),
    "brk below the heap": (errno.ENOMEM, lambda p: p.brk(PAGE)),
    "brk into an area": (errno.ENOMEM, lambda p: p.brk(AT + 1)),
    "read nothing": (errno.EINVAL, lambda p: p.read(AT, 0)),
    "negative address": (errno.EINVAL, lambda p: p.munmap(-PAGE, PAGE)),
    "address beyond 64 bits": (errno.EINVAL, lambda p: p.munmap(1 << 64, PAGE)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_failed_call_changes_nothing(process, name):
    number, call = CASES[name]
    machine = process._machine
    if "offset" in name:                       # the file it maps is not part of the call
        machine.file("f", PAGE)
    before = snapshot(machine)
    with pytest.raises(OSError) as caught:
        call(process)
    assert caught.value.errno == number
    if "offset" not in name:
        unchanged(machine, before)
    machine.check()


def test_touching_what_is_not_mapped(process):
    machine = process._machine
    for call, done in ((lambda: process.read(AT + 8 * PAGE), 0), (lambda: process.write(AT + 3 * PAGE), 0),
                       (lambda: process.read(AT + 7 * PAGE, 4 * PAGE), 1), (lambda: process.read((1 << 64) - 1), 0),
                       (lambda: process.touch([AT, AT + PAGE, AT + 9 * PAGE, AT], False), 2)):
        before = snapshot(machine)
        with pytest.raises(rmapcore.SegmentationFault) as caught:
            call()
        assert caught.value.done == done
        if not done:
            unchanged(machine, before)
    with pytest.raises(rmapcore.SegmentationFault) as caught:
        process.read(AT + 7 * PAGE, 4 * PAGE)
    assert caught.value.address == AT + 8 * PAGE


def test_beyond_the_end_of_a_file_is_a_bus_error(process):
    at = process.mmap(0, 4 * PAGE, 3, 0x01, process._machine.file("f", PAGE + 1))
    assert process.read(at, 2 * PAGE)["file"] == 2
    with pytest.raises(rmapcore.BusError) as caught:
        process.read(at, 4 * PAGE)
    assert (caught.value.address, caught.value.done) == (at + 2 * PAGE, 2)
    process._machine.check()


def test_calls_on_a_dead_process(process):
    process.exit()
    assert not process.alive
    for call in (lambda: process.mmap(0, PAGE), lambda: process.read(AT), process.fork, process.exit, process.maps,
                 lambda: process.touch([AT], True), lambda: process.rss, lambda: process.pagemap(AT, PAGE)):
        with pytest.raises(ProcessLookupError):
            call()
    process._machine.check()


def test_a_stack_grows_to_its_limit():
    machine = rmapcore.Machine("anon_vma", ram="16MiB", swap=0)
    process = machine.spawn()
    top = AT + 4096 * PAGE
    process.mmap(top - PAGE, PAGE, 3, FIXED | 0x100)
    process.write(top - 10 * PAGE)
    assert int(process.maps()["start"][0]) == top - 10 * PAGE
    process.write(top - 2048 * PAGE)
    with pytest.raises(rmapcore.SegmentationFault):
        process.write(top - 2049 * PAGE)
    machine.check()


def test_brk_grows_shrinks_and_answers():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    process = machine.spawn()
    start = process.brk(0)
    assert process.brk(start + 10 * PAGE + 5) == start + 10 * PAGE + 5
    assert process.write(start, 11 * PAGE)["zero"] == 11
    assert process.brk(start + PAGE) == start + PAGE
    assert process.rss == 1
    with pytest.raises(rmapcore.SegmentationFault):
        process.read(start + 2 * PAGE)
    machine.check()


@pytest.mark.parametrize(("kernel", "areas"), [("2.6.7", [(-2, 3)]), ("6.18", [(-2, 0), (0, 3)])])
@pytest.mark.parametrize("make", [rmapcore.Machine, reference.Machine])
def test_what_ends_where_the_heap_starts_is_none_of_it(make, kernel, areas):
    """Live on 6.18.44: two pages below the heap's start and a heap of two pages are two areas in maps; with setarch -R bss and
    heap of every program."""
    process = make(kernel=kernel, ram=64 * PAGE, swap=0).spawn("p")
    heap = process.brk(0)
    process.mmap(heap - 2 * PAGE, 2 * PAGE, 3, FIXED)
    process.brk(heap + 2 * PAGE)
    process.brk(heap + 3 * PAGE)
    assert [((int(start) - heap) // PAGE, (int(end) - heap) // PAGE) for start, end, *_ in process.maps()] == areas



def test_populate_and_locking_fault_in():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap="1MiB")
    process = machine.spawn()
    at = process.mmap(0, 4 * PAGE, 3, ANON | 0x8000)
    assert process.rss == 4
    process.mlock(at, 2 * PAGE)
    machine.reclaim(100)
    assert process.pagemap(at, 4 * PAGE)["present"].tolist() == [1, 1, 0, 0]
    process.munlockall()
    machine.reclaim(100)
    assert process.rss == 0
    assert process.swapped == 4
    machine.check()


def test_advice_splits_even_where_nothing_changes():
    """2.6.7 cuts the range out whatever the flags; later kernels do not."""
    machine = rmapcore.Machine("anonmm", ram="1MiB", swap=0)
    process = machine.spawn()
    process.mmap(AT, 8 * PAGE, 3, FIXED)
    process.madvise(AT, 4 * PAGE, "normal")
    assert len(process.maps()) == 2
    assert machine.counters["vma_splits"] == 1


def test_locking_faults_in_what_may_only_be_written():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    process = machine.spawn()
    process.mmap(AT, 4 * PAGE, 2, FIXED)
    process.mlock(AT + 5, 0)                             # an unaligned address and no length: one page
    assert process.rss == 1
    process.mlock(AT, 4 * PAGE)
    assert process.rss == 4
    process.mprotect(AT, 4 * PAGE, 2 | 8)                # PROT_SEM is accepted and means nothing
    machine.check()


@pytest.mark.parametrize("scheme", SOUND)
@pytest.mark.parametrize("behind", [False, True])
def test_moving_pages_beside_an_area_that_was_never_faulted(scheme, behind):
    """The area that a move merges with takes over the pages' anon_vma."""
    machine = rmapcore.Machine(scheme, ram="1MiB", swap="1MiB")
    process = machine.spawn()
    process.mmap(AT, 4 * PAGE, 3, FIXED)
    process.write(AT, 4 * PAGE)
    piece, rest = (AT + 2 * PAGE, AT) if behind else (AT, AT + 2 * PAGE)
    process.mremap(piece, 2 * PAGE, 2 * PAGE, 3, AT + 100 * PAGE)
    process.munmap(rest, 2 * PAGE)
    process.mmap(rest, 2 * PAGE, 3, FIXED)
    process.mremap(AT + 100 * PAGE, 2 * PAGE, 2 * PAGE, 3, piece)
    machine.check()
    assert machine.reclaim(2)["freed"] == 2
    machine.check()
