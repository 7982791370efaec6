"""Judgement in reclaim of kernel 6.18 (rules QK)."""

from ..common.reclaim import AGAIN, FAIL, REFERENCED, SEEN, SUCCESS, UNMAP, UNMAPPED
from ..common.state import VM_DROPPABLE, VM_EXEC, VM_LOCKED, VM_RAND_READ, VM_SEQ_READ, Entry


class Reclaim:
    def area_of(self, mm, area, vpn):
        """The area of a candidate; a lookup where the scheme did not name it."""
        if area is None:
            self.count["vma_lookups"] += 1
            area = mm.find(vpn)
        return area

    # --- references (rules QK2, QK3) --------------------------------------------------------------------------------

    def references(self, frame):
        """(entries found young, whether one of them may execute, whether an area is locked); young bits are cleared."""
        times, executable, locked = 0, False, False

        def look(mm, area, vpn, entry):
            nonlocal times, executable, locked
            area = self.area_of(mm, area, vpn)
            if area.flags & VM_LOCKED:
                locked = True
                return FAIL
            if entry.young and not area.flags & (VM_RAND_READ | VM_SEQ_READ):
                times += 1
                executable = executable or bool(area.flags & VM_EXEC)
            entry.young = False
            return SEEN

        if frame.mapcount and not self.anon.sweeps and self.walk(frame, REFERENCED, look):
            locked = True
        return times, executable and self.of_file(frame), locked

    def of_file(self, frame):
        """A page that a disk has, or that need not be had again; shmem pages are not of this kind."""
        return frame.lazyfree or (frame.file is not None and not frame.file.shmem)

    def age(self, frame, reclaim_mapped):
        _, executable, _ = self.references(frame)
        self.lru_move(frame, executable or (frame.anon and self.n_slots < 2))

    def shrink(self, frame):
        self.reclaimed["scanned"] += 1
        was, frame.referenced = frame.referenced, False
        times, executable, locked = self.references(frame)
        if locked or times or (was and self.anon.sweeps and self.in_use(frame)):
            frame.referenced = (was if locked else True) and not self.anon.sweeps
            if times and not (locked or was or times > 1 or executable):
                self.put_back(frame, active=False)
            else:
                self.lru_move(frame, True)
                self.reclaimed["referenced"] += 1
            return False
        if frame.mapcount and self.anon.sweeps:
            self.put_back(frame, active=False)
            return False
        return self.take_out(frame, only_clean=was and (self.anon.sweeps or self.of_file(frame)))

    # --- pages that go (rule QK4) -----------------------------------------------------------------------------------

    def page_out(self, frame):
        """MADV_PAGEOUT's share: nobody asks whether the page was used."""
        self.reclaimed["scanned"] += 1
        if self.anon.sweeps:
            self.put_back(frame, active=False)
        else:
            self.take_out(frame)

    def take_out(self, frame, only_clean=False):
        """A frame that nothing refers to, from the inactive list; True: freed."""
        if frame.anon and not frame.slot and not frame.lazyfree:
            slot = self.take_slot()
            if not slot:
                self.put_back(frame, active=True)
                return False
            self.enter_swap_cache(frame, slot)
            frame.dirty = True
        if frame.mapcount:
            if self.try_to_unmap(frame) != SUCCESS:
                self.put_back(frame, active=True)
                return False
            self.reclaimed["unmapped"] += 1
        if not (frame.slot or frame.file):
            return self.drop(frame)
        if frame.dirty:
            if only_clean or frame.count != 1:
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
        return self.drop(frame)

    def drop(self, frame):
        """A frame without a home is freed, unless somebody holds it."""
        if frame.count:
            self.put_back(frame, active=False)
            return False
        self.free_frame(frame)
        self.reclaimed["freed"] += 1
        return True

    def try_to_unmap(self, frame):
        """SUCCESS, or something is left."""

        def take(mm, area, vpn, entry):
            area = self.area_of(mm, area, vpn)
            if area.flags & VM_LOCKED:
                return FAIL
            frame.dirty = frame.dirty or entry.dirty
            if frame.lazyfree and not self.may_be_dropped(frame, area):
                return FAIL
            if frame.lazyfree:
                del mm.entries[vpn]
            elif frame.anon:
                self.dup_slot(frame.slot)
                mm.entries[vpn] = Entry(slot=frame.slot, exclusive=frame.exclusive)
                mm.swapents += 1
                frame.exclusive = False
            else:
                area.leave_absent(vpn, frame.page)
            mm.rss -= 1
            frame.mapcount -= 1
            self.count["rmap_removes"] += 1
            return UNMAPPED

        self.walk(frame, UNMAP, take)
        if frame.mapcount:
            return AGAIN
        self.page_unmapped(frame)
        return SUCCESS

    def may_be_dropped(self, frame, area):
        """Of a LAZYFREE frame: one that was written since is worth something again."""
        if frame.dirty and not area.flags & VM_DROPPABLE:
            frame.lazyfree = False
            return False
        return frame.pins == 0

    def sweep_out(self, mm, area, vpn):
        frame = self.frames[mm.entries[vpn].pfn]
        exclusive = frame.exclusive
        freeable = super().sweep_out(mm, area, vpn)
        if mm.entries.get(vpn) and mm.entries[vpn].slot:
            mm.entries[vpn].exclusive = exclusive
        frame.lazyfree = frame.lazyfree and not frame.slot
        return freeable
