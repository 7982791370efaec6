"""check(): healthy machines pass, every rule fires on a machine in which one thing was damaged, and nothing is touched.

Each case takes a healthy machine with something of everything in it (`build`), changes one number through the writable
views of the arenas, and names the rule that must be the one reported.
"""
import re
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from rmapcore.check import RULES
from rmapcore.pyx.prototype import Prototype
from rmapcore.schemes import SCHEMES

ROOT = Path(__file__).resolve().parent.parent
PAGE = 4096
ARCHES = ("i386", "i386-pae", "x86_64")
READ, READ_WRITE, SHARED, PRIVATE, ANON = 1, 3, 0x11, 0x12, 0x32
HEAP, DISK, SHM, COPY, MOVED, FAR = 0x10000000, 0x20000000, 0x30000000, 0x40000000, 0x50000000, 0x90000000
AREAS, MMS, FILES, TABLES, EXTENTS, SLOTS = 1, 2, 3, 4, 5, 6  # pools
LRU, ACTIVE, DIRECT, SWAPCACHE, CACHED, ANONYMOUS, PIN = 1 << 5, 1 << 6, 1 << 13, 1 << 16, 1 << 17, 1 << 20, 1 << 24
IN_SWAP = 1 << 31                                        # of a page-cache entry
CASES = []                                               # (rule, scheme or None for all, damage)
ELSEWHERE = {"pyx/filemap/list.pyx", "pyx/schemes/virtual_scan.pyx"}         # tests/test_list.py, test_virtual_scan.py


def build(scheme, arch="x86_64", file_rmap=None):
    """A machine with swapped and shared pages of every kind, and with freed records of every kind."""
    machine = rmapcore.Machine(scheme, arch=arch, ram=128 * PAGE, swap=256 * PAGE, file_rmap=file_rmap,
                               track_contents=True)
    disk = machine.file("disk", 20 * PAGE - 100)
    shm = machine.file("shm", 24 * PAGE, "shmem")
    machine.file("spare", 8 * PAGE)
    parent = machine.spawn("parent")
    other = machine.spawn("other")
    ghost = machine.spawn("ghost")
    ghost.write(ghost.mmap(0, 12 * PAGE), 12 * PAGE)
    ghost.write(ghost.mmap(0, 3 * PAGE, READ_WRITE, SHARED | 0x20), 3 * PAGE)

    parent.mmap(HEAP, 64 * PAGE, READ_WRITE, ANON)
    parent.write(HEAP, 40 * PAGE)
    parent.read(HEAP + 40 * PAGE, 4 * PAGE)
    parent.mlock(HEAP, 2 * PAGE)
    parent.mprotect(HEAP + 8 * PAGE, 2 * PAGE, READ)
    parent.mmap(DISK, 20 * PAGE, READ, SHARED, disk)
    parent.mmap(SHM, 16 * PAGE, READ_WRITE, SHARED, shm)
    parent.write(SHM, 16 * PAGE)
    parent.mmap(COPY, 12 * PAGE, READ_WRITE, PRIVATE, disk, 2 * PAGE)
    parent.mmap(FAR, 4 * PAGE, READ_WRITE, ANON)
    parent.write(FAR, 4 * PAGE)
    parent.madvise(FAR, 4 * PAGE, 4)
    child = parent.fork()
    other.write(other.mmap(HEAP, 8 * PAGE, READ_WRITE, ANON), 8 * PAGE)
    machine.reclaim(500)
    ghost.exit()

    parent.read(HEAP + 2 * PAGE, 12 * PAGE)
    parent.write(HEAP + 14 * PAGE, 4 * PAGE)
    parent.madvise(HEAP + 10 * PAGE, 2 * PAGE, 4)        # the frames stay: child has the slots
    parent.mremap(HEAP + 12 * PAGE, 4 * PAGE, 4 * PAGE, 3, MOVED)
    parent.read(DISK, 20 * PAGE)
    parent.munmap(DISK + 16 * PAGE, 4 * PAGE)
    parent.read(SHM, 8 * PAGE)
    parent.read(COPY, 12 * PAGE)
    parent.write(COPY, 3 * PAGE)
    other.write(HEAP, 8 * PAGE)
    kin = other.fork()
    kin.write(HEAP, 2 * PAGE)
    kin.munmap(HEAP + 5 * PAGE, PAGE)
    child.write(HEAP + 30 * PAGE, 6 * PAGE)
    child.read(SHM, 4 * PAGE)
    child.read(COPY, 12 * PAGE)
    child.fork().exit()
    return machine


