"""list: the private and the shared areas of a file, as two plain lists (rule G9)."""

from ..common.check import require
from ..common.scheme import Scheme
from ..common.state import VM_SHARED
from ..schemes import PteChain


class FileLists(Scheme):
    """Rules G9, G9a. file.tree is (i_mmap, i_mmap_shared); a chained frame has a word, as under pte_chain."""

    def __init__(self, machine):
        super().__init__(machine)
        self.chains = PteChain(machine)

    def lock(self, file):
        self.take("i_mmap", file)

    def file_born(self, file):
        file.tree = ([], [])

    def list_of(self, area):
        return area.file.tree[bool(area.flags & VM_SHARED)]

    def area_link(self, area):
        self.lock(area.file)
        self.list_of(area).append(area)

    def area_unlink(self, area):
        self.lock(area.file)
        self.list_of(area).remove(area)

    def area_fork(self, child, parent):
        self.lock(child.file)
        areas = self.list_of(child)
        areas.insert(areas.index(parent), child)

    def entry_added(self, frame, mm, vpn):
        if frame.word is None and mm.find(vpn).index(vpn) != frame.page:
            self.convert(frame)
            self.chains.entry_added(frame, mm, vpn)
        elif frame.word is not None:
            self.chains.entry_added(frame, mm, vpn)

    def convert(self, frame):
        """All entries but the newest, which are linear, go into a chain."""
        self.lock(frame.file)
        wanted = frame.mapcount - 1
        private, shared = frame.file.tree
        for area in private + shared:
            if not wanted:
                break
            self.count["lock_i_mmap_held"] += 1
            vpn, mm = area.address(frame.page), area.mm
            if vpn is None or not mm.rss or vpn >> self.machine.arch.leaf_bits not in mm.leaves:
                continue
            self.count["scanned_ptes"] += 1
            if vpn in mm.entries and mm.entries[vpn].pfn == frame.pfn:
                self.chains.entry_added(frame, mm, vpn)
                wanted -= 1

    def entry_forked(self, frame, mm, vpn):
        if frame.word is not None:
            self.chains.entry_added(frame, mm, vpn)

    def entry_removed(self, frame, mm, vpn):
        if frame.word is not None:
            self.chains.entry_removed(frame, mm, vpn)

    def entry_unmapped(self, frame, mm, vpn):
        if frame.word is not None:
            self.chains.entry_unmapped(frame, mm, vpn)

    def entry_moved(self, frame, mm, old, new):
        if frame.word is not None:
            self.chains.entry_moved(frame, mm, old, new)

    def entry_carried(self, frame, mm, old, new):
        if frame.word is not None:
            self.chains.entry_carried(frame, mm, old, new)

    def all_referenced(self, frame, mms):
        if frame.word is not None:
            self.chains.all_referenced(frame, mms)

    def candidates(self, frame, purpose):
        if frame.word is not None:
            yield from self.chains.candidates(frame, purpose)
            return
        self.lock(frame.file)
        private, shared = frame.file.tree
        for area in private + shared:
            self.count["vmas_tried"] += 1
            self.count["lock_i_mmap_held"] += 1
            vpn = area.address(frame.page)
            if vpn is not None and area.mm.rss:
                yield area.mm, area, vpn

    def check_file(self, file, areas):
        for shared, listed in enumerate(file.tree):
            mine = [area for area in areas if bool(area.flags & VM_SHARED) == shared]
            require(len(listed) == len(mine) and set(listed) == set(mine), "G9: areas of a list", file.number)

    def check_frame(self, frame):
        if frame.word is not None:
            self.chains.check_frame(frame)
