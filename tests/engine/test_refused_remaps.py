"""mremap that is refused (rules E9, QE8): the error, and what it leaves: with FIXED the target may be gone by then."""
import pytest

import reference
import rmapcore
from programs.remaps import PAGE, WINDOW, outcome, remaps

KERNELS = {"2.6.7": "anon_vma", "6.18": "anon_vma_chain"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_machine_and_twin_agree(kernel):
    errors = {}
    for seed in range(250):
        calls = remaps(seed, seals=kernel == "6.18")
        machine = rmapcore.Machine(KERNELS[kernel], kernel, ram="1MiB", swap=0)
        found = outcome(machine.spawn(), calls)
        assert found == outcome(reference.Machine(KERNELS[kernel], kernel=kernel, ram=1 << 20, swap=0).spawn(), calls), calls
        machine.check()
        errors[found[0]] = errors.get(found[0], 0) + 1
    assert set(errors) >= {None, "EINVAL", "EFAULT"} and errors[None] > 20, errors


@pytest.mark.parametrize(("kernel", "old_size", "error", "target_gone"), [
    ("2.6.7", 8 * PAGE, "EFAULT", True), ("6.18", 9 * PAGE, "EFAULT", False),
    ("2.6.7", -PAGE, "EINVAL", True), ("6.18", -PAGE, "EINVAL", True),         # the old range ends below its start
    ("2.6.7", 1 << 48, "EINVAL", False), ("6.18", 1 << 48, "EINVAL", False),   # it overlaps the target
    ("6.18", -1, "EINVAL", False),                                             # 0: only what is shared can be duplicated
])
def test_whether_the_target_is_gone(kernel, old_size, error, target_gone):
    """From 4 pages to 8 or 2 of them, on a target of 2."""
    process = rmapcore.Machine(KERNELS[kernel], kernel, ram="1MiB", swap=0).spawn()
    process.mmap(WINDOW, 4 * PAGE, 3, 0x32)
    process.mmap(WINDOW + 12 * PAGE, 2 * PAGE, 3, 0x32)
    new_size = 10 * PAGE if 0 < old_size < 1 << 20 else 2 * PAGE
    found, areas = outcome(process, [("mremap", WINDOW, old_size % (1 << 64), new_size, 3, WINDOW + 12 * PAGE)])
    assert found == error and len(areas) == 2 - target_gone