class Parts:
    """The arenas of a Core, writable, by name as attributes; and what the cases look for in them."""

    def __init__(self, core):
        self.core = core

    def __getattr__(self, name):
        return self.core.writable(name)

    @property
    def top(self):
        return self.head[0]

    def freed(self, pool, arena, link):
        """Records on a pool's free list."""
        found, at = [], int(self.pools["free"][pool])
        while at:
            found.append(at)
            at = int(self.core.writable(arena)[link][at] if link else self.core.writable(arena)[at])
        return found

    def living(self):
        """Numbers of the address spaces, oldest first."""
        found, at = [], int(self.top["mm_first"])
        while at:
            found.append(at)
            at = int(self.mms["next"][at])
        return found

    def areas_of(self, mm):
        found, at = [], int(self.mms["first"][mm])
        while at:
            found.append(at)
            at = int(self.areas["next"][at])
        return found

    def area(self, address, mm=None):
        """The oldest process' area at an address, or that mm's."""
        return next(v for v in self.areas_of(mm or self.living()[0])
                    if self.areas["start"][v] * PAGE <= address < self.areas["end"][v] * PAGE)

    def slot(self, address, mm=None):
        """Index of an entry."""
        shape = self.core.geometry
        table, vpn = int(self.mms["pgd"][mm or self.living()[0]]), address // PAGE
        for level in range(shape["levels"] - 1, 0, -1):
            index = vpn >> level * shape["bits"] & (1 << shape["bits"]) - 1
            table = int(self.entries[table << shape["bits"] | index]) >> 12
        return table << shape["bits"] | vpn & (1 << shape["bits"]) - 1

    def entry(self, address):
        return int(self.entries[self.slot(address)])

    def pfn(self, address):
        """The frame that the oldest process has there."""
        value = self.entry(address) & ~(1 << 63)
        assert value & 1 and value >> 12
        return value >> 12

    def change(self, address, value):
        self.entries[self.slot(address)] = value

    def swapped_entry(self):
        """Address of a swap entry of the oldest process, in its heap."""
        return next(at for at in range(HEAP + 2 * PAGE, HEAP + 40 * PAGE, PAGE)
                    if self.entry(at) and not self.entry(at) & 0x81)

    def frame(self, *, has=0, lacks=0, mapcount=None):
        """A frame in use with these flags, and without those; mapcount: a number or a condition on it."""
        wanted = mapcount if callable(mapcount) else lambda n: mapcount is None or n == mapcount
        return next(pfn for pfn in self.used() if self.frames["flags"][pfn] & has == has
                    and not self.frames["flags"][pfn] & lacks and wanted(self.frames["mapcount"][pfn]))

    def used(self):
        return [pfn for pfn in range(1, int(self.pools["bump"][0])) if self.frames["flags"][pfn] & LRU]

    def free_frame(self):
        return int(self.top["zone_free"][0])

    def used_slot(self):
        """A swap slot without a frame."""
        return next(slot for slot in range(1, int(self.top["slot_bump"]))
                    if self.swap_map[slot] and not self.swap_cache[slot])

    def cache_at(self, file, page):
        """Index of a page's entry in the cache arena."""
        return int(self.files["base"][file]) + page

    def anonymous(self):
        """An anonymous frame that two processes map."""
        return self.frame(has=ANONYMOUS, mapcount=2)


