"""list: the private and the shared areas of a file, as two plain lists (rule G9)."""

from ..schemes.base import Scheme
from ..state import VM_SHARED


class FileLists(Scheme):
    """Rule G9. file.tree is (i_mmap, i_mmap_shared)."""

    def lock(self):
        self.count["lock_i_mmap"] += 1

    def file_born(self, file):
        file.tree = ([], [])

    def list_of(self, area):
        return area.file.tree[bool(area.flags & VM_SHARED)]

    def area_link(self, area):
        self.lock()
        self.list_of(area).append(area)

    def area_unlink(self, area):
        self.lock()
        self.list_of(area).remove(area)

    def area_fork(self, child, parent):
        self.lock()
        areas = self.list_of(child)
        areas.insert(areas.index(parent), child)

    def candidates(self, frame, purpose):
        self.lock()
        private, shared = frame.file.tree
        for area in private + shared:
            self.count["vmas_tried"] += 1
            self.count["lock_i_mmap_held"] += 1
            vpn = area.address(frame.page)
            if vpn is not None and area.mm.rss:
                yield area.mm, area, vpn
