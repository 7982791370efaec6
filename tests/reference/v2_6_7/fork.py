"""fork of kernel 2.6.7 (rule H2)."""

from ..common.state import VM_LOCKED, Area, Entry


class Fork:
    def fork_mm(self, parent, pid):
        child = self.new_mm(pid)
        child.start_brk, child.brk = parent.start_brk, parent.brk
        self.anon.mm_fork(child, parent)
        for area in parent.areas:
            copy = Area(child, area.start, area.end, area.flags & ~VM_LOCKED, area.pgoff, area.file, anon=area.anon)
            self.anon.area_fork(copy, area)
            if copy.file:
                copy.file.areas.insert(0, copy)
                self.side.area_fork(copy, area)
            child.insert(copy)
            self.copy_entries(area, copy)
        return child

    def copy_absent(self, entry, child, vpn):
        """A swap entry or a file entry."""
        if entry.slot:
            self.dup_slot(entry.slot)
            child.swapents += 1
        child.entries[vpn] = Entry(slot=entry.slot, page=entry.page)

    def copy_present(self, entry, child, vpn, private):
        if private:
            entry.rw = False
        dirty = entry.dirty and private
        child.entries[vpn] = Entry(entry.pfn, 0, entry.usable, entry.rw, young=False, dirty=dirty)
        frame = self.frames[entry.pfn]
        self.count["rmap_dups"] += 1
        frame.mapcount += 1
        child.rss += 1
        self.keeper(frame).entry_forked(frame, child, vpn)
