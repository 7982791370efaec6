"""Single steps of the hot paths as batches, for benchmarks and for page tables without the rest of a machine.

   lookup, places     addresses -> entries, slots: one walk down the tables each, none while the leaf table is the last one;
                      lookup fetches the entries of a group before it reads them
   clear_young        all leaf tables of one mm, one after another: the kernel's clear_refs
   deactivate         frames -> inactive list in a given order: what ageing leaves behind
   referenced, unmap_frames  frames -> page_referenced, try_to_unmap of each, in order
   aged               the part of reclaim that looks at the active list
   by_turns           frames -> walks of all at once, a step of each in turn: the scheme's answers, before anything is looked up
   ideal, ideal_shared    the yardstick: frame record and entries of each victim are known, read, compared and written

Input order is kept, the GIL is released, but in by_turns. Nothing allocates a frame, so nothing reclaims. referenced, unmap and
aged count what reclaim counts, by_turns what the scheme does; the others move no counter. After each of them check() holds,
but for an odd number of ideal passes.
Costs: what the loop does, and an array for the answers.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.records cimport PG_ACTIVE, PG_DIRTY, PG_LRU, PG_REFERENCED, P_PIDS, P_TABLES, Frame
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_PROTNONE, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.machine.lru cimport lru_move
from rmapcore.pyx.machine.pagetable cimport Cursor, leaf_run, pt_next, pt_place
from rmapcore.pyx.reclaim.leads cimport GROUP, Group, approach_next, count_leads, in_groups, lead_entry, lead_referenced
from rmapcore.pyx.reclaim.walk cimport SWAP_AGAIN, SWAP_FAIL, SWAP_SUCCESS, UNMAP_NO_SLOT, forget_leaves, page_referenced
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport WALK_QUERY, Walk

import numpy as np

cdef enum:
    FETCHED = 64              # look-ups whose entries are fetched before the first is read: random ones 50 -> 13 ns

cdef enum:
    MOST_WALKS = 16           # open at once

cdef enum:
    YOUNG_SHIFT = 5           # PTE_ACCESSED is 1 << 5

UNMAPPED, AGAIN, FAIL, NO_SLOT = SWAP_SUCCESS, SWAP_AGAIN, SWAP_FAIL, UNMAP_NO_SLOT
assert PTE_ACCESSED == 1 << YOUNG_SHIFT


cdef mm_id living(Kernel k, uint32_t pid) except 0:
    cdef mm_id mm = k.s.pid_mm[pid] if pid < k.s.pool[P_PIDS].bump else 0
    if mm == 0:
        raise ProcessLookupError(3, f"No such process: {pid}")
    return mm


cdef object frame_numbers(Kernel k, pfns):
    """uint32 array of frames that there are, the zero page not among them."""
    array = np.asarray(pfns)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 1 or array.max() >= k.s.n_frames):
        raise ValueError(f"frame numbers must be whole numbers from 1 to {k.s.n_frames - 1}")
    return np.ascontiguousarray(array, np.uint32)


def lookup(Kernel k, uint32_t pid, const uint64_t[::1] addresses):
    """The entries that map these addresses (bytes), uint64; 0 where there is none."""
    cdef State* s = k.s
    cdef mm_id mm
    cdef Cursor c
    cdef slot_t[FETCHED] slots
    cdef Py_ssize_t[FETCHED] where
    cdef Py_ssize_t i, n, deferred
    cdef vpn_t vpn
    cdef Py_ssize_t at = 0
    out = np.empty(addresses.shape[0], np.uint64)
    cdef uint64_t[::1] entries = out
    with k.step:
        mm = living(k, pid)
        with nogil:
            c.leaf = 0
            while at < addresses.shape[0]:
                n = addresses.shape[0] - at
                if n > FETCHED:
                    n = FETCHED
                deferred = 0
                for i in range(n):
                    vpn = addresses[at + i] >> PAGE_SHIFT
                    if c.leaf == (vpn >> s.bits) + 1:      # in the order of addresses nothing has to be fetched
                        entries[at + i] = pte_get(s, c.base + (<uint32_t> vpn & s.index_mask))
                    else:
                        slots[deferred] = pt_place(s, mm, vpn, &c)
                        where[deferred] = at + i
                        deferred += 1
                for i in range(deferred):      # slot 0 belongs to no table and holds nothing
                    entries[where[i]] = pte_get(s, slots[i])
                at += n
    return out


def places(Kernel k, uint32_t pid, const uint64_t[::1] addresses):
    """The slots of the entries of these addresses (bytes), uint32; 0 where there is no leaf table."""
    cdef State* s = k.s
    cdef mm_id mm
    cdef Cursor c
    cdef Py_ssize_t i
    out = np.empty(addresses.shape[0], np.uint32)
    cdef uint32_t[::1] slots = out
    with k.step:
        mm = living(k, pid)
        with nogil:
            c.leaf = 0
            for i in range(addresses.shape[0]):
                slots[i] = pt_place(s, mm, addresses[i] >> PAGE_SHIFT, &c)
    return out


cdef uint64_t clear_young64(uint64_t* entry, uint32_t n) noexcept nogil:
    """Without branches, so that compilers use vectors. How many were young."""
    cdef uint64_t young
    cdef uint64_t count = 0
    cdef uint32_t i
    for i in range(n):
        young = (entry[i] >> YOUNG_SHIFT) & ((entry[i] & PTE_PRESENT) | ((entry[i] & PTE_PROTNONE) >> 7))
        entry[i] ^= young << YOUNG_SHIFT
        count += young
    return count


cdef uint64_t clear_young32(uint32_t* entry, uint32_t n) noexcept nogil:
    cdef uint32_t young
    cdef uint32_t count = 0
    cdef uint32_t i
    for i in range(n):
        young = (entry[i] >> YOUNG_SHIFT) & ((entry[i] & PTE_PRESENT) | ((entry[i] & PTE_PROTNONE) >> 7))
        entry[i] ^= young << YOUNG_SHIFT
        count += young
    return count


def clear_young(Kernel k, uint32_t pid):
    """Clears ACCESSED in all present entries of a process; how many had it."""
    cdef State* s = k.s
    cdef mm_id mm
    cdef vpn_t end = <vpn_t> 1 << (s.top_shift + s.bits)
    cdef vpn_t vpn = 0
    cdef uint64_t count = 0
    cdef uint32_t n
    cdef slot_t slot
    with k.step:
        mm = living(k, pid)
        with nogil:
            while True:
                slot = pt_next(s, mm, &vpn, end)
                if slot == 0:
                    break
                n = leaf_run(s, vpn, end)
                count += clear_young64(s.pte64 + slot, n) if s.wide else clear_young32(s.pte32 + slot, n)
                vpn += n
    return count


def deactivate(Kernel k, pfns):
    """Moves frames to the inactive list, REFERENCED cleared; reclaim meets the first of them first.

    Frames that were there before are older than all of these. Frames on no list are left alone.
    """
    cdef State* s = k.s
    cdef const uint32_t[::1] f = frame_numbers(k, pfns)
    cdef Py_ssize_t i
    with k.step, nogil:
        for i in range(f.shape[0]):
            if s.frame[f[i]].flags & PG_LRU:
                s.frame[f[i]].flags &= ~<uint32_t> PG_REFERENCED
                lru_move(s, f[i], False)


def activate(Kernel k, pfns):
    """Moves frames of the inactive list to the active one, the first of them as the oldest; others are left alone."""
    cdef State* s = k.s
    cdef const uint32_t[::1] f = frame_numbers(k, pfns)
    cdef Py_ssize_t i
    with k.step, nogil:
        for i in range(f.shape[0]):
            if s.frame[f[i]].flags & (PG_LRU | PG_ACTIVE) == PG_LRU:
                lru_move(s, f[i], True)


def referenced(Kernel k, pfns):
    """page_referenced of each frame: uint32, how often it was found referenced."""
    cdef const uint32_t[::1] f = frame_numbers(k, pfns)
    cdef Py_ssize_t i
    cdef uint64_t entry = 0
    cdef uint64_t walks = 0
    cdef uint64_t tried = 0
    out = np.empty(f.shape[0], np.uint32)
    cdef uint32_t[::1] counts = out
    cdef bint groups = in_groups(k) and k.account is None                  # an account hears of each of these walks
    cdef Group g
    with k.step, nogil:
        forget_leaves(k)
        for i in range(f.shape[0]):
            if groups:
                if i % GROUP == 0:
                    approach_next(k, &g, &f[i], f.shape[0] - i)
                entry = lead_entry(k.s, &g.lead[i % GROUP])
            if entry:
                counts[i] = lead_referenced(k.s, &g.lead[i % GROUP], entry)
                walks += 1
                tried += g.lead[i % GROUP].tried
            else:
                counts[i] = page_referenced(k, f[i])
        count_leads(k, walks, walks if k.anon.table_locks else 0, tried)
    k.anon.raise_kept()
    return out


def by_turns(Kernel k, pfns, uint32_t most):
    """The candidates of each of at most MOST_WALKS anonymous frames, the first `most`: a list of lists of (mm, area, vpn).

    Counts of walks move as if the walks came one after the other.
    """
    cdef Walk[MOST_WALKS] walks
    cdef uint32_t[::1] frames = frame_numbers(k, pfns)
    cdef Py_ssize_t i
    cdef bint some = True
    if len(frames) > MOST_WALKS:
        raise ValueError(f"{len(frames)} walks are more than {MOST_WALKS}")
    found = [[] for _ in frames]
    with k.step:
        memset(walks, 0, sizeof(walks))
        for i in range(len(frames)):
            walks[i].pfn = frames[i]
            walks[i].purpose = WALK_QUERY
            k.anon.walk_begin(&walks[i])
        while some:
            some = False
            for i in range(len(frames)):
                if walks[i].stop == 0 and len(found[i]) < most and k.anon.walk_next(&walks[i]):
                    found[i].append((walks[i].mm, walks[i].vma, walks[i].vpn))
                    some = True
                else:
                    walks[i].stop = 1
        for i in range(len(frames)):
            k.anon.walk_end(&walks[i], False)
    return found


def aged(Kernel k, uint64_t n):
    """The ageing of reclaim (rule K3) for up to n frames from the tail of the active list; how many it looked at.

    Mapped frames count as reclaimable, as under pressure: a young one goes to the head of the list, an old one to the
    inactive list. Counts what reclaim counts.
    """
    cdef uint64_t done
    with k.step, nogil:
        forget_leaves(k)
        done = k.age(n, True)
    k.anon.raise_kept()
    return done


def unmap_frames(Kernel k, pfns):
    """try_to_unmap of each frame, anonymous ones in the swap cache: uint8, UNMAPPED, AGAIN, FAIL or NO_SLOT.

    Frames stay on their list and in their cache, unwritten: reclaim frees them. One that nobody maps is UNMAPPED.
    """
    cdef const uint32_t[::1] f = frame_numbers(k, pfns)
    out = np.empty(f.shape[0], np.uint8)
    cdef uint8_t[::1] answers = out
    with k.step, nogil:
        if f.shape[0]:
            k.unmap_frames(&f[0], <uint32_t> f.shape[0], &answers[0])
    k.anon.raise_kept()
    return out


cdef uint64_t ideal64(Frame* frame, uint64_t* entry, uint64_t nx, uint32_t n_frames, uint64_t n_slots,
                      const uint32_t[::1] pfns, const uint32_t[::1] slots) noexcept nogil:
    cdef uint64_t count = 0
    cdef uint64_t word
    cdef uint32_t pfn, slot
    cdef Py_ssize_t i
    for i in range(pfns.shape[0]):
        pfn = pfns[i]
        slot = slots[i]
        if pfn >= n_frames or slot >= n_slots:
            continue
        word = entry[slot]
        if pte_present(word) and (word & ~nx) >> PAGE_SHIFT == pfn and frame[pfn].mapcount:
            frame[pfn].flags ^= PG_DIRTY
            entry[slot] = word ^ PTE_DIRTY
            count += 1
    return count


cdef uint64_t ideal32(Frame* frame, uint32_t* entry, uint32_t n_frames, uint64_t n_slots, const uint32_t[::1] pfns,
                      const uint32_t[::1] slots) noexcept nogil:
    cdef uint64_t count = 0
    cdef uint32_t word, pfn, slot
    cdef Py_ssize_t i
    for i in range(pfns.shape[0]):
        pfn = pfns[i]
        slot = slots[i]
        if pfn >= n_frames or slot >= n_slots:
            continue
        word = entry[slot]
        if pte_present(word) and word >> PAGE_SHIFT == pfn and frame[pfn].mapcount:
            frame[pfn].flags ^= PG_DIRTY
            entry[slot] = word ^ PTE_DIRTY
            count += 1
    return count


def ideal(Kernel k, const uint32_t[::1] pfns, const uint32_t[::1] slots):
    """The ideal memory pass: toggles DIRTY of each frame and of the entry in its slot, if the entry maps the frame.

    pfns and slots run in parallel; slots are from `places`. How many did. Two passes over the same arrays leave the
    machine as it was.
    """
    cdef State* s = k.s
    cdef uint64_t n_slots = s.pool[P_TABLES].bump << s.bits
    cdef uint64_t count
    if pfns.shape[0] != slots.shape[0]:
        raise ValueError(f"{pfns.shape[0]} frames and {slots.shape[0]} slots do not go together")
    with k.step, nogil:
        if s.wide:
            count = ideal64(s.frame, s.pte64, s.nx, s.n_frames, n_slots, pfns, slots)
        else:
            count = ideal32(s.frame, s.pte32, s.n_frames, n_slots, pfns, slots)
    return count


def ideal_shared(Kernel k, const uint32_t[::1] pfns, const int64_t[::1] offsets, const uint32_t[::1] slots):
    """The ideal memory pass over frames with several mappings: toggles DIRTY of each frame, and of those of its entries that
    map it, which are in slots[offsets[i]:offsets[i + 1]]. How many entries did.
    """
    cdef State* s = k.s
    cdef uint64_t n_slots = s.pool[P_TABLES].bump << s.bits
    cdef uint64_t count = 0
    cdef uint64_t word
    cdef uint32_t slot
    cdef Py_ssize_t i
    cdef int64_t at
    if offsets.shape[0] != pfns.shape[0] + 1 or offsets[0] != 0 or offsets[pfns.shape[0]] != slots.shape[0]:
        raise ValueError(f"{pfns.shape[0]} frames, {offsets.shape[0]} offsets and {slots.shape[0]} slots do not go together")
    if (np.diff(offsets) < 0).any():
        raise ValueError("offsets must not descend")
    with k.step, nogil:
        for i in range(pfns.shape[0]):
            if pfns[i] >= s.n_frames or s.frame[pfns[i]].mapcount == 0:
                continue
            s.frame[pfns[i]].flags ^= PG_DIRTY
            for at in range(offsets[i], offsets[i + 1]):
                slot = slots[at]
                word = pte_get(s, slot) if slot < n_slots else 0
                if pte_present(word) and pte_pfn(s, word) == pfns[i]:
                    pte_set(s, slot, word ^ PTE_DIRTY)
                    count += 1
    return count
