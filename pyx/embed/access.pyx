"""Faults of single accesses, and batches of accesses and translations (access.pxd).

Batches go in groups: the entries of a group are fetched before the first one is read, so that what lies in random order costs
one miss after another no more. Order is kept: an element is looked at when those before it are done.
"""
from libc.errno cimport EFAULT, EINVAL, ESRCH
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from rmapcore.pyx.base.counters cimport C_FAULTS_ZERO
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.records cimport R_FREED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport pte_get
from rmapcore.pyx.embed.access cimport allows, find_entry, hit, mm_of, place_of
from rmapcore.pyx.embed.doors cimport (
    ABSENT, CHANGING, HOOK_RAISED, Slot, enter, explained, fail, finish, leave, look_away, look_in, slots, stay, use_doors,
)
from rmapcore.pyx.machine.pagetable cimport TOUCHED, Cursor, pt_lookup, pt_place
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel

cdef enum:
    KINDS = 5                 # of faults: their counters stand in a row
    EVICTED = 0x100           # rmapcore_access of rmapcore.h
    HUGE_SHIFT = 21           # page tables begin at a multiple of 2 MiB

use_doors(slots())


cdef uint64_t tables_begin(State* s) noexcept nogil:
    """The physical address of page table 0, above RAM."""
    return (((<uint64_t> s.n_frames << PAGE_SHIFT) >> HUGE_SHIFT) + 1) << HUGE_SHIFT


cdef int walk_tables(State* s, mm_id mm, uint64_t address, uint64_t* entries, int levels) noexcept nogil:
    """Physical addresses of the entries that lead to an address, from the top table down; how many."""
    cdef vpn_t vpn = address >> PAGE_SHIFT
    cdef uint32_t table = s.mm[mm].pgd
    cdef int shift = s.top_shift
    cdef int n = 0
    cdef slot_t slot
    cdef uint64_t entry
    if vpn >= s.task_vpn:
        return 0
    while n < levels:
        slot = (table << s.bits) | (<uint32_t> (vpn >> shift) & s.index_mask)
        entries[n] = tables_begin(s) + (<uint64_t> slot << (3 if s.wide else 2))
        n += 1
        if shift == 0:
            break
        entry = pte_get(s, slot)
        if entry == 0:
            break
        table = <uint32_t> (entry >> PAGE_SHIFT)
        shift -= s.bits
    return n


cdef uint64_t translate_all(State* s, mm_id mm, uint64_t n, const uint64_t* addresses, bint write, int64_t* out) noexcept nogil:
    """Where an access to each of n addresses would go without a fault, or ABSENT; how many are not absent."""
    cdef slot_t[TOUCHED] slot
    cdef uint64_t at = 0
    cdef uint64_t found = 0
    cdef uint64_t entry
    cdef uint32_t i, group
    cdef Cursor c
    c.leaf = 0
    while at < n:
        group = <uint32_t> (n - at if n - at < TOUCHED else TOUCHED)
        for i in range(group):
            slot[i] = pt_place(s, mm, addresses[at + i] >> PAGE_SHIFT, &c)
        for i in range(group):                 # slot 0 belongs to no table and holds nothing
            entry = pte_get(s, slot[i])
            if allows(entry, write):
                out[at + i] = <int64_t> place_of(s, entry, addresses[at + i])
                found += 1
            else:
                out[at + i] = ABSENT
        at += group
    return found


cdef inline uint32_t kind_since(State* s, const uint64_t* counts, uint64_t freed) noexcept nogil:
    """What an access was, by the counters of faults before it: rmapcore_access of rmapcore.h."""
    cdef uint32_t kind = EVICTED if s.h.reclaimed[R_FREED] != freed else 0
    cdef uint32_t i
    for i in range(KINDS):
        if s.count[C_FAULTS_ZERO + i] != counts[i]:
            return kind | (i + 1)
    return kind


