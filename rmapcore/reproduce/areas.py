"""Rows 6, 10 and S4: what anonmm and anon_vma add to the kernel's records, and to the number of areas.

Bytes are those of i386, beside 2.6.6 (pte_chain), whose areas have a list for their file; the prio_tree that came with both
schemes takes 8 more.
"""
from fractions import Fraction

import numpy as np

from rmapcore.operations import Op
from rmapcore.program import make
from rmapcore.reproduce import forms
from rmapcore.reproduce.row import Row, Within
from rmapcore.reproduce.scenes import (
    ANONYMOUS,
    BASE_VPN,
    forks,
    machine,
    map_areas,
    needs,
    pfns,
    play,
    spawn,
    walk,
    write,
)
from rmapcore.units import PAGE, PROTS
from rmapcore.workloads.parameters import Parameter

MOST_AREAS = 65_536                    # of a process
BYTES_AN_AREA, BYTES_A_FRAME = 300, 200                            # of the host


def built(scheme, processes, areas, private):
    """Processes with anonymous areas of one written page: forked from one, or each by itself."""
    vpns = BASE_VPN + 2 * np.arange(areas)
    run = machine(scheme, areas * (processes if private else 1))
    for pid in range(1, processes + 1 if private else 2):
        play(run, [spawn(pid), map_areas(vpns, 1, ANONYMOUS, pid=pid), write(vpns, 1, pid=pid)])
    if not private:
        play(run, forks(processes - 1))
    return run.memory()["structures"]


def added(structures, base):
    """Bytes of areas, address spaces and anonymous objects beyond those of 2.6.6."""
    return sum(structure["bytes"] for name, structure in structures.items() if name not in ELSEWHERE) - base


ELSEWHERE = {"page", "page_table", "pgd", "pte_chain", "address_space (rmap part)"}


def sizes(case):
    """Row 6."""
    p, v = case["processes"], case["areas"]
    needs(f"{v:,} areas in {p:,} processes", p * v * (BYTES_AN_AREA + BYTES_A_FRAME))
    case.report("2.6.6")
    structures = built("pte_chain", p, v, False)
    base, area = structures["vm_area_struct"]["bytes"], structures["vm_area_struct"]["size"]
    for scheme, private, per_area, heads, per_mm, told in (
            ("anonmm", False, 8, 0, 28, 0), ("anon_vma", False, 20, v, 0, 1), ("anon_vma", True, 20, p * v, 0, 2)):
        case.report(scheme)
        structures = built(scheme, p, v, private)
        each = structures["vm_area_struct"]["size"] - area
        how = "lists of their own" if private else "forked"
        yield case.record(f"{scheme}, {how}: bytes in all", forms.bytes_over_2_6_6(p, v, per_area, 12, heads, per_mm),
                          added(structures, base), published=TOLD.get((p, v), (None,) * 3)[told])
        if not private:
            yield case.record(f"{scheme}: bytes more for each area", per_area, each)
        if scheme == "anonmm":
            yield case.record("anonmm: bytes for each address space", 28, sum(
                structure["bytes"] for name, structure in structures.items()
                if name not in ELSEWHERE | {"vm_area_struct"}) // p)
        else:
            yield case.record(f"{scheme}, {how}: lists", heads, structures["anon_vma"]["live"])
            if not private:
                head = structures["anon_vma"]["size"]
                yield case.record("anon_vma: bytes of a list's head", 12, head)
                yield case.record("anon_vma: an area and a head, prio_tree aside", 24, each - 8 + head,
                                  published=24)


TOLD = {(1000, 100): (828_000, 2_001_200, 3_200_000), (100, 1000): (802_800, 2_012_000, 3_200_000),
        (32, 18_000): (4_608_896, 11_736_000, 18_432_000)}


def read_only_pages(case):
    """Row 10: map a page beside the one before, write it, make it read-only; again and again."""
    loops = case["loops"]
    needs(f"{loops:,} loops", loops * (BYTES_A_FRAME + BYTES_AN_AREA))
    address = (BASE_VPN + np.arange(loops)) * PAGE
    steps = np.stack([map_areas(BASE_VPN + np.arange(loops), 1, ANONYMOUS), write(BASE_VPN + np.arange(loops), 1),
                      make(Op.MPROTECT, loops, process=1, addr=address, length=PAGE, prot=PROTS["r"])], 1).ravel()
    apart = min(loops, MOST_AREAS)
    tolerance = {} if loops < MOST_AREAS else {"tolerance": Within(2)}      # a program has a stack and libraries as well
    for scheme, areas, heads in (("pte_chain", 1, None), ("anonmm", 1, None), ("anon_vma_unshared", apart, apart),
                                 ("anon_vma", 1, 1)):
        case.report(scheme)
        run = machine(scheme, loops)
        play(run, spawn())
        play(run, steps, strict=False)
        judged = tolerance if heads == apart else {}
        yield case.record(f"{scheme}: areas", areas, len(run.processes[1].maps()), **judged)
        if heads is not None:
            yield case.record(f"{scheme}: lists", heads, run.memory()["structures"]["anon_vma"]["live"], **judged)
        del run


def split_area(case):
    """S4: every other page of a written area is made read-only: as many areas as pages, one list."""
    pages = case["pages"]
    needs(f"{pages:,} areas", pages * (BYTES_A_FRAME + BYTES_AN_AREA))
    odd = np.arange(1, pages, 2)
    case.report("anon_vma")
    run = machine("anon_vma", pages)
    play(run, [spawn(), map_areas([BASE_VPN], pages, ANONYMOUS), write(BASE_VPN, pages),
               make(Op.MPROTECT, len(odd), process=1, addr=(BASE_VPN + odd) * PAGE, length=PAGE, prot=PROTS["r"])])
    frames = pfns(run.processes[1], BASE_VPN, pages)
    yield case.record("anon_vma: areas", pages, len(run.processes[1].maps()))
    yield case.record("anon_vma: lists", 1, run.memory()["structures"]["anon_vma"]["live"])
    counted = walk(run, frames, pages)
    yield case.record("anon_vma: areas tried for a page, mean", Fraction(pages + 1, 2),
                      Fraction(counted["vmas_tried"], pages))


ROWS = {
    "6": Row(
        "anon_vma adds at most 24 bytes to an area, anonmm 28 to an address space",
        "Andrea Arcangeli, 13 Mar 2004; Rajesh Venkatasubramanian, 8 Apr 2004",
        {"processes": Parameter(1000, int, "processes", 1, 30_000),
         "areas": Parameter(100, int, "anonymous areas of each, of one page", 1, 65_000)},
        ({"processes": 1000, "areas": 100}, {"processes": 100, "areas": 1000}, {"processes": 32, "areas": 18_000}),
        sizes,
    ),
    "10": Row(
        "anon_vma hinders the merging of areas, until neighbours share a list",
        "Hugh Dickins, 2 Apr 2004; hist:33252891",
        {"loops": Parameter(70_000, int, "pages mapped, written and made read-only", 1, 400_000)},
        ({"loops": 1000}, {"loops": 70_000}),
        read_only_pages,
    ),
    "S4": Row(
        "one area split by mprotect into thousands: the list is walked through them (the list's part)",
        "Lespinasse, 4 Sep 2012",
        {"pages": Parameter(10_000, int, "pages of the area", 1, MOST_AREAS)},
        ({"pages": 10_000},),
        split_area,
    ),
}
