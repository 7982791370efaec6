"""Edges of ranges, room for exactly what is made, and pages that reclaim has to leave: one more or less is seen here."""
import numpy as np
import pytest

import rmapcore
from rmapcore import Op

PAGE = 4096
AT = 0x40000000
KERNELS = pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
MADV_FREE = 8


def made(kernel, **options):
    machine = rmapcore.Machine("anon_vma_chain", **{"kernel": kernel, "ram": "1MiB", "swap": "1MiB"} | options)
    return machine, machine.spawn()


@KERNELS
@pytest.mark.parametrize(("length", "pages"), [(4 * PAGE, 4), (4 * PAGE + 1, 5), (4 * PAGE - 1, 4), (9 * PAGE, 8)])
def test_readahead_ends_with_the_last_byte(kernel, length, pages):
    machine, _ = made(kernel)
    file = machine.file("f", 8 * PAGE)
    before = machine.totals["frames_peak"]
    operations = np.zeros(1, rmapcore.OPERATION)
    operations["op"], operations["other"], operations["length"] = Op.READAHEAD, file.number, length
    assert machine.run(operations).tolist() == [0]
    assert machine.totals["frames_peak"] - before == pages


@KERNELS
def test_a_file_that_gets_shorter_leaves_an_area_that_begins_within_it(kernel):
    machine, process = made(kernel)
    file = machine.file("f", 8 * PAGE)
    later = AT + 32 * PAGE                     # shorter than what lies before it in the file
    for at, pages, first in ((AT, 6, 2), (later, 2, 3)):
        process.mmap(at, pages * PAGE, 1, 1, file, first * PAGE)
        process.read(at, pages * PAGE)
    file.truncate(4 * PAGE)
    assert process.pagemap(AT, 6 * PAGE)["present"].tolist() == [1, 1, 0, 0, 0, 0]
    assert process.pagemap(later, 2 * PAGE)["present"].tolist() == [1, 0]
    machine.check()


@KERNELS
def test_an_access_needs_no_more_tables_than_it_makes(kernel):
    """One of each level below the top."""
    machine, process = made(kernel)
    process.mmap(AT, PAGE, 3, 0x32)
    pool, pools = machine._core.arenas["tables"].pool, machine._core.writable("pools")
    pools["capacity"][pool] = pools["bump"][pool] + 2
    with pytest.raises(rmapcore.ArenaFull, match="'tables'"):
        process.write(AT, PAGE)
    pools["capacity"][pool] += 1
    process.write(AT, PAGE)
    machine.check()


@pytest.mark.parametrize("advised", [False, True], ids=["dirty", "given up"])
def test_reclaim_frees_no_pinned_page_and_counts_none(advised):
    machine, process = made("6.18")
    process.mmap(AT, 16 * PAGE, 3, 0x32)
    process.write(AT, 16 * PAGE)
    if advised:
        process.madvise(AT, 16 * PAGE, MADV_FREE)
    pins = [process.pin(AT + page * PAGE) for page in range(4)]
    result = machine.reclaim(8)
    assert result.freed == 8 and result.failed >= 4
    pfns = [int(process.pagemap(AT + page * PAGE, PAGE)["pfn"][0]) for page in range(4)]
    assert advised is False or 0 not in pfns
    machine.check()
    for pin in pins:
        pin.release()
    assert machine.reclaim(8).freed == 8
    machine.check()


def test_a_hole_in_a_file_leaves_copies_and_takes_its_own_pages():
    machine, process = made("6.18")
    file = machine.file("f", 4 * PAGE, kind="shmem")
    process.mmap(AT, 4 * PAGE, 3, 2, file)
    process.read(AT, 4 * PAGE)
    process.write(AT + PAGE, PAGE)
    operations = np.zeros(1, rmapcore.OPERATION)
    operations["op"], operations["other"], operations["length"] = Op.PUNCH_HOLE, file.number, 4 * PAGE
    assert machine.run(operations).tolist() == [0]
    assert process.pagemap(AT, 4 * PAGE)["present"].tolist() == [0, 1, 0, 0]
    machine.check()


@KERNELS
def test_a_copy_in_the_swap_cache_that_no_entry_names_is_freed_but_not_swapped_out(kernel):
    """Its last mapping went while somebody held it."""
    machine, process = made(kernel)
    process.mmap(AT, 2 * PAGE, 3, 0x32)
    process.write(AT, 2 * PAGE)
    assert machine.reclaim(2).swapped == 2
    process.read(AT, 2 * PAGE)
    pin = process.pin(AT)
    process.munmap(AT, PAGE)
    pin.release()
    result = machine.reclaim(2)
    assert (result.freed, result.swapped) == (2, 1)
    machine.check()


def test_a_file_that_gets_shorter_leaves_swapped_copies_and_takes_what_is_behind():
    """Of 2.6.7; in one page table."""
    machine, process = made("2.6.7")
    file = machine.file("f", 4 * PAGE)
    process.mmap(AT, 4 * PAGE, 3, 2, file)
    process.write(AT + PAGE, PAGE)
    assert machine.reclaim(1).swapped == 1
    process.read(AT + 2 * PAGE, 2 * PAGE)
    file.truncate(PAGE)
    assert process.pagemap(AT, 4 * PAGE)["swapped"].tolist() == [0, 1, 0, 0]
    assert process.pagemap(AT, 4 * PAGE)["present"].tolist() == [0, 0, 0, 0]
    machine.check()


@pytest.mark.parametrize(("file", "flags", "prot", "gap", "alike"), [
    (0, 1, 3, 0, True), (0, 1, 3, PAGE, False), (1, 1, 3, 0, False), (0, 1, 1, 0, False), (0, 2, 3, 0, False)])
def test_remap_file_pages_takes_neighbours_that_are_alike(file, flags, prot, gap, alike):
    """Of 6.18: areas without a gap between, of one file, with the same flags."""
    machine, process = made("6.18")
    files = [machine.file(name, 16 * PAGE) for name in "fg"]
    process.mmap(AT, 2 * PAGE, 3, 0x11, files[0])
    process.mmap(AT + 2 * PAGE + gap, 2 * PAGE, prot, 0x10 | flags, files[file], 8 * PAGE)
    if alike:
        process.remap_file_pages(AT, 4 * PAGE, 0, 4)
        assert process.maps()[["start", "end", "pgoff"]].tolist() == [(AT, AT + 4 * PAGE, 4)]
    else:
        with pytest.raises(OSError, match="Invalid argument"):
            process.remap_file_pages(AT, 4 * PAGE, 0, 4)
        assert len(process.maps()) == 2
    machine.check()
