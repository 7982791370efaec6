"""Page cache and swap."""
from damage import ANONYMOUS, CACHED, DISK, FILES, IN_SWAP, PAGE, SWAPCACHE, case


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


@case("C3")
def page_in_a_slot_that_nobody_ever_took(p):
    p.cache[next(at for at in range(p.cache_at(2, 0), p.cache_at(2, 24)) if p.cache[at] & IN_SWAP)] = (
        IN_SWAP | int(p.top["slot_bump"]))


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


@case("C6")
def folio_in_a_free_extent(p):
    p.folio_orders[(int(p.top["extent_free"][4]) << 4) + 5] = 1


@case("C4")
def folio_beyond_the_end(p):
    p.files["folios"][1] = 1
    p.folio_orders[p.cache_at(1, 20)] = 2


@case("C7")
def folio_of_a_file_without_any(p):
    p.folio_orders[p.cache_at(1, 3)] = 2


@case("C7")
def folio_too_large(p):
    p.files["folios"][1] = 1
    p.folio_orders[p.cache_at(1, 3)] = 10


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
