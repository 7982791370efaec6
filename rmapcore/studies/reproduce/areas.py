"""Rows 6, 10 and S4: what anonmm and anon_vma add to the kernel's records, and to the number of areas.

Bytes of row 6 are those of i386, beyond a 2.6 kernel that only has a list of areas per file; of them 8 in every area are the
prio_tree's, which came with both schemes.
"""
from fractions import Fraction

import numpy as np

from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.studies.reproduce import forms
from rmapcore.studies.reproduce.row import Bound, Row, Size, Within
from rmapcore.studies.reproduce.scenes import CHAINED, Scene, needs, workload
from rmapcore.workloads.bricks import BASE_VPN, anonymous, forks, touches
from rmapcore.workloads.parameters import Parameter

MOST_AREAS = 65_536                    # of a process


def built(scheme, processes, areas, private):
    """memory() of processes with anonymous areas of one written page, all forked from one, or each by itself."""
    vpns = BASE_VPN + 2 * np.arange(areas)
    scene = Scene(scheme, areas * (processes if private else 1))
    for pid in range(1, processes + 1 if private else 2):
        scene.run(make(Op.SPAWN, process=pid), anonymous(pid, vpns, 1, areas), touches(pid, vpns, 1, areas))
    if not private:
        scene.run(forks(1, np.arange(2, processes + 1)))
    return scene.machine.memory()


def sizes(case):
    """Row 6."""
    p, v = case["processes"], case["areas"]
    needs(f"{v:,} areas in {p:,} processes", areas=p * v, frames=p * v)
    told = {(1000, 100): (828_000, 2_001_200, 3_200_000), (100, 1000): (802_800, 2_012_000, 3_200_000),
            (32, 18_000): (4_608_896, 11_736_000, 18_432_000)}.get((p, v), (None,) * 3)
    for (scheme, how, per_area, heads, per_mm), published in zip((
            ("anonmm", "forked", 8, 0, 28), ("anon_vma", "forked", 20, v, 0),
            ("anon_vma", "lists of their own", 20, p * v, 0)), told, strict=True):
        case.report(f"{scheme}, {how}")
        memory = built(scheme, p, v, how != "forked")
        area, others = memory["structures"]["vm_area_struct"], dict(memory["structures"])
        del others["vm_area_struct"]
        yield case.record(f"{scheme}, {how}: bytes in all", forms.bytes_added(p, v, per_area, 12, heads, per_mm),
                          memory["added_bytes"], published=published)
        if scheme == "anonmm":
            yield case.record("anonmm: bytes more for an area", 8, area["added"])
            yield case.record("anonmm: bytes for an address space", 28,
                              Fraction(sum(one["live"] * one["added"] for one in others.values()), p), published=28)
        else:
            head = others["anon_vma"]
            yield case.record(f"anon_vma, {how}: lists", heads, head["live"])
            if how == "forked":
                yield case.record("anon_vma: bytes more for an area", 20, area["added"])
                yield case.record("anon_vma: bytes of a list's head", 12, head["size"])
                yield case.record("anon_vma: an area and a head, prio_tree aside", 24, area["added"] - 8 + head["size"],
                                  published=24)


def read_only_pages(case):
    """Row 10: map a page beside the one before, write it, make it read-only; again and again."""
    loops = case["loops"]
    needs(f"{loops:,} loops", areas=loops, frames=loops)
    apart = min(loops, MOST_AREAS)
    for scheme, areas, heads in (("pte_chain", 1, None), ("anonmm", 1, None), ("anon_vma_unshared", apart, apart),
                                 ("anon_vma", 1, 1)):
        case.report(scheme)
        scene = Scene(scheme, loops, program=workload(case.workload, case.values))
        scene.play("reclaim", strict=False)            # at the limit of areas calls fail, and the loop goes on
        judged = {"tolerance": Within(2)} if areas == MOST_AREAS else {}         # a program has a stack and libraries too
        yield case.record(f"{scheme}: areas", areas, len(scene.machine.processes[1].maps()), **judged)
        if heads is not None:
            yield case.record(f"{scheme}: lists", heads, scene.structure("anon_vma")["live"], **judged)
        del scene


def split_area(case):
    """S4: every other page of a written area is made read-only: as many areas as pages, one anon_vma.

    Each of its areas has one page, so a walk of a list ends at each place of it once, in whatever order they stand.
    """
    pages = case["pages"]
    needs(f"{pages:,} areas", areas=pages, frames=pages)
    for scheme in ("anon_vma", *CHAINED):
        case.report(scheme)
        scene = Scene(scheme, pages, arch="x86_64", program=workload(case.workload, case.values))
        case.kernel = scene.machine.kernel
        scene.play("reclaim")
        frames = scene.mapped()
        yield case.record(f"{scheme}: areas", pages, len(scene.machine.processes[1].maps()))
        yield case.record(f"{scheme}: anon_vmas", 1, scene.structure("anon_vma")["live"])
        tree = scheme not in ("anon_vma", "anon_vma_chain_2010")
        yield case.record(f"{scheme}: areas tried for a page, mean", 1 if tree else Fraction(pages + 1, 2),
                          Fraction(scene.walk(frames, pages)["vmas_tried"], pages), published=1 if tree else None)
        if tree:
            height = forms.red_black_height(pages)
            yield case.record(f"{scheme}: nodes entered for a page, most", height,
                              max(scene.walk([frame])["nodes_visited"] for frame in frames), Bound(None, height))
        if scheme in CHAINED:
            avc = scene.structure("anon_vma_chain")
            yield case.record(f"{scheme}: avcs", pages, avc["live"])
            yield case.record(f"{scheme}: bytes of an avc, x86_64", 64 if tree else 48, avc["size"],
                              published=64 if tree else 48)


ROWS = {
    "6": Row(
        "anon_vma adds at most 24 bytes to an area, anonmm 28 to an address space",
        "Andrea Arcangeli, 13 Mar 2004; Rajesh Venkatasubramanian, 8 Apr 2004",
        {"processes": Parameter(1000, int, "processes", 1, 30_000),
         "areas": Parameter(100, int, "anonymous areas of each, of one page", 1, 65_000)},
        tuple(Size(None, {"processes": p, "areas": v}) for p, v in ((1000, 100), (100, 1000), (32, 18_000))),
        sizes,
    ),
    "10": Row(
        "anon_vma hinders the merging of areas, until neighbours share a list",
        "Hugh Dickins, 2 Apr 2004; hist:33252891",
        {"loops": Parameter(70_000, int, "pages mapped, written and made read-only", 1, 400_000)},
        (Size("mprotect_loop", {"loops": 1000}), Size("mprotect_loop", {"loops": 70_000})),
        read_only_pages,
    ),
    "S4": Row(
        "one area split by mprotect into thousands: a list is walked through them, a tree leads to the one",
        "Lespinasse, 4 Sep 2012",
        {"pages": Parameter(10_000, int, "pages of the area", 2, 65_000)},
        (Size("split_by_mprotect", {"pages": 10_000}),),
        split_area,
    ),
}
