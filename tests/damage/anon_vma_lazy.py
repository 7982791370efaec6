"""What anon_vma_lazy keeps besides anon_vmas. The parent has written to COPY after its fork only: a LAZY area."""
from damage import AREAS, COPY, case

LAZY = "anon_vma_lazy"


def root(p):
    return p.lazy_areas["root"][p.area(COPY)]


@case("AL1", LAZY)
def word_of_another_root(p):
    p.areas["rmap"][p.area(COPY)] += 1


@case("AL1", LAZY)
def root_at_another_distance(p):
    p.lazy_roots["off"][root(p)] += 1


@case("AL1", LAZY)
def lazy_and_inherited(p):
    p.lazy_areas["inherited"][p.area(COPY)] = 1


@case("AL2", LAZY)
def holder_too_many(p):
    p.lazy_roots["holders"][root(p)] += 1


@case("AL2", LAZY)
def group_without_an_end(p):
    p.lazy_roots["next"][root(p)] = 0


@case("AL3", LAZY)
def root_of_another_area(p):
    p.lazy_roots["area"][root(p)] += 1


@case("AL3", LAZY)
def area_that_is_no_root(p):
    p.lazy_areas["own"][p.area(COPY)] = 0


@case("AL2", LAZY)
def group_of_a_root_that_there_is_not(p):
    p.lazy_roots["group"][root(p)] = 0x7fffffff


@case("AL1", LAZY)
def root_of_an_area_that_is_gone(p):
    p.lazy_areas["root"][p.freed(AREAS, "areas", "next")[0]] = root(p)
