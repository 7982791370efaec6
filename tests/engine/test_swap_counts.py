"""Use counts of swap slots beyond what their kernels' counters hold (rules J1 and J4)."""
import pytest

import reference
import rmapcore

PAGE = 4096
BASE = 0x10000000
CHILDREN = 33_000


def shared_slot(kernel, make=rmapcore.Machine):
    """(machine, process): its only page is in swap."""
    room = {"max_ptes": 1 << 27} if make is rmapcore.Machine else {}       # for the tables of all children
    machine = make("anon_vma", kernel=kernel, arch="i386", ram=64 * PAGE, swap=64 * PAGE, **room)
    process = machine.spawn()
    process.mmap(BASE, PAGE, 3, 0x32)
    process.write(BASE)
    machine.reclaim(1)
    return machine, process


def page(process):
    return process.pagemap(BASE, PAGE)[0]


def pages_of_counts(machine):
    return machine.memory()["structures"].get("swap_count_page", {"live": 0})["live"]


def slots_free(machine):
    return int(machine._core.view("head")["slots_free"][0])


def test_today_no_count_is_lost():
    machine, process = shared_slot("6.18")
    free = slots_free(machine)
    assert page(process)["swapped"]
    children = [process.fork() for _ in range(CHILDREN)]
    assert pages_of_counts(machine) == 2
    machine.check()
    for child in children:
        child.exit()
    machine.check()
    before = machine.counters
    process.write(BASE)
    assert (machine.counters.since(before)["pages_copied_cow"], slots_free(machine)) == (0, free + 1)
    assert page(process)["present"] and pages_of_counts(machine) == 2


def test_in_2004_a_count_that_reached_its_most_keeps_the_slot():
    machine, process = shared_slot("2.6.7")
    free = slots_free(machine)
    for child in [process.fork() for _ in range(0x7FFF)]:
        child.exit()
    machine.check()
    process.write(BASE)
    assert slots_free(machine) == free and pages_of_counts(machine) == 0
    machine.check()


def test_a_digit_more_takes_a_page_more():
    machine, process = shared_slot("6.18")
    living = 1
    for entries, pages in ((62, 0), (63, 1), (8063, 1), (8064, 2)):
        for _ in range(entries - living):
            process.fork()
        living = entries
        assert pages_of_counts(machine) == pages
    assert pages_of_counts(machine.copy()) == 2
    machine.check()


def test_a_byte_a_slot():
    for kernel, size in (("2.6.7", 512), ("6.18", 256)):
        assert rmapcore.Machine(kernel=kernel, swap="1MiB").memory()["structures"]["swap_map"]["bytes"] == size


@pytest.mark.parametrize(("kernel", "left"), [("2.6.7", 0x7FFF), ("6.18", 1)])
def test_the_twin_counts_alike(kernel, left):
    machine, _ = shared_slot(kernel, reference.Machine)
    slot = next(iter(machine.use_count))
    for _ in range(0x7FFF):
        machine.dup_slot(slot)
    for _ in range(0x7FFF):
        machine.put_slot(slot)
    assert machine.use_count[slot] == left
