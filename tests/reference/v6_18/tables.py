"""Page tables of kernel 6.18 (rules QC1-QC4)."""

from ..common.state import BusError, OutOfMemory


class Tables:
    def handle(self, area, vpn, write):
        """A file's pages get their leaf table with the first entry, so a failed fault leaves none."""
        leaf, leaves = vpn >> self.arch.leaf_bits, set(area.mm.leaves)
        try:
            super().handle(area, vpn, write)
        except (BusError, OutOfMemory):
            if area.cached and leaf not in leaves and not self.entries_in(area.mm, leaf):
                area.mm.leaves.discard(leaf)
            raise

    def entries_in(self, mm, leaf):
        bits = self.arch.leaf_bits
        return any(vpn in mm.entries for vpn in range(leaf << bits, (leaf + 1) << bits))

    def free_tables(self, mm, start, end):
        """After [start, end) was unmapped: every table that it touches and nothing else does."""
        bits = self.arch.leaf_bits
        for table in {(bits, leaf) for leaf in mm.leaves} | mm.uppers:
            low, high = table[1] << table[0], (table[1] + 1) << table[0]
            if low < end and start < high and self.nothing_in(mm, low, high, start, end):
                mm.leaves.discard(table[1]) if table[0] == bits else mm.uppers.discard(table)

    def free_leaves(self, mm, start, end):
        """MADV_DONTNEED of [start, end): leaf tables that lie in it as a whole, and hold nothing more, go."""
        bits = self.arch.leaf_bits
        mm.leaves = {leaf for leaf in mm.leaves
                     if leaf << bits < start or (leaf + 1) << bits > end or self.entries_in(mm, leaf)}

    # --- mremap (rule QC3) ------------------------------------------------------------------------------------------

    def move_entries(self, mm, old, new, pages):
        """Tables move whole where they can, else entries one by one; self.passed pages are done when it fails."""
        end, bits = old + pages, self.arch.leaf_bits
        early = self.realigned(mm, old, new, pages)
        at, to = old - early, new - early
        while at < end:
            self.passed = max(at - old, 0)
            step = self.extent(at, to, end, 2 * bits)
            if not self.arch.upper_bits or (18, at >> 18) in mm.uppers:
                self.need_uppers(mm, to, least=19)
                if len(self.arch.upper_bits) == 2 and step == 1 << 18 and (18, to >> 18) not in mm.uppers:
                    self.move_whole(mm, at, to, step)
                    mm.uppers.remove((18, at >> 18))
                    mm.uppers.add((18, to >> 18))
                else:
                    step = self.extent(at, to, end, bits)
                    if at >> bits in mm.leaves:
                        self.need_uppers(mm, to)
                        if step == 1 << bits and to >> bits not in mm.leaves:
                            self.move_whole(mm, at, to, step)
                        else:
                            self.need_leaf(mm, to)
                            for page in range(step):
                                self.passed = max(at + page - old, 0)
                                if at + page in mm.entries:
                                    self.move_entry(mm, at + page, to + page)
            at, to = at + step, to + step
        self.passed = pages

    def extent(self, old, new, end, bits):
        """Pages from old on, below end, within one span of 1 << bits pages at both places."""
        return min(*((1 << bits) - place % (1 << bits) for place in (old, new)), end - old)

    def realigned(self, mm, old, new, pages):
        """Pages that the move begins earlier, at the beginning of a leaf table, where nothing else is."""
        span = 1 << self.arch.leaf_bits
        early = old % span
        if new % span != early or pages < span - early:
            return 0
        for place in (old, new):
            if mm.find(place).start != place or mm.inside(place - early, place):
                return 0
        return early

    def move_whole(self, mm, old, new, pages):
        """Tables of so many pages and what hangs below them. Schemes that want to know are told of each page."""
        bits = self.arch.leaf_bits
        leaves = [leaf for leaf in sorted(mm.leaves) if old <= leaf << bits < old + pages]
        for leaf in leaves:
            for vpn in range(leaf << bits, (leaf + 1) << bits):
                while vpn in mm.entries and self.must_copy(mm.entries[vpn]):
                    self.copy_for_move(mm, vpn, mm.entries[vpn])
        moved = {vpn: mm.entries.pop(vpn) for vpn in range(old, old + pages) if vpn in mm.entries}
        for leaf in leaves:
            mm.leaves.remove(leaf)
            mm.leaves.add(leaf + ((new - old) >> bits))
        mm.entries.update((new + vpn - old, entry) for vpn, entry in moved.items())
        for vpn, entry in moved.items():
            if entry.pfn > 0:
                frame = self.frames[entry.pfn]
                self.keeper(frame).entry_carried(frame, mm, vpn, new + vpn - old)

    def must_copy(self, entry):
        return entry.pfn > 0 and not self.keeper(self.frames[entry.pfn]).may_move(self.frames[entry.pfn])
