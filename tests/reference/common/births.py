"""Birth and death of address spaces: spawn, fork, exec, exit (rules H2, H3, G2)."""

from .state import VM_LOCKED, Area, Entry, Mm


class ForkExit:
    def new_mm(self, pid):
        """An empty address space, youngest of the living."""
        mm = Mm(pid, self.arch.heap, self.arch.heap)
        self.mms.append(mm)
        return mm

    def exec_mm(self, pid):
        mm = self.new_mm(pid)
        self.anon.mm_exec(mm)
        return mm

    def end_mm(self, mm):
        for area in mm.areas:
            self.zap(area, area.start, area.end)
        mm.leaves.clear()
        while mm.areas:
            self.drop_area(mm.areas[0])
        self.anon.mm_exit(mm)
        self.mms.remove(mm)

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

    def copy_entries(self, area, copy):
        """copy_page_range: a child's leaf table for every one of the parent's in the range."""
        parent, child = area.mm, copy.mm
        for low, high in self.table_runs(parent, area.start, area.end):
            self.need_leaf(child, low)
            self.count["scanned_ptes"] += high - low
            for vpn in range(low, high):
                entry = parent.entries.get(vpn)
                if entry is None:
                    continue
                if entry.pfn > 0:
                    self.copy_present(entry, child, vpn, area.private)
                elif entry.pfn == 0:
                    child.entries[vpn] = Entry(0, 0, entry.usable, entry.rw, entry.young, entry.dirty)
                else:
                    self.copy_absent(entry, child, vpn)

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
