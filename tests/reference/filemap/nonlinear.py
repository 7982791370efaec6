"""File sides with a tree per file, and the nonlinear areas that stand beside it (rules G7a, K6a).

A side says what a tree is (`new_tree`), how areas enter and leave it, and which areas it has for a page.
"""

from ..common.check import require
from ..common.reclaim import QUERY
from ..common.scheme import Scheme
from ..common.state import VM_LOCKED

CLUSTER = 32  # pages


class TreeSide(Scheme):
    def __init__(self, machine):
        super().__init__(machine)
        self.cursor = {}  # nonlinear area -> pages swept

    def lock(self, file):
        self.take("i_mmap", file)

    def file_born(self, file):
        file.tree = self.new_tree()

    def area_link(self, area):
        self.lock(area.file)
        self.enter(area)

    def area_piece(self, piece, area):
        if not piece.nonlinear:
            self.area_link(piece)
            return
        self.lock(piece.file)
        piece.file.odd.append(piece)
        self.cursor[piece] = self.cursor[area]

    def area_nonlinear(self, area):
        self.lock(area.file)
        self.leave(area)
        area.file.odd.append(area)
        self.cursor[area] = 0

    def area_unlink(self, area):
        self.lock(area.file)
        if area.nonlinear:
            area.file.odd.remove(area)
            del self.cursor[area]
        else:
            self.leave(area)

    def area_before(self, area):
        if not area.nonlinear:
            self.area_unlink(area)

    def area_after(self, area):
        if not area.nonlinear:
            self.area_link(area)

    def area_fork(self, child, parent):
        self.lock(child.file)
        if child.nonlinear:
            child.file.odd.insert(self.nonlinear_child_at(child.file.odd, parent), child)
            self.cursor[child] = self.cursor[parent]
        else:
            self.enter_beside(child, parent)

    def candidates(self, frame, purpose):
        self.lock(frame.file)
        yield from self.overlapping(frame, purpose)
        if purpose == QUERY:
            yield from self.scan(frame)

    def tried(self):
        self.count["vmas_tried"] += 1
        self.count["lock_i_mmap_held"] += 1

    def scan(self, frame):
        """Rule G7a: every entry of the nonlinear areas is read."""
        for area in frame.file.odd:
            self.tried()
            mm = area.mm
            for low, high in self.machine.table_runs(mm, area.start, area.end) if mm.rss else ():
                for vpn in range(low, high):
                    self.count["scanned_ptes"] += 1
                    if vpn in mm.entries and mm.entries[vpn].pfn == frame.pfn:
                        yield mm, area, vpn

    def clusters(self, frame, gone):
        """Rule K6a."""
        areas, effort = frame.file.odd, frame.mapcount
        for _ in areas:
            self.tried()
        unlocked = [area for area in areas if not area.flags & VM_LOCKED]
        if not unlocked:
            return
        far = max(self.cursor[area] for area in unlocked) or CLUSTER
        last = -(-max(area.pages for area in unlocked) // CLUSTER) * CLUSTER
        while True:
            for area in unlocked:
                while area.mm.rss and self.cursor[area] < min(far, area.pages):
                    at = (area.start + self.cursor[area]) // CLUSTER * CLUSTER
                    self.cursor[area] += CLUSTER
                    yield area, max(at, area.start), min(at + CLUSTER, area.end)
                    if len(gone) >= effort:
                        return
                self.cursor[area] = far
            far += CLUSTER
            if far > last:
                break
        for area in areas:
            self.cursor[area] = 0

    def check_file(self, file, areas):
        self.check_tree(file, [area for area in areas if not area.nonlinear])
        odd = [area for area in areas if area.nonlinear]
        require(len(odd) == len(file.odd) and set(odd) == set(file.odd), "G7a", file.number)
