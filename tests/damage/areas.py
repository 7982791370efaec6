"""Areas."""
import numpy as np

from damage import AREAS, DISK, FILES, HEAP, SHM, case


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


@case("V3")
def nonlinear_and_private(p):
    p.areas["flags"][p.area(HEAP)] |= 0x800000


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
def search_beyond_user_space(p):
    p.mms["hole_vpn"][p.living()[0]] = p.core.geometry["task_vpn"] + 1


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


@case("V10", "anon_vma", "anon_vma_chain")
def two_offsets_without_a_file(p):
    p.anon_shifts[p.area(HEAP)] += 1


@case("V10")
def anonymous_offset_that_wraps(p):
    area = p.area(SHM)
    p.anon_shifts[area] = p.areas["start"][area] + 1
