"""virtual_scan (rule G11)."""

from ..common.check import require
from ..common.scheme import Scheme


class VirtualScan(Scheme):
    """Rule G11. ring: the anchor (None), then the living address spaces; cursors: the page to look at next, by mm."""

    files = "none"
    sweeps = True

    def __init__(self, machine):
        super().__init__(machine)
        self.ring = [None]
        self.cursors = {}
        self.swap_mm = None

    def enter(self, mm, before):
        self.ring.insert(self.ring.index(before) + 1, mm)
        self.cursors[mm] = 0

    def mm_exec(self, mm):
        self.enter(mm, None)

    def mm_fork(self, child, parent):
        self.enter(child, parent)

    def following(self, mm):
        return self.ring[(self.ring.index(mm) + 1) % len(self.ring)]

    def mm_exit(self, mm):
        if self.swap_mm is mm:
            self.swap_mm = self.following(mm)
        self.ring.remove(mm)
        del self.cursors[mm]

    def candidates(self, frame, purpose):
        return iter(())

    def finished(self, mm):
        return mm is None or self.cursors[mm] >= self.machine.arch.task

    def sweep(self):
        """(mm, area, vpn) of entries that map a frame, from where the last sweep stopped."""
        for _ in range(len(self.cursors) + 1):
            while self.finished(self.swap_mm):
                if self.swap_mm is not None:
                    self.cursors[self.swap_mm] = 0
                if len(self.ring) == 1:
                    return
                self.swap_mm = self.following(self.swap_mm)
            self.count["mms_tried"] += 1
            self.count["lock_page_table"] += 1
            yield from self.sweep_mm(self.swap_mm)
            self.cursors[self.swap_mm] = self.machine.arch.task

    def sweep_mm(self, mm):
        begin = self.cursors[mm]
        for area in mm.areas:
            if area.end <= begin:
                continue
            self.count["vmas_tried"] += 1
            for low, high in self.machine.table_runs(mm, max(area.start, begin), area.end):
                for vpn in range(low, high):
                    self.count["scanned_ptes"] += 1
                    self.count["lock_page_table_held"] += 1
                    if vpn in mm.entries and mm.entries[vpn].pfn > 0:
                        self.cursors[mm] = vpn + 1
                        yield mm, area, vpn

    def check(self):
        mms = self.machine.mms
        require(self.ring[0] is None and set(self.ring[1:]) == set(mms), "G11: ring")
        require(self.ring.count(self.swap_mm) == 1 and len(self.ring) == len(mms) + 1, "G11")
