"""Machine.check(): the invariants of the rules and of docs/facts/invariants.md, by name of the rule; changes nothing.

The schemes and the file sides have their own.
"""

from collections import Counter

from .state import VM_GROWSDOWN, VM_WRITE


def require(condition, rule, *facts):
    if not condition:
        raise AssertionError(f"rule {rule} violated: {facts}")


class Check:
    def check(self):
        self.check_frames()
        self.check_lru()
        self.check_swap()
        for mm in self.mms:
            self.check_areas(mm)
            self.check_entries(mm)
        self.check_files()
        self.check_whomaps()
        self.anon.check()

    def check_frames(self):
        mapped = Counter(entry.pfn for mm in self.mms for entry in mm.entries.values() if entry.pfn > 0)
        free = {pfn for freed, _, _ in self.zones for pfn in freed}
        for _, fresh, end in self.zones:
            free.update(range(fresh, end))
        for frame in self.frames[1:]:
            require(frame.mapcount == mapped[frame.pfn], "B4", frame)
            require(frame.pins == self.held[frame.pfn], "B3: pins outside a call", frame)
            require((frame.count == 0) == (frame.pfn in free), "B3: free at page_count 0", frame)
            require(frame.mapcount > 0 or not frame.anon, "B6: ANON", frame)
            require(not (frame.slot and frame.file), "B6: one owner", frame)
            require(not frame.mapcount or frame.anon != (frame.file is not None), "B6: anonymous or of a file", frame)
            require(not frame.exclusive or (frame.anon and frame.mapcount == 1), "QB1", frame)
            require(not frame.lazyfree or not (frame.slot or frame.file), "QB2", frame)
            if frame.file:
                require(frame.file.cache.get(frame.page) is frame, "B6: page cache", frame)
            if frame.slot:
                require(self.swap_cache.get(frame.slot) is frame, "B6: swap cache", frame)

    def check_lru(self):
        for frames, active in ((self.active_frames, True), (self.inactive_frames, False)):
            for frame in frames:
                require(frame.lru and frame.active == active and frame.count > 0, "K1", frame)
        listed = Counter(frame.pfn for frame in self.active_frames + self.inactive_frames)
        for frame in self.frames[1:]:
            require(listed[frame.pfn] == (frame.count > 0), "K1: used frames are on one list", frame)

    def check_swap(self):
        uses = Counter(entry.slot for mm in self.mms for entry in mm.entries.values() if entry.slot)
        uses.update(self.swap_cache.keys())
        for file in self.files.values():
            require(file.shmem or not file.swapped, "F6: only shmem pages go to swap", file.number)
            uses.update(file.swapped.values())
        require(uses == self.use_count, "J1", uses, self.use_count)
        handed_out = [*self.use_count, *self.freed_slots]
        require(sorted(handed_out) == list(range(1, self.next_slot)), "J2", handed_out)

    def check_areas(self, mm):
        end = 0
        for area in mm.areas:
            require(area.mm is mm and end <= area.start < area.end <= self.arch.task, "D1", area.start, area.end)
            end = area.end
            require(not area.flags & VM_GROWSDOWN or area.pages <= self.stack_pages or not area.word, "F2", area.start)
            require(area.file or self.anon.linear or area.pgoff == 0, "D3", area.start, area.pgoff)
            require(not area.nonlinear or (area.file and not area.private), "E11", area.start)
            require(not area.file or self.files.get(area.file.number) is area.file, "D6: file of an area", area.start)

    def check_entries(self, mm):
        entries = mm.entries.values()
        require(mm.rss == sum(entry.pfn > 0 for entry in entries), "F9: rss", mm.pid)
        require(mm.swapents == sum(entry.slot > 0 for entry in entries), "K6: swapped", mm.pid)
        for vpn, entry in mm.entries.items():
            require(vpn >> self.arch.leaf_bits in mm.leaves, "C1", mm.pid, vpn)
            area = mm.find(vpn)
            require(area and area.start <= vpn, "E2: an entry outside all areas", mm.pid, vpn)
            require(not entry.guard or area.guards, "QE9: guards", mm.pid, vpn)
            if entry.slot or entry.guard:
                require(not entry.exclusive or self.use_count[entry.slot] == 1 + (entry.slot in self.swap_cache), "QA1", vpn)
                continue
            if entry.page is not None:
                require(area.nonlinear and entry.page != area.index(vpn), "A3a", mm.pid, vpn, entry.page)
                continue
            usable, rw = self.protection(area)
            require(entry.usable == usable and (not area.private or not entry.rw or area.flags & 2), "C3", mm.pid, vpn)
            require(area.private or entry.rw == rw or area.flags & VM_WRITE, "C3: shared", mm.pid, vpn)
            if entry.pfn == 0:
                require(not entry.rw and not entry.dirty and not area.cached, "F5: zero page", mm.pid, vpn)
                continue
            frame = self.frames[entry.pfn]
            require(not entry.rw or not area.private or frame.mapcount == 1, "F7: writable and shared", mm.pid, vpn)
            require(not frame.anon or area.anon, "QD1", mm.pid, vpn)
            if frame.file:
                require(frame.file is area.file, "F6", mm.pid, vpn)
                require(area.nonlinear or frame.page == area.index(vpn), "F6", mm.pid, vpn)
                require(frame.page < area.file.pages, "H4", mm.pid, vpn)

    def check_files(self):
        for file in self.files.values():
            areas = [area for mm in self.mms for area in mm.areas if area.file is file]
            require(len(areas) == len(file.areas) and set(areas) == set(file.areas), "D6: areas of a file", file.number)
            require(areas or file.handle, "E1: a file nobody holds", file.number)
            require(all(page < file.pages for page in [*file.cache, *file.swapped, *file.disk]), "H4", file.number)
            require(not file.cache.keys() & file.swapped.keys(), "F6: cached and swapped", file.number)
            self.side.check_file(file, areas)

    def check_whomaps(self):
        """The scheme finds what is there, each place once."""
        before = dict(self.count)
        used = [frame.pfn for frame in self.frames if frame.mapcount]
        answers = self.whomaps(used)
        self.count.update(before)
        for pfn, found, there in zip(used, answers, self.mappings(used), strict=True):
            require(sorted(found) == sorted(there), "G8: whomaps", pfn, found, there)
        for frame in self.frames[1:]:
            kept = self.anon.keeps_words and frame.slot and not frame.anon
            if not kept and (frame.mapcount or not frame.pins):
                self.keeper(frame).check_frame(frame)
