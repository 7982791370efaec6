"""What anon_vma keeps."""
from damage import HEAP, MOVED, case


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
