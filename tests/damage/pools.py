"""Pools, address spaces."""
from damage import AREAS, MMS, SLOTS, case


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
def leaf_tables(p):
    p.top["n_leaves"] += 1


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


@case("M2")
def pid_0(p):
    p.pid_mm[0] = 77                           # no mm that there is


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
