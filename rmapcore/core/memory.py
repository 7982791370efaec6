"""Bytes of the kernel's structures: what each would cost in the kernel of its era, and where it must lie (rules P).

These are never the bytes of our own arrays. Sizes of structures are those of docs/facts/structures.md (computed there from
the lists of fields, SMP, no debugging): the common part of the era plus what scheme and file side add. A size that no source
gives is not here: mm_struct and address_space count only with what reverse mapping adds to them.

Slab packing is that of the 2.5 and 2.6 slab allocator for objects of less than 512 bytes: a page holds a header, an index of
2 bytes an object, and the objects behind them. *Assumed*: struct slab of 24 or 40 bytes (two list pointers, colour, start,
count, first free), indices of 2 bytes; full slabs, so that slab bytes are the least there can be. Objects of power-of-two
size are aligned to it (the chains' caches and kmalloc), others to a word.

Low memory on i386 and i386-pae is what the kernel maps for itself: ZONE_DMA and ZONE_NORMAL, 896 MiB, or RAM if there is
less [2.6.7 mm/page_alloc.c; docs/facts/reclaim.md, "Low memory"]. mem_map, page tables (not leaves with CONFIG_HIGHPTE) and
slab objects lie in it; pages_min of its zones are left alone. It is a budget: nothing is ever taken from RAM.
"""
from math import isqrt

from rmapcore.pyx.base.records import POOL
from rmapcore.units import PAGE

# kernel -> arch -> (page, area): bytes without any reverse mapping. 2.4.22: area without its file links. 2.6.0: 2.6.6's area
# and the page of 40 or 80 less its union (2.5.65 lies between 2.5.27 and 2.6.0; UNVERIFIED). 2.6.7: 32 or 56 less the
# mapcount, 64 or 128 less the file list. PAE: vm_page_prot is 4 bytes longer.
# 2.6.34, 3.19: areas of 88 or 176 and 92 or 184, less the file side's and the chain's; the page of 3.19 on x86_64: UNVERIFIED.
# 6.18: x86_64 as slabinfo of a running one shows; i386, which has no lock in the area, as 3.19: UNVERIFIED.
ERAS = {
    "2.4.22": {"i386": (48, 60), "i386-pae": (48, 64), "x86_64": (96, 120)},
    "2.6.0": {"i386": (36, 56), "i386-pae": (36, 60), "x86_64": (72, 112)},
    "2.6.7": {"i386": (28, 56), "i386-pae": (28, 60), "x86_64": (48, 112)},
    "2.6.34": {"i386": (28, 60), "i386-pae": (28, 64), "x86_64": (48, 120)},
    "3.19": {"i386": (28, 64), "i386-pae": (28, 68), "x86_64": (60, 128)},
    "6.18": {"i386": (28, 64), "i386-pae": (28, 68), "x86_64": (60, 136)},
}
PAE_TOP = 32                           # bytes of a PAE top table; the others have 4096
LOW_FRAMES = 229_376                   # 896 MiB
SLAB_INDEX = 2
SLAB_HEADER = {4: 24, 8: 40}


def _word(arch):
    return 8 if arch == "x86_64" else 4


def _added(anon, side, what):
    """Bytes that scheme and file side add to a structure."""
    return anon.overhead().get(what, 0) + side.overhead().get(what, 0)


