"""fork of kernel 6.18 (rule QH1)."""

from ..common.state import VM_DONTCOPY, VM_LOCKED, VM_LOCKONFAULT, VM_WIPEONFORK, Area, Entry


class Fork:
    def fork_mm(self, parent, pid):
        child = self.new_mm(pid)
        child.start_brk, child.brk = parent.start_brk, parent.brk
        self.anon.mm_fork(child, parent)
        for area in parent.areas:
            if area.flags & VM_DONTCOPY:
                continue
            wiped = bool(area.flags & VM_WIPEONFORK)
            copy = Area(child, area.start, area.end, area.flags & ~(VM_LOCKED | VM_LOCKONFAULT), area.pgoff, area.file,
                        anon=area.anon and not wiped, policy=area.policy, name=area.name,
                        guards=area.guards, anon_pgoff=area.anon_pgoff)
            if not wiped:
                self.anon.area_fork(copy, area)
            if copy.file:
                copy.file.areas.insert(0, copy)
                self.side.area_fork(copy, area)
            child.insert(copy)
            if not wiped and (area.anon or area.guards):
                self.copy_entries(area, copy)
        return child

    def copy_absent(self, entry, child, vpn):
        entry.exclusive = False
        if entry.guard:
            child.entries[vpn] = Entry(guard=True)
        else:
            super().copy_absent(entry, child, vpn)

    def copy_present(self, entry, child, vpn, private):
        frame = self.frames[entry.pfn]
        if private and frame.anon:
            frame.exclusive = False
        super().copy_present(entry, child, vpn, private)