def case(rule, *schemes):
    """Registers a damage; schemes: those it applies to, all if none is named."""
    def register(damage):
        CASES.extend((rule, scheme, damage) for scheme in schemes or (None,))
        return damage
    return register


# --- pools, address spaces --------------------------------------------------------------------------------------------


@case("P1")
def bump_beyond_the_arena(p):
    p.pools["bump"][SLOTS] = p.pools["capacity"][SLOTS] + 1


@case("P1")
def free_list_with_a_circle(p):
    first = p.freed(AREAS, "areas", "next")[0]
    p.areas["next"][first] = first


@case("P1")
def peak_below_live(p):
    p.pools["peak"][MMS] = p.pools["live"][MMS] - 1


@case("P2")
def live_counts_too_many(p):
    p.pools["live"][AREAS] -= 1


@case("P2")
def lost_record(p):
    first = p.freed(AREAS, "areas", "next")[0]
    p.pools["free"][AREAS] = p.areas["next"][first]
    p.pools["live"][AREAS] += 1


@case("P3")
def bytes_of_reverse_mapping(p):
    p.top["rmap_bytes"] += 4


@case("P3")
def bytes_of_low_memory(p):
    p.top["low_bytes"] -= 4


@case("P3")
def peak_of_bytes(p):
    p.top["low_bytes_peak"] = 0


@case("M1")
def mm_without_its_elder(p):
    p.mms["prev"][p.living()[1]] = 0


@case("M1")
def mm_list_with_another_end(p):
    p.top["mm_last"] = p.living()[0]


@case("M2")
def pid_of_another(p):
    p.mms["pid"][p.living()[0]] = p.mms["pid"][p.living()[1]]


@case("M2")
def pid_of_the_dead(p):
    dead = next(pid for pid in range(1, int(p.top["next_pid"])) if p.pid_mm[pid] == 0)
    p.pid_mm[dead] = p.living()[0]


@case("M3")
def break_below_the_heap(p):
    p.mms["brk"][p.living()[0]] = p.mms["start_brk"][p.living()[0]] - 1


@case("M4")
def rss(p):
    p.mms["rss"][p.living()[1]] += 1


@case("M5")
def swapents(p):
    p.mms["swapents"][p.living()[0]] -= 1


@case("M6")
def n_tables(p):
    p.mms["n_tables"][p.living()[0]] += 1


# --- areas ------------------------------------------------------------------------------------------------------------


@case("V1")
def area_without_its_lower_neighbour(p):
    p.areas["prev"][p.area(SHM)] = 0


@case("V1")
def area_of_another(p):
    p.areas["mm"][p.area(SHM)] = p.living()[1]


@case("V1")
def area_of_no_arena(p):
    p.areas["next"][p.area(SHM)] = 0xFFFFFFFF


@case("V2")
def overlap(p):
    p.areas["start"][p.area(SHM)] = p.areas["start"][p.area(DISK)]


@case("V2")
def empty_area(p):
    p.areas["end"][p.area(SHM)] = p.areas["start"][p.area(SHM)]


@case("V3")
def unknown_area_flag(p):
    p.areas["flags"][p.area(HEAP)] |= 1 << 31


@case("V3")
def shared_by_half(p):
    p.areas["flags"][p.area(SHM)] &= ~np.uint32(0x80)


@case("V3")
def shared_without_file(p):
    p.areas["flags"][p.area(HEAP)] |= 0x88


@case("V4")
def n_areas(p):
    p.mms["n_areas"][p.living()[0]] += 1


@case("V5")
def tree_without_a_root(p):
    p.mms["root"][p.living()[0]] = 0


@case("V5")
def mirrored_tree(p):
    root = p.areas[p.mms["root"][p.living()[0]]]
    root["left"], root["right"] = root["right"], root["left"]


@case("V5")
def strange_branch(p):
    leaf = next(v for v in p.areas_of(p.living()[0]) if not p.areas["left"][v])
    p.areas["left"][leaf] = p.freed(AREAS, "areas", "next")[0]


