"""Frames, faults and populating of kernel 6.18 (rules QA3, QB, QD6, QE7, QE13, QF)."""

import errno

from ..common.state import (
    VM_ACCESS,
    VM_DROPPABLE,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_LOCKONFAULT,
    VM_RAND_READ,
    VM_READ,
    VM_SEQ_READ,
    VM_WRITE,
    BusError,
    SegmentationFault,
    protection,
)

AROUND = 16  # pages that a read fault of a file looks at
GUARD_GAP = 256  # pages free below a growing area
MOST_PINS = 8


class Faults:
    # --- entries and frames (rules QA3, QB) -------------------------------------------------------------------------

    def protection(self, area):
        """A disk file hears of the first write, so its shared pages begin read-only."""
        usable, rw = protection(area.flags)
        return usable, rw and (not area.cached or area.file.shmem)

    def keep_signs(self, area, frame, entry):
        """Of pages of files only; an anonymous frame that others map has their dirty bits."""
        if frame.anon:
            return
        if entry.dirty:
            frame.dirty = True
        if entry.young and not area.flags & (VM_RAND_READ | VM_SEQ_READ):
            self.mark_accessed(frame)

    def map_copy(self, area, vpn, fresh, old=None):
        fresh.stamp = old.stamp if old else 0
        fresh.exclusive = True
        fresh.lazyfree = bool(area.flags & VM_DROPPABLE)
        self.add_mapping(area, vpn, fresh, writable=True, anon=True)
        self.lru_add(fresh, False)

    def page_unmapped(self, frame):
        super().page_unmapped(frame)
        frame.exclusive = frame.lazyfree = False

    # --- permission (rules QA2, QD6, QF1) ---------------------------------------------------------------------------

    def fault(self, mm, vpn, write):
        area = mm.find(vpn) if vpn < self.arch.task else None
        if area is None or (area.start > vpn and not self.grow_stack(area, vpn)):
            raise SegmentationFault(vpn * 4096)
        if not area.flags & (VM_WRITE if write else VM_ACCESS):
            raise SegmentationFault(vpn * 4096)
        self.handle(area, vpn, write)

    def grow_stack(self, area, vpn):
        below = area.mm.before(area.start)
        if below and below.flags & VM_ACCESS and not below.flags & VM_GROWSDOWN and vpn - below.end < GUARD_GAP:
            return False
        return super().grow_stack(area, vpn)

    def offset_allows(self, area, pages):
        return not self.has_offset(area.file) or pages <= area.pgoff

    def handle(self, area, vpn, write):
        entry = area.mm.entries.get(vpn)
        if entry and entry.guard:
            raise SegmentationFault(vpn * 4096)
        self.new_leaf = vpn >> self.arch.leaf_bits not in area.mm.leaves
        super().handle(area, vpn, write)

    # --- the fault (rules QF2-QF6) ----------------------------------------------------------------------------------

    def fault_zero(self, area, vpn, write):
        if write:
            self.prepare(area)
            self.map_copy(area, vpn, self.alloc_frame())
            return "zero"
        return super().fault_zero(area, vpn, write)

    def fault_file(self, area, vpn, write):
        mm, file, page = area.mm, area.file, area.index(vpn)
        if not write:
            self.fault_around(area, vpn)
            if vpn in mm.entries:
                return "file"
        elif area.private:
            self.prepare(area)
        if page >= file.pages:
            raise BusError(vpn * 4096)
        frame = self.file_frame(file, page)
        if not (write and area.private):
            self.map_with_folio(area, vpn, frame, write)
            return "file"
        frame.pins += 1
        try:
            self.map_copy(area, vpn, self.alloc_frame(), frame)
        finally:
            self.unpin(frame)
        self.count["pages_copied_cow"] += 1
        return "file"

    def fault_around(self, area, vpn):
        """Maps what of the block, and of the folios that begin or end in it, is in memory and has no entry."""
        file = area.file
        table = vpn >> self.arch.leaf_bits << self.arch.leaf_bits
        first = max(vpn - (vpn - table) % AROUND, area.start)
        end = min(first + AROUND, area.end, table + (1 << self.arch.leaf_bits))
        done = first
        for near in range(first, end):
            page = area.index(near)
            if near < done or page >= file.pages or not self.in_memory(file, page):
                continue
            folio = self.folio(area, near)
            if self.new_leaf and len(folio) > 1 and area.index(folio[-1]) >= file.pages - 1:
                return
            if not self.lies_in(area, folio, file.pages - 1):
                folio = [near]
            for place in folio:
                if place not in area.mm.entries and self.in_memory(file, area.index(place)):
                    self.add_mapping(area, place, self.file_frame(file, area.index(place)), writable=False, anon=False)
            self.new_leaf = False
            done = folio[-1] + 1

    def in_memory(self, file, page):
        """All pages of a warm file are, while frames are free, but for those that are known to be missing."""
        return page in file.cache or (file.warm and self.frame_is_free() and page not in file.missing)

    @staticmethod
    def folio(area, vpn):
        """The pages of the folio that has the page there."""
        size = 1 << area.file.folios.get(area.index(vpn), 0)
        start = vpn - area.index(vpn) % size
        return range(start, start + size)

    def lies_in(self, area, folio, pages):
        """Whether a folio may be mapped whole, of a file of so many pages."""
        return (folio[0] >= area.start and folio[-1] < area.end and area.index(folio[-1]) < pages
                and folio[0] >> self.arch.leaf_bits == folio[-1] >> self.arch.leaf_bits)

    def map_with_folio(self, area, vpn, frame, write):
        folio = self.folio(area, vpn)
        if not self.lies_in(area, folio, area.file.pages) or any(place in area.mm.entries for place in folio):
            folio = [vpn]
        for place in folio:
            if self.in_memory(area.file, area.index(place)):
                frame = self.file_frame(area.file, area.index(place))
                self.add_mapping(area, place, frame, writable=write, anon=False)
                frame.dirty = frame.dirty or (write and not area.file.shmem)

    def fault_cow(self, area, vpn, entry):
        frame = self.frames[entry.pfn]
        if area.private and not (frame.anon and self.may_reuse(frame, area)):
            self.copy_page(area, vpn, entry)
            self.count["pages_copied_cow"] += 1
            return "cow"
        if area.private:
            self.count["cow_reuses"] += 1
        else:
            frame.dirty = True
        entry.rw = entry.dirty = entry.young = True
        return "cow"

    def may_reuse(self, frame, area):
        """Anonymous: its mapper may write in place, and is told so by EXCLUSIVE from now on."""
        if frame.exclusive:
            return True
        if not self.can_share(frame):
            return False
        if frame.slot:
            self.leave_swap_cache(frame)
            frame.dirty = True
        frame.exclusive = True
        self.anon.page_reused(frame, area)
        return True

    def copy_page(self, area, vpn, entry):
        old = self.frames[entry.pfn]
        super().copy_page(area, vpn, entry)
        if old.pfn:
            self.leave_unwanted(old)

    def leave_unwanted(self, frame):
        """Nobody maps a copied frame of the swap cache any more, nor needs its slot."""
        if frame.slot and frame.mapcount == 0 and self.use_count[frame.slot] == 1:
            self.leave_swap_cache(frame)
            frame.dirty = True
            self.free_if_unused(frame)

    def comes_back_alone(self, frame):
        return not frame.slot or frame.exclusive

    def fault_swapin(self, area, vpn, slot, write):
        was_exclusive = area.mm.entries[vpn].exclusive
        frame = self.swap_cache.get(slot)
        if frame is None:
            frame = self.alloc_frame()
            frame.stamp = self.swap_stamp.get(slot, 0)
            self.dup_slot(slot)
            self.enter_swap_cache(frame, slot)
            self.lru_add(frame, False)

        def leaves():
            """May it leave the swap cache, once the entry's use of the slot has gone?"""
            wanted = self.swap_full or area.flags & VM_LOCKED or (write and frame.count == 2)
            return bool(wanted) and self.use_count[slot] == 2

        def copies():
            shared = not was_exclusive and frame.count - leaves() != 1
            return not self.anon.may_swapin(frame, vpn) or (write and shared)

        frame.pins += 1
        fresh = None
        try:
            if copies():
                fresh = self.alloc_frame()
                if not copies():
                    self.free_frame(fresh)
                    fresh = None
            clash = not self.anon.may_swapin(frame, vpn)
            leaving = not clash and leaves()
            wanted = write and not self.alone(frame, 2)
            self.put_slot(slot)
            area.mm.swapents -= 1
            if clash:
                self.map_copy(area, vpn, fresh, frame)
                self.count["pages_copied_cow" if wanted else "pages_copied_mremap"] += 1
                return "swapin"
            if leaving:
                self.leave_swap_cache(frame)
                frame.dirty = True
            if was_exclusive or frame.count == 1:
                frame.exclusive = True
            self.add_mapping(area, vpn, frame, writable=False, anon=True)
            if frame.exclusive and area.flags & VM_WRITE:
                entry = area.mm.entries[vpn]
                entry.rw, entry.dirty = True, write
        finally:
            self.unpin(frame)
        if fresh:
            self.remove_mapping(area.mm, vpn, frame)
            self.map_copy(area, vpn, fresh, frame)
            self.count["pages_copied_cow"] += 1
            self.leave_unwanted(frame)
        return "swapin"

    # --- populating and pins (rules QE7, QE13) ----------------------------------------------------------------------

    def populate(self, mm, start, end):
        """A page that fails ends the part of its area only, and nobody hears of it."""
        for area in mm.inside(start, end):
            self.populate_area(area, max(start, area.start), min(end, area.end))

    def populate_strictly(self, mm, start, end):
        """The first page that fails ends it. Whether none did."""
        return all(self.populate_area(area, max(start, area.start), min(end, area.end))
                   for area in mm.inside(start, end))

    def populate_area(self, area, start, end):
        if area.flags & VM_LOCKONFAULT:
            return True
        if not area.flags & VM_ACCESS:
            return False
        return self.fault_in(area, start, end, area.private and bool(area.flags & VM_WRITE))

    def fault_in(self, area, start, end, write):
        """Whether every page of a part of the area can be had."""
        for vpn in range(start, end):
            entry = area.mm.entries.get(vpn)
            if entry and entry.usable and (entry.rw or not write):
                if write and not entry.dirty:
                    self.frames[entry.pfn].dirty = True
            else:
                try:
                    self.handle(area, vpn, write)
                except SegmentationFault:
                    return False
            self.touched(area, self.frames[area.mm.entries[vpn].pfn])
        return True

    def touched(self, area, frame):
        """A page that a call has asked for looks as used as one that was read."""
        if frame.pfn and area.flags & VM_LOCKED:
            frame.referenced = True
        elif frame.pfn:
            self.mark_accessed(frame)

    def pin(self, mm, vpn):
        """The frame, with one reference more."""
        self.op_index += 1
        entry = mm.entries.get(vpn)
        if not (entry and entry.usable):
            area = mm.find(vpn)
            if area is None or area.start > vpn or not area.flags & VM_READ:
                raise SegmentationFault(vpn * 4096)
            self.handle(area, vpn, False)
        frame = self.frames[mm.entries[vpn].pfn]
        if frame.pfn:
            if frame.pins == MOST_PINS:
                raise OSError(errno.ENOMEM, "too many pins")
            frame.pins += 1
            frame.referenced = True
            self.held[frame.pfn] += 1
        return frame

    def release(self, frame):
        if frame.pfn:
            self.held[frame.pfn] -= 1
            self.unpin(frame)
