"""Protection keys (rule QE3): they keep areas apart, follow them everywhere, and do nothing else."""
import random

import pytest

import rmapcore
from differential import PAGE, areas, twin_of

BASE, PAGES = 0x10000000, 24
SCHEMES = ("anon_vma_chain", "anonmm", "pte_chain")


def machines(scheme, kernel="6.18"):
    return (rmapcore.Machine(scheme, kernel=kernel, ram=1 << 20, swap=0), twin_of(scheme, kernel=kernel, ram=1 << 20, swap=0))


def keys(process):
    """[(first page, pages, key)] of the areas."""
    return [((start - BASE) // PAGE, (end - start) // PAGE, flags >> 9 & 15) for start, end, _, flags, *_ in areas(process)]


def test_areas_with_different_keys_do_not_merge():
    for machine in machines("anon_vma_chain"):
        process = machine.spawn()
        process.mmap(BASE, 8 * PAGE, 3, 0x32)
        process.mprotect(BASE + 2 * PAGE, 2 * PAGE, 3, key=1)
        assert keys(process) == [(0, 2, 0), (2, 2, 1), (4, 4, 0)]
        process.mprotect(BASE + 3 * PAGE, 3 * PAGE, 1)               # without a key: each keeps its own
        assert keys(process) == [(0, 2, 0), (2, 1, 1), (3, 1, 1), (4, 2, 0), (6, 2, 0)]
        assert keys(process.fork()) == keys(process)
        process.mremap(BASE + 2 * PAGE, PAGE, PAGE, 3, BASE + 16 * PAGE)
        assert keys(process)[-1] == (16, 1, 1)
        process.mprotect(BASE + 3 * PAGE, 3 * PAGE, 3, key=0)
        assert keys(process) == [(0, 2, 0), (3, 5, 0), (16, 1, 1)]


def test_keys_that_there_are_not():
    for machine in machines("anon_vma_chain"):
        process = machine.spawn()
        process.mmap(BASE, 8 * PAGE, 3, 0x32)
        with pytest.raises(OSError, match=r"EINVAL|Invalid argument|22"):
            process.mprotect(BASE, PAGE, 3, key=16)
        process.mprotect(BASE, 0, 3, key=16)                         # nothing to do comes first
        assert keys(process) == [(0, 8, 0)]


def test_an_older_kernel_takes_no_notice():
    for machine in machines("anon_vma", "2.6.7"):
        process = machine.spawn()
        process.mmap(BASE, 8 * PAGE, 3, 0x32)
        process.mprotect(BASE, 2 * PAGE, 1, key=5)
        assert [(low, n) for low, n, _ in keys(process)] == [(0, 2), (2, 6)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_random_programs(scheme):
    for seed in range(12):
        machine, twin = machines(scheme)
        rng = random.Random(seed)
        pairs = [(machine.spawn(), twin.spawn())]
        for _ in range(40):
            both = rng.choice(pairs)
            at, n = BASE + rng.randrange(PAGES) * PAGE, rng.randint(1, 6) * PAGE
            kind, prot, key = rng.randrange(9), rng.choice((0, 1, 3)), rng.choice((None, 0, 1, 2))
            for process in both:
                try:
                    if kind < 2:
                        process.mmap(at, n, prot, 0x32)
                    elif kind < 6:
                        process.mprotect(at, n, prot, key)
                    elif kind == 6:
                        process.mremap(at, n, n, 3, BASE + (PAGES + seed) * PAGE)
                    elif kind == 7:
                        process.write(at)
                    elif process is both[0] and len(pairs) < 3:
                        pairs.append((both[0].fork(), both[1].fork()))
                except (OSError, rmapcore.SegmentationFault) as error:
                    assert process is both[0] or error
                except Exception as error:                           # the twin has a class of its own
                    assert type(error).__name__ == "SegmentationFault"
            for one, other in pairs:
                assert areas(one) == areas(other), (seed, kind)
        machine.check()