@case("V6")
def remembered_area_of_another(p):
    p.mms["cache"][p.living()[0]] = p.areas_of(p.living()[1])[0]


@case("V7")
def forgotten_hole(p):
    p.mms["hole_vpn"][p.living()[0]] = p.core.geometry["task_vpn"]
    p.mms["hole_pages"][p.living()[0]] = 1


@case("V8")
def area_on_no_file_list(p):
    p.areas["fprev"][p.files["areas"][2]] = 1


@case("V8")
def area_of_a_freed_file(p):
    p.areas["file"][p.area(SHM)] = p.freed(FILES, "files", "areas")[0]


@case("V8")
def file_counts_another_area(p):
    p.files["n_areas"][1] += 1


@case("V9", "pte_chain", "anonmm")
def offset_without_file(p):
    p.areas["pgoff"][p.area(HEAP)] = 1


@case("V9")
def offset_that_wraps(p):
    p.areas["pgoff"][p.area(SHM)] = 2**64 - 1


# --- page tables ------------------------------------------------------------------------------------------------------


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
    p.change(p.swapped_entry(), 0x40)


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


@case("T10")
def writable_entry_of_a_shared_page(p):
    p.entries[p.slot(HEAP + 3 * PAGE, p.living()[1])] |= np.uint64(2)


# --- frames, LRU ------------------------------------------------------------------------------------------------------


@case("F1")
def free_list_leads_back(p):
    first = p.free_frame()
    p.frames["next"][p.frames["next"][first]] = first


@case("F1")
def zone_beyond_the_frames(p):
    p.top["zone_bump"][0] += 10000


@case("F2")
def frames_free(p):
    p.top["frames_free"] += 1


@case("F2")
def peak_of_frames(p):
    p.top["frames_used_peak"] = 0


@case("F2")
def lost_free_frame(p):
    p.top["zone_free"][0] = p.frames["next"][p.free_frame()]


@case("F3")
def mapcount_too_high(p):
    p.frames["mapcount"][p.pfn(DISK)] += 1


@case("F3")
def mapcount_too_low(p):
    p.frames["mapcount"][p.pfn(DISK)] -= 1


@case("F4")
def n_mapped(p):
    p.top["n_mapped"] -= 1


@case("F5")
def mapped_without_a_kind(p):
    p.frames["flags"][p.pfn(MOVED)] &= ~np.uint32(ANONYMOUS)


@case("F5")
def anonymous_and_of_a_file(p):
    p.frames["flags"][p.pfn(DISK)] |= ANONYMOUS


@case("F6")
def forgotten_pin(p):
    p.frames["flags"][p.pfn(HEAP + 2 * PAGE)] += PIN


@case("F6")
def frame_that_nobody_refers_to(p):
    pfn = p.frame(has=CACHED, mapcount=0)
    p.frames["flags"][pfn] &= ~np.uint32(CACHED)
    p.frames["owner"][pfn] = 0


@case("F7")
def contents_of_a_free_frame(p):
    p.stamps[p.free_frame()] = 7


@case("F7")
def contents_of_the_zero_page(p):
    p.stamps[0] = 7


@case("F8")
def index_of_a_free_frame(p):
    p.frames["index"][p.free_frame()] = 7


@case("F8")
def flags_of_the_zero_page(p):
    p.frames["flags"][0] = 4


@case("F9")
def unknown_frame_flag(p):
    p.frames["flags"][p.pfn(DISK)] |= 1 << 31


@case("F9")
def owner_without_a_cache(p):
    p.frames["owner"][p.frame(has=ANONYMOUS, lacks=SWAPCACHE)] = 1


@case("L1")
def frame_without_its_newer_neighbour(p):
    p.frames["prev"][p.frames["next"][p.top["active"]]] = 0


@case("L1")
def list_with_another_end(p):
    p.top["inactive_tail"] = p.top["active"]


