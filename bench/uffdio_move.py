"""UFFDIO_MOVE against reclaim, as a sequence of locks: what the call takes for each page under 6.18 and under 7.3.

    python bench/uffdio_move.py [--pages N] [--walks N] [--areas N]

Nothing is moved: an actor takes the locks that docs/locks.md names for a page, as fast as it can, while another, reclaim, walks
pages of the same root. 6.18 takes the root for writing, so that each move may wait for a walk; 7.3 takes the folio's lock only.
"""
import argparse
import sys

import numpy as np

from rmapcore.core.lockrules import ANON_VMA, COSTS, FOLIO, MMAP, PAGE_TABLE, R_TRY, VMA, W_TRY, R, W, rules_of
from rmapcore.core.locks import EVENT, OPERATION
from rmapcore.core.processors import simulate

MOVER, RECLAIM = 1, 0
MOVE = 500 + COSTS["rmap_adds"] + COSTS["rmap_removes"]        # ns of a page: a call's share, and two entries
KERNELS = "6.18", "7.3"


def sequence(kernel, pages, walks, areas):
    """(operations, events) of both actors; a walk looks at so many areas and their entries."""
    walk = areas * (COSTS["vmas_tried"] + COSTS["ptes_tried"]) + COSTS["lock_anon_vma"]
    operations = np.zeros(pages + walks, OPERATION)
    operations["process"] = np.repeat([MOVER, RECLAIM], [pages, walks])
    operations["ns"] = np.repeat([MOVE, walk], [pages, walks])
    events = []
    for page in range(pages):
        held = [(MMAP, R, MOVER), (VMA, R, 1), (FOLIO, W_TRY, 1 + page)]
        held += [(ANON_VMA, W, 1)] if kernel == "6.18" else []
        events += [(page, lock, mode, of, 0, MOVE, 1, 1) for lock, mode, of in [*held, (PAGE_TABLE, W, 1)]]
    for number in range(walks):
        of = 1 + pages + number                # of other pages, so that it is the root that they meet at
        events += [(pages + number, FOLIO, W_TRY, of, 0, walk, 1, 1), (pages + number, ANON_VMA, R_TRY, 1, 0, walk, 1, 1)]
    return operations, np.array(events, EVENT)


def run(kernel, pages, walks, areas):
    """The Contention on two processors."""
    return simulate(*sequence(kernel, pages, walks, areas), rules_of(kernel), {**COSTS, "switch": 0}, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=1000, help="that are moved (1000)")
    parser.add_argument("--walks", type=int, default=20, help="of reclaim (20)")
    parser.add_argument("--areas", type=int, default=20000, help="that a walk looks at (20000)")
    options = parser.parse_args()
    print("kernel   waits   longest, ms   moved after, ms   walks given up")
    for kernel in KERNELS:
        found = run(kernel, options.pages, options.walks, options.areas)
        mine = found.waits[found.waits["who"] == MOVER]
        root = found.locks[found.locks["lock"] == "anon_vma"]
        moved = mine["wait"].sum() + options.pages * MOVE
        print(f"{kernel:6}{len(mine):8}{mine['wait'].max(initial=0) / 1e6:14.2f}{moved / 1e6:18.2f}"
              f"{int(root['failed'].sum()):17}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
