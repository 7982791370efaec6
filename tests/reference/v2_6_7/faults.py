"""Entries, faults and populating of kernel 2.6.7 (rules C3, E8, F1-F10, H1)."""

from ..common.mapping import EntryChanged
from ..common.state import (
    PAGE,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_READ,
    VM_WRITE,
    BusError,
    Entry,
    SegmentationFault,
    protection,
)


class Faults:
    # --- entries and frames (rules C3, F9, H1) ----------------------------------------------------------------------

    def protection(self, area):
        """(PRESENT, RW) of the area's new entries."""
        return protection(area.flags)

    def keep_signs(self, area, frame, entry):
        """What the dirty and the young bit of an entry that goes mean for its frame."""
        if entry.dirty:
            frame.dirty = True
        if entry.young and (frame.slot or not frame.anon):
            self.mark_accessed(frame)

    def page_unmapped(self, frame):
        if frame.anon:
            self.anon.page_last(frame)
            frame.anon = False

    def map_copy(self, area, vpn, fresh, old=None):
        """Maps a fresh anonymous frame holding what the old one holds."""
        fresh.stamp = old.stamp if old else 0
        self.add_mapping(area, vpn, fresh, writable=True, anon=True)
        self.lru_add(fresh, True)

    # --- permission (rules F1-F3) -----------------------------------------------------------------------------------

    def fault(self, mm, vpn, write):
        area = mm.find(vpn) if vpn < self.arch.task else None
        if area is None or (area.start > vpn and not self.grow_stack(area, vpn)):
            raise SegmentationFault(vpn * PAGE)
        if not area.flags & (VM_WRITE if write else VM_READ | VM_EXEC):
            raise SegmentationFault(vpn * PAGE)
        self.handle(area, vpn, write)

    def offset_allows(self, area, pages):
        return not area.file or pages <= area.pgoff

    def grow_stack(self, area, vpn):
        """Moves the start of a growing area down to the page, if the limits allow."""
        pages = area.start - vpn
        if not area.flags & VM_GROWSDOWN:
            return False
        self.prepare(area)
        if area.end - vpn > self.stack_pages or not self.offset_allows(area, pages):
            return False
        if area.file:
            self.side.area_before(area)
        self.anon.stack_grows(area)
        area.begin_at(vpn)
        area.pgoff = self.shifted(area.file, area.pgoff, -pages)
        if area.file:
            self.side.area_after(area)
        self.anon.bounds_changed(area, None)
        return True

    # --- the fault (rules F4-F8) ------------------------------------------------------------------------------------

    def fault_zero(self, area, vpn, write):
        if not write:
            usable, rw = self.protection(area)
            area.mm.entries[vpn] = Entry(pfn=0, usable=usable, rw=rw, young=True)
            return "zero"
        self.prepare(area)
        frame = self.alloc_frame()
        self.map_copy(area, vpn, frame)
        self.mark_accessed(frame)
        return "zero"

    def fault_file(self, area, vpn, write):
        page = area.page_of(vpn)
        if page >= area.file.pages:
            raise BusError(vpn * PAGE)
        frame = self.file_frame(area.file, page)
        self.mark_accessed(frame)
        if not (write and area.private):
            self.add_mapping(area, vpn, frame, writable=write, anon=False)
            return "file"
        frame.pins += 1
        try:
            self.prepare(area)
            self.map_copy(area, vpn, self.alloc_frame(), frame)
        finally:
            self.unpin(frame)
        self.count["pages_copied_cow"] += 1
        return "file"

    def fault_cow(self, area, vpn, entry):
        frame = self.frames[entry.pfn]
        if entry.pfn and self.can_share(frame):
            entry.rw = entry.dirty = entry.young = True
            self.count["cow_reuses"] += 1
            self.anon.page_reused(frame, area)
        else:
            self.copy_page(area, vpn, entry)
            self.count["pages_copied_cow"] += 1
        return "cow"

    def copy_page(self, area, vpn, entry):
        """Replaces a present page, zero page included, by a private copy."""
        if entry.pfn == 0:
            self.prepare(area)
            self.map_copy(area, vpn, self.alloc_frame())
            return
        old = self.frames[entry.pfn]
        old.pins += 1
        try:
            self.prepare(area)
            fresh = self.alloc_frame()
            now = area.mm.entries.get(vpn)
            if now is None or now.pfn != old.pfn:
                self.free_frame(fresh)
                raise EntryChanged
            self.remove_mapping(area.mm, vpn, old)
            self.map_copy(area, vpn, fresh, old)
        finally:
            self.unpin(old)

    def comes_back_alone(self, frame):
        """Can no other entry lead to the frame, which is being mapped for the first time? (rule G13)"""
        return not frame.slot or self.use_count[frame.slot] == 1

    def fault_swapin(self, area, vpn, slot, write):
        frame = self.swap_cache.get(slot)
        if frame is None:
            frame = self.alloc_frame()
            frame.stamp = self.swap_stamp.get(slot, 0)
            self.dup_slot(slot)
            self.enter_swap_cache(frame, slot)
            self.lru_add(frame, True)
        self.mark_accessed(frame)
        frame.pins += 1
        try:
            fresh = None
            if self.swapin_copies(frame, vpn, write):
                fresh = self.alloc_frame()
                if not self.swapin_copies(frame, vpn, write):
                    self.free_frame(fresh)
                    fresh = None
            self.put_slot(slot)
            area.mm.swapents -= 1
            if fresh:
                wanted = write and not self.alone(frame, 1)
                self.map_copy(area, vpn, fresh, frame)
                self.count["pages_copied_cow" if wanted else "pages_copied_mremap"] += 1
            else:
                if self.swap_full and self.alone(frame, 1):
                    self.leave_swap_cache(frame)
                    frame.dirty = True
                self.add_mapping(area, vpn, frame, writable=write, anon=True)
        finally:
            self.unpin(frame)
        return "swapin"

    def swapin_copies(self, frame, vpn, write):
        """Must this swap-in make a private copy?"""
        return not self.anon.may_swapin(frame, vpn) or (write and not self.alone(frame, 2))

    # --- populating (rule E8) ---------------------------------------------------------------------------------------

    def populate(self, mm, start, end):
        """Pages that nothing forbids, and that the file has."""
        for vpn in range(start, end):
            area = mm.find(vpn)
            if area is None or area.start > vpn or not area.flags & (VM_READ | VM_WRITE):
                continue
            entry = mm.entries.get(vpn)
            if area.cached and not (area.nonlinear and entry and entry.pfn > 0) and area.page_of(vpn) >= area.file.pages:
                continue
            write = bool(area.flags & VM_WRITE)
            if entry is None or not entry.usable or (write and not entry.rw):
                self.handle(area, vpn, write)