@case("L2")
def inactive_frame_on_the_active_list(p):
    p.frames["flags"][p.top["active"]] &= ~np.uint32(ACTIVE)


@case("L3")
def n_inactive(p):
    p.top["n_inactive"] += 1


@case("L4")
def frame_on_no_list(p):
    first = p.top["active"]
    second = p.frames["next"][first]
    p.top["active"] = second
    p.frames["prev"][second] = 0
    p.top["n_active"] -= 1


# --- page cache, swap -------------------------------------------------------------------------------------------------


@case("C1")
def cached_frame_at_another_page(p):
    pfn = p.frame(has=CACHED, mapcount=0)
    p.frames["index"][pfn] -= 1


@case("C1")
def cache_entry_of_an_anonymous_frame(p):
    p.cache[p.cache_at(3, 2)] = p.frame(has=ANONYMOUS)


@case("C2")
def n_cached(p):
    p.files["n_cached"][1] += 1


@case("C3")
def n_swapped(p):
    p.files["n_swapped"][2] += 1


@case("C3")
def page_of_a_disk_file_in_swap(p):
    p.cache[p.cache_at(3, 2)] = IN_SWAP | p.used_slot()


@case("C4")
def entry_beyond_the_end(p):
    p.cache[p.cache_at(1, 20)] = p.pfn(DISK)


@case("C4")
def frame_beyond_the_end(p):
    pfn = p.frame(has=CACHED, mapcount=0)
    p.files["size"][p.frames["owner"][pfn]] = 0


@case("C5")
def dead_file(p):
    p.files["alive"][3] = 0


@case("C5")
def freed_file_alive(p):
    p.files["alive"][p.freed(FILES, "files", "areas")[0]] = 1


@case("C5")
def file_that_nobody_holds(p):
    p.files["handle"][3] = 0


@case("C6")
def overlapping_extents(p):
    p.files["base"][3] = p.files["base"][1]


@case("C6")
def size_beyond_the_extent(p):
    p.files["size"][3] = 17 * PAGE


@case("C6")
def unclean_free_extent(p):
    p.cache[(int(p.top["extent_free"][4]) << 4) + 5] = 1


@case("C6")
def lost_extent(p):
    p.top["extent_free"][4] = 0


@case("S1")
def use_count(p):
    p.swap_map[p.used_slot()] += 1


@case("S1")
def use_count_beyond_the_most(p):
    p.swap_map[p.used_slot()] = 0x8000


@case("S2")
def slot_without_its_frame(p):
    pfn = p.frame(has=SWAPCACHE)
    p.swap_cache[p.frames["owner"][pfn]] = 0


@case("S2")
def slot_with_a_strange_frame(p):
    p.swap_cache[p.used_slot()] = p.pfn(DISK)


@case("S3")
def free_list_of_used_slots(p):
    p.top["slot_free"] = p.used_slot()


@case("S3")
def lost_slot(p):
    p.top["slot_free"] = p.swap_cache[p.top["slot_free"]]


@case("S4")
def slots_free(p):
    p.top["slots_free"] -= 1


@case("S5")
def contents_of_a_free_slot(p):
    p.swap_stamps[p.top["slot_free"]] = 7


# --- the schemes' own -------------------------------------------------------------------------------------------------

BLOCK = 8                                                # words of a chain block on x86_64: next and idx, 7 entries


def chain_head(p, pfn=None):
    """Words of the first block of a chain with two entries: a view."""
    pfn = p.anonymous() if pfn is None else pfn
    assert not p.frames["flags"][pfn] & DIRECT
    block = int(p.frames["rmap"][pfn])
    return p.pte_chain[block * BLOCK:(block + 1) * BLOCK]


