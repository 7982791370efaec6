"""Rows 3 and 7: mixes of short programs, where rmap is bookkeeping and never asked for a page.

What was published is system time, of which rmap is a part that no count gives, so what is compared here is work of the
reverse map alone, one unit for each operation:

    a page's own       its mapping is added, copied by fork, or removed: the same under every scheme
    chains             the same once more for a page with a chain. A page's first mapping needs none (it stands in the
                       page), so neither do heaps that no fork copies: those are taken off
    objects            lock_anonmm, lock_anon_vma, lock_i_mmap: one for each area or address space that is linked or
                       unlinked

A saving of this work is more than the same saving of system time; where that is the claim, only its direction is checked.
*partial* is file pages by areas, anonymous pages by chains, as in the published tables.
"""
from fractions import Fraction

import numpy as np

from rmapcore.operations import Op
from rmapcore.studies.reproduce.row import NOT_JUDGED, Bound, Row, Size
from rmapcore.studies.reproduce.scenes import Scene, needs, workload
from rmapcore.workloads.parameters import Parameter

MIX = {"chains": ("pte_chain", "pte_chain"), "partial": ("pte_chain", "prio_tree"), "anonmm": ("anonmm", "prio_tree"),
       "anon_vma": ("anon_vma", "prio_tree")}
FILE_AREAS = 4                         # of each program: text and data, its own and the library's
OBJECTS = ("lock_anonmm", "lock_anon_vma", "lock_i_mmap")
FRAMES = (1 << 20) - 8                 # all that i386 can address: what is not used costs nothing
PAGES_A_JOB = 3000                     # bound of what a job's processes have, of pages and of entries


def build_nodes(case):
    """Row 3: nodes at the peak of a build, with and without those of file pages."""
    needs(f"{case['jobs']:,} jobs", areas=50 * case["jobs"], entries=4 * PAGES_A_JOB * case["jobs"],
          frames=PAGES_A_JOB * case["jobs"])
    most = {}
    for name in ("chains", "partial"):
        case.report(name)
        scene = mix(case, name)
        scene.play("exit")
        most[name] = scene.structure("pte_chain")["peak"]
        scene.play()
        yield case.record(f"{name}: nodes left when all have gone", 0, scene.structure("pte_chain")["live"])
        del scene
    part = "part of the nodes that file pages own, at the peak (order only)"
    yield ratio(case, part, PART_OF_FILES, 1 - Fraction(most["partial"], most["chains"]), Bound(0.5, 1), PART_OF_FILES)


def ratio(case, quantity, expected, emulated, bound, published, **more):
    """A record of what no closed form gives: at other sizes than the source's it is shown, and not judged."""
    if case.published:
        return case.record(quantity, expected, emulated, bound, published, **more)
    return case.record(quantity, None, emulated, NOT_JUDGED, **more)


def mix(case, name):
    """A Scene of a mix, its first process there."""
    scheme, side = MIX[name]
    program = workload(case.workload, case.values)
    scene = Scene(scheme, FRAMES, side, program=program)
    scene.play(program.phases[1].name)
    return scene


