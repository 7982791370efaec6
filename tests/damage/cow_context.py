"""What the schemes with COW contexts keep."""
from damage import MOVED, case

COW = "cow_context"


def context_of(p, mm):
    return p.cow_contexts[p.mms["rmap"][mm]]


def span_of(p, mm=None):
    """The number of the highest span in the map of an address space."""
    return int(context_of(p, p.living()[0] if mm is None else mm)["root"])


def has_children(p):
    """A context that has."""
    return next(p.cow_contexts[p.mms["rmap"][mm]] for mm in p.living() if context_of(p, mm)["child"])


@case("CC1", COW)
def context_with_a_reference_too_many(p):
    context_of(p, p.living()[0])["refs"] += 1


@case("CC1", COW)
def context_of_another_mm(p):
    context_of(p, p.living()[0])["mm"] = p.living()[1]


@case("CC2", COW)
def child_that_leads_back_elsewhere(p):
    p.cow_contexts["prev"][has_children(p)["child"]] = 1


@case("CC2", COW)
def children_forgotten(p):
    has_children(p)["child"] = 0


@case("CC3", COW)
def frame_without_a_context(p):
    p.frames["rmap"][p.anonymous()] = 0


@case("CC4", COW)
def span_with_an_offset_too_many(p):
    p.remap_spans["n"][span_of(p)] += 1


@case("CC4", COW)
def span_without_offsets(p):
    p.remap_spans["first"][span_of(p)] = p.remap_spans["n"][span_of(p)] = 0


@case("CC4", COW)
def span_that_reaches_further(p):
    p.remap_nodes["last"][span_of(p)] += 1


@case("CC4", COW)
def offsets_that_do_not_ascend(p):
    """A second one, in the array that has room for two, is the same."""
    span = next(span for span in p.remap_spans if span["capacity"] == 2 and span["n"] == 1)
    second, pool = p.unused("remap_offsets"), p.core.arenas["remap_offsets"].pool
    for count in ("bump", "live"):
        p.pools[count][pool] += 1
    p.remap_offsets["off"][second] = p.remap_offsets["off"][span["first"]]
    p.remap_offsets["next"][span["first"]], span["n"] = second, 2


@case("CC4", COW)
def map_forgotten(p):
    context = context_of(p, p.living()[0])
    context["root"] = context["spans"] = context["gaps"] = context["nodes"] = 0


@case("CC5", COW)
def gap_too_many(p):
    context_of(p, p.living()[0])["gaps"] += 1


@case("CC5", COW)
def node_too_many(p):
    context_of(p, p.living()[0])["nodes"] += 1


@case("CC6", COW)
def frame_of_another_family(p):
    first, second = p.living()[:2]
    context_of(p, first)["refs"] -= 1
    context_of(p, second)["refs"] += 1
    p.frames["rmap"][p.pfn(MOVED)] = p.mms["rmap"][second]


@case("CC7", COW)
def frame_at_another_index(p):
    p.frames["index"][p.anonymous()] += 1


@case("CC5", COW)
def array_of_an_odd_size(p):
    """As many are charged as for one of 2."""
    span = next(span for span in p.remap_spans if span["capacity"] == 2)
    span["capacity"] = 3


@case("CC4", COW)
def map_that_there_is_not(p):
    context_of(p, p.living()[0])["root"] = 0x7fffffff
