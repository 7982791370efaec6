"""What anonmm keeps."""
from damage import MOVED, PAGE, case


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