@case("PC1", "pte_chain")
def free_slot_behind_the_head(p):
    head = chain_head(p)
    spare = int(p.pools["bump"][p.core.arenas["pte_chain"].pool])
    p.pools["bump"][p.core.arenas["pte_chain"].pool] += 1
    p.pte_chain[spare * BLOCK:(spare + 1) * BLOCK] = (2, 0, 0, *head[3:])
    head[0] |= np.uint32(spare << 5)


@case("PC2", "pte_chain")
def head_with_another_idx(p):
    chain_head(p)[0] += np.uint32(1)


@case("PC3", "pte_chain")
def stored_entry_of_another_frame(p):
    chain_head(p)[7] = p.slot(DISK)


@case("PC4", "pte_chain")
def chain_without_an_entry(p):
    head = chain_head(p)
    idx = int(head[0]) & 31
    head[1 + idx] = 0
    head[0] += np.uint32(1)


@case("PC5", "pte_chain")
def word_of_an_unmapped_frame(p):
    p.frames["rmap"][p.frame(has=SWAPCACHE, mapcount=0)] = 1


@case("PC6", "pte_chain")
def entry_stored_twice(p):
    head = chain_head(p)
    head[6] = head[7]


@case("PC7", "pte_chain")
def used_slot_in_a_free_block(p):
    pool = p.core.arenas["pte_chain"].pool
    p.pte_chain[int(p.pools["free"][pool]) * BLOCK + 3] = 7


@case("PC7", "pte_chain")
def lost_block(p):
    pool = p.core.arenas["pte_chain"].pool
    p.pools["free"][pool] = p.pools["bump"][pool]


def anonmm_of(p, mm):
    return p.anonmms[p.mms["rmap"][mm]]


@case("AM1", "anonmm")
def anonmm_count(p):
    anonmm_of(p, p.living()[0])["count"] += 1


@case("AM2", "anonmm")
def frame_without_an_anonmm(p):
    p.frames["rmap"][p.anonymous()] = 0


@case("AM3", "anonmm")
def frame_at_another_address(p):
    p.frames["index"][p.anonymous()] += PAGE


@case("AM3", "anonmm")
def frame_of_another_family(p):
    first, second = p.living()[:2]
    pfn = p.pfn(MOVED)
    anonmm_of(p, first)["count"] -= 1
    anonmm_of(p, second)["count"] += 1
    p.frames["rmap"][pfn] = p.mms["rmap"][second]


@case("AM4", "anonmm")
def ring_that_does_not_lead_back(p):
    anonmm_of(p, p.living()[0])["prev"] = 0


@case("AM4", "anonmm")
def anonmm_of_another_mm(p):
    anonmm_of(p, p.living()[0])["mm"] = p.living()[1]


@case("AM5", "anonmm")
def anonmm_on_no_ring(p):
    head = anonmm_of(p, p.living()[0])
    member = p.anonmms[head["next"]]
    p.anonmms["prev"][member["next"]] = member["prev"]
    head["next"] = member["next"]
    head["count"] -= 1


@case("AV1", "anon_vma")
def list_that_does_not_lead_back(p):
    first = p.anon_vmas["first"][p.areas["rmap"][p.area(HEAP)]]
    p.anon_vma_nodes["prev"][p.anon_vma_nodes["next"][first]] = 0


@case("AV1", "anon_vma")
def area_off_its_list(p):
    word = p.areas["rmap"][p.area(HEAP)]
    first = p.anon_vmas["first"][word]
    second = p.anon_vma_nodes["next"][first]
    p.anon_vmas["first"][word] = second
    p.anon_vma_nodes["prev"][second] = 0


@case("AV2", "anon_vma")
def anon_vma_without_areas(p):
    p.anon_vmas["first"][p.areas["rmap"][p.area(HEAP)]] = 0


@case("AV3", "anon_vma")
def area_without_an_anon_vma(p):
    area = p.area(HEAP, p.living()[1])
    node = p.anon_vma_nodes[area]
    word = p.areas["rmap"][area]
    if node["prev"]:
        p.anon_vma_nodes["next"][node["prev"]] = node["next"]
    else:
        p.anon_vmas["first"][word] = node["next"]
    if node["next"]:
        p.anon_vma_nodes["prev"][node["next"]] = node["prev"]
    node["next"] = node["prev"] = 0
    p.areas["rmap"][area] = 0


