"""Looking at a machine without changing it: maps, pagemap, stamps, mappings, and whomaps through the scheme.

`mappings` is the oracle: one sweep over every page table. `whomaps` asks the scheme and moves nothing but counters.
`verify` compares the two for every frame and leaves not even a counter changed.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from rmapcore.pyx.base.counters cimport C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vma_id, vpn_t
from rmapcore.pyx.base.records cimport PG_ANON, P_FRAMES, P_TABLES, VM_ACCESS, VM_NONLINEAR, Area, AreaRecord, PageRecord
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport (
    PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_get, pte_is_guard, pte_is_swap, pte_pfn, pte_present, swap_slot,
)
from rmapcore.pyx.look.users cimport count_entries, find_users, query_frame
from rmapcore.pyx.machine.files cimport file_pages, file_stamp
from rmapcore.pyx.machine.pagetable cimport leaf_run, pt_lookup, pt_next, slot_mm, slot_vpn
from rmapcore.pyx.machine.vmas cimport has_cache, page_of, peek_vma
from rmapcore.pyx.reclaim.walk cimport forget_leaves
from rmapcore.pyx.seam.kernel cimport Kernel

import numpy as np
from rmapcore.pyx.base.records import AREA_RECORD, PAGE_RECORD


def maps(Kernel k, mm_id mm):
    """The areas of an mm, ascending: array of AREA_RECORD."""
    cdef State* s = k.s
    cdef AreaRecord* r
    cdef uint32_t left
    cdef vma_id v
    with k.alone:
        left = s.mm[mm].n_areas
        out = np.zeros(left, AREA_RECORD)
        r = <AreaRecord*> <size_t> out.ctypes.data
        with nogil:
            v = s.mm[mm].first
            while v and left:                  # a hook may look where the list is longer than the count already
                r.start = s.area[v].start << PAGE_SHIFT
                r.end = s.area[v].end << PAGE_SHIFT
                r.pgoff = s.area[v].pgoff
                r.prot = s.area[v].flags & VM_ACCESS
                r.flags = s.area[v].flags
                r.file = s.area[v].file
                r.name = s.area[v].name
                r += 1
                left -= 1
                v = s.area[v].next
    return out


def pagemap(Kernel k, mm_id mm, vpn_t start, uint64_t pages):
    """One PAGE_RECORD a page."""
    cdef State* s = k.s
    out = np.zeros(pages, PAGE_RECORD)
    cdef PageRecord* r = <PageRecord*> <size_t> out.ctypes.data
    cdef uint64_t i, entry
    cdef slot_t slot
    cdef pfn_t pfn
    with k.alone, nogil:
        for i in range(pages):
            r[i].pfn = -1
            r[i].slot = -1
            slot = pt_lookup(s, mm, start + i) if start + i < s.task_vpn else 0
            entry = pte_get(s, slot) if slot else 0
            if pte_present(entry):
                pfn = pte_pfn(s, entry)
                r[i].present = 1
                r[i].pfn = pfn
                r[i].mapcount = s.frame[pfn].mapcount
                r[i].anon = (s.frame[pfn].flags & PG_ANON) != 0
                r[i].writable = entry & PTE_PRESENT != 0 and entry & PTE_RW != 0
                r[i].young = (entry & PTE_ACCESSED) != 0
                r[i].dirty = (entry & PTE_DIRTY) != 0
            elif pte_is_swap(entry):
                r[i].swapped = 1
                r[i].anon = 1
                r[i].slot = swap_slot(s, entry)
            else:
                r[i].guard = pte_is_guard(s, entry)
    return out


def tabled(Kernel k, mm_id mm):
    """Ranges of pages in areas that have leaf tables, ascending: uint64 array of shape (n, 2): first vpn, end."""
    cdef State* s = k.s
    cdef vma_id v
    cdef vpn_t vpn, end
    cdef vpn_t first = 0, last = 0             # the range that grows
    found = []
    with k.alone:
        v = s.mm[mm].first
        while v:
            vpn = s.area[v].start
            end = s.area[v].end
            while pt_next(s, mm, &vpn, end):
                if vpn != last:
                    if first < last:
                        found.append((first, last))
                    first = vpn
                last = vpn = vpn + leaf_run(s, vpn, end)
            v = s.area[v].next
    if first < last:
        found.append((first, last))
    return np.array(found, np.uint64).reshape(-1, 2)


cdef uint64_t stamp_at(State* s, mm_id mm, vma_id v, vpn_t vpn) noexcept nogil:
    """What a program reads at vpn, which lies in area v (rule L3)."""
    cdef slot_t slot = pt_lookup(s, mm, vpn)
    cdef uint64_t entry = pte_get(s, slot) if slot else 0
    cdef pfn_t pfn
    if pte_present(entry):
        return s.stamp[pte_pfn(s, entry)]
    if pte_is_swap(entry):
        pfn = s.swap_cache[swap_slot(s, entry)]
        return s.stamp[pfn] if pfn else s.swap_stamp[swap_slot(s, entry)]
    if has_cache(s, v) and not pte_is_guard(s, entry):
        return file_stamp(s, s.area[v].file, page_of(s, v, vpn, entry))
    return 0


def stamps(Kernel k, mm_id mm, vpn_t start, uint64_t pages):
    """The stamps of a range, uint64; 0 where nothing is mapped."""
    cdef State* s = k.s
    out = np.zeros(pages, np.uint64)
    cdef uint64_t* r = <uint64_t*> <size_t> out.ctypes.data
    cdef uint64_t i
    cdef vma_id v
    with k.alone, nogil:
        v = peek_vma(s, mm, start)
        for i in range(pages):
            while v and s.area[v].end <= start + i:
                v = s.area[v].next
            if v and s.area[v].start <= start + i:
                r[i] = stamp_at(s, mm, v, start + i)
    return out


def stamped_pages(Kernel k, mm_id mm):
    """All pages of an mm whose stamp is not 0: uint64 array of shape (n, 2): vpn, stamp; ascending."""
    cdef State* s = k.s
    cdef uint64_t most, stamp
    cdef uint64_t n = 0
    cdef uint64_t* r
    cdef vma_id v
    cdef vpn_t vpn, end, next
    with k.step:
        with nogil:
            most = stamps_most(s, mm)
        out = np.empty((most, 2), np.uint64)
        r = <uint64_t*> <size_t> out.ctypes.data
        with nogil:
            v = s.mm[mm].first
            while v:
                vpn = s.area[v].start
                end = s.area[v].end
                while vpn < end:
                    if not has_cache(s, v):    # nothing can be where no page table is
                        if pt_next(s, mm, &vpn, end) == 0:
                            break
                    next = vpn + leaf_run(s, vpn, end)
                    while vpn < next:
                        stamp = stamp_at(s, mm, v, vpn)
                        if stamp:
                            r[2 * n] = vpn
                            r[2 * n + 1] = stamp
                            n += 1
                        vpn += 1
                v = s.area[v].next
    return out[:n]


cdef uint64_t stamps_most(State* s, mm_id mm) noexcept nogil:
    """How many pages of an mm can have a stamp."""
    cdef uint64_t most = s.mm[mm].rss + s.mm[mm].swapents
    cdef vma_id v = s.mm[mm].first
    cdef Area* a
    while v:
        a = &s.area[v]
        if a.flags & VM_NONLINEAR:
            most += a.end - a.start
        elif has_cache(s, v):
            most += min(a.end - a.start, max(file_pages(s, a.file), a.pgoff) - a.pgoff)
        v = a.next
    return most


cdef object frame_numbers(Kernel k, pfns):
    """int64 in a row, all of them numbers of frames; ValueError."""
    array = np.asarray(pfns)
    if array.ndim != 1 or array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= k.s.n_frames):
        raise ValueError(f"frame numbers must be whole numbers below {k.s.n_frames}, in a row")
    return np.ascontiguousarray(array, np.int64)


def mappings(Kernel k, pfns):
    """The oracle: (offsets, pids, addresses) of who maps each frame, by a scan of all page tables.

    pfns: any sequence of frame numbers.  offsets: int64, len + 1; pids: uint32; addresses: uint64 bytes.
    Within a frame: mms by age, addresses ascending.
    """
    cdef State* s = k.s
    wanted, inverse = np.unique(frame_numbers(k, pfns), return_inverse=True)
    where = np.zeros(s.n_frames, np.uint32)
    where[wanted] = np.arange(1, len(wanted) + 1, dtype=np.uint32)
    where[0] = 0                                # the zero page is nobody's
    counts = np.zeros(len(wanted) + 1, np.int64)
    cdef uint32_t[::1] w = where
    cdef int64_t[::1] c = counts
    with k.alone:
        scan_tables(s, w, c, None, None)
        starts = np.zeros(len(wanted) + 1, np.int64)
        np.cumsum(counts[1:], out=starts[1:])
        total = counts.sum()
        pids = np.empty(total, np.uint32)
        addresses = np.empty(total, np.uint64)
        counts[1:] = starts[:len(wanted)]
        scan_tables(s, w, c, pids, addresses)
    sizes = np.diff(starts)[inverse]
    offsets = np.zeros(len(inverse) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    if len(wanted) == len(inverse) and np.array_equal(inverse, np.arange(len(inverse))):
        return offsets, pids, addresses
    order = np.repeat(starts[inverse] - offsets[:len(inverse)], sizes) + np.arange(sizes.sum())
    return offsets, pids[order], addresses[order]


cdef void scan_tables(State* s, uint32_t[::1] where, int64_t[::1] counts, uint32_t[::1] pids,
                      uint64_t[::1] addresses):
    """Counts the entries of each wanted frame, or, given arrays, writes them at the counts and advances these."""
    cdef bint fill = pids is not None
    cdef mm_id mm
    cdef vpn_t vpn, end
    cdef slot_t slot
    cdef uint32_t n, i, at
    cdef uint64_t entry
    end = <vpn_t> 1 << (s.top_shift + s.bits)
    with nogil:
        mm = s.h.mm_first
        while mm:
            vpn = 0
            while True:
                slot = pt_next(s, mm, &vpn, end)
                if slot == 0:
                    break
                n = leaf_run(s, vpn, end)
                for i in range(n):
                    entry = pte_get(s, slot + i)
                    if not pte_present(entry):
                        continue
                    at = where[pte_pfn(s, entry)]
                    if at == 0:
                        continue
                    if fill:
                        pids[counts[at]] = s.mm[mm].pid
                        addresses[counts[at]] = (vpn + i) << PAGE_SHIFT
                    counts[at] += 1
                vpn += n
            mm = s.mm[mm].next


def whomaps(Kernel k, pfns):
    """Who maps these frames, found through the scheme: (offsets, pids, addresses) as `mappings` gives them.

    A scheme that sweeps has no walk of one page: it pays for a scan of every leaf table.
    """
    cdef State* s = k.s
    frames = frame_numbers(k, pfns).astype(np.uint32)
    offsets = np.zeros(len(frames) + 1, np.int64)
    cdef const uint32_t[::1] f = frames
    cdef int64_t* o = <int64_t*> <size_t> offsets.ctypes.data
    cdef uint64_t most = 0
    cdef uint32_t* p
    cdef uint64_t* a
    cdef int64_t i
    with k.step:
        if k.anon.sweeps:
            with nogil:
                tally(s, C_SCANNED_PTES, count_entries(s))
            return mappings(k, pfns)
        with nogil:
            for i in range(f.shape[0]):
                most += s.frame[f[i]].mapcount if f[i] else 0
        pids = np.empty(most, np.uint32)
        addresses = np.empty(most, np.uint64)
        p = <uint32_t*> <size_t> pids.ctypes.data
        a = <uint64_t*> <size_t> addresses.ctypes.data
        with nogil:
            find_users(k, f.shape[0], &f[0] if f.shape[0] else NULL, o, p, a)
    k.anon.raise_kept()
    return offsets, pids[:o[f.shape[0]]], addresses[:o[f.shape[0]]]


def crosscheck(Kernel k):
    """Compares the scheme with the page tables for every mapped frame: (frames, missed, extra, first bad frame).

    missed: entries that map a frame and that its walk does not find.  extra: places reported twice in one walk, or
    whose mm and address lead to another entry.  Counters are put back afterwards.
    """
    with k.step:
        if k.account is not None:
            k.account.hush(True)
        found = crosschecked(k)
        if k.account is not None:
            k.account.hush(False)
    k.anon.raise_kept()
    return found


cdef tuple crosschecked(Kernel k):
    """crosscheck, held."""
    cdef State* s = k.s
    cdef uint64_t n_slots = s.pool[P_TABLES].bump << s.bits
    cdef uint64_t missed = 0
    cdef uint64_t extra = 0
    cdef uint64_t frames = 0
    cdef uint32_t most = 1
    cdef uint32_t pfn, found, i, distinct
    cdef uint32_t bad = 0
    cdef slot_t slot
    cdef uint32_t bump = <uint32_t> s.pool[P_FRAMES].bump      # frames beyond were never used
    where = np.arange(bump, dtype=np.uint32)
    counts = np.zeros(bump, np.int64)
    cdef uint32_t[::1] w = where
    cdef int64_t[::1] c = counts
    scan_tables(s, w, c, None, None)
    saved = np.array(k.core.view("counters"))
    with nogil:
        for pfn in range(1, bump):
            if s.frame[pfn].mapcount > most:
                most = s.frame[pfn].mapcount
    reported = np.zeros((n_slots >> 3) + 1, np.uint8)
    slots = np.zeros(most, np.uint32)
    pids = np.zeros(most, np.uint32)
    addresses = np.zeros(most, np.uint64)
    cdef uint8_t[::1] bits = reported
    cdef uint32_t[::1] sl = slots
    cdef uint32_t[::1] pi = pids
    cdef uint64_t[::1] ad = addresses
    forget_leaves(k)
    with nogil:
        for pfn in range(1, bump):
            if s.frame[pfn].mapcount == 0 and c[pfn] == 0:
                continue
            frames += 1
            if k.anon.sweeps:
                continue
            found = query_frame(k, pfn, &pi[0], &ad[0], &sl[0])
            distinct = 0
            for i in range(found):
                slot = sl[i]
                if (bits[slot >> 3] >> (slot & 7)) & 1:
                    extra += 1
                    bad = bad if bad else pfn
                    continue
                bits[slot >> 3] |= <uint8_t> (1 << (slot & 7))
                if s.mm[slot_mm(s, slot)].pid != pi[i] or slot_vpn(s, slot) << PAGE_SHIFT != ad[i]:
                    extra += 1
                    bad = bad if bad else pfn
                    continue
                distinct += 1
            if distinct != c[pfn]:
                missed += c[pfn] - distinct
                bad = bad if bad else pfn
    k.core.writable("counters")[:] = saved
    return frames, missed, extra, bad
