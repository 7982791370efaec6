"""Judgement in reclaim of kernel 2.6.7: which pages stay, go or wait (rules K3-K6, K10)."""

from ..common.reclaim import AGAIN, FAIL, REFERENCED, SEEN, SUCCESS, UNMAP, UNMAPPED
from ..common.state import VM_LOCKED, Entry


class Reclaim:
    # --- references (rule K5) ---------------------------------------------------------------------------------------

    def page_referenced(self, frame):
        """How often the page was found referenced; every sign that was seen is cleared."""
        times = int(frame.referenced)
        frame.referenced = False

        def look(mm, area, vpn, entry):
            nonlocal times
            times += entry.young
            entry.young = False
            return SEEN

        if frame.mapcount and not self.anon.sweeps and self.walk(frame, REFERENCED, look):
            times += 1
        return times

    # --- pages that go (rules K6, K10) ------------------------------------------------------------------------------

    def try_to_unmap(self, frame):
        """Removes every mapping that may go: SUCCESS, AGAIN or FAIL."""
        result = AGAIN

        def take(mm, area, vpn, entry):
            nonlocal result
            if area is None:
                self.count["vma_lookups"] += 1
                area = mm.find(vpn)
            if area.flags & VM_LOCKED or entry.young or (frame.slot and frame.count != frame.mapcount + 1):
                if not area.flags & VM_LOCKED:
                    entry.young = False
                result = FAIL
                return FAIL
            frame.dirty = frame.dirty or entry.dirty
            if frame.anon:
                self.dup_slot(frame.slot)
                mm.entries[vpn] = Entry(slot=frame.slot)
                mm.swapents += 1
            else:
                area.leave_absent(vpn, frame.page)
            mm.rss -= 1
            frame.mapcount -= 1
            self.count["rmap_removes"] += 1
            return UNMAPPED

        self.walk(frame, UNMAP, take)
        if frame.mapcount and result == AGAIN:
            self.sweep_clusters(frame)
        if frame.mapcount:
            return result
        self.page_unmapped(frame)
        return SUCCESS

    def sweep_out(self, mm, area, vpn):
        """One entry; True: only the caches refer to its page now."""
        entry = mm.entries[vpn]
        frame = self.frames[entry.pfn]
        if area.flags & VM_LOCKED or entry.young:
            if not area.flags & VM_LOCKED:
                entry.young = False
            self.mark_accessed(frame)
            return False
        if frame.active:
            return False
        frame.dirty = frame.dirty or entry.dirty
        if frame.anon and not frame.slot:
            slot = self.take_slot()
            if not slot:
                return False
            self.enter_swap_cache(frame, slot)
            frame.dirty = True
        if frame.anon:
            self.dup_slot(frame.slot)
            mm.entries[vpn] = Entry(slot=frame.slot)
            mm.swapents += 1
        else:
            area.leave_absent(vpn, frame.page)
        self.remove_mapping(mm, vpn, frame)
        if frame.mapcount:
            return False
        self.reclaimed["unmapped"] += 1
        return frame.count == 1

    # --- both lists (rules K3, K4) ----------------------------------------------------------------------------------

    def age(self, frame, reclaim_mapped):
        stays = frame.mapcount > 0 and (
            not reclaim_mapped or self.page_referenced(frame) > 0 or (frame.anon and self.n_slots < 2)
        )
        self.lru_move(frame, stays)

    def shrink(self, frame):
        """One frame from the inactive tail; True: freed."""
        self.reclaimed["scanned"] += 1
        referenced = self.page_referenced(frame)
        if referenced and self.in_use(frame):
            self.lru_move(frame, True)
            self.reclaimed["referenced"] += 1
            return False
        if frame.mapcount and self.anon.sweeps:
            self.put_back(frame, active=False)
            return False
        if frame.anon and not frame.slot:
            slot = self.take_slot()
            if not slot:
                self.put_back(frame, active=True)
                return False
            self.enter_swap_cache(frame, slot)
            frame.dirty = True
        if frame.mapcount:
            result = self.try_to_unmap(frame)
            if result != SUCCESS:
                self.put_back(frame, active=result == FAIL)
                return False
            self.reclaimed["unmapped"] += 1
        if frame.dirty:
            if referenced or frame.count != 1:
                self.put_back(frame, active=False)
                return False
            if not self.write_out(frame):
                self.put_back(frame, active=True)
                return False
        if frame.count != 1:
            self.put_back(frame, active=False)
            return False
        if frame.slot:
            if self.use_count[frame.slot] > 1:
                self.reclaimed["swapped"] += 1
            self.leave_swap_cache(frame)
        else:
            self.leave_page_cache(frame)
        self.free_frame(frame)
        self.reclaimed["freed"] += 1
        return True