@case("AV4", "anon_vma")
def frame_of_another_anon_vma(p):
    p.frames["rmap"][p.pfn(MOVED)] = p.areas["rmap"][p.area(HEAP, p.living()[1])]


@case("AV5", "anon_vma")
def frame_at_another_index(p):
    p.frames["index"][p.pfn(MOVED)] += 1


@case("AV6", "anon_vma")
def frame_without_an_anon_vma(p):
    p.frames["rmap"][p.anonymous()] = 0


def tree_nodes(p, file):
    """Nodes of a file's tree."""
    stack, found = [int(p.prio_roots["node"][file])], []
    while stack:
        v = stack.pop()
        if v:
            found.append(v)
            stack += [int(p.prio_nodes["left"][v]), int(p.prio_nodes["right"][v])]
    return found


@case("PT1", "anonmm", "anon_vma")
def area_in_no_tree(p):
    p.prio_roots["node"][2] = 0


@case("PT2", "anonmm", "anon_vma")
def heap_upside_down(p):
    """The root's only child becomes the root."""
    tree, root = p.prio_nodes, int(p.prio_roots["node"][1])
    side, bare = ("left", "right") if tree["left"][root] else ("right", "left")
    child = int(tree[side][root])
    assert child and not tree[bare][root]
    for end in ("left", "right"):
        tree[end][root] = tree[end][child]
        tree[end][child] = 0
        if tree[end][root]:
            tree["parent"][tree[end][root]] = root
    tree[side][child] = root
    tree["parent"][[root, child]] = child
    p.prio_roots["node"][1] = child


@case("PT3", "anonmm", "anon_vma")
def node_off_its_path(p):
    node = next(v for v in tree_nodes(p, 1) if (p.prio_nodes["left"][v] != 0) != (p.prio_nodes["right"][v] != 0))
    p.prio_nodes["left"][node], p.prio_nodes["right"][node] = p.prio_nodes["right"][node], p.prio_nodes["left"][node]


@case("PT4", "anonmm", "anon_vma")
def node_of_another_parent(p):
    p.prio_nodes["parent"][p.prio_roots["node"][1]] = 0


@case("PT5", "anonmm", "anon_vma")
def set_that_does_not_lead_back(p):
    node = next(v for v in tree_nodes(p, 2) if p.prio_nodes["head"][v])
    p.prio_nodes["head"][p.prio_nodes["head"][node]] = 0


# --- tests ------------------------------------------------------------------------------------------------------------


