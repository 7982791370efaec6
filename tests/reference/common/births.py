"""Birth and death of address spaces: spawn, exec, exit, and the entries that fork copies (rules H2, H3, G2)."""

from .state import Entry, Mm


class Births:
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
        mm.uppers.clear()
        while mm.areas:
            self.drop_area(mm.areas[0])
        self.anon.mm_exit(mm)
        self.mms.remove(mm)

    def copy_entries(self, area, copy):
        """copy_page_range: a child's table for every one of the parent's in the range."""
        parent, child = area.mm, copy.mm
        child.uppers.update((bits, number) for bits, number in parent.uppers
                            if number << bits < area.end and area.start < (number + 1) << bits)
        for low, high in self.table_runs(parent, area.start, area.end):
            self.need_leaf(child, low)
            self.take_table(child, low, 1)
            self.take_table(parent, low, 1)
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
