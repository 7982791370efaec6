"""Walks of one page, sweeps and the passes of reclaim (rules G8, K1-K10, M1, M2).

Finding and acting are separate: a scheme's generator proposes candidates (mm, area or None, vpn), walk() looks each up
in the page table and lets a hit function act. A candidate of None says: the page counts as referenced, look no further.
"""

QUERY, REFERENCED, UNMAP, CLEAN = "query", "referenced", "unmap", "clean"
SEEN, UNMAPPED, FAIL = "seen", "unmapped", "fail"
AGAIN, SUCCESS = "again", "success"
CLUSTER = 32
IDLE_ROUNDS = 3  # rounds in a row that may free nothing before reclaim gives up
PRIORITIES = range(12, -1, -1)
SWAPPINESS = 60
MEASURED = "ptes_tried", "ptes_found", "mms_tried", "vmas_tried", "nodes_visited"
HELD = "lock_chain_held", "lock_anonmm_held", "lock_anon_vma_held", "lock_i_mmap_held"
STEPS = ("mms_tried", "vmas_tried", "nodes_visited", "ptes_tried", "vma_lookups", "rmap_removes", "rmap_moves")
FIELDS = ("scanned", "referenced", "unmapped", "swapped", "written", "freed", "failed", "scanned_ptes")