def fast_paths(case):
    """Row 7: fork, exec, exit and the faults between."""
    jobs = max(case.values.get("jobs", 0), case.values.get("scripts", 0), 1)
    needs("the processes", areas=50 * jobs, entries=4 * PAGES_A_JOB * jobs + 4 * case.values.get("pages", 0),
          frames=PAGES_A_JOB * jobs + case.values.get("pages", 0))
    counts = {}
    for name in MIX:
        case.report(f"{case.workload}, {name}")
        scene = mix(case, name)
        steps = scene.phases[0].operations["op"]
        before = scene.machine.counters
        scene.play("exit")
        counts[name] = scene.machine.counters.since(before)
        del scene
    forks, execs, exits, starts = (
        int(np.count_nonzero(steps == op)) for op in (Op.FORK, Op.EXECVE, Op.EXIT, Op.SPAWN))
    own = {name: sum(counted[each] for each in ("rmap_adds", "rmap_dups", "rmap_removes")) for name, counted in counts.items()}
    for name in ("partial", "anonmm", "anon_vma"):
        yield case.record(f"{name}: operations on pages, beside those of chains", own["chains"], own[name])
    yield case.record("chains: operations on chains, first mappings included", own["chains"], counts["chains"]["lock_chain"])
    yield case.record("anonmm: address spaces linked and unlinked", forks + execs + exits, counts["anonmm"]["lock_anonmm"])
    yield case.record("anonmm: areas of files linked and unlinked", FILE_AREAS * (forks + 2 * execs + starts + exits),
                      counts["anonmm"]["lock_i_mmap"])
    work = {name: own[name] + chained(counted) + sum(counted[each] for each in OBJECTS) for name, counted in counts.items()}
    size = case.workload, *case.values.values()
    yield ratio(case, "anon_vma to anonmm, work", 1, Fraction(work["anon_vma"], work["anonmm"]), Bound(0.98, 1.02),
                RATIOS.get(size))
    if case.workload == "lat_proc":
        spent = {name: work[name] + counts[name]["scanned_ptes"] for name in work}
        yield ratio(case, "anonmm to partial, saving (order only)", LEAST_GAIN, 1 - Fraction(spent["anonmm"], spent["partial"]),
                    Bound(LEAST_GAIN, None), 0.087, source=HUGH)
        return
    saved = work["chains"] - work["anon_vma"]
    yield ratio(case, "anon_vma to chains, saving of work (order only)", LEAST_SAVING, Fraction(saved, work["chains"]),
                Bound(LEAST_SAVING, None), SAVINGS.get(size))
    if saved:
        yield ratio(case, "part of the saving that file pages bring", LEAST_SHARE,
                    Fraction(work["chains"] - work["partial"], saved), Bound(LEAST_SHARE, 1), SHARES.get(size))


def chained(counted):
    """Operations on chains, first mappings of anonymous pages and their removal aside."""
    first = counted["faults_zero"] + counted["pages_copied_cow"]
    return max(0, counted["lock_chain"] - 2 * first)


# of system time; SDET, which has throughput: the inverse
RATIOS = {("kernbench", 32, 2): 0.998, ("kernbench", 256, 2): 1.008, ("sdet", 64, 20): 1.0016}
SAVINGS = {("kernbench", 32, 2): 0.183, ("kernbench", 256, 2): 0.211}
SHARES = {("kernbench", 32, 2): 0.89, ("kernbench", 256, 2): 0.96}
PART_OF_FILES = Fraction(24_116 - 716, 24_116)
LEAST_SAVING, LEAST_SHARE, LEAST_GAIN = 0.18, 0.8, 0.05
HUGH = "Hugh Dickins, 24 Mar 2003: lmbench fork, 449.2 to 410.0 us"
JOBS = {"jobs": Parameter(256, int, "kernbench: jobs at a time", 1, 10_000),
        "compiles": Parameter(2, int, "kernbench: that each job runs", 1, 1000)}

ROWS = {
    "3": Row(
        "file pages own nearly all chain nodes in a build",
        "Bligh, 20 Feb 2003: 24,116 nodes, 716 without file pages",
        JOBS,
        (Size("kernbench", {"jobs": 256, "compiles": 2}),),
        build_nodes,
    ),
    "7": Row(
        "anonmm and anon_vma are equal on fast paths, both beat chains, and file pages bring most of it",
        "Bligh, 24 Mar 2004; Hugh Dickins, 24 Mar 2003",
        {**JOBS, "scripts": Parameter(64, int, "sdet: scripts at a time", 1, 10_000),
         "commands": Parameter(20, int, "sdet: of each script", 1, 1000),
         "iterations": Parameter(200, int, "lat_proc: forks", 1, 10_000),
         "pages": Parameter(300, int, "lat_proc: anonymous ones of the parent, not published", 1, 0x40000)},
        (Size("kernbench", {"jobs": 32, "compiles": 2}), Size("kernbench", {"jobs": 256, "compiles": 2}),
         Size("sdet", {"scripts": 64, "commands": 20}), Size("lat_proc", {"iterations": 200, "pages": 300})),
        fast_paths,
    ),
}
