"""mprotect of what grows (rule E3a); the machine and its twin."""
import errno

import pytest

import reference
import rmapcore

PAGE = 4096


def shown(process):
    """[(start, end, prot)]"""
    areas = process.maps()
    if isinstance(areas, list):
        return [area[:3] for area in areas]
    return list(zip(*(areas[name].tolist() for name in ("start", "end", "prot")), strict=True))


@pytest.mark.parametrize("make", [rmapcore.Machine, reference.Machine], ids=["machine", "twin"])
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_a_protection_grows_down_to_the_start_of_a_stack(make, kernel):
    """Rule E3a; measured on Linux 6.18.44, and the same text in 2.6.7."""
    process = make("anon_vma", kernel=kernel, ram=64 * PAGE, swap=0).spawn()
    stack, plain = 0x40000000, 0x50000000
    process.mmap(stack, 16 * PAGE, 3, 0x132)
    process.mmap(plain, 16 * PAGE, 3, 0x32)
    down, up = 0x01000000, 0x02000000
    process.mprotect(stack + 12 * PAGE, PAGE, 7 | down)
    process.mprotect(stack - PAGE, 2 * PAGE, 1 | down)
    for address, prot, number in (
        (plain, 7 | down, errno.EINVAL), (stack, 7 | up, errno.EINVAL), (stack, 7 | down | up, errno.EINVAL),
        (stack + 20 * PAGE, 7 | down, errno.ENOMEM), (stack + 20 * PAGE, 7 | up, errno.ENOMEM), (stack, 0x10, errno.EINVAL),
    ):
        with pytest.raises(OSError) as caught:
            process.mprotect(address, PAGE, prot)
        assert caught.value.errno == number
    assert shown(process) == [(stack, stack + PAGE, 1), (stack + PAGE, stack + 13 * PAGE, 7),
                              (stack + 13 * PAGE, stack + 16 * PAGE, 3), (plain, plain + 16 * PAGE, 3)]
