"""Faults of single accesses, translations and walks (access.pxd).

Translations go in groups: the entries of a group are fetched before the first one is read, so that what lies in random order
costs one miss after another no more.
"""
from libc.errno cimport EFAULT, EINVAL, ESRCH
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from rmapcore.pyx.base.counters cimport C_FAULTS_ZERO
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.records cimport OP_READ, OP_WRITE, R_FREED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, pte_get, pte_pfn, pte_set
from rmapcore.pyx.embed.access cimport INDEX_BITS, REGION_SHIFT, allows, near_entry, near_of
from rmapcore.pyx.embed.doors cimport (
    ABSENT, CHANGING, HOOK_RAISED, Near, Slot, enter, explained, fail, finish, held_slot, leave, look_away, look_in, slots,
    stay, use_doors,
)
from rmapcore.pyx.machine.pagetable cimport TOUCHED, Cursor, pt_lookup, pt_place, pt_table
from rmapcore.pyx.run.batch cimport FAULT_KINDS, Touches, find_mm, kind_since, place_of, touch_some
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel

cdef enum:
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


cdef int access_page(Kernel k, mm_id mm, vpn_t vpn, bint write, uint32_t* kind) noexcept nogil:
    """An access that the entry does not allow. *kind: what it was."""
    cdef State* s = k.s
    cdef uint64_t[FAULT_KINDS] counts
    cdef uint64_t freed = s.h.reclaimed[R_FREED]
    cdef uint64_t done = 0
    cdef int status
    cdef Cursor c
    c.leaf = 0
    memcpy(counts, &s.count[C_FAULTS_ZERO], sizeof(counts))
    if k.account is not None:
        k.account.turn(mm, OP_WRITE if write else OP_READ, vpn, True)
    status = k.touch(mm, &vpn, 1, write, &c, &done)
    if k.account is not None:
        k.account.rest()
    kind[0] = kind_since(s, counts, freed)
    return HOOK_RAISED if k.anon.failed else status


cdef uint64_t access_all(Kernel k, uint64_t n, const uint32_t* processes, const uint64_t* addresses, const uint8_t* writes,
                         uint64_t* physical, uint16_t* kinds, int* status) noexcept nogil:
    """n accesses, in order; how many succeeded. Each of physical, kinds, writes may be NULL."""
    cdef Touches t
    memset(&t, 0, sizeof(t))
    t.address = addresses
    t.pid = processes
    t.write = writes
    t.kind = kinds
    t.place = physical
    t.n = n
    status[0] = touch_some(k, &t, n)
    if k.account is not None:
        k.account.rest()
    if k.anon.failed:
        status[0] = HOOK_RAISED
    return t.done


cdef slot_t find_slot(Slot* slot, uint32_t process, uint64_t address, bint* known) noexcept nogil:
    """The slot of a page's entry, 0 if it has no leaf table. *known: whether there is such a process. What is found is
    remembered."""
    cdef State* s = slot.s
    cdef mm_id mm
    cdef uint64_t* entry = near_entry(slot, process, address)
    cdef slot_t at
    cdef Near* near
    known[0] = True
    if entry:
        return <slot_t> (entry - s.pte64)
    mm = find_mm(s, process)
    known[0] = mm != 0
    if mm == 0 or address >> PAGE_SHIFT >= s.task_vpn:
        return 0
    at = pt_lookup(s, mm, address >> PAGE_SHIFT)
    if at and s.wide:
        near = near_of(slot, process, address)
        near.region = address >> REGION_SHIFT
        near.gone = s.tables_gone
        near.process = process
        near.entries = s.pte64 + (pt_table(s, mm, address >> PAGE_SHIFT, 1) << INDEX_BITS)
    return at


# --- as functions of the table: each enters the machine for itself ------------------------------------------------------
#
# A thread that holds the machine goes the short way to what is mapped, by tables that are remembered: so few instructions that
# the processor has several accesses under way while it waits for their entries. Where these are in no cache each instruction
# more or less is a nanosecond.


