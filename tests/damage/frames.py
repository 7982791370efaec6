"""Frames and the LRU lists."""
import numpy as np

from damage import ACTIVE, ANONYMOUS, CACHED, DISK, EXCLUSIVE, HEAP, MOVED, PAGE, PIN, SWAPCACHE, case


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


@case("F10")
def exclusive_and_of_a_file(p):
    p.frames["flags"][p.pfn(DISK)] |= EXCLUSIVE


@case("F10")
def exclusive_and_mapped_twice(p):
    p.frames["flags"][p.frame(has=ANONYMOUS, mapcount=2)] |= EXCLUSIVE


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
