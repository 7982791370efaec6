"""Entries: one mapping comes, goes or moves; accesses, and the loop of a fault (rules B4, C1, E9, F1, F9, L1, L2)."""

from .state import VM_WRITE, Entry


class EntryChanged(Exception):
    """Reclaim took the page while memory was allocated: the fault starts again."""


class Mapping:
    # --- one mapping comes or goes (rule F9) ------------------------------------------------------------------------

    def keeper(self, frame):
        """Who answers for a mapped frame: the scheme or the file side."""
        return self.anon if frame.anon else self.side

    def add_mapping(self, area, vpn, frame, writable, anon):
        """Writes the entry. writable: RW and DIRTY too, RW only where the area may be written."""
        mm = area.mm
        usable, rw = self.protection(area)
        if writable:
            rw = rw or bool(area.flags & VM_WRITE)
        mm.entries[vpn] = Entry(pfn=frame.pfn, usable=usable, rw=rw, young=True, dirty=writable)
        self.count["rmap_adds"] += 1
        mm.rss += 1
        frame.mapcount += 1
        if frame.mapcount == 1 and anon:
            frame.anon = True
            self.anon.page_first(frame, area, vpn)
        self.keeper(frame).entry_added(frame, mm, vpn)

    def remove_mapping(self, mm, vpn, frame):
        """The entry is gone, or about to be overwritten."""
        self.keeper(frame).entry_removed(frame, mm, vpn)
        self.count["rmap_removes"] += 1
        mm.rss -= 1
        frame.mapcount -= 1
        if frame.mapcount == 0:
            self.page_unmapped(frame)

    # --- accesses and faults (rules C1, F1, L1, L2) -----------------------------------------------------------------

    def access(self, mm, vpn, write):
        """One access of a program."""
        self.op_index += 1
        entry = mm.entries.get(vpn)
        if entry and entry.usable and (entry.rw or not write):
            entry.young = True
            entry.dirty = entry.dirty or write
        else:
            self.fault(mm, vpn, write)
        if write:
            self.frames[mm.entries[vpn].pfn].stamp = self.op_index

    def handle(self, area, vpn, write):
        """The access is allowed and the area contains the page."""
        self.need_leaf(area.mm, vpn)
        while True:
            entry = area.mm.entries.get(vpn)
            try:
                if entry is None or entry.page is not None:
                    kind = self.fault_file(area, vpn, write) if area.cached else self.fault_zero(area, vpn, write)
                elif entry.slot:
                    kind = self.fault_swapin(area, vpn, entry.slot, write)
                elif write and not entry.rw:
                    kind = self.fault_cow(area, vpn, entry)
                else:
                    entry.young = True
                    entry.dirty = entry.dirty or write
                    kind = "spurious"
            except EntryChanged:
                continue
            self.count["faults_" + kind] += 1
            return

    def alone(self, frame, uses):
        """Nobody maps the swap-cache frame, only we pin it, and its slot has that many users."""
        return frame.mapcount == 0 and frame.pins == 1 and self.use_count[frame.slot] == uses

    # --- entries move (rules E9, G4) --------------------------------------------------------------------------------

    def move_entries(self, mm, old, new, pages):
        """One by one; self.passed pages are done when it fails."""
        for self.passed in range(pages):
            source, target = old + self.passed, new + self.passed
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
