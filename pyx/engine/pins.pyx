"""Pins: references to pages that a user holds, as vmsplice takes them (rule QE13)."""
from libc.errno cimport ENOMEM, ESRCH
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, pfn_t, slot_t, vpn_t
from rmapcore.pyx.base.records cimport P_PIDS, PG_PIN, PG_PINS, PG_REFERENCED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_PRESENT, pte_get, pte_pfn
from rmapcore.pyx.engine.mapping cimport unpin_frame
from rmapcore.pyx.machine.frames cimport frame_pin
from rmapcore.pyx.machine.pagetable cimport pt_lookup
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel

cdef enum:
    MOST_PINS = 8             # of a frame; operations pin too, and there are 4 bits


def pin(Kernel k, uint32_t pid, uint64_t addr):
    """Takes a reference to the page at addr, faulted in for reading if need be: (status, frame)."""
    cdef State* s = k.s
    cdef vpn_t vpn = addr >> PAGE_SHIFT
    cdef int status = E_OK
    cdef pfn_t pfn = 0
    cdef slot_t slot
    cdef mm_id mm
    with k.step:
        s.h.op_index += 1
        mm = s.pid_mm[pid] if pid < s.pool[P_PIDS].bump else 0
        if mm == 0:
            return ESRCH, 0
        slot = pt_lookup(s, mm, vpn) if vpn < s.task_vpn else 0
        if slot == 0 or not pte_get(s, slot) & PTE_PRESENT:
            status = k.bring_in(mm, vpn)
            if status != E_OK:
                k.anon.raise_kept()
                return status, 0
            slot = pt_lookup(s, mm, vpn)
        pfn = pte_pfn(s, pte_get(s, slot))
        if pfn and s.frame[pfn].flags & PG_PINS >= MOST_PINS * PG_PIN:
            return ENOMEM, 0
        if pfn:
            frame_pin(s, pfn)
            s.frame[pfn].flags |= PG_REFERENCED
            s.h.n_pins += 1
    if k.anon.failed:
        unpin(k, pfn)                          # nobody gets it
        k.anon.raise_kept()
    return E_OK, pfn


def unpin(Kernel k, pfn_t pfn):
    """Gives the reference back; the zero page needs none. ValueError for a frame that nobody has pinned."""
    with k.step:
        if pfn >= k.s.n_frames or pfn and not k.s.frame[pfn].flags & PG_PINS:
            raise ValueError(f"frame {pfn} is not pinned")
        if pfn:
            k.s.h.n_pins -= 1
            unpin_frame(k, pfn)
