"""The system calls (rules D2, D8, E1-E10). Addresses and lengths are bytes; a failure changes nothing.

Each function takes the machine and the address space first. What a call does after its checks is in areas.py and
faults.py; running out of memory while a call populates keeps what the call did.
"""

import errno

from ..common.state import (
    MAX_AREAS,
    PAGE,
    VM_ACCESS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_MAYALL,
    VM_MAYSHARE,
    VM_NONLINEAR,
    VM_RAND_READ,
    VM_SEQ_READ,
    VM_SHARED,
    VM_WRITE,
    WRAP,
    OutOfMemory,
)
from .faults import EntryChanged

MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_GROWSDOWN = 0x1, 0x2, 0x10, 0x100
MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_FIXED_NOREPLACE = 0x2000, 0x4000, 0x8000, 0x100000
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2
MAP_NONBLOCK = 0x10000
MCL_CURRENT, MCL_FUTURE = 1, 2
PROT_SEM = 8  # accepted, no effect
NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED = range(5)


def fail_if(condition, number):
    if condition:
        raise OSError(number, errno.errorcode[number])


def pages_of(length):
    return -(-length // PAGE)


def cuts(mm, start, end):
    """How many areas the two borders of a range cut."""
    return sum(any(area.start < border < area.end for area in mm.areas) for border in (start, end))


def need_areas(mm, more):
    fail_if(len(mm.areas) + more > MAX_AREAS, errno.ENOMEM)


class Calls:
    def task_bytes(self):
        return self.arch.task * PAGE

    # --- mmap and munmap (rules D2, D8, E1, E2) ---------------------------------------------------------------------

    def free_range(self, mm, pages):
        """The lowest fit, or None."""
        at = pages_of(self.task_bytes() // 3)
        for area in mm.areas:
            if area.end > at:
                if area.start >= at + pages:
                    break
                at = area.end
        return at if at + pages <= self.arch.task else None

    def choose_range(self, mm, addr, pages):
        """Where a mapping without MAP_FIXED goes: the hint if that is free, else the lowest fit."""
        hint = pages_of(addr)
        if hint and hint + pages <= self.arch.task and not mm.inside(hint, hint + pages):
            return hint
        start = self.free_range(mm, pages)
        fail_if(start is None, errno.ENOMEM)
        return start

    def mmap(self, mm, addr, length, prot, flags, file, offset):
        fixed = bool(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        shared = bool(flags & MAP_SHARED)
        pages = pages_of(length)
        fail_if(length <= 0 or shared == bool(flags & MAP_PRIVATE), errno.EINVAL)
        fail_if(offset % PAGE or (fixed and addr % PAGE), errno.EINVAL)
        fail_if(pages > self.arch.task, errno.ENOMEM)
        fail_if(offset + pages * PAGE > WRAP, errno.EOVERFLOW)
        if fixed:
            start = addr // PAGE
            fail_if(start + pages > self.arch.task, errno.ENOMEM)
            fail_if(flags & MAP_FIXED_NOREPLACE and mm.inside(start, start + pages), errno.EEXIST)
            need_areas(mm, 1 + cuts(mm, start, start + pages))
        else:
            need_areas(mm, 1)
            start = self.choose_range(mm, addr, pages)
        end = start + pages
        self.unmap(mm, start, end)
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

    def birth_pgoff(self, vpn):
        return vpn if self.anon.linear else 0

    def map_range(self, mm, start, end, flags, file, pgoff):
        """A fresh range joins its neighbours or becomes an area."""
        if not self.merge(mm, mm.before(start), start, end, flags, None, file, pgoff):
            self.add_area(mm, start, end, flags, file, pgoff)

    def munmap(self, mm, addr, length):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length <= 0 or end > self.arch.task, errno.EINVAL)
        need_areas(mm, cuts(mm, start, end))
        self.unmap(mm, start, end)

    # --- changing flags (rules E3-E6) -------------------------------------------------------------------------------

    def mprotect(self, mm, addr, length, prot):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or prot & ~(VM_ACCESS | PROT_SEM), errno.EINVAL)
        fail_if(not mm.covered(start, end), errno.ENOMEM)
        need_areas(mm, cuts(mm, start, end))
        prot &= VM_ACCESS
        at = start
        while at < end:
            area = mm.find(at)
            stop = min(area.end, end)
            area = self.reprotect(mm, area, at, stop, prot)
            at = max(stop, min(area.end, end))

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

    def cut_out(self, area, start, end):
        """Splits so that the area is [start, end) alone: the lower rest is new, then the upper."""
        if area.start < start:
            self.split(area, start, new_below=True)
        if area.end > end:
            self.split(area, end, new_below=False)
        return area

    def set_flags(self, mm, start, end, clear, add):
        """Splits and sets flags area by area, without merging; yields each range [low, high) that was changed."""
        for area in mm.inside(start, end):
            flags = (area.flags & ~clear) | add
            if flags != area.flags:
                low, high = max(start, area.start), min(end, area.end)
                self.cut_out(area, low, high).flags = flags
                yield low, high

    def lock(self, mm, addr, length, on):
        start, end = addr // PAGE, pages_of(addr + length)
        fail_if(not mm.covered(start, end), errno.ENOMEM)
        need_areas(mm, cuts(mm, start, end))
        self.lock_range(mm, start, end, on)

    def lock_range(self, mm, start, end, on):
        for low, high in self.set_flags(mm, start, end, VM_LOCKED, VM_LOCKED if on else 0):
            if on:
                self.populate(mm, low, high)

    def mlockall(self, mm, flags):
        fail_if(flags & ~(MCL_CURRENT | MCL_FUTURE) or not flags, errno.EINVAL)
        mm.def_flags = VM_LOCKED if flags & MCL_FUTURE else 0
        if flags & MCL_CURRENT:
            self.lock_range(mm, 0, self.arch.task, True)

    def munlockall(self, mm):
        mm.def_flags = 0
        self.lock_range(mm, 0, self.arch.task, False)

    def madvise(self, mm, addr, length, advice):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or not NORMAL <= advice <= DONTNEED, errno.EINVAL)
        areas = mm.inside(start, end) if start < end else []
        fail_if(advice == DONTNEED and any(area.flags & VM_LOCKED for area in areas), errno.EINVAL)
        fail_if(advice == WILLNEED and any(area.file is None for area in areas), errno.EBADF)
        fail_if(not mm.covered(start, end), errno.ENOMEM)
        if advice == DONTNEED:
            for area in areas:
                zap = self.zap_nonlinear if area.nonlinear else self.zap
                zap(area, max(start, area.start), min(end, area.end))
        elif advice != WILLNEED:
            need_areas(mm, cuts(mm, start, end))
            hint = {NORMAL: 0, RANDOM: VM_RAND_READ, SEQUENTIAL: VM_SEQ_READ}[advice]
            for area in areas:
                piece = self.cut_out(area, max(start, area.start), min(end, area.end))
                piece.flags = (piece.flags & ~(VM_RAND_READ | VM_SEQ_READ)) | hint

    # --- brk (rules D2, E7) -----------------------------------------------------------------------------------------

    def brk(self, mm, addr):
        if addr == 0:
            return mm.brk
        old, new = pages_of(mm.brk), pages_of(addr)
        fail_if(addr < mm.start_brk or new > self.arch.task, errno.ENOMEM)
        if new < old:
            need_areas(mm, cuts(mm, new, old))
            self.unmap(mm, new, old)
        elif new > old:
            fail_if(mm.inside(old, new + 1), errno.ENOMEM)
            need_areas(mm, 1)
            flags = self.arch.heap_flags | VM_MAYALL | VM_ACCOUNT | mm.def_flags
            self.map_range(mm, old, new, flags, None, self.birth_pgoff(old))
        mm.brk = addr
        if new > old and mm.def_flags & VM_LOCKED:
            self.populate(mm, old, new)
        return addr

    # --- mremap (rules E9, E10, G4) ---------------------------------------------------------------------------------

    def mremap(self, mm, old_address, old_size, new_size, flags, new_address):
        old, old_pages, new_pages = old_address // PAGE, pages_of(old_size), pages_of(new_size)
        fixed = bool(flags & MREMAP_FIXED)
        fail_if(flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) or old_address % PAGE or new_pages <= 0, errno.EINVAL)
        if fixed:
            new = new_address // PAGE
            fail_if(new_address % PAGE or not flags & MREMAP_MAYMOVE, errno.EINVAL)
            fail_if(new + new_pages > self.arch.task, errno.EINVAL)
            fail_if(new <= old < new + new_pages or old <= new < old + old_pages, errno.EINVAL)
        area = mm.find(old)
        mapped = area is not None and area.start <= old
        fail_if(old_pages == 0 and not (mapped and not area.private), errno.EINVAL)
        fail_if(not mapped, errno.EFAULT)
        kept = min(old_pages, new_pages)
        if old_pages >= new_pages:
            fail_if(fixed and area.end < old + kept, errno.EFAULT)
            fail_if(old + old_pages > self.arch.task, errno.EINVAL)
            need_areas(mm, cuts(mm, old + kept, old + old_pages) if kept < old_pages else 0)
        else:
            fail_if(area.end < old + kept, errno.EFAULT)
            fail_if(new_pages > self.arch.task, errno.EINVAL)
            if not fixed and area.end == old + old_pages and self.grow_in_place(mm, area, old + new_pages):
                return old_address
        moves = fixed or old_pages < new_pages
        fail_if(moves and (not flags & MREMAP_MAYMOVE or len(mm.areas) >= MAX_AREAS - 3), errno.ENOMEM)
        if kept < old_pages:
            self.unmap(mm, old + kept, old + old_pages)
        if not moves:
            return old_address
        if fixed:
            self.unmap(mm, new, new + new_pages)
        else:
            new = self.free_range(mm, new_pages)
            fail_if(new is None, errno.ENOMEM)
        self.move(mm, old, kept, new, new_pages)
        return new * PAGE

    def grow_in_place(self, mm, area, end):
        following = mm.after(area)
        if end > (following.start if following else self.arch.task):
            return False
        added = area.end
        self.adjust(area, area.start, end, area.pgoff)
        if area.flags & VM_LOCKED:
            self.populate(mm, added, end)
        return True

    def move(self, mm, old, pages, new, new_pages):
        """The range [old, old + pages) becomes [new, new + new_pages)."""
        area = mm.find(old)
        flags, end = area.flags, new + new_pages
        if area.file is None and area.word is None:
            pgoff = self.birth_pgoff(new)
        else:
            pgoff = self.shifted(area.file, area.pgoff, old - area.start)
        target = self.merge(mm, mm.before(new), new, end, flags, area, area.file, pgoff)
        if target is not None and not target.start <= old < target.end:
            self.take_over(target, area)
        if target is None:
            target = area.piece()
            target.start, target.end, target.pgoff = new, end, pgoff
            self.enter_piece(target, area)
            self.anon.area_clone(target)
        try:
            self.move_entries(mm, old, new, pages)
        except OutOfMemory:
            self.move_entries(mm, new, old, pages)
            self.unmap(mm, new, end)
            raise
        if pages:
            self.unmap(mm, old, old + pages)
        if flags & VM_LOCKED:
            self.populate(mm, new + pages, end)

    def move_entries(self, mm, old, new, pages):
        for offset in range(pages):
            source, target = old + offset, new + offset
            if source in mm.entries:
                self.move_entry(mm, source, target)

    def move_entry(self, mm, source, target):
        """A page that the scheme cannot move is copied first; reclaim may turn it into a swap entry meanwhile."""
        entry = mm.entries[source]
        while entry.pfn > 0 and not self.keeper(self.frames[entry.pfn]).may_move(self.frames[entry.pfn]):
            self.copy_for_move(mm, source, entry)
            entry = mm.entries[source]
        self.need_leaf(mm, target)
        mm.entries[target] = mm.entries.pop(source)
        if entry.pfn > 0:
            frame = self.frames[entry.pfn]
            self.keeper(frame).entry_moved(frame, mm, source, target)

    def copy_for_move(self, mm, vpn, entry):
        """make_page_exclusive: a private copy at the old address; no fault is counted."""
        try:
            self.copy_page(mm.find(vpn), vpn, entry)
        except EntryChanged:
            return
        self.count["pages_copied_mremap"] += 1

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
