"""How many areas a process may have before and after each call, at every distance from the limit: machine and twin agree."""
import errno

import pytest

import differential
import reference
import rmapcore

PAGE = 4096
MOST = 24
R, RW, RX = 1, 3, 5
FIXED, MAYMOVE, MAYMOVE_FIXED, DONTUNMAP = 0x32, 1, 3, 5
MANY, AWAY = 0x10000000, 0x30000000


def at(number, page=0):
    """Areas are 4 pages each, with 4 pages between them."""
    return MANY + (8 * number + page) * PAGE


CALLS = {
    "mmap": lambda p: p.mmap(AWAY, PAGE, RW, FIXED),
    "mmap anywhere": lambda p: p.mmap(0, PAGE, R, 0x22),
    "mmap that joins": lambda p: p.mmap(at(0, 4), PAGE, RW, FIXED),
    "mmap over one": lambda p: p.mmap(at(0), 4 * PAGE, RX, FIXED),
    "mmap over two ends": lambda p: p.mmap(at(0, 3), 6 * PAGE, RX, FIXED),
    "mmap into one": lambda p: p.mmap(at(0, 1), PAGE, RX, FIXED),
    "brk": lambda p: p.brk(p.brk(0) + PAGE),
    "munmap": lambda p: p.munmap(at(0), 4 * PAGE),
    "munmap of an end": lambda p: p.munmap(at(0), PAGE),
    "munmap of two ends": lambda p: p.munmap(at(0, 3), 6 * PAGE),
    "munmap inside": lambda p: p.munmap(at(0, 1), PAGE),
    "mprotect": lambda p: p.mprotect(at(0), 4 * PAGE, RX),
    "mprotect of an end": lambda p: p.mprotect(at(0, 3), PAGE, R),
    "mprotect inside": lambda p: p.mprotect(at(0, 1), PAGE, R),
    "mlock of an end": lambda p: p.mlock(at(0), PAGE),
    "mlock inside": lambda p: p.mlock(at(0, 1), PAGE),
    "madvise inside": lambda p: p.madvise(at(0, 1), PAGE, 1),
    "madvise of an end": lambda p: p.madvise(at(0), PAGE, 10),
    "mremap that shrinks": lambda p: p.mremap(at(0), 4 * PAGE, PAGE),
    "mremap of the inside that shrinks": lambda p: p.mremap(at(0), 3 * PAGE, PAGE),
    "mremap that grows": lambda p: p.mremap(at(0), 4 * PAGE, 5 * PAGE),
    "mremap that must move": lambda p: p.mremap(at(0), 4 * PAGE, 9 * PAGE, MAYMOVE),
    "mremap of an end that must move": lambda p: p.mremap(at(0), PAGE, 2 * PAGE, MAYMOVE),
    "mremap to": lambda p: p.mremap(at(0), 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, AWAY),
    "mremap to, larger": lambda p: p.mremap(at(0), 4 * PAGE, 5 * PAGE, MAYMOVE_FIXED, AWAY),
    "mremap of the inside": lambda p: p.mremap(at(0, 1), PAGE, PAGE, MAYMOVE_FIXED, AWAY),
    "mremap over one": lambda p: p.mremap(at(0), 4 * PAGE, 4 * PAGE, MAYMOVE_FIXED, at(1)),
    "mremap into one": lambda p: p.mremap(at(0), PAGE, PAGE, MAYMOVE_FIXED, at(1, 1)),
    "mremap that leaves the source": lambda p: p.mremap(at(0), 4 * PAGE, 4 * PAGE, DONTUNMAP),
    "mremap of the inside that leaves the source": lambda p: p.mremap(at(0, 1), PAGE, PAGE, DONTUNMAP, AWAY),
}


def outcome(make, kernel, call, missing):
    """(errno or 0, areas) after a call of a process that has MOST - missing areas."""
    machine = make("anon_vma", kernel=kernel, ram=256 * PAGE, swap=0, max_map_count=MOST)
    process = machine.spawn()
    for number in range(MOST - missing):
        process.mmap(at(number), 4 * PAGE, RW, FIXED)
    process.write(at(0), 2 * PAGE)
    try:
        CALLS[call](process)
        error = 0
    except OSError as refused:
        error = refused.errno
    machine.check()
    return error, differential.areas(process)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_machine_and_twin_allow_as_many(kernel, call):
    for missing in range(-1, 8):
        one, other = (outcome(make, kernel, call, missing) for make in (rmapcore.Machine, reference.Machine))
        assert one == other, f"{missing} missing"


@pytest.mark.parametrize(("kernel", "call", "enough"), [
    ("2.6.7", "mremap that must move", 4), ("2.6.7", "mremap to", 4), ("6.18", "mremap that must move", 4),
    ("6.18", "mremap to", 6), ("6.18", "mremap that leaves the source", 6), ("6.18", "munmap inside", 1),
    ("6.18", "mmap", 0), ("2.6.7", "mmap", 0), ("2.6.7", "munmap inside", 2),
])
def test_how_many_must_be_missing(kernel, call, enough):
    """mremap asks for three below the limit, and 6.18 for two more where it was told where to."""
    assert outcome(rmapcore.Machine, kernel, call, enough)[0] == 0
    assert outcome(rmapcore.Machine, kernel, call, enough - 1)[0] == errno.ENOMEM
