"""Page tables."""
import numpy as np

from damage import DISK, FAR, HEAP, ODD, PAGE, SHM, TABLES, case


@case("T1")
def table_of_another(p):
    p.tables["mm"][p.slot(HEAP) >> 9] = p.living()[1]


@case("T1")
def table_of_other_pages(p):
    p.tables["first_vpn"][p.slot(HEAP) >> 9] += 512


@case("T1")
def mm_without_a_top_table(p):
    p.mms["pgd"][p.living()[0]] = 0


@case("T2")
def entry_of_a_free_table(p):
    free = p.freed(TABLES, "tables", "mm")[0]
    p.entries[free * 512 + 3] = 0x67


@case("T3")
def entry_outside_areas(p):
    p.change(HEAP + 100 * PAGE, p.entry(DISK))


@case("T4")
def entry_of_a_free_frame(p):
    p.change(HEAP + 2 * PAGE, p.free_frame() << 12 | p.entry(HEAP + 2 * PAGE) & 0xFFF)


@case("T4")
def entry_with_an_unknown_bit(p):
    p.change(HEAP + 2 * PAGE, p.entry(HEAP + 2 * PAGE) | 0x200)


@case("T4")
def entry_of_a_free_slot(p):
    p.change(p.swapped_entry(), int(p.top["slot_free"]) << 8)


@case("T4")
def entry_neither_present_nor_swapped(p):
    p.change(p.swapped_entry(), 0x42)


@case("T5")
def entry_that_may_execute(p):
    p.change(DISK, p.entry(DISK) & ~(1 << 63))


@case("T5")
def area_made_inaccessible(p):
    p.areas["flags"][p.area(DISK)] &= ~np.uint32(7)


@case("T6")
def writable_entry_in_a_read_only_area(p):
    p.change(DISK, p.entry(DISK) | 2)


@case("T6")
def writable_zero_page(p):
    p.change(HEAP + 40 * PAGE, p.entry(HEAP + 40 * PAGE) | 2)


@case("T6")
def read_only_entry_in_a_shared_writable_area(p):
    p.change(SHM, p.entry(SHM) & ~2)


@case("T7")
def other_page_of_the_file(p):
    p.change(DISK, p.entry(DISK + PAGE))


@case("T7")
def anonymous_page_in_a_shared_area(p):
    p.change(DISK, p.pfn(HEAP + 2 * PAGE) << 12 | p.entry(DISK) & (1 << 63 | 0xFFF))


@case("T7")
def zero_page_in_a_file(p):
    p.change(DISK, p.entry(DISK) & (1 << 63 | 0xFFF))


@case("T8")
def swap_entry_in_a_shared_area(p):
    p.change(DISK, p.entry(p.swapped_entry()))


@case("T9")
def table_left_behind(p):
    area = p.area(FAR)
    p.areas["start"][area] += 1 << 19
    p.areas["end"][area] += 1 << 19
    p.anon_shifts[area] += 1 << 19


@case("T10")
def writable_entry_of_a_shared_page(p):
    p.entries[p.slot(HEAP + 3 * PAGE, p.living()[1])] |= np.uint64(2)


@case("T7")
def page_of_another_file_in_a_nonlinear_area(p):
    p.change(ODD + PAGE, p.entry(DISK))


@case("T11")
def file_entry_in_a_private_area(p):
    p.change(p.swapped_entry(), 7 << 12 | 0x40)


@case("T11")
def file_entry_at_the_linear_place_of_its_page(p):
    p.change(ODD, 0x40)