class Reclaim:
    def init_reclaim(self):
        self.acc_active = 0
        self.acc_inactive = 0
        self.prev_priority = 12
        self.walks = []  # of each: side, purpose, MEASURED, steps under HELD locks, pid of the process whose page it was
        self.walk_steps = []  # of each: operation, purpose, frame, what it counted
        self.swept = 0  # pages that sweeps made freeable
        self.reclaimed = dict.fromkeys(FIELDS, 0)

    @property
    def mapped_frames(self):
        """nr_mapped (rule B5)."""
        return sum(frame.mapcount > 0 for frame in self.frames)

    # --- walks (rules G8, K5, K6, M1, M2) ---------------------------------------------------------------------------

    def walk(self, frame, purpose, hit):
        """Tells hit(mm, area, vpn, entry) of each mapping; it answers SEEN, UNMAPPED or FAIL. True: referenced at once."""
        before, places = dict(self.count), []
        side = "anon" if frame.anon else "file"
        try:
            return self.walk_on(frame, purpose, hit, places)
        finally:
            counted = {name: self.count[name] - before[name] for name in (*MEASURED, *HELD)}
            steps = sum(self.count[name] - before[name] for name in STEPS)
            self.walk_steps.append((self.op_index, purpose, frame.pfn, steps))
            found = [pid for pid, there in places if there] or [pid for pid, _ in places[-1:]]
            self.walks.append((side, QUERY if purpose == CLEAN else purpose, *(counted[name] for name in MEASURED),
                               sum(counted[name] for name in HELD), found[0] if found else None))

    def walk_on(self, frame, purpose, hit, places):
        """The walk. places: gets (pid, whether the page was found there) of each candidate."""
        keeper = self.keeper(frame)
        wanted = frame.mapcount
        found = []
        self.count["rmap_walks"] += 1
        locks = purpose in (UNMAP, CLEAN) or (purpose == REFERENCED and keeper.table_locks)
        for candidate in keeper.candidates(frame, purpose):
            if candidate is None:
                return True
            mm, area, vpn = candidate
            self.count["ptes_tried"] += 1
            if locks:
                self.take_table(mm, vpn, 0)
                self.count["lock_page_table"] += 1
                self.count["lock_page_table_held"] += 1
            entry = mm.entries.get(vpn)
            places.append((mm.pid, entry is not None and entry.pfn == frame.pfn))
            if entry is None or entry.pfn != frame.pfn:
                continue
            self.count["ptes_found"] += 1
            found.append(mm)
            outcome = hit(mm, area, vpn, entry)
            if outcome == UNMAPPED:
                keeper.entry_unmapped(frame, mm, vpn)
            if outcome == FAIL or (len(found) == wanted and not keeper.exhaustive):
                break
        if purpose == REFERENCED and len(found) == wanted:
            keeper.all_referenced(frame, found)
        return False

    def mapped_at(self, frame):
        """whomaps of one frame, in the scheme's order."""
        places = []

        def note(mm, area, vpn, entry):
            places.append((mm.pid, vpn))
            return SEEN

        if frame.mapcount:
            self.walk(frame, QUERY, note)
        return places

    def sweep_clusters(self, wanted):
        """Rule K6a: in nonlinear areas whole clusters are unmapped, in the hope that the frame is among them."""
        gone = []
        for area, low, high in self.keeper(wanted).clusters(wanted, gone):
            mm = area.mm
            self.count["lock_page_table"] += 1
            if low >> self.arch.leaf_bits not in mm.leaves:
                continue
            self.count["lock_page_table_held"] += high - low
            self.count["scanned_ptes"] += high - low
            for vpn in range(low, high):
                entry = mm.entries.get(vpn)
                if entry is None or entry.pfn < 0:
                    continue
                if entry.young:
                    entry.young = False
                    continue
                frame = self.frames[entry.pfn]
                frame.dirty = frame.dirty or entry.dirty
                area.leave_absent(vpn, frame.page)
                mm.rss -= 1
                frame.mapcount -= 1
                self.count["rmap_removes"] += 1
                gone.append(frame)

    # --- sweeps (rule K10) ------------------------------------------------------------------------------------------

    def sweep(self):
        """Unmaps what the scheme's sweep comes by, until 32 pages look freeable."""
        freeable = 0
        before = self.count["scanned_ptes"]
        for mm, area, vpn in self.anon.sweep():
            freeable += self.sweep_out(mm, area, vpn)
            if freeable == CLUSTER:
                break
        self.swept += freeable
        self.reclaimed["scanned_ptes"] += self.count["scanned_ptes"] - before

    # --- pages of the inactive list (rule K4) -----------------------------------------------------------------------

    def in_use(self, frame):
        return frame.mapcount > 0 or frame.slot != 0 or (frame.file is not None and len(frame.file.areas) > 0)

    def put_back(self, frame, active):
        self.lru_move(frame, active)
        self.reclaimed["failed"] += 1

    def write_out(self, frame):
        """To its slot or the disk; a shmem page goes to the swap cache first. False: no slot for it."""
        if frame.file and frame.file.shmem:
            slot = self.take_slot()
            if not slot:
                return False
            file, page = frame.file, frame.page
            self.leave_page_cache(frame)
            file.swapped[page] = slot
            self.dup_slot(slot)
            self.enter_swap_cache(frame, slot)
        if frame.slot:
            self.swap_stamp[frame.slot] = frame.stamp
        else:
            frame.file.disk[frame.page] = frame.stamp
        frame.dirty = False
        self.reclaimed["written"] += 1
        return True

    # --- passes (rules K2, K7, K8) ----------------------------------------------------------------------------------

    def scan_pass(self, priority, wanted):
        """One pass; freed frames. Ends early when `wanted` are freed: no batch is larger than what is missing."""
        active, inactive = len(self.active_frames), len(self.inactive_frames)
        self.prev_priority = min(self.prev_priority, priority)
        scan_inactive = (active + inactive) >> priority
        if active >= 4 * (2 * inactive + 1):
            scan_active = 4 * scan_inactive
        else:
            scan_active = scan_inactive * active // (2 * inactive + 1)
        self.acc_active += scan_active + 1
        self.acc_inactive += scan_inactive
        worth = min(CLUSTER, active + inactive)
        if self.acc_active >= worth:
            distress = 100 >> self.prev_priority
            reclaim_mapped = self.mapped_frames * 100 // self.n_frames // 2 + distress + SWAPPINESS >= 100
            for _ in range(min(self.acc_active, active)):
                self.age(self.active_frames[-1], reclaim_mapped)
            self.acc_active = 0
        left = 0
        if self.acc_inactive >= worth:
            left = self.acc_inactive
            self.acc_inactive = 0
        freed = 0
        may_be_mapped = min(CLUSTER << 9 - 5 * priority // 12, left // 10)
        while left > 0 and self.inactive_frames and freed < wanted:
            batch = min(left, CLUSTER, len(self.inactive_frames), wanted - freed)
            for _ in range(batch):
                frame = self.inactive_frames[-1]
                freed += self.shrink(frame)
                if self.anon.sweeps and frame.mapcount:
                    may_be_mapped -= 1
                    if may_be_mapped < 0:
                        self.sweep()
                        return freed
            left -= batch
        return freed

    def round(self, wanted, each_pass):
        """Priorities 12 to 0 until `wanted` are freed, by one pass or by all of them; what was freed.

        A scheme that sweeps asks for 32 at a time.
        """
        total = 0
        for priority in PRIORITIES:
            freed = self.scan_pass(priority, wanted if each_pass else wanted - total)
            total += freed
            if (freed if each_pass else total) >= wanted or (self.anon.sweeps and total >= CLUSTER):
                break
        self.prev_priority = priority
        return total

    def rounds(self, wanted, each_pass):
        """Rounds until one frees something, at most three that do nothing: the first may find nothing but young pages."""
        idle = freed = 0
        while idle < IDLE_ROUNDS and not freed:
            swept = self.swept
            freed = self.round(wanted, each_pass)
            idle = 0 if self.swept > swept else idle + 1
        return freed

    def direct_reclaim(self):
        """For an allocation that found no frame; False: nothing was freed."""
        return self.rounds(CLUSTER, each_pass=True) > 0

    def reclaim(self, pages):
        """Rounds until `pages` frames are free or nothing more goes."""
        self.op_index += 1
        before = dict(self.reclaimed)
        missing = pages
        while missing > 0:
            freed = self.rounds(missing, each_pass=False)
            if not freed:
                break
            missing -= freed
        return {name: self.reclaimed[name] - before[name] for name in FIELDS}