cdef int access_page(Kernel k, mm_id mm, vpn_t vpn, bint write, uint32_t* kind) noexcept nogil:
    """An access that the entry does not allow. *kind: what it was."""
    cdef State* s = k.s
    cdef uint64_t[KINDS] counts
    cdef uint64_t freed = s.h.reclaimed[R_FREED]
    cdef uint64_t done = 0
    cdef int status
    cdef Cursor c
    c.leaf = 0
    memcpy(counts, &s.count[C_FAULTS_ZERO], sizeof(counts))
    status = k.touch(mm, &vpn, 1, write, &c, &done)
    kind[0] = kind_since(s, counts, freed)
    return HOOK_RAISED if k.anon.failed else status


cdef inline bint writes_at(const uint8_t* writes, uint32_t i) noexcept nogil:
    return writes[i] != 0 if writes != NULL else False


cdef inline uint32_t fresh_run(State* s, mm_id mm, const uint32_t* processes, const vpn_t* vpn, const uint8_t* writes,
                               const slot_t* slot, uint32_t n) noexcept nogil:
    """As many accesses, from the first on, as are first touches of anonymous memory, alike, with frames enough for all."""
    cdef uint32_t i = 0
    cdef bint write = writes_at(writes, 0)
    cdef uint32_t v = peek_vma(s, mm, vpn[0])
    if v == 0 or s.area[v].file or s.area[v].start > vpn[0]:
        return 0
    if n > s.h.frames_free:
        n = <uint32_t> s.h.frames_free
    while (i < n and processes[i] == processes[0] and writes_at(writes, i) == write and vpn[i] < s.area[v].end
           and vpn[i] >= s.area[v].start and slot[i] and pte_get(s, slot[i]) == 0):
        i += 1
    return i


cdef int access_group(Kernel k, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                      uint64_t* physical, uint16_t* kinds, uint32_t n, uint64_t* done) noexcept nogil:
    """n accesses, TOUCHED at most. *done counts those that succeeded, and a failure ends them."""
    cdef State* s = k.s
    cdef vpn_t[TOUCHED] vpn
    cdef slot_t[TOUCHED] slot
    cdef uint64_t[KINDS] counts
    cdef uint64_t entry, freed, now
    cdef uint32_t last = 0                     # whose page tables the cursor knows; 0: nobody's
    cdef mm_id mm = 0
    cdef uint32_t i, run, kind
    cdef bint write
    cdef int status
    cdef Cursor c
    c.leaf = 0
    for i in range(n):
        vpn[i] = addresses[i] >> PAGE_SHIFT
        if processes[i] != last or mm == 0:
            last = processes[i]
            mm = mm_of(s, last)
            c.leaf = 0
        slot[i] = pt_place(s, mm, vpn[i], &c) if mm else 0
    i = 0
    while i < n:
        write = writes_at(writes, i)
        entry = pte_get(s, slot[i])            # slot 0 belongs to no table and holds nothing
        if allows(entry, write):
            now = hit(s, slot[i], entry, addresses[i], write)
            if physical:
                physical[i] = now
            if kinds:
                kinds[i] = 0
            i += 1
            done[0] += 1
            continue
        mm = mm_of(s, processes[i])
        if mm == 0:
            return ESRCH
        run = fresh_run(s, mm, processes + i, vpn + i, writes + i if writes else NULL, slot + i, n - i)
        if run == 0:
            run = 1
        freed = s.h.reclaimed[R_FREED]
        memcpy(counts, &s.count[C_FAULTS_ZERO], sizeof(counts))
        now = 0
        c.leaf = 0
        status = k.touch(mm, vpn + i, run, write, &c, &now)
        kind = kind_since(s, counts, freed)
        while now:
            if physical:
                physical[i] = place_of(s, pte_get(s, pt_lookup(s, mm, vpn[i])), addresses[i])
            if kinds:
                kinds[i] = <uint16_t> kind
            i += 1
            done[0] += 1
            now -= 1
        if status != E_OK or k.anon.failed:
            return HOOK_RAISED if k.anon.failed else status
    return E_OK


