"""The system calls of kernel 2.6.7, mremap and madvise aside (rules D2, D7a, D8, E1-E5, E7, E11).

Addresses and lengths are bytes. A call that goes area by area, or unmaps first, keeps what it did before it failed; so does
one that runs out of memory while it populates.
"""

import errno
from contextlib import suppress

from ..common.state import (
    PAGE,
    VM_ACCESS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_MAYALL,
    VM_MAYSHARE,
    VM_NONLINEAR,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
)
from ..common.uapi import (
    GROWSDOWN,
    GROWSUP,
    MAP_32BIT,
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

MOST_BYTES = (1 << 63) - 1  # of a file


class Calls:
    most_areas = 65536  # of an address space, where the limit is asked for

    # --- the limit of areas (rule D7a) ------------------------------------------------------------------------------

    def need_area(self, mm):
        """What mmap and brk ask."""
        fail_if(len(mm.areas) > self.most_areas, errno.ENOMEM)

    def cut(self, area, at, new_below, error=errno.ENOMEM):
        """split_vma, which the limit may refuse."""
        fail_if(len(area.mm.areas) >= self.most_areas, error)
        self.split(area, at, new_below)

    def cut_out(self, area, start, end, error=errno.ENOMEM):
        """Splits so that the area is [start, end) alone: the lower rest is new, then the upper."""
        if area.start < start:
            self.cut(area, start, True, error)
        if area.end > end:
            self.cut(area, end, False, error)
        return area

    def cut_and_unmap(self, mm, start, end):
        """do_munmap."""
        area = mm.find(start)
        if area and area.start < start:
            self.cut(area, start, False)
        area = mm.find(end)
        if area and area.start < end:
            self.cut(area, end, True)
        self.unmap(mm, start, end)

    # --- mmap and munmap (rules D2, D8, E1, E2) ---------------------------------------------------------------------

    def lowest_fit(self, mm, pages, at, end):
        """In [at, end), or None."""
        for area in mm.areas:
            if area.end > at:
                if area.start >= at + pages:
                    break
                at = area.end
        return at if at + pages <= end else None

    def search(self, mm, pages, begin, end):
        """The first fit from where the last search ended, else from the beginning, or None."""
        start = self.lowest_fit(mm, pages, max(mm.free_area_cache, begin), end)
        if start is None:
            start = self.lowest_fit(mm, pages, begin, end)
        if start is not None:
            mm.free_area_cache = start + pages
        return start

    def free_range(self, mm, pages):
        return self.search(mm, pages, pages_of(self.arch.task * PAGE // 3), self.arch.task)

    def drop_area(self, area):
        """An area that is unmapped brings the search back to its start."""
        if pages_of(self.arch.task * PAGE // 3) <= area.start < area.mm.free_area_cache:
            area.mm.free_area_cache = area.start
        super().drop_area(area)

    def low_range(self, flags):
        """(first page, end) where MAP_32BIT is looked for room; None: anywhere."""
        return (1 << 30 >> 12, 1 << 31 >> 12) if flags & MAP_32BIT and self.arch.task >> 32 else None

    def choose_range(self, mm, addr, pages, flags):
        """Where a mapping without MAP_FIXED goes: the hint if that is free, else where the search finds room."""
        hint = pages_of(addr)
        low = self.low_range(flags)
        end = low[1] if low else self.arch.task
        if hint and hint + pages <= end and not mm.inside(hint, hint + pages):
            return hint
        start = self.search(mm, pages, *low) if low else self.free_range(mm, pages)
        fail_if(start is None, errno.ENOMEM)
        return start

    def fixed_place(self, mm, addr, pages, flags):
        fail_if(addr > (self.arch.task - pages) * PAGE, errno.ENOMEM)
        fail_if(addr % PAGE, errno.EINVAL)
        start = addr // PAGE
        fail_if(flags & MAP_FIXED_NOREPLACE and mm.inside(start, start + pages), errno.EEXIST)
        return start

    def mmap(self, mm, addr, length, prot, flags, file, offset):
        fixed = bool(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        shared = bool(flags & MAP_SHARED)
        pages = pages_of(length)
        fail_if(length <= 0 or offset % PAGE, errno.EINVAL)
        fail_if(pages > self.arch.task, errno.ENOMEM)
        self.need_area(mm)
        start = self.fixed_place(mm, addr, pages, flags) if fixed else self.choose_range(mm, addr, pages, flags)
        fail_if(file and offset + pages * PAGE > MOST_BYTES, errno.EOVERFLOW)
        fail_if(shared == bool(flags & MAP_PRIVATE) or (file and flags & MAP_GROWSDOWN), errno.EINVAL)
        if shared and file and file.zero:
            file = None
        if fixed:
            self.cut_and_unmap(mm, start, start + pages)
        end = start + pages
        vm_flags = (prot & VM_ACCESS) | VM_MAYALL | mm.def_flags
        vm_flags |= (VM_GROWSDOWN if flags & MAP_GROWSDOWN else 0) | (VM_LOCKED if flags & MAP_LOCKED else 0)
        if shared:
            vm_flags |= VM_SHARED | VM_MAYSHARE
        elif prot & VM_WRITE and not flags & MAP_NORESERVE:
            vm_flags |= VM_ACCOUNT
        pgoff = offset // PAGE if file else 0 if shared else self.birth_pgoff(start)
        if shared and file is None:
            file = self.new_file(pages * PAGE, shmem=True, handle=False)
        self.map_range(mm, start, end, vm_flags, file, pgoff)
        if vm_flags & VM_LOCKED or flags & MAP_POPULATE:
            self.populate(mm, start, end)
        return start * PAGE

    def munmap(self, mm, addr, length):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length <= 0 or end > self.arch.task, errno.EINVAL)
        self.cut_and_unmap(mm, start, end)

    # --- changing flags (rules E3-E6) -------------------------------------------------------------------------------

    def each_area(self, mm, start, end, change):
        """change(area, low, high) gives the area that holds the part then; ENOMEM at the first hole."""
        at = start
        while at < end:
            area = mm.find(at)
            fail_if(area is None or area.start > at, errno.ENOMEM)
            stop = min(area.end, end)
            at = max(stop, min(change(area, at, stop).end, end))

    def mprotect(self, mm, addr, length, prot, key=None):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or prot & ~(VM_ACCESS | PROT_SEM | GROWSDOWN | GROWSUP), errno.EINVAL)
        start = self.grown_start(mm, start, end, prot)
        self.each_area(mm, start, end, lambda area, low, high: self.reprotect(mm, area, low, high, prot & VM_ACCESS))

    def grown_start(self, mm, start, end, prot):
        """Where an mprotect begins (rule E3a)."""
        grows = prot & (GROWSDOWN | GROWSUP)
        fail_if(grows == GROWSDOWN | GROWSUP, errno.EINVAL)
        if not grows or start == end:
            return start
        area = mm.find(start)
        fail_if(area is None or area.start >= (end if grows == GROWSDOWN else start + 1), errno.ENOMEM)
        fail_if(grows == GROWSUP or not area.flags & VM_GROWSDOWN, errno.EINVAL)
        return area.start

    def reprotect(self, mm, area, start, end, prot):
        """One area's part of mprotect; the area that holds the range then."""
        flags = (area.flags & ~VM_ACCESS) | prot
        if prot & VM_WRITE and not area.flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED):
            flags |= VM_ACCOUNT
        if flags == area.flags:
            return area
        prev = area if area.start < start else mm.before(start)
        merged = self.merge(mm, prev, start, end, flags, area, area.file, area.index(start) if area.file else
                            self.shifted(None, area.pgoff, start - area.start))
        area = merged or self.cut_out(area, start, end)
        area.flags = flags
        usable, rw = self.protection(area)
        for low, high in self.table_runs(mm, start, end):
            for vpn in range(low, high):
                entry = mm.entries.get(vpn)
                if entry and entry.pfn >= 0:
                    entry.usable, entry.rw = usable, rw
        return area

    def relock(self, area, start, end, on):
        """One area's part of mlock or munlock; the area."""
        flags = area.flags | VM_LOCKED if on else area.flags & ~VM_LOCKED
        if flags == area.flags:
            return area
        self.cut_out(area, start, end, errno.EAGAIN).flags = flags
        if on:
            self.populate(area.mm, start, end)
            inside = area.pages
            if area.file and not area.nonlinear:
                inside = min(inside, area.file.pages - area.index(start))
            fail_if(inside <= 0 or not flags & (VM_READ | VM_WRITE), errno.EFAULT)
            fail_if(inside < area.pages, errno.EPERM)
        return area

    def lock(self, mm, addr, length, on, flags=0):
        fail_if(flags, errno.EINVAL)
        start, end = addr // PAGE, pages_of(addr + length)
        self.each_area(mm, start, end, lambda area, low, high: self.relock(area, low, high, on))

    def relock_all(self, mm, on):
        for area in list(mm.areas):
            with suppress(OSError):
                self.relock(area, area.start, area.end, on)

    def mlockall(self, mm, flags):
        fail_if(flags & ~(MCL_CURRENT | MCL_FUTURE) or not flags, errno.EINVAL)
        mm.def_flags = VM_LOCKED if flags & MCL_FUTURE else 0
        self.relock_all(mm, bool(flags & MCL_CURRENT))

    def munlockall(self, mm):
        mm.def_flags = 0
        self.relock_all(mm, False)

    # --- brk (rules D2, E7) -----------------------------------------------------------------------------------------

    def brk(self, mm, addr):
        if addr == 0:
            return mm.brk
        old, new = pages_of(mm.brk), pages_of(addr)
        fail_if(addr < mm.start_brk or new > self.arch.task, errno.ENOMEM)
        if new < old:
            self.cut_and_unmap(mm, new, old)
        elif new > old:
            fail_if(mm.inside(old, new + 1), errno.ENOMEM)
            self.need_area(mm)
            flags = self.arch.heap_flags | VM_MAYALL | VM_ACCOUNT | mm.def_flags
            self.map_range(mm, old, new, flags, None, self.birth_pgoff(old))
        mm.brk = addr
        if new > old and mm.def_flags & VM_LOCKED:
            self.populate(mm, old, new)
        return addr

    # --- remap_file_pages (rule E11) --------------------------------------------------------------------------------

    def remap_file_pages(self, mm, addr, size, prot, pgoff, flags):
        start, pages = addr // PAGE, size // PAGE
        fail_if(prot or pages == 0 or start + pages > self.arch.task, errno.EINVAL)
        fail_if(pgoff + pages >= 1 << self.arch.file_bits, errno.EINVAL)
        area = mm.find(start)
        fail_if(area is None or start < area.start or start + pages > area.end or area.private, errno.EINVAL)
        fail_if(pgoff + pages > area.file.pages, errno.EINVAL)
        if pgoff != area.index(start) and not area.nonlinear:
            area.flags |= VM_NONLINEAR
            self.side.area_nonlinear(area)
        for offset in range(pages):
            self.install(area, start + offset, pgoff + offset, flags & MAP_NONBLOCK)

    def install(self, area, vpn, page, nonblock):
        self.need_leaf(area.mm, vpn)
        frame = area.file.cache.get(page) if nonblock else self.file_frame(area.file, page)
        if frame:
            self.mark_accessed(frame)
        entry = area.mm.entries.get(vpn)
        if entry and entry.pfn > 0:
            old = self.frames[entry.pfn]
            old.dirty = old.dirty or entry.dirty
            self.remove_mapping(area.mm, vpn, old)
        if frame:
            self.add_mapping(area, vpn, frame, writable=False, anon=False)
        else:
            area.leave_absent(vpn, page)
