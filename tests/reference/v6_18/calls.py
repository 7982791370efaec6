"""The system calls of kernel 6.18, mremap and madvise aside (rules QD5 to QD5b, QE1-QE6, QE10-QE12).

Calls go area by area: a hole or an error in the middle leaves what was changed before it.
"""

import errno

from ..common.state import (
    PAGE,
    PKEY_SHIFT,
    VM_ACCESS,
    VM_ACCOUNT,
    VM_DONTDUMP,
    VM_DROPPABLE,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_LOCKONFAULT,
    VM_MAYALL,
    VM_MAYSHARE,
    VM_NOHUGEPAGE,
    VM_NORESERVE,
    VM_PKEY,
    VM_READ,
    VM_SEALED,
    VM_SHARED,
    VM_WIPEONFORK,
    VM_WRITE,
    WRAP,
)
from ..common.uapi import (
    GROWSDOWN,
    GROWSUP,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MCL_CURRENT,
    MCL_FUTURE,
    PROT_SEM,
    fail_if,
    pages_of,
)
from ..v2_6_7.calls import MOST_BYTES
from .faults import GUARD_GAP

MAP_TYPE, MAP_SHARED_VALIDATE, MAP_DROPPABLE, MAP_STACK = 0xF, 0x3, 0x8, 0x20000
MLOCK_ONFAULT, MCL_ONFAULT = 1, 4
GROWS = GROWSDOWN | GROWSUP
LOCKS = VM_LOCKED | VM_LOCKONFAULT
POLICIES = range(4)  # default, preferred, bind, interleave
BELOW_THE_TOP = 128 << 20 >> 12  # pages between the end of user space and where mmap begins to look
HUGE = 512  # pages of a huge page
LOWEST = 65536 >> 12  # where mmap ends to look: mmap_min_addr, in pages


def low_end(area):
    """Where the room ends that an area leaves below it."""
    return area.start - GUARD_GAP if area.flags & VM_GROWSDOWN else area.start