cdef int64_t translate_inside(uint64_t m, uint32_t process, uint64_t address, int write) noexcept nogil:
    cdef Slot* slot
    cdef int64_t result = ABSENT
    cdef uint64_t entry
    cdef bint mine, known
    cdef int code = look_in(m, 0, &slot, &mine)
    if code:
        return code
    entry = pte_get(slot.s, find_slot(slot, process, address, &known))         # slot 0 belongs to no table and holds nothing
    if allows(entry, write):
        result = <int64_t> place_of(slot.s, entry, address)
    elif not known:
        result = fail(-ESRCH, 0)
    look_away(slot, mine)
    return result


cdef int64_t do_translate(uint64_t m, uint32_t process, uint64_t address, int write) noexcept nogil:
    cdef Slot* slot = held_slot(m)
    cdef uint64_t* entry
    if slot:
        entry = near_entry(slot, process, address)
        if entry and allows(entry[0], write):
            return <int64_t> place_of(slot.s, entry[0], address)
    return translate_inside(m, process, address, write)


cdef int64_t do_translate_many(uint64_t m, uint32_t process, size_t n, const uint64_t* addresses, int write,
                               int64_t* physical) noexcept nogil:
    cdef Slot* slot
    cdef int64_t result
    cdef mm_id mm
    cdef int code = enter(m, 0, &slot)
    if code:
        return code
    mm = find_mm(slot.s, process)
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
    cdef mm_id mm = find_mm(s, process)
    cdef uint32_t kind = 0
    cdef int status
    if mm == 0:
        return <int> finish(slot, CHANGING, ESRCH, address, 0)
    status = slot.access(slot.kernel, mm, address >> PAGE_SHIFT, write != 0, &kind)
    if status == E_OK and physical:
        physical[0] = place_of(s, pte_get(s, pt_lookup(s, mm, address >> PAGE_SHIFT)), address)
    return <int> finish(slot, CHANGING, status, address, kind)


cdef int touch_inside(uint64_t m, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil:
    cdef Slot* slot
    cdef uint64_t entry
    cdef slot_t at
    cdef bint mine, known
    cdef int code = look_in(m, CHANGING, &slot, &mine)
    if code:
        return code
    at = find_slot(slot, process, address, &known)
    entry = pte_get(slot.s, at)
    if not allows(entry, write):
        stay(slot, CHANGING)
        return fault(slot, process, address, write, physical)
    slot.s.h.op_index += 1                     # one operation, which writes what engine/touch.pxi writes
    pte_set(slot.s, at, entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
    if slot.s.stamp and write:
        slot.s.stamp[pte_pfn(slot.s, entry)] = slot.s.h.op_index
    if physical:
        physical[0] = place_of(slot.s, entry, address)
    look_away(slot, mine)
    return 0


cdef int do_touch(uint64_t m, uint32_t process, uint64_t address, int write, uint64_t* physical) noexcept nogil:
    cdef Slot* slot = held_slot(m)
    cdef uint64_t* entry
    cdef uint64_t now
    if slot and not slot.door.marks & CHANGING and slot.s.stamp == NULL and physical:
        entry = near_entry(slot, process, address)
        if entry and allows(entry[0], write):
            slot.s.h.op_index += 1
            physical[0] = place_of(slot.s, entry[0], address)
            now = entry[0] | PTE_ACCESSED | (PTE_DIRTY if write else 0)
            if now != entry[0]:                # what stays as it is need not go back to memory
                entry[0] = now
            return 0
    return touch_inside(m, process, address, write, physical)


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
    mm = find_mm(slot.s, process)
    if mm == 0:
        return <int> finish(slot, 0, ESRCH, 0, 0)
    if levels < 0 or (levels and entries == NULL):
        return <int> finish(slot, 0, EINVAL, 0, 0)
    code = walk_tables(slot.s, mm, address, entries, levels)
    leave(slot, 0)
    return code