def rules_of_the_sources():
    """Every rule that a kernel or the comparison can report; kernels whose rules have a test file of their own aside."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pyx").rglob("*.p[xy][dx]")
                   if path.relative_to(ROOT).as_posix() not in ELSEWHERE)
    return set(re.findall(r'(?:\bbroken(?:_at)?\(c, b|\bappend\(\(|\bfault\()"([A-Z]+\d+)"', text)) | {"W1", "W2"}


def snapshot(machine):
    return {name: machine._core.view(name).tobytes() for name in machine._core.arenas}


@pytest.fixture(scope="module")
def healthy():
    """scheme -> a machine as built; tests that damage it take a copy."""
    return {scheme: build(scheme) for scheme in SCHEMES}


@pytest.mark.parametrize("file_rmap", ["list", "prio_tree", "pte_chain"])
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_healthy_machines_pass_untouched(scheme, arch, file_rmap):
    machine = build(scheme, arch, file_rmap)
    before = snapshot(machine)
    machine.check()
    assert snapshot(machine) == before


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_empty_machine_passes(scheme):
    rmapcore.Machine(scheme, ram=2 * PAGE, swap=0).check()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_machine_has_something_of_everything(healthy, scheme):
    p = Parts(healthy[scheme]._core)
    parent = next(iter(healthy[scheme].processes.values()))
    assert parent.swapped and len(p.living()) == 4
    assert p.frame(has=SWAPCACHE, mapcount=0) and p.frame(has=CACHED, mapcount=0)
    assert p.frame(has=CACHED, mapcount=lambda n: n > 1) and p.anonymous() and p.swapped_entry()
    assert p.files["n_swapped"][2] and p.files["n_cached"][2] and p.files["n_cached"][1]
    assert p.top["n_active"] > 1 and p.top["n_inactive"] > 1 and p.top["slot_free"] and p.used_slot()
    assert all(p.pools["free"][[1, 2, 3, 4]]) and p.top["extent_free"][4] and p.pools["live"][EXTENTS] == 0


@pytest.mark.parametrize(("rule", "scheme", "damage"), [
    pytest.param(rule, scheme, damage, id=f"{rule}-{damage.__name__}-{scheme}")
    for rule, only, damage in CASES for scheme in ([only] if only else SCHEMES)
])
def test_damage_is_found(healthy, rule, scheme, damage):
    machine = healthy[scheme].copy()
    machine.check()
    damage(Parts(machine._core))
    before = snapshot(machine)
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    assert caught.value.rule == rule, caught.value
    assert snapshot(machine) == before


def test_a_use_count_that_reached_its_most_says_nothing(healthy):
    machine = healthy["anon_vma"].copy()
    p = Parts(machine._core)
    p.swap_map[p.used_slot()] = 0x7FFF
    machine.check()


class Forgetful(Prototype):
    """A scheme that leaves the last place of every page out."""

    def walk(self, pfn, purpose):
        for mm, vpn in everyone(self.core, pfn)[:-1]:
            yield mm, 0, vpn


class Repetitive(Prototype):
    """A scheme that reports the first place of every page twice."""

    def walk(self, pfn, purpose):
        for mm, vpn in everyone(self.core, pfn)[:1] * 2:
            yield mm, 0, vpn


def everyone(core, pfn):
    """(mm, vpn) of who maps a frame, from the heap of every process."""
    p = Parts(core)
    return [(mm, address // PAGE) for mm in p.living() for address in range(HEAP, HEAP + 4 * PAGE, PAGE)
            if int(p.entries[p.slot(address, mm)]) >> 12 & 0xFFFFFFFF == pfn]


@pytest.mark.parametrize(("scheme", "rule"), [(Forgetful, "W1"), (Repetitive, "W2")])
def test_a_scheme_that_is_wrong(scheme, rule):
    machine = rmapcore.Machine(scheme(), ram=32 * PAGE, swap=0)
    parent = machine.spawn()
    parent.write(parent.mmap(HEAP, 4 * PAGE, READ_WRITE, ANON), 4 * PAGE)
    child = parent.fork()
    pfn = int(parent.pagemap(HEAP, PAGE)["pfn"][0])
    before = snapshot(machine)
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    error = caught.value
    process = child if rule == "W1" else parent
    assert (error.rule, error.frame, error.process, error.address) == (rule, pfn, process.pid, HEAP)
    assert snapshot(machine) == before


def test_the_message_names_everything():
    machine = build("anon_vma")
    p = Parts(machine._core)
    p.frames["index"][p.pfn(MOVED)] += 1
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    error = caught.value
    parent = next(iter(machine.processes))
    assert (error.rule, error.frame, error.process, error.address) == ("AV5", p.pfn(MOVED), parent, MOVED)
    assert str(error).startswith(f"AV5 (frame {p.pfn(MOVED)}, process {parent}, address {MOVED:#x}): ")


def test_every_rule_is_shown_to_fire():
    rules = rules_of_the_sources()
    tried = {rule for rule, _, _ in CASES} | {"W1", "W2"}
    assert rules == tried
    assert set(RULES) == {rule for rule in rules if len(rule.rstrip("0123456789")) == 1}