class Calls:
    most_areas = 65530

    # --- areas (rules QD4, QE3) -------------------------------------------------------------------------------------

    def cut_out(self, area, start, end):
        """Splits so that the area is [start, end) alone; at the most areas there may be, a split fails."""
        for border, new_below in ((start, True), (end, False)):
            if area.start < border < area.end:
                fail_if(len(area.mm.areas) >= self.most_areas, errno.ENOMEM)
                self.split(area, border, new_below)
        return area

    def modify(self, area, start, end, flags, **other):
        """A part of an area gets new flags, another policy or name, merging where it can; the area that holds it then."""
        policy, name = other.get("policy", area.policy), other.get("name", area.name)
        if (flags, policy, name) == (area.flags, area.policy, area.name):
            return area
        prev = area if area.start < start else area.mm.before(start)
        pgoff = self.shifted(area.file, area.pgoff, start - area.start)
        area = (self.merge(area.mm, prev, start, end, flags, area, area.file, pgoff, policy, name)
                or self.cut_out(area, start, end))
        area.flags, area.policy, area.name = flags, policy, name
        return area

    def each_area(self, mm, start, end, change):
        """change(area, low, high) gives the area that holds the part then; ENOMEM at the first hole."""
        at = start
        while at < end:
            area = mm.find(at)
            fail_if(area is None or area.start > at, errno.ENOMEM)
            stop = min(area.end, end)
            at = max(stop, min(change(area, at, stop).end, end))

    def unmap_unsealed(self, mm, start, end):
        """munmap's checks, and munmap; a seal behind the first area is found when that is split already."""
        area = mm.find(start)
        if area and area.start < start < end < area.end:
            fail_if(len(mm.areas) >= self.most_areas, errno.ENOMEM)
        if any(area.flags & VM_SEALED for area in mm.inside(start, end)):
            if area.start < start and not area.flags & VM_SEALED:
                self.split(area, start, new_below=False)
            raise OSError(errno.EPERM, "sealed")
        self.unmap(mm, start, end)

    # --- mmap and munmap (rules QD5, QE1, QE2) ----------------------------------------------------------------------

    def highest_hole(self, mm, pages, top):
        """Where the highest hole of that many pages ends, at `top` or below; None if there is none."""
        for area in reversed(mm.areas):
            if area.end + pages <= top:
                return top
            top = min(top, area.start)
        return top if top - pages >= LOWEST else None

    def free_range(self, mm, pages, low=None):
        """The highest fit below the top, else the lowest one from a third of user space on; None if there is none.

        low: the lowest one in this range instead (rule QD5b).
        """
        limit = None if low else self.arch.task - BELOW_THE_TOP
        while limit is not None:
            top = self.highest_hole(mm, pages, limit)
            above = next((area for area in mm.areas if top is not None and area.start >= top), None)
            limit = low_end(above) if above and low_end(above) < top else None
            if limit is None and top is not None:
                return top - pages
        at, end = low or (pages_of(self.arch.task * PAGE // 3), self.arch.task)
        for area in mm.areas:
            if area.end > at:
                if low_end(area) >= at + pages:
                    break
                at = area.end
        return at if at + pages <= end else None

    def fits_at(self, mm, hint, pages, low):
        following = mm.find(hint)
        end = low[1] if low else self.arch.task
        return hint and hint + pages <= end and (following is None or hint + pages <= low_end(following))

    def choose_range(self, mm, addr, pages, file=None, flags=0, offset=0):
        """Where a mapping without MAP_FIXED goes. offset: pages, of a file's."""
        hint = addr // PAGE and max(addr // PAGE, LOWEST)
        low = self.low_range(flags)
        if file is None:
            offset = 0
            aligned = not flags & MAP_SHARED and not hint and pages % HUGE == 0
        else:
            aligned = not file.shmem
        if aligned and self.arch.task >> 32 and offset + pages - -(-offset // HUGE) * HUGE >= HUGE:
            if self.fits_at(mm, hint, pages + HUGE, low):
                return hint
            start = self.free_range(mm, pages + HUGE, low)
            if start is not None:
                return start + ((offset - start) % HUGE or HUGE)
        if self.fits_at(mm, hint, pages, low):
            return hint
        start = self.free_range(mm, pages, low)
        fail_if(start is None, errno.ENOMEM)
        return start

    def mmap(self, mm, addr, length, prot, flags, file, offset):
        fixed = bool(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        pages = pages_of(length)
        kind = flags & MAP_TYPE
        shared = kind in ((MAP_SHARED, MAP_SHARED_VALIDATE) if file else (MAP_SHARED,))
        fail_if(length <= 0 or offset % PAGE, errno.EINVAL)
        fail_if(pages > self.arch.task, errno.ENOMEM)
        fail_if(len(mm.areas) > self.most_areas, errno.ENOMEM)
        if fixed:
            start = self.fixed_place(mm, addr, pages, flags)
        else:
            start = self.choose_range(mm, addr, pages, file, flags, offset // PAGE)
        fail_if(file and offset + pages * PAGE > MOST_BYTES, errno.EOVERFLOW)
        fail_if(not (shared or kind == MAP_PRIVATE or (kind == MAP_DROPPABLE and not file)), errno.EINVAL)
        fail_if(flags & MAP_GROWSDOWN and (shared or file or kind == MAP_DROPPABLE), errno.EINVAL)
        fail_if(kind == MAP_DROPPABLE and flags & MAP_LOCKED, errno.EINVAL)
        if shared and file and file.zero:
            file = None
        end = start + pages
        self.unmap_unsealed(mm, start, end)
        vm_flags = self.flags_of(mm, prot, flags, shared)
        pgoff = offset // PAGE if file else 0 if shared else self.birth_pgoff(start)
        if shared and file is None:
            file = self.new_file(pages * PAGE, shmem=True, handle=False)
        self.map_range(mm, start, end, vm_flags, file, pgoff)
        if vm_flags & VM_LOCKED or flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE:
            self.populate(mm, start, end)
        return start * PAGE

    def flags_of(self, mm, prot, flags, shared):
        """Of a new mapping (rules D2, QE1)."""
        vm_flags = (prot & VM_ACCESS) | VM_MAYALL | mm.def_flags
        for given, means in ((MAP_GROWSDOWN, VM_GROWSDOWN), (MAP_LOCKED, VM_LOCKED), (MAP_NORESERVE, VM_NORESERVE),
                             (MAP_STACK, VM_NOHUGEPAGE)):
            vm_flags |= means if flags & given else 0
        if shared:
            vm_flags |= VM_SHARED | VM_MAYSHARE
        if flags & MAP_TYPE == MAP_DROPPABLE:
            vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
        if vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE) == VM_WRITE:
            vm_flags |= VM_ACCOUNT
        return vm_flags

    def munmap(self, mm, addr, length):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length <= 0 or end > self.arch.task, errno.EINVAL)
        self.unmap_unsealed(mm, start, end)

    # --- mprotect (rule QE3) ----------------------------------------------------------------------------------------

    def mprotect(self, mm, addr, length, prot, key=None):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or prot & GROWS == GROWS, errno.EINVAL)
        if not length:
            return
        fail_if(prot & ~(VM_ACCESS | PROT_SEM | GROWS) or key not in (None, *range(16)), errno.EINVAL)
        start = self.grown_start(mm, start, end, prot)
        self.each_area(mm, start, end, lambda area, low, high: self.reprotect(area, low, high, prot & VM_ACCESS, key))

    def reprotect(self, area, start, end, prot, key):
        old = area.flags
        fail_if(old & VM_SEALED, errno.EPERM)
        flags = (old & ~VM_ACCESS) | prot if key is None else (old & ~(VM_ACCESS | VM_PKEY)) | prot | key << PKEY_SHIFT
        if flags == old:
            return area
        if prot & VM_WRITE:
            if not old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE):
                flags |= VM_ACCOUNT
        elif not area.cached and not area.anon:
            flags &= ~VM_ACCOUNT
        area = self.modify(area, start, end, flags)
        usable, rw = self.protection(area)
        for low, high in self.table_runs(area.mm, start, end):
            for vpn in range(low, high):
                entry = area.mm.entries.get(vpn)
                if entry and entry.pfn >= 0:
                    entry.usable = usable
                    entry.rw = rw or (bool(prot & VM_WRITE) and self.upgrade(area, entry))
        if old & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED and prot & VM_WRITE:
            self.populate_area(area, start, end)
        return area

    def upgrade(self, area, entry):
        """May a page of an area that may be written now be written at once?"""
        return self.frames[entry.pfn].exclusive if area.private else entry.dirty

    # --- locks (rules QE4, QE5) -------------------------------------------------------------------------------------

    def relock(self, area, start, end, locks):
        if area.flags & VM_DROPPABLE:
            return area
        return self.modify(area, start, end, (area.flags & ~LOCKS) | locks)

    def lock(self, mm, addr, length, on, flags=0):
        start, end = addr // PAGE, pages_of(addr + length)
        fail_if(flags & ~MLOCK_ONFAULT, errno.EINVAL)
        locks = (VM_LOCKED | (VM_LOCKONFAULT if flags else 0)) if on else 0
        self.each_area(mm, start, end, lambda area, low, high: self.relock(area, low, high, locks))
        if on:
            fail_if(not self.populate_strictly(mm, start, end), errno.ENOMEM)

    def mlockall(self, mm, flags):
        fail_if(flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) or not flags or flags == MCL_ONFAULT, errno.EINVAL)
        locks = VM_LOCKED | (VM_LOCKONFAULT if flags & MCL_ONFAULT else 0)
        mm.def_flags = locks if flags & MCL_FUTURE else 0
        if flags & MCL_CURRENT:
            self.relock_all(mm, locks)
            self.populate(mm, 0, self.arch.task)

    def munlockall(self, mm):
        mm.def_flags = 0
        self.relock_all(mm, 0)

    def relock_all(self, mm, locks):
        area = mm.find(0)
        while area:
            area = mm.find(self.relock(area, area.start, area.end, locks).end)

    # --- brk (rule QE6) ---------------------------------------------------------------------------------------------

    def brk(self, mm, addr):
        if addr == 0:
            return mm.brk
        old, new = pages_of(mm.brk), pages_of(addr)
        fail_if(addr < mm.start_brk or new > self.arch.task, errno.ENOMEM)
        if new < old:
            fail_if(not mm.inside(new, old), errno.ENOMEM)
            self.unmap_unsealed(mm, new, old)
        elif new > old:
            following = mm.find(old)
            fail_if(following and new + 1 > low_end(following), errno.ENOMEM)
            self.grow_heap(mm, old, new)
        mm.brk = addr
        if new > old and mm.def_flags & VM_LOCKED:
            self.populate(mm, old, new)
        return addr

    def grow_heap(self, mm, old, new):
        fail_if(len(mm.areas) > self.most_areas, errno.ENOMEM)
        flags = VM_READ | VM_WRITE | VM_MAYALL | VM_ACCOUNT | mm.def_flags
        pgoff = self.birth_pgoff(old)
        before = mm.before(old)
        of_heap = before and before.end == old and before.end * PAGE > mm.start_brk
        if of_heap and self.can_merge_after(before, None, flags, None, pgoff):
            self.adjust(before, before.start, new, before.pgoff)
            self.count["vma_merges"] += 1
        else:
            self.add_area(mm, old, new, flags, None, pgoff)

    # --- policy, seals, pages in another order (rules QE10-QE12) ----------------------------------------------------

    def mbind(self, mm, addr, length, policy):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or policy not in POLICIES, errno.EINVAL)
        areas = mm.inside(start, end) if start < end else []
        fail_if(start < end and not (areas if policy == 0 else mm.covered(start, end)), errno.EFAULT)
        at = start
        while at < end:
            area = mm.find(at)
            if area is None or area.start >= end:
                return
            stop = min(area.end, end)
            at = max(stop, min(self.modify(area, max(at, area.start), stop, area.flags, policy=policy).end, end))

    def mseal(self, mm, addr, length):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0, errno.EINVAL)
        fail_if(not mm.covered(start, end), errno.ENOMEM)
        self.each_area(mm, start, end, lambda area, low, high: self.modify(area, low, high, area.flags | VM_SEALED))

    def remap_file_pages(self, mm, addr, size, prot, pgoff, flags):
        start, pages = addr // PAGE, size // PAGE
        end = start + pages
        fail_if(prot or pages <= 0 or end > self.arch.task or pgoff + pages >= WRAP, errno.EINVAL)
        area = mm.find(start)
        fail_if(area is None or area.start > start or area.private, errno.EINVAL)
        fail_if(not mm.covered(start, end), errno.EINVAL)
        fail_if(any(other.file is not area.file or other.flags != area.flags for other in mm.inside(start, end)), errno.EINVAL)
        kept = area.flags & (VM_READ | VM_WRITE | VM_EXEC)
        again = MAP_SHARED | MAP_FIXED | MAP_POPULATE | (flags & MAP_NONBLOCK)
        file, held = area.file, area.file.handle
        file.handle = True
        try:
            self.mmap(mm, start * PAGE, pages * PAGE, kept, again | (MAP_LOCKED if area.flags & VM_LOCKED else 0), file,
                      pgoff * PAGE)
        finally:
            file.handle = held
