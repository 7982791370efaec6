"""Entry layouts against the tables of 2.6.7's headers (rules A2, A3, C3)."""
import pytest

import rmapcore
from rmapcore.pyx.base import x86

I386, PAE, X86_64 = range(3)
PRESENT, RW, USER, ACCESSED, DIRTY_OR_FILE, PROTNONE, NX = 1, 2, 4, 0x20, 0x40, 0x80, 1 << 63


@pytest.mark.parametrize("arch", [I386, PAE, X86_64])
@pytest.mark.parametrize("slot", [1, 2, 0xFFFFFF, 0x1000001, 0x1FFFFFFF])
def test_swap_entries(arch, slot):
    entry = x86.swap_entry_of(arch, slot)
    assert x86.slot_of(arch, entry) == slot
    assert entry & (PRESENT | DIRTY_OR_FILE | PROTNONE) == 0
    if arch == X86_64:
        assert entry == slot << 8                        # type 0, offset from bit 8
    else:
        assert entry == (slot >> 24) << 1 | (slot & 0xFFFFFF) << 8
        assert entry < 1 << 32                           # only the low word, PAE too


@pytest.mark.parametrize(("arch", "most"), [(I386, (1 << 29) - 1), (PAE, (1 << 32) - 1), (X86_64, (1 << 40) - 1)])
def test_nonlinear_file_entries(arch, most):
    for pgoff in (0, 1, 31, 32, 12345, most):
        entry = x86.file_entry_of(arch, pgoff)
        assert x86.pgoff_of(arch, entry) == pgoff
        assert entry & (PRESENT | DIRTY_OR_FILE | PROTNONE) == DIRTY_OR_FILE
    assert x86.file_entry_of(I386, 0b1_00001) == 1 << 1 | 1 << 8 | DIRTY_OR_FILE
    assert x86.file_entry_of(PAE, 7) == 7 << 32 | DIRTY_OR_FILE
    assert x86.file_entry_of(X86_64, 7) == 7 << 12 | DIRTY_OR_FILE


@pytest.mark.parametrize("arch", [I386, PAE, X86_64])
def test_protections(arch):
    nx = NX if arch == X86_64 else 0
    base = PRESENT | USER | ACCESSED
    assert x86.prot_of(arch, 0) == PROTNONE | ACCESSED
    assert x86.prot_of(arch, 0x1) == base | nx
    assert x86.prot_of(arch, 0x3) == base | nx           # private: never RW, a write fault adds it
    assert x86.prot_of(arch, 0xB) == base | RW | nx
    assert x86.prot_of(arch, 0x5) == base


def test_swap_entries_of_6_18():
    """Rule QA1: the inverse of the offset from bit 9 on, type 0, bit 3 while the page was its process's alone."""
    machine = rmapcore.Machine("anon_vma_chain", "6.18", ram=16 * 4096, swap=16 * 4096)
    process = machine.spawn()
    process.write(process.mmap(length=4 * 4096), 4 * 4096)
    assert machine.reclaim(16)["swapped"] == 4
    entries = [int(entry) for entry in machine._core.view("entries") if entry and entry & PRESENT == 0]
    assert sorted((~entry >> 9) & (1 << 50) - 1 for entry in entries) == [1, 2, 3, 4]
    assert {entry >> 59 for entry in entries} == {0} and {entry & 0x1FF for entry in entries} == {1 << 3}