cdef uint64_t access_all(Kernel k, uint64_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                         uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil:
    """n accesses, in order; how many succeeded. Each of physical, kinds, writes may be NULL."""
    cdef uint64_t done = 0
    cdef uint64_t at = 0
    cdef uint32_t group
    status[0] = E_OK
    while at < n and status[0] == E_OK:
        group = <uint32_t> (n - at if n - at < TOUCHED else TOUCHED)
        status[0] = access_group(k, processes + at, addresses + at, writes + at if writes else NULL,
                                 physical + at if physical else NULL, kinds + at if kinds else NULL, group, &done)
        at += group
    return done


# --- as functions of the table: each enters the machine for itself ------------------------------------------------------


cdef int64_t do_translate(uint64_t m, uint32_t process, uint64_t address, int write) noexcept nogil:
    cdef Slot* slot
    cdef int64_t result = ABSENT
    cdef uint64_t entry
    cdef slot_t at
    cdef bint mine, known
    cdef int code = look_in(m, 0, &slot, &mine)
    if code:
        return code
    at = find_entry(slot.s, &slot.near, process, address >> PAGE_SHIFT, &known)
    entry = pte_get(slot.s, at)                # entry 0 belongs to no table and holds nothing
    if allows(entry, write):
        result = <int64_t> place_of(slot.s, entry, address)
    elif not known:
        result = fail(-ESRCH, 0)
    look_away(slot, mine)
    return result


cdef int64_t do_translate_many(uint64_t m, uint32_t process, size_t n, const uint64_t* addresses, int write,
                               int64_t* physical) noexcept nogil:
    cdef Slot* slot
    cdef int64_t result
    cdef mm_id mm
    cdef int code = enter(m, 0, &slot)
    if code:
        return code
    mm = mm_of(slot.s, process)
    if mm == 0:
        return finish(slot, 0, ESRCH, 0, 0)
    if n and (addresses == NULL or physical == NULL):
        return finish(slot, 0, EFAULT, 0, 0)
    result = <int64_t> translate_all(slot.s, mm, n, addresses, write, physical)
    leave(slot, 0)
    return result


cdef int fault(Slot* slot, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil:
    """The rest of a touch, inside."""
    cdef State* s = slot.s
    cdef mm_id mm = mm_of(s, process)
    cdef uint32_t kind = 0
    cdef int status
    if mm == 0:
        return <int> finish(slot, CHANGING, ESRCH, address, 0)
    status = slot.access(slot.kernel, mm, address >> PAGE_SHIFT, write != 0, &kind)
    if status == E_OK and physical:
        physical[0] = place_of(s, pte_get(s, pt_lookup(s, mm, address >> PAGE_SHIFT)), address)
    return <int> finish(slot, CHANGING, status, address, kind)


cdef int do_touch(uint64_t m, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil:
    cdef Slot* slot
    cdef uint64_t entry, place
    cdef slot_t at
    cdef bint mine, known
    cdef int code = look_in(m, CHANGING, &slot, &mine)
    if code:
        return code
    at = find_entry(slot.s, &slot.near, process, address >> PAGE_SHIFT, &known)
    entry = pte_get(slot.s, at)
    if not allows(entry, write):
        stay(slot, CHANGING)
        return fault(slot, process, address, write, physical)
    place = hit(slot.s, at, entry, address, write)
    if physical:
        physical[0] = place
    look_away(slot, mine)
    return 0


cdef int64_t do_touch_many(uint64_t m, size_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                           uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil:
    cdef Slot* slot
    cdef uint64_t done
    cdef int found
    cdef int code = enter(m, CHANGING, &slot)
    if code:
        return code
    if n and (processes == NULL or addresses == NULL):
        return finish(slot, CHANGING, EFAULT, 0, 0)
    done = slot.accesses(slot.kernel, n, processes, addresses, writes, physical, kinds, &found)
    code = explained(slot, found, addresses[done] if done < n else 0) if found else 0
    if status:
        status[0] = code
    leave(slot, CHANGING)
    return <int64_t> done


cdef int do_walk(uint64_t m, uint32_t process, uint64_t address, uint64_t* entries, int levels) noexcept nogil:
    cdef Slot* slot
    cdef mm_id mm
    cdef int code = enter(m, 0, &slot)
    if code:
        return code
    mm = mm_of(slot.s, process)
    if mm == 0:
        return <int> finish(slot, 0, ESRCH, 0, 0)
    if levels < 0 or (levels and entries == NULL):
        return <int> finish(slot, 0, EINVAL, 0, 0)
    code = walk_tables(slot.s, mm, address, entries, levels)
    leave(slot, 0)
    return code
