"""check(): every invariant of a machine between two operations, and that whomaps finds what the page tables say.

The rules of the machine, in the order in which they are looked at; the first violation is raised. The kernels behind
them (pyx/look/check) only read. After these come the scheme's own rules and the file side's (check() of each), and last
the comparison W of the reverse maps with a scan of all page tables.

    P1   a pool's numbers stay below its bump, the bump within the arena; its free list meets no record twice
    M1   the list of address spaces is linked both ways, all alive
    M2   pids and address spaces lead to each other
    M3   start of the heap <= break <= user space; new areas are LOCKED or nothing
    V1   the list of an address space's areas is linked both ways, all alive and its own
    V2   they ascend without overlap, none is empty, all lie in user space
    V3   flags are known ones; SHARED as MAYSHARE; who is shared has a file; who is nonlinear is shared
    V4   n_areas counts them; at most as many as mmap may reach (rules D7a, QD4)
    V5   descent by address finds each in the tree; nothing else is in it
    V6   the area found last is one of this address space, or none
    V7   hole_vpn lies in user space; 6.18: no hole of hole_pages or more lies between it and the top of the mmap area
    V8   files and areas: an area's file is alive, its list has just the areas that name it
    V9   page offsets: none without a file where the scheme needs none; with a file, no wrap at 2^64
    V10  offsets of anonymous pages: the page offset's without a file, where indices are linear; no wrap with one
    P2   every area, address space, file and table is free or where it belongs; a pool's live counts those
    C5   a file that is not free is alive, and mapped or held open
    C6   extents fill the cache arena without overlap, free ones are clean; a file fits its own
    C7   no page lies in a folio of more than 512, and in one of more than 1 only in a file that says so
    F1   a free list holds frames of its zone that were in use before, each once
    F2   frames_free is what is not in use; the peak is not below
    S3   the free list of slots holds unused ones, each once; no slot is lost
    S4   slots_free is what is not in use
    S5   a free slot holds no contents
    T1   an upper entry names a table with the right owner, level and first page, and no table is named twice
    T2   every entry of a free table is 0
    T3   an entry lies inside an area
    T4   an entry is 0, or present and names a frame in use, or a swap entry and names a slot in use, or names a page of
         the file; no other bits
    T5   PRESENT, USER, PROTNONE, NX are those of the area
    T6   RW only in a writable area, and never on the zero page; always in a shared writable area
    T7   a page-cache frame is mapped by areas of its file, at its page unless they are nonlinear; other frames by private
         areas; the zero page by areas without a file
    T8   swap entries stand in private areas only
    T11  entries that name a page of the file stand in nonlinear areas only, and not at that page's linear place
    T9   no table that munmap frees is left where no area overlaps its granule
    M4   rss counts present entries, the zero page aside
    M5   swapents counts swap entries
    M6   n_tables counts the tables
    F3   mapcount is the number of entries
    F4   n_mapped counts the frames with mapcount > 0
    F5   ANON: mapped and not of the page cache; no frame is in page cache and swap cache
    F6   a frame in use is referred to (page_count > 0), and not pinned
    F7   a free frame and the zero page hold no contents
    F8   their records are clean
    F9   no unknown flags; an owner only in a cache
    F10  EXCLUSIVE and LAZYFREE only of anonymous frames; an EXCLUSIVE one is mapped once
    L1   an LRU list is linked both ways, from head to tail, without free frames
    L2   LRU is set, ACTIVE as the list says
    L3   n_active, n_inactive count them
    L4   every frame in use is on a list
    C1   a frame of the page cache and its file's entry lead to each other
    C2   n_cached counts them
    C3   n_swapped counts the pages in swap, which are shmem's; their slots are in use
    C4   nothing beyond the end of the file
    S1   a slot's use count is swap entries + in the swap cache + shmem's own (32,767 stays)
    S2   slot and frame of the swap cache lead to each other
    T10  a private area's writable entry: its frame is ANON, mapped once, its slot has no other user
    P3   bytes of reverse mapping and of low memory are what the live objects cost; the peaks are not below
    K1   locks, if the machine keeps them: none was taken against the kernel's order (docs/locks.md)
    W1   the reverse map finds every entry that maps a frame
    W2   it reports none twice, and no wrong place
"""
import re

from rmapcore.errors import InconsistentState
from rmapcore.pyx.look import query
from rmapcore.pyx.look.check.violation import violation
from rmapcore.units import PAGE

RULES = dict(re.findall(r"^    ([A-Z]\d+) +(.*(?:\n {9}.*)*)", __doc__ or "", re.MULTILINE))         # python -OO leaves it out


def check(machine):
    """Raises InconsistentState for the first violated rule. Changes neither state nor counters."""
    found = violation(machine._engine)
    if found:
        _fail(machine, *found)
    for side in (machine._engine.anon, machine._engine.side):
        for fault in side.check():
            if not isinstance(fault, tuple) or len(fault) != 5:
                raise TypeError(f"check of scheme {side.name}: {fault!r} is not (rule, frame, mm, vpn, text)")
            rule, frame, mm, vpn, text = fault
            _fail(machine, rule, frame, mm, vpn or None, text)
    breach = machine._locks.breach() if machine._locks is not None else None
    if breach:
        _fail(machine, "K1", 0, 0, None, breach)
    if not machine._engine.anon.sweeps:        # its whomaps is the scan itself
        _crosscheck(machine)


def _fail(machine, rule, frame, mm, vpn, text):
    """mm 0, frame 0 and vpn None: the violation has no such place."""
    mms = machine._core.view("mms")
    process = int(mms["pid"][mm]) if 0 < mm < len(mms) else None
    raise InconsistentState(rule, int(frame) or None, process, None if vpn is None else int(vpn) * PAGE, text)


def _crosscheck(machine):
    """W1 and W2 for every frame. A walk ends after mapcount answers, so each wrong one also costs a true one: W2 first."""
    _, missed, extra, frame = query.crosscheck(machine._engine)
    if not missed and not extra:
        return
    counters = machine._core.writable("counters")
    before = counters.copy()
    told = _places(query.whomaps(machine._engine, [frame]))
    counters[:] = before
    true = _places(query.mappings(machine._engine, [frame]))
    for at, place in enumerate(told):
        if place not in true or place in told[:at]:
            raise InconsistentState("W2", frame, *place, f"reported, but {'twice' if place in true else 'not there'}")
    lost = [place for place in true if place not in told]
    raise InconsistentState("W1", frame, *lost[0], f"{len(lost)} of {len(true)} mappings are not found")


def _places(answer):
    """[(pid, address)] of the only frame that was asked for."""
    return list(zip(answer[1].tolist(), answer[2].tolist(), strict=True))
