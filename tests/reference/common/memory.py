"""Frames, LRU lists, swap slots, the page cache, leaf tables (rules B1-B6, C1, C2, F6, F10, H4, J1-J3, K1, L3)."""

import errno

from .state import PAGE, WRAP, FileRecord, Frame, OutOfMemory
from .uapi import fail_if

LARGEST_FOLIO = 9  # its order
NOT_CACHED = 255


class Memory:
    """Everything physical. The other parts of the machine are built on it."""

    most_users = 0x7FFF  # a use count that reached this never falls

    def init_memory(self, ram, swap):
        self.n_frames = ram // PAGE
        self.n_slots = swap // PAGE
        self.frames = [Frame(pfn) for pfn in range(self.n_frames)]
        bounds = [*self.arch.zone_starts, self.n_frames]
        self.zones = []  # lowest first: [frames freed, newest last; lowest frame never used; end]
        for number, start in enumerate(self.arch.zone_starts):
            end = min(bounds[number + 1], self.n_frames)
            self.zones.append([[], max(start, 1), end])
        self.active_frames = []
        self.inactive_frames = []
        self.use_count = {}
        self.swap_cache = {}
        self.swap_stamp = {}
        self.freed_slots = []
        self.next_slot = 1
        self.files = {}
        self.freed_files = []
        self.next_file = 1

    # --- frames (rules B1-B3) ---------------------------------------------------------------------------------------

    def take_frame(self):
        """A free frame, or None."""
        for zone in reversed(self.zones):
            freed, fresh, end = zone
            if freed:
                return self.frames[freed.pop()]
            if fresh < end:
                zone[1] += 1
                return self.frames[fresh]
        return None

    def frame_is_free(self):
        return any(freed or fresh < end for freed, fresh, end in self.zones)

    def alloc_frame(self):
        """A free frame, by direct reclaim if need be; OutOfMemory if that frees none (rule B2)."""
        frame = self.take_frame()
        while frame is None:
            if not self.direct_reclaim():
                raise OutOfMemory
            frame = self.take_frame()
        return frame

    def free_frame(self, frame):
        """Off its list, cleared, first of its zone to be taken again."""
        assert frame.mapcount == 0 and not frame.pins and frame.file is None and not frame.slot
        if frame.lru:
            self.lru_del(frame)
        self.anon.page_freed(frame)
        self.frames[frame.pfn] = Frame(frame.pfn)
        zone = max(number for number, start in enumerate(self.arch.zone_starts) if start <= frame.pfn)
        self.zones[zone][0].append(frame.pfn)

    def free_if_unused(self, frame):
        if frame.count == 0:
            self.free_frame(frame)

    def unpin(self, frame):
        frame.pins -= 1
        self.free_if_unused(frame)

    # --- LRU (rules K1, F10) ----------------------------------------------------------------------------------------

    def lru_add(self, frame, active):
        frame.lru = True
        frame.active = active
        (self.active_frames if active else self.inactive_frames).insert(0, frame)

    def lru_del(self, frame):
        (self.active_frames if frame.active else self.inactive_frames).remove(frame)
        frame.lru = frame.active = False

    def lru_move(self, frame, active):
        self.lru_del(frame)
        self.lru_add(frame, active)

    def mark_accessed(self, frame):
        if frame.lru and not frame.active and frame.referenced:
            self.lru_move(frame, True)
            frame.referenced = False
        else:
            frame.referenced = True

    # --- swap (rules J1-J3) -----------------------------------------------------------------------------------------

    @property
    def slots_free(self):
        return max(self.n_slots - 1, 0) - len(self.use_count)

    @property
    def swap_full(self):
        """More than half full."""
        return self.slots_free * 2 < self.n_slots - 1

    def take_slot(self):
        """A free slot with use count 1, or 0."""
        if self.freed_slots:
            slot = self.freed_slots.pop()
        elif self.next_slot < self.n_slots:
            slot = self.next_slot
            self.next_slot += 1
        else:
            return 0
        self.use_count[slot] = 1
        return slot

    def dup_slot(self, slot):
        self.use_count[slot] = min(self.use_count[slot] + 1, self.most_users)

    def put_slot(self, slot):
        """One user less; returns how many are left."""
        if self.use_count[slot] == self.most_users:
            return self.most_users
        self.use_count[slot] -= 1
        left = self.use_count[slot]
        if left == 0:
            del self.use_count[slot]
            self.swap_stamp.pop(slot, None)
            self.freed_slots.append(slot)
        return left

    def enter_swap_cache(self, frame, slot):
        """The caller has taken the cache's own use of the slot."""
        frame.slot = slot
        self.swap_cache[slot] = frame

    def leave_swap_cache(self, frame):
        slot = frame.slot
        frame.slot = 0
        del self.swap_cache[slot]
        self.put_slot(slot)

    def put_swap_entry(self, slot):
        """A swap entry goes; so does a cached frame that nobody needs any more (rule H1)."""
        if self.put_slot(slot) != 1 or slot not in self.swap_cache:
            return
        frame = self.swap_cache[slot]
        if frame.count == 1 or self.swap_full:
            self.leave_swap_cache(frame)
            frame.dirty = True
            self.free_if_unused(frame)

    def can_share(self, frame):
        """May the only mapper write in place? (rule F7)"""
        if frame.count == 1:
            return True
        return frame.count == 2 and frame.slot != 0 and self.use_count[frame.slot] == 1

    # --- files and the page cache (rules F6, H4, L3) ----------------------------------------------------------------

    def new_file(self, size, shmem, handle, zero=False):
        if self.freed_files:
            number = self.freed_files.pop()
        else:
            number = self.next_file
            self.next_file += 1
        record = FileRecord(number, size, shmem, handle, zero)
        self.files[number] = record
        self.side.file_born(record)
        return record

    def end_file(self, file):
        """A file without areas that nobody holds."""
        self.drop_pages(file, 0)
        del self.files[file.number]
        self.freed_files.append(file.number)

    def enter_page_cache(self, frame, file, page):
        frame.file = file
        frame.page = page
        file.cache[page] = frame

    def leave_page_cache(self, frame):
        del frame.file.cache[frame.page]
        frame.file = None

    def drop_pages(self, file, first, end=WRAP):
        """Forgets the pages from `first` on, ascending; they are unmapped already."""
        self.split_folios(file, first, end)
        for page in [page for page in file.disk if first <= page < end]:
            del file.disk[page]
        for page in sorted(page for page in [*file.cache, *file.swapped] if first <= page < end):
            if page in file.swapped:
                self.put_slot(file.swapped.pop(page))
            else:
                frame = file.cache[page]
                self.leave_page_cache(frame)
                frame.dirty = False
                self.free_if_unused(frame)

    @staticmethod
    def split_folios(file, first, end):
        """Of a folio that loses pages the largest aligned pieces without a lost one are left."""
        file.missing -= set(range(first, min(end, file.pages)))
        for page, order in list(file.folios.items()):
            if first <= page < end:
                del file.folios[page]
                continue
            pieces = [piece for piece in range(order, 0, -1)
                      if not any(first <= other < end for other in range(page >> piece << piece, (page >> piece) + 1 << piece))]
            if pieces:
                file.folios[page] = pieces[0]
            else:
                del file.folios[page]

    def read_ahead(self, file, start, length, order):
        """The operation READAHEAD (rule F6)."""
        self.op_index += 1
        absent, order = order == NOT_CACHED, 0 if order == NOT_CACHED else order
        fail_if(start + length >= WRAP or order > LARGEST_FOLIO or ((start | length) % (PAGE << order) and order), errno.EINVAL)
        if file.shmem or file.zero or (absent and not file.warm):
            return
        first, end = start // PAGE, min(-(-(start + length) // PAGE), file.pages)
        self.split_folios(file, first, end)
        if absent:
            file.missing.update(page for page in range(first, end) if page not in file.cache)
        if order:
            file.folios.update((page, order) for page in range(first, end))
        for page in range(first, end):
            if not file.warm and self.frame_is_free():
                self.file_frame(file, page)

    def file_frame(self, file, page):
        """The page-cache frame of a file page, read in if need be (rule F6)."""
        if page in file.cache:
            return file.cache[page]
        frame = self.alloc_frame()
        if page in file.swapped:
            slot = file.swapped.pop(page)
            frame.stamp = self.swap_stamp.get(slot, 0)
            self.put_slot(slot)
            frame.dirty = True
        elif not file.shmem:
            frame.stamp = file.disk.get(page, 0)
        self.enter_page_cache(frame, file, page)
        file.missing.discard(page)
        self.lru_add(frame, False)
        return frame

    def file_stamp(self, file, page):
        """What a file page holds (rule L3)."""
        if page >= file.pages:
            return 0
        if page in file.cache:
            return file.cache[page].stamp
        if page in file.swapped:
            return self.swap_stamp.get(file.swapped[page], 0)
        return file.disk.get(page, 0)

    # --- page tables (rules C1, C2) ---------------------------------------------------------------------------------

    def need_leaf(self, mm, vpn):
        mm.leaves.add(vpn >> self.arch.leaf_bits)
        self.need_uppers(mm, vpn)

    def need_uppers(self, mm, vpn, least=0):
        """The tables above the leaves that span at least so many bits."""
        mm.uppers.update((bits, vpn >> bits) for bits in self.arch.upper_bits if bits >= least)

    def take_table(self, mm, vpn, outside):
        """The lock of a page's table is taken (docs/locks.md). outside: of any walk."""
        self.tables_taken.append((self.op_index, mm.pid, vpn >> self.arch.leaf_bits, outside))

    def table_runs(self, mm, start, end):
        """The parts [low, high) of a range whose leaf tables exist, one per table, ascending."""
        bits = self.arch.leaf_bits
        for leaf in sorted(mm.leaves):
            low, high = max(start, leaf << bits), min(end, (leaf + 1) << bits)
            if low < high:
                yield low, high

    def nothing_in(self, mm, low, high, start, end):
        """Is [low, high) without areas, those aside that are being unmapped, in [start, end)?"""
        return not mm.inside(low, min(high, start)) and not mm.inside(max(low, end), high)
