"""What the schemes with anon_vma_chains keep."""
from damage import AREAS, HEAP, MOVED, case

LISTS, TREES = "anon_vma_chain_2010", "anon_vma_chain"


def inherited(p):
    """An area of the parent's child: it has a chain of two."""
    return p.area(HEAP, p.living()[2])


@case("AC1", LISTS, TREES)
def chain_that_does_not_lead_back(p):
    p.avcs["newer"][p.avcs["older"][p.av_chains["newest"][inherited(p)]]] = 0


@case("AC1", LISTS, TREES)
def avc_of_another_area(p):
    p.avcs["vma"][p.av_chains["newest"][inherited(p)]] = p.area(HEAP)


@case("AC3", LISTS, TREES)
def avc_of_an_anon_vma_that_there_is_not(p):
    p.avcs["anon_vma"][p.av_chains["newest"][inherited(p)]] = 0x7fffffff


@case("AC3", TREES)
def avc_of_an_area_that_there_is_not(p):
    p.avcs["vma"][p.av_chains["newest"][inherited(p)]] = 0x80000000


@case("AC1", LISTS, TREES)
def chain_of_an_area_that_is_gone(p):
    p.av_chains["newest"][p.freed(AREAS, "areas", "next")[0]] = 1


@case("AC1", LISTS, TREES)
def area_without_a_word(p):
    p.areas["rmap"][inherited(p)] = 0


@case("AC2", LISTS, TREES)
def anon_vma_without_avcs(p):
    word = p.areas["rmap"][p.area(HEAP)]
    p.chained_anon_vmas["first"][word] = p.chained_anon_vmas["last"][word] = 0


@case("AC3", LISTS)
def list_that_does_not_lead_back(p):
    p.avc_places["prev"][p.chained_anon_vmas["last"][p.areas["rmap"][p.area(HEAP)]]] = 0


@case("AC3", LISTS)
def list_with_another_end(p):
    word = p.areas["rmap"][p.area(HEAP)]
    p.chained_anon_vmas["last"][word] = p.chained_anon_vmas["first"][word]


@case("AC3", TREES)
def avc_at_another_place(p):
    p.avc_nodes["start"][p.av_chains["newest"][p.area(HEAP)]] += 1


@case("AC3", TREES)
def tree_that_reaches_too_far(p):
    p.avc_nodes["reach"][p.chained_anon_vmas["first"][p.areas["rmap"][p.area(HEAP)]]] += 1


@case("AC3", LISTS, TREES)
def avc_of_another_anon_vma(p):
    p.avcs["anon_vma"][p.av_chains["newest"][p.area(HEAP)]] = p.areas["rmap"][p.area(HEAP, p.living()[1])]


@case("AC4", LISTS)
def area_without_an_anon_vma(p):
    area = p.area(HEAP, p.living()[1])
    p.chained_anon_vmas["users"][p.areas["rmap"][area]] -= 1
    number = next(number for number, name in p.core.pool_names.items() if name == "anon_vma_chain")
    avc = p.av_chains["newest"][area]
    while avc:                                           # each leaves its list, and is free
        older, word, place = p.avcs["older"][avc], p.avcs["anon_vma"][avc], p.avc_places[avc]
        for side, back, end in (("next", "prev", "last"), ("prev", "next", "first")):
            if place[side]:
                p.avc_places[back][place[side]] = place[back]
            else:
                p.chained_anon_vmas[end][word] = place[back]
        p.avcs["older"][avc], p.pools["free"][number] = p.pools["free"][number], avc
        p.pools["live"][number] -= 1
        for name in ("rmap_bytes", "low_bytes"):
            p.top[name] -= p.pools[name][number]
        avc = older
    p.av_chains[area] = 0, 0
    p.areas["rmap"][area] = 0


@case("AC5", LISTS, TREES)
def frame_of_a_stranger(p):
    p.frames["rmap"][p.pfn(MOVED)] = p.areas["rmap"][p.area(HEAP, p.living()[1])]


@case("AC6", LISTS, TREES)
def frame_at_another_index(p):
    p.frames["index"][p.pfn(MOVED)] += 1


@case("AC7", LISTS, TREES)
def frame_without_an_anon_vma(p):
    p.frames["rmap"][p.anonymous()] = 0


@case("AC8", LISTS, TREES)
def anon_vma_of_another_root(p):
    p.chained_anon_vmas["root"][p.areas["rmap"][inherited(p)]] = p.areas["rmap"][p.area(HEAP, p.living()[1])]


@case("AC9", LISTS, TREES)
def area_with_the_word_of_its_ancestor(p):
    p.areas["rmap"][inherited(p)] = p.areas["rmap"][p.area(HEAP)]


@case("AC10", LISTS, TREES)
def anon_vma_with_a_user_too_many(p):
    p.chained_anon_vmas["users"][p.areas["rmap"][p.area(HEAP)]] += 1


@case("AC10", LISTS, TREES)
def anon_vma_with_a_child_too_few(p):
    p.chained_anon_vmas["children"][p.areas["rmap"][p.area(HEAP)]] -= 1
