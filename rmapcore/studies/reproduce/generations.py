"""Rows 12 and S6: how many anon_vmas there are, and avcs that join areas to them, when processes fork again and again.

A forked area joins all anon_vmas of the area that it came from, and gets one of its own: in a line of forks where each
parent exits, chains grow by one with each generation, unless a child takes over what nobody needs any more.
"""
from fractions import Fraction

import numpy as np

from rmapcore.core.program import make
from rmapcore.errors import RmapcoreError
from rmapcore.operations import Op
from rmapcore.studies.reproduce import forms
from rmapcore.studies.reproduce.row import EXACT, Bound, Row, Size
from rmapcore.studies.reproduce.scenes import CHAINED, OBJECTS, Scene, needs, workload
from rmapcore.workloads.bricks import BASE_VPN, anonymous, exits, forks, touches
from rmapcore.workloads.parameters import Parameter


def line_of_forks(case):
    """Row 12: the objects of one area after every generation."""
    last, live, pages = case["generations"], case["live"], case["pages"]
    needs(f"chains of {last:,} generations", areas=(live + 1) * last, frames=pages * (live + 2))
    for scheme in CHAINED:
        case.report(scheme)
        scene = Scene(scheme, pages * (live + 2), program=workload(case.workload, case.values))
        case.kernel = scene.machine.kernel
        scene.play("generations")
        steps = scene.phases[0].operations
        begins = np.flatnonzero(steps["op"] == Op.FORK)
        found = []
        for operations in np.split(steps, begins[1:]):
            scene.run(operations)
            structures = scene.machine.memory()["structures"]
            found.append(tuple(structures[name]["live"] for name in OBJECTS.values()))
        reuse = scheme != "anon_vma_chain_2010"
        wanted = [forms.line_of_forks(generation, live, reuse) for generation in range(1, last + 1)]
        for name, count, there in zip(OBJECTS, wanted[-1], found[-1], strict=True):
            yield case.record(f"{scheme}: {name} after {last:,} generations", count, there)
        yield case.record(f"{scheme}: generations up to {last:,} with others", 0,
                          sum(a != b for a, b in zip(found, wanted, strict=True)))
        if reuse:
            most = 2 * live + 1                    # the first anon_vma is never taken over
            yield case.record(f"{scheme}: anon_vmas, most", max(heads for heads, _ in wanted),
                              max(heads for heads, _ in found), Bound(None, most), 2 * live, source=KHLEBNIKOV)
        del scene


def zygote(case):
    """S6: a parent's areas, children who inherit them and write areas of their own, and some who fork once more.

    Areas that a fork has copied are counted by the anon_vmas that come with it: one for each.
    """
    apps, inherited, own, forking = (case[name] for name in ("apps", "inherited", "own", "forking"))
    if forking > apps:
        raise RmapcoreError(f"forking: {forking:,} of {apps:,} apps cannot fork")
    needs(f"{inherited + own:,} areas in {apps:,} apps", areas=(apps + 2) * (2 * inherited + own),
          entries=2 * (apps + 2) * (inherited + own) + 4096 * apps, frames=inherited + apps * own)
    case.report("anon_vma_chain")
    scene = Scene("anon_vma_chain", inherited + apps * own, arch="x86_64")
    case.kernel = scene.machine.kernel

    def heads():
        return scene.structure("anon_vma")["live"]

    def copied(process, child):
        before = heads()
        scene.run(forks(process, np.array([child])))
        return heads() - before

    pids = np.arange(2, 2 + apps)
    vpns = BASE_VPN + 2 * np.arange(inherited + own)
    scene.run(make(Op.SPAWN, process=1), anonymous(1, vpns[:inherited], 1, inherited),
              touches(1, vpns[:inherited], 1, inherited))
    shared = copied(1, pids[0])
    scene.run(forks(1, pids[1:]))
    if own:
        owners, places = np.repeat(pids, own), np.tile(vpns[inherited:], apps)
        scene.run(anonymous(owners, places, 1, apps * own), touches(owners, places, 1, apps * own))
    for number in range(forking):
        shared += copied(pids[number], 2 + apps + number)
        scene.run(exits(np.array([2 + apps + number])))
    for (name, structure), count in zip(OBJECTS.items(), forms.family_tree(apps, inherited, own), strict=True):
        yield case.record(f"anon_vma_chain: {name}", count, scene.structure(structure)["live"])
    wanted = forms.copied_areas(forking, inherited, own)
    yield case.record("anon_vma_chain: areas that a fork has copied", wanted, shared)
    total = forms.family_tree(apps, inherited, own)[0]
    yield case.record("part of the anon_vmas that could wait (order only)", 1 - Fraction(wanted, total),
                      1 - Fraction(shared, heads()), Bound(0.9, 1) if case.published else EXACT, SPARED.get(apps))


KHLEBNIKOV = "Khlebnikov, 26 Nov 2014 (7a3ef208): at most twice as many anon_vmas as areas"
SPARED = {100: 1 - Fraction(614, 20_426), 172: 1 - Fraction(2648, 33_280)}        # of kB: after boot, with 24 apps

ROWS = {
    "12": Row(
        "a line of forks whose parents exit: anon_vmas and chains grow without end, until children may reuse",
        "Forrest, 15 Aug 2012; Khlebnikov, 26 Nov 2014 (7a3ef208)",
        {"generations": Parameter(1000, int, "forks, one after another", 1, 10_000),
         "live": Parameter(2, int, "processes alive between two forks", 1, 100),
         "pages": Parameter(10, int, "that every generation writes, not published", 1, 100_000)},
        tuple(Size("forrest", {"generations": 1000, "live": live, "pages": 10}) for live in (2, 3, 1)),
        line_of_forks,
    ),
    "S6": Row(
        "most anon_vmas are of areas that no fork has copied: they could wait (what anon_vma_chain makes)",
        "wangtao, 27 May 2026, by a summary of the cover letter",
        {"apps": Parameter(100, int, "children of one parent; this and the next three are not published", 1, 10_000),
         "inherited": Parameter(1275, int, "areas of the parent, of one written page", 1, 30_000),
         "own": Parameter(455, int, "areas that each app writes beside", 0, 30_000),
         "forking": Parameter(2, int, "apps that fork once more", 0, 10_000)},
        (Size(None, {"apps": 100, "inherited": 1275, "own": 455, "forking": 2}),
         Size(None, {"apps": 172, "inherited": 1275, "own": 366, "forking": 13})),
        zygote,
    ),
}
