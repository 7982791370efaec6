"""The work counters by name: those of the enum in pyx/base/counters.pxd, in its order."""
from collections.abc import Mapping

from rmapcore.pyx.base import counters

COUNTERS = tuple(name.removeprefix("C_").lower() for name in
                 sorted((name for name in vars(counters) if name.startswith("C_")), key=vars(counters).get))

_FAULTS = "faults whose entry held"
_HELD = "candidates that were looked at under it"
ABOUT = {                              # what each counts; docs/reference/counters.md is made of it
    "rmap_walks": "walks of one page through the reverse map: page_referenced, try_to_unmap, whomaps",
    "mms_tried": "address spaces looked at in walks, whether they map the page or not",
    "vmas_tried": "areas looked at in walks, those that do not cover the page too",
    "nodes_visited": "blocks of chains and nodes of trees entered in walks; a pointer in the page itself is none",
    "ptes_tried": "page-table entries looked up in walks",
    "ptes_found": "those of them that mapped the page",
    "vma_lookups": "searches for the area of an address in walks",
    "rmap_adds": "first mappings of pages told to the reverse map",
    "rmap_dups": "mappings that fork copied",
    "rmap_removes": "mappings removed",
    "rmap_moves": "mappings moved by mremap",
    "pages_copied_cow": "pages copied because they were written while shared",
    "pages_copied_mremap": "pages copied because mremap moved them while shared, where the scheme cannot follow",
    "cow_reuses": "pages written in place, since nobody shared them any more",
    "vma_merges": "areas merged",
    "vma_splits": "areas split",
    "faults_zero": f"{_FAULTS} nothing, of anonymous memory",
    "faults_file": f"{_FAULTS} nothing, of a file's memory; early copies too",
    "faults_swapin": f"{_FAULTS} a swap entry",
    "faults_cow": f"{_FAULTS} a present page, and that wrote",
    "faults_spurious": "faults after which nothing was to be done",
    "lock_page_table": "page-table locks taken in walks",
    "lock_page_table_held": _HELD,
    "lock_chain": "locks of pages' chains taken",
    "lock_chain_held": _HELD,
    "lock_anonmm": "locks of fork families (anonhd) taken",
    "lock_anonmm_held": _HELD,
    "lock_anon_vma": "locks of anon_vmas taken",
    "lock_anon_vma_held": _HELD,
    "lock_i_mmap": "locks of files' lists or trees of areas taken",
    "lock_i_mmap_held": _HELD,
    "scanned_ptes": "entries read by going through page tables: fork, unmap, sweeps of virtual_scan, nonlinear areas",
}


class Counters(Mapping):
    """A snapshot of the work counters: a read-only mapping of name to count."""

    def __init__(self, row):
        self._row = row

    def __getitem__(self, name):
        try:
            return int(self._row[COUNTERS.index(name)])
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self):
        return iter(COUNTERS)

    def __len__(self):
        return len(COUNTERS)

    def since(self, before):
        """What was counted between `before` and this snapshot."""
        return Counters(self._row - before._row)

    def __repr__(self):
        return f"Counters({ {name: count for name, count in self.items() if count} })"