def page_bytes(anon, side, arch):
    """sizeof(struct page)."""
    word = _word(arch)
    return -(-(ERAS[anon.era][arch][0] + _added(anon, side, "page")) // word) * word


def area_bytes(anon, side, arch):
    """sizeof(struct vm_area_struct)."""
    return ERAS[anon.era][arch][1] + _added(anon, side, "vma")


def per_slab(size, arch):
    """Objects of so many bytes that a slab of one page holds; 0: one takes whole pages of its own."""
    word = _word(arch)
    align = size if size & (size - 1) == 0 else word
    stride = -(-size // word) * word
    n = (PAGE - SLAB_HEADER[word]) // stride
    while -(-(SLAB_HEADER[word] + n * SLAB_INDEX) // align) * align + n * stride > PAGE:
        n -= 1
    return n


def _slab_bytes(count, per_slab, size):
    """Bytes of the pages that hold so many objects. per_slab: of `Report.structures`."""
    if per_slab is None:
        return count * size
    return -(-count // per_slab) * PAGE if per_slab else count * -(-size // PAGE) * PAGE


def pages_min(low_pages):
    """Pages of the low zones that only the kernel's own reclaim may use [2.6.7 mm/page_alloc.c init_per_zone_pages_min]."""
    return min(max(isqrt(low_pages * (PAGE >> 10)), 128), 16384) >> 2


def charge(core, anon, side, arch):
    """Tells the machine what an area costs, so that its running totals are right."""
    core.writable("pools")["low_bytes"][core.arenas["areas"].pool] += area_bytes(anon, side, arch)


class Report:
    """The structures of one machine, gathered."""

    def __init__(self, arch):
        self.arch = arch
        self.structures = {}

    def add(self, name, live, peak, size, zone="normal", added=0, slab=False):
        """added: bytes of one that reverse mapping adds to 2.6.6 without chains.  slab: it is a slab object of its own."""
        live, peak = int(live), int(peak)
        entry = {"live": live, "peak": peak, "size": size, "bytes": live * size, "bytes_peak": peak * size, "zone": zone,
                 "added": added}
        n = per_slab(size, self.arch) if slab else None
        entry["per_slab"] = n
        for when, count in (("", live), ("_peak", peak)):
            entry[f"slab_bytes{when}"] = _slab_bytes(count, n, size)
        self.structures[name] = entry

    def total(self, field, zone=None):
        return sum(entry[field] for entry in self.structures.values() if zone in (None, entry["zone"]))


def scheme_objects(structures):
    """{name: entry} of the structures of a report that are objects of their own, for nothing but reverse mapping."""
    return {name: entry for name, entry in structures.items()
            if entry["per_slab"] is not None and entry["added"] == entry["size"]}


def report(machine):
    """Machine.memory().

    structures: name -> live, peak (of each by itself), size (bytes of one), bytes, bytes_peak, zone ("normal", "highmem",
    "vmalloc"), added (bytes of one that reverse mapping adds to a 2.6 kernel that only has a list of areas per file, as
    the mails of 2004 counted), per_slab (objects in a slab of one page; None: not a slab object), slab_bytes,
    slab_bytes_peak.
    page_table_bytes: of all levels.  rmap_bytes: all that serves reverse mapping, in pages, areas and objects.
    added_bytes: what `added` makes of areas, mms, files and objects.  added_bytes_peak: of rmap_bytes_peak, what lies in
    areas, mms, files and objects, not in pages.  lowmem_bytes: everything in low memory.
    lowmem: None on x86_64, else the budget: size, mem_map, reserve (pages_min), used and used_peak (mem_map included),
    left and left_at_peak (less the reserve; below 0: exhausted), runs_out_at: at how many processes, areas, distinct
    frames in use and page tables it is exhausted if the mix of the peak is scaled up; null where there is none of them.
    """
    core, arch = machine._core, machine.arch
    anon, side = machine._engine.anon, machine._engine.side
    pools, head = core.view("pools"), core.view("head")[0]
    assert pools.dtype == POOL
    areas, mms, files, tables = (core.arenas[name].pool for name in ("areas", "mms", "files", "tables"))
    n_frames = machine.ram // PAGE
    made = Report(arch)

    def add_pool(name, pool, size, **facts):
        made.add(name, pools["live"][pool], pools["peak"][pool], size, **facts)

    made.add("page", n_frames, n_frames, page_bytes(anon, side, arch))
    area = area_bytes(anon, side, arch)
    plain = ERAS[anon.era][arch][1] + 2 * _word(arch)
    add_pool("vm_area_struct", areas, area, added=area - plain, slab=True)
    for what, pool, name in (("mm", mms, "mm_struct (rmap part)"), ("file", files, "address_space (rmap part)")):
        if _added(anon, side, what):
            add_pool(name, pool, _added(anon, side, what), added=_added(anon, side, what))
    for scheme in (anon, side):
        for name, (pool, size) in scheme.census().items():
            add_pool(name, pool, size, added=size, slab=True)
    high = core.geometry["high_tables"]
    made.add("page_table", head["n_leaves"], head["n_leaves_peak"], PAGE, zone="highmem" if high else "normal")
    tops = (pools["live"][mms], pools["peak"][mms]) if arch == "i386-pae" else (0, 0)
    upper = [max(0, int(pools[when][tables]) - int(leaves) - int(top))
             for when, leaves, top in (("live", head["n_leaves"], tops[0]), ("peak", head["n_leaves_peak"], tops[1]))]
    made.add("upper_table", *upper, PAGE)
    if arch == "i386-pae":
        made.add("pgd", *tops, PAE_TOP)
    n_slots = core.geometry["n_slots"]
    made.add("swap_map", n_slots, n_slots, machine._engine.slot_bytes, zone="vmalloc")
    if pages := int(core.view("swap_pages").sum()):
        made.add("swap_count_page", pages, pages, PAGE, zone="normal" if arch == "x86_64" else "highmem")

    structures = made.structures
    page_rmap = n_frames * _added(anon, side, "page")
    mem_map = structures["page"]["bytes"]
    return {
        "structures": structures,
        "page_table_bytes": sum(structures[name]["bytes"] for name in ("page_table", "upper_table", "pgd")
                                if name in structures),
        "rmap_bytes": int(head["rmap_bytes"]) + page_rmap,
        "rmap_bytes_peak": int(head["rmap_bytes_peak"]) + page_rmap,
        "added_bytes_peak": int(head["rmap_bytes_peak"]),
        "added_bytes": sum(entry["live"] * entry["added"] for entry in structures.values()),
        "slab_bytes": sum(entry["slab_bytes"] for entry in structures.values()
                          if entry["per_slab"] is not None),
        "lowmem_bytes": int(head["low_bytes"]) + mem_map,
        "lowmem_bytes_peak": int(head["low_bytes_peak"]) + mem_map,
        "lowmem": None if arch == "x86_64" else _budget(n_frames, mem_map, head, structures, pools["peak"][[mms, areas]]),
    }


def _budget(n_frames, mem_map, head, structures, peaks):
    """report()["lowmem"]. peaks: of processes and areas."""
    low_pages = min(n_frames, LOW_FRAMES)
    size, reserve = low_pages * PAGE, pages_min(low_pages) * PAGE
    used, used_peak = (int(head[name]) + mem_map for name in ("low_bytes", "low_bytes_peak"))
    room, objects = size - reserve - mem_map, used_peak - mem_map
    most = {"processes": peaks[0], "areas": peaks[1], "pages": head["frames_used_peak"],
            "page_tables": structures["page_table"]["peak"]}
    return {
        "size": size, "mem_map": mem_map, "reserve": reserve, "used": used, "used_peak": used_peak,
        "left": size - reserve - used, "left_at_peak": size - reserve - used_peak,
        "runs_out_at": {name: max(room, 0) * int(peak) // objects if objects and peak else None
                        for name, peak in most.items()},
    }
