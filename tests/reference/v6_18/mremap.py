"""mremap of kernel 6.18 (rule QE8)."""

import errno

from ..common.state import PAGE, VM_LOCKED, VM_MAYSHARE, VM_SEALED, WRAP, OutOfMemory
from ..common.uapi import MAP_SHARED, MREMAP_FIXED, MREMAP_MAYMOVE, fail_if, pages_of
from .calls import LOCKS

MREMAP_DONTUNMAP = 4
PAGES = WRAP // PAGE


class Mremap:
    def mremap(self, mm, old_address, old_size, new_size, flags, new_address):
        old, new = old_address // PAGE, new_address // PAGE
        old_pages, new_pages = pages_of(old_size) % PAGES, pages_of(new_size)
        dontunmap, fixed = bool(flags & MREMAP_DONTUNMAP), bool(flags & MREMAP_FIXED)
        fail_if(flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) or old_address % PAGE, errno.EINVAL)
        fail_if(not 0 < new_pages <= self.arch.task, errno.EINVAL)
        if fixed or dontunmap:
            fail_if(new_address % PAGE or new + new_pages > self.arch.task, errno.EINVAL)
            fail_if(not flags & MREMAP_MAYMOVE or (dontunmap and old_pages != new_pages), errno.EINVAL)
            fail_if((old + old_pages) % PAGES > new and new + new_pages > old, errno.EINVAL)
            fail_if(len(mm.areas) + 2 >= self.most_areas - 3, errno.ENOMEM)
        if fixed and old_pages == new_pages:
            return self.move_areas(mm, old, old + old_pages, new, dontunmap)
        area = mm.find(old)
        fail_if(area is None or area.start > old, errno.EFAULT)
        fail_if(area.flags & VM_SEALED, errno.EPERM)
        if not (fixed or dontunmap) and old_pages >= new_pages:
            if old_pages > new_pages:
                self.drop_tail(mm, old + new_pages, old + old_pages)
            return old_address
        kept = min(old_pages, new_pages)
        fail_if(old_pages == 0 and area.private, errno.EINVAL)
        fail_if(old + kept > area.end, errno.EFAULT)
        fail_if(new_pages > kept and self.has_offset(area.file) and area.index(old) + new_pages >= WRAP, errno.EINVAL)
        place = area.file, MAP_SHARED if area.flags & VM_MAYSHARE else 0, area.pgoff + old - area.start
        if fixed:
            self.unmap_unsealed(mm, new, new + new_pages)
            area = mm.find(old)
            fail_if(area is None or area.start > old, errno.EFAULT)
            if old_pages > new_pages:
                self.drop_tail(mm, old + new_pages, old + old_pages)
        elif dontunmap:
            new = self.choose_range(mm, new_address, new_pages, *place)
        else:
            if area.end == old + old_pages and self.grow_in_place(mm, area, old + new_pages):
                return old_address
            fail_if(not flags & MREMAP_MAYMOVE, errno.ENOMEM)
            new = self.choose_range(mm, 0, new_pages, *place)
        self.move(mm, old, kept, new, new_pages, dontunmap)
        return new * PAGE

    def drop_tail(self, mm, start, end):
        fail_if(end > self.arch.task, errno.EINVAL)
        self.unmap_unsealed(mm, start, end)

    def move_areas(self, mm, start, end, new, dontunmap):
        """Every area of the range by itself; the gaps between them stay, and what lies opposite to a gap."""
        at = start
        while at < end:
            area = mm.find(at)
            if area is None or area.start >= end:
                break
            fail_if(at == start and area.start > start, errno.EFAULT)
            fail_if(area.flags & VM_SEALED, errno.EPERM)
            low, at = max(at, area.start), min(area.end, end)
            target = new + low - start
            self.unmap_unsealed(mm, target, target + at - low)
            self.move(mm, low, at - low, target, at - low, dontunmap)
        fail_if(at == start, errno.EFAULT)
        return new * PAGE

    def grow_in_place(self, mm, area, end):
        """Over the new pages, and over an area behind them that could be the same."""
        following, added = mm.after(area), area.end
        if end > (following.start if following else self.arch.task):
            return False
        if following and following.start == end and self.may_swallow(area, following, end):
            self.adjust(area, area.start, following.end, area.pgoff)
            self.count["vma_merges"] += 1
        else:
            self.adjust(area, area.start, end, area.pgoff)
        if area.flags & VM_LOCKED:
            self.populate(mm, added, end)
        return True

    def may_swallow(self, area, following, end):
        source = area if area.anon and following.anon else None
        pgoff = self.shifted(area.file, area.pgoff, end - area.start)
        return (self.can_merge_before(following, source, area.flags, area.file, pgoff, area.policy, area.name)
                and self.continues(following, area.flags, area.file, area.end, area.anon_index(area.end))
                and self.anon.may_bridge(area, following))

    def move(self, mm, old, pages, new, new_pages, dontunmap=False):
        """The range [old, old + pages) becomes [new, new + new_pages)."""
        fail_if(len(mm.areas) >= self.most_areas - 3, errno.ENOMEM)
        area = mm.find(old)
        flags, end = area.flags, new + new_pages
        if not area.cached and not area.anon:
            pgoff = new if area.file else self.birth_pgoff(new)
        else:
            pgoff = self.shifted(area.file, area.pgoff, old - area.start)
        anon_pgoff = self.anon_offset(area, old, new)
        target = self.merge(mm, mm.before(new), new, end, flags, area, area.file, pgoff, area.policy, area.name,
                            anon_pgoff)
        if target is not None and not target.start <= old < target.end:
            self.take_over(target, area)
        if target is None:
            target = area.piece()
            target.start, target.end, target.pgoff, target.anon_pgoff = new, end, pgoff, anon_pgoff
            self.enter_piece(target, area)
            self.anon.area_clone(target, area)
        try:
            self.move_entries(mm, old, new, pages)
        except OutOfMemory:
            self.move_entries(mm, new, old, self.passed)
            self.unmap(mm, new, end)
            raise
        if dontunmap:
            self.leave_behind(mm.find(old), old, pages, target)
        elif pages:
            self.unmap(mm, old, old + pages)
        if flags & VM_LOCKED:
            self.populate(mm, new + pages, end)

    def anon_offset(self, area, old, new):
        """The offset that anonymous pages of the area from `old` on have at `new`, beside its page offset; None: none."""

    def leave_behind(self, source, start, pages, target):
        """The old range stays, empty; an area that is empty as a whole begins anew."""
        source.flags &= ~LOCKS
        if source is not target and (source.start, source.pages) == (start, pages) and source.anon:
            source.anon = False
            self.anon.area_emptied(source)
