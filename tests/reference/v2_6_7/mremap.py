"""mremap of kernel 2.6.7 (rules E9, E10, G4)."""

import errno

from ..common.state import PAGE, VM_ACCOUNT, VM_LOCKED, WRAP, OutOfMemory
from ..common.uapi import MREMAP_FIXED, MREMAP_MAYMOVE, fail_if, pages_of

PAGES = WRAP // PAGE


class Mremap:
    def mremap(self, mm, old_address, old_size, new_size, flags, new_address):
        old, old_pages, new_pages = old_address // PAGE, pages_of(old_size) % PAGES, pages_of(new_size) % PAGES
        fixed = bool(flags & MREMAP_FIXED)
        fail_if(flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) or old_address % PAGE or new_pages == 0, errno.EINVAL)
        if fixed:
            new = new_address // PAGE
            fail_if(new_address % PAGE or not flags & MREMAP_MAYMOVE, errno.EINVAL)
            fail_if(new + new_pages > self.arch.task, errno.EINVAL)
            fail_if(new <= old < new + new_pages or old <= new < (old + old_pages) % PAGES, errno.EINVAL)
            self.cut_and_unmap(mm, new, new + new_pages)
        if old_pages > new_pages:
            fail_if(old + old_pages > self.arch.task, errno.EINVAL)
            self.cut_and_unmap(mm, old + new_pages, old + old_pages)
        if old_pages >= new_pages and not fixed:
            return old_address
        old_pages = min(old_pages, new_pages)
        area = mm.find(old)
        fail_if(area is None or area.start > old or area.end < old + old_pages, errno.EFAULT)
        if not fixed and area.end == old + old_pages and self.grow_in_place(mm, area, old + new_pages):
            return old_address
        fail_if(not flags & MREMAP_MAYMOVE, errno.ENOMEM)
        if not fixed:
            new = self.free_range(mm, new_pages)
            fail_if(new is None, errno.ENOMEM)
        fail_if(len(mm.areas) >= self.most_areas - 3, errno.ENOMEM)
        self.move(mm, old, old_pages, new, new_pages)
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
        if not area.cached and area.word is None:
            pgoff = new if area.file else self.birth_pgoff(new)
        else:
            pgoff = self.shifted(area.file, area.pgoff, old - area.start)
        target = self.merge(mm, mm.before(new), new, end, flags, area, area.file, pgoff)
        if target is not None and not target.start <= old < target.end:
            self.take_over(target, area)
        if target is None:
            target = area.piece()
            target.start, target.end, target.pgoff = new, end, pgoff
            self.enter_piece(target, area)
            self.anon.area_clone(target, area)
        try:
            self.move_entries(mm, old, new, pages)
        except OutOfMemory:
            self.move_entries(mm, new, old, self.passed)
            self.unmap(mm, new, end)
            raise
        if pages:
            self.unmap(mm, old, old + pages)
        else:
            mm.find(old).flags &= ~VM_ACCOUNT
        if flags & VM_LOCKED:
            self.populate(mm, new + pages, end)
