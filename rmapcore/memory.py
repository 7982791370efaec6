"""Bytes of the kernel's structures (schemes.md 1.3-1.5): what each would cost in the kernel of its era.

These are never the bytes of our own arrays. A structure's size is that of the kernel that had the scheme: the common
part of the record plus what scheme and file side add to it.
"""
from rmapcore.pyx.records import POOL
from rmapcore.units import PAGE

# bytes without any reverse mapping: 2.6.6's 64/128 less its list_head; 32/56 less the pte union (schemes.md 1.3, 1.4)
AREA_BASE = {"i386": 56, "i386-pae": 56, "x86_64": 112}
PAGE_BASE = {"i386": 28, "i386-pae": 28, "x86_64": 48}
P_AREAS, P_MMS, P_FILES, P_TABLES = 1, 2, 3, 4
PAE_TOP = 32                           # bytes of a PAE top table; the others have 4096


def _added(anon, side, what):
    """Bytes that scheme and file side add to a structure."""
    return anon.overhead().get(what, 0) + side.overhead().get(what, 0)


def page_bytes(anon, side, arch):
    """sizeof(struct page)."""
    word = 8 if arch == "x86_64" else 4
    return -(-(PAGE_BASE[arch] + _added(anon, side, "page")) // word) * word


def charge(core, anon, side, arch):
    """Tells the machine what an area costs, so that its running totals are right."""
    core.writable("pools")["low_bytes"][P_AREAS] += AREA_BASE[arch] + _added(anon, side, "vma")


def report(machine):
    """Machine.memory()."""
    core, arch = machine._core, machine.arch
    anon, side = machine._engine.anon, machine._engine.side
    pools = core.view("pools")
    assert pools.dtype == POOL
    low = "normal"
    structures = {}

    def add(name, live, peak, size):
        structures[name] = {"live": int(live), "peak": int(peak), "size": size, "bytes": int(live) * size,
                            "bytes_peak": int(peak) * size, "zone": low}

    def add_pool(name, pool, size):
        add(name, pools["live"][pool], pools["peak"][pool], size)

    n_frames = machine.ram // PAGE
    add("page", n_frames, n_frames, page_bytes(anon, side, arch))
    add_pool("vm_area_struct", P_AREAS, AREA_BASE[arch] + _added(anon, side, "vma"))
    for what, pool, name in (("mm", P_MMS, "mm_struct (rmap part)"), ("file", P_FILES, "address_space (rmap part)")):
        if _added(anon, side, what):
            add_pool(name, pool, _added(anon, side, what))
    for scheme in (anon, side):
        for name, (pool, size) in scheme.census().items():
            add_pool(name, pool, size)
    tops = (pools["live"][P_MMS], pools["peak"][P_MMS]) if arch == "i386-pae" else (0, 0)
    add("page_table", pools["live"][P_TABLES] - tops[0], max(0, int(pools["peak"][P_TABLES]) - int(tops[1])), PAGE)
    if arch == "i386-pae":
        add("pgd", *tops, PAE_TOP)
    head = core.view("head")[0]
    page_rmap = n_frames * _added(anon, side, "page")
    page_all = structures["page"]["bytes"]
    return {
        "structures": structures,
        "page_table_bytes": structures["page_table"]["bytes"] + structures.get("pgd", {"bytes": 0})["bytes"],
        "rmap_bytes": int(head["rmap_bytes"]) + page_rmap,
        "rmap_bytes_peak": int(head["rmap_bytes_peak"]) + page_rmap,
        "lowmem_bytes": int(head["low_bytes"]) + page_all,
        "lowmem_bytes_peak": int(head["low_bytes_peak"]) + page_all,
    }
