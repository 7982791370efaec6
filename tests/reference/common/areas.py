"""Areas: what may merge, merging, adjusting, splitting, unmapping, zapping (rules D3-D9, E2, H1, C2).

   P = area before, N = after, X = the one after N, A = range [start, end)

   1  PPPP[AAAA]NNNN -> PPPPPPPPPPPP     4  PPP(AAA)NNNN   -> PPPNNNNNNN     6  PPPP(NNNN)XXXX -> PPPPPPPPPPPP
   2  PPPP[AAAA] ..  -> PPPPPPPP         5  PPPP(AA)NNN    -> PPPPPPNNN      7  PPPP(NNNN)XXXX -> PPPPPPPPXXXX
   3  .... [AAAA]NNNN -> NNNNNNNN                                            8  PPPP(NNNN)XXXX -> PPPPNNNNNNNN
"""

from .state import PAGE, WRAP, Area


class Areas:
    """Order of hooks everywhere: the file side first, then the scheme."""

    def has_offset(self, file):
        """Does the page offset of such an area mean anything? (rule D3)"""
        return file is not None or self.anon.linear

    def shifted(self, file, pgoff, pages):
        return (pgoff + pages) % WRAP if self.has_offset(file) else 0

    # --- coming and going -------------------------------------------------------------------------------------------

    def birth_pgoff(self, vpn):
        return vpn if self.anon.linear else 0

    def map_range(self, mm, start, end, flags, file, pgoff):
        """A fresh range joins its neighbours or becomes an area."""
        if not self.merge(mm, mm.before(start), start, end, flags, None, file, pgoff):
            self.add_area(mm, start, end, flags, file, pgoff)

    def add_area(self, mm, start, end, flags, file, pgoff):
        """A fresh area in a free range."""
        return self.link_area(Area(mm, start, end, flags, pgoff, file))

    def link_area(self, area):
        area.mm.insert(area)
        if area.file:
            area.file.areas.insert(0, area)
            self.side.area_link(area)
        return area

    def drop_area(self, area):
        """An area whose entries have gone; its file ends with its last area if nobody holds it."""
        file = area.file
        area.mm.areas.remove(area)
        if file:
            self.side.area_unlink(area)
            file.areas.remove(area)
        self.anon.area_unlink(area)
        if file and not file.areas and not file.handle:
            self.end_file(file)

    # --- merging (rules D4, D5) -------------------------------------------------------------------------------------

    def can_merge(self, area, source, flags, file, pgoff, own, policy, name):
        """May pages with these properties join the area? pgoff and own: theirs and the area's at the seam."""
        if area.flags != flags or area.file is not file or area.policy != policy or area.name != name:
            return False
        if self.has_offset(file) and pgoff % WRAP != own % WRAP:
            return False
        return self.anon.compatible(area, source)

    def can_merge_after(self, area, source, flags, file, pgoff, policy=0, name=None):
        return self.can_merge(area, source, flags, file, pgoff, area.pgoff + area.pages, policy, name)

    def can_merge_before(self, area, source, flags, file, end_pgoff, policy=0, name=None):
        return self.can_merge(area, source, flags, file, end_pgoff, area.pgoff, policy, name)

    def continues(self, area, flags, file, start, anon_pgoff):
        """Do anonymous pages from `start` on, the first of this offset, go on as the area's do?"""
        return True

    def merge(self, mm, prev, start, end, flags, source, file, pgoff, policy=0, name=None, anon_pgoff=None):
        """Lets [start, end) join its neighbours; the area that holds it then, or None. source None: a fresh range.

        anon_pgoff: the anonymous offset, where it is not that of a fresh range or of the source at `start`.
        """
        if anon_pgoff is None:
            anon_pgoff = source.anon_index(start) if source else start
        pages = end - start
        first = following = mm.after(prev)
        if following and following.end == end:
            following = mm.after(following)
        joins_next = (
            following is not None
            and following.start == end
            and self.can_merge_before(following, source, flags, file, pgoff + pages, policy, name)
            and self.continues(following, flags, file, start, anon_pgoff)
        )
        if (prev and prev.end == start and self.can_merge_after(prev, source, flags, file, pgoff, policy, name)
                and self.continues(prev, flags, file, start, anon_pgoff)):
            if joins_next and self.anon.may_bridge(prev, following):
                self.adjust(prev, prev.start, following.end, prev.pgoff)
            else:
                self.adjust(prev, prev.start, end, prev.pgoff)
            result = prev
        elif not joins_next:
            return None
        elif prev and start < prev.end:
            self.adjust(prev, prev.start, start, prev.pgoff)
            result = following
        else:
            self.adjust(first, start, following.end, self.shifted(file, following.pgoff, -pages))
            result = first
        self.count["vma_merges"] += 1
        return result

    # --- adjusting and splitting (rules D6, D7, D9) -----------------------------------------------------------------

    def prepare(self, area):
        """Before an anonymous page enters the area."""
        area.anon = True
        self.anon.anon_prepare(area)

    def take_over(self, area, giver):
        """Before the area takes over pages of another."""
        area.anon = area.anon or giver.anon
        area.guards = area.guards or giver.guards
        self.anon.area_import(area, giver)

    def adjust(self, area, start, end, pgoff, insert=None):
        """New bounds for an area; the area after it gives or takes what lies between. insert: a piece split off."""
        while True:
            following = area.mm.after(area)
            swallowed = moved = None
            new_end = end
            if following and not insert:
                if end >= following.end:
                    swallowed, new_end = following, following.end
                    self.take_over(area, following)
                elif end > following.start:
                    moved, seam = following, end
                    self.take_over(area, following)
                elif end < area.end == following.start:
                    moved, seam = following, end
                    self.take_over(following, area)
            self.anon.bounds_change(area, moved)
            if area.file:
                for member in (area, moved):
                    if member:
                        self.side.area_before(member)
            if swallowed:
                area.mm.areas.remove(swallowed)
            area.begin_at(start)
            area.end, area.pgoff = new_end, pgoff
            if moved:
                moved.pgoff = self.shifted(moved.file, moved.pgoff, seam - moved.start)
                moved.begin_at(seam)
            if area.file:
                for member in (moved, area):
                    if member:
                        self.side.area_after(member)
            self.anon.bounds_changed(area, moved)
            if insert:
                self.enter_piece(insert, area)
                self.anon.area_split(insert)
            if not swallowed:
                return
            if swallowed.file:
                self.side.area_unlink(swallowed)
                swallowed.file.areas.remove(swallowed)
            self.anon.area_merge(area, swallowed)
            if new_end == end:
                return

    def enter_piece(self, piece, area):
        """A piece split off or cloned from an area enters its mm and its file."""
        piece.mm.insert(piece)
        if piece.file:
            piece.file.areas.insert(0, piece)
            self.side.area_piece(piece, area)

    def split(self, area, at, new_below):
        """Cuts an area at a page inside it; the new piece is its lower or upper part."""
        self.count["vma_splits"] += 1
        piece = area.piece()
        upper_pgoff = self.shifted(area.file, area.pgoff, at - area.start)
        if new_below:
            piece.end = at
            self.adjust(area, at, area.end, upper_pgoff, piece)
        else:
            piece.begin_at(at)
            piece.pgoff = upper_pgoff
            self.adjust(area, area.start, at, area.pgoff, piece)
        return piece

    # --- unmapping (rules E2, H1) -----------------------------------------------------------------------------------

    def unmap(self, mm, start, end):
        """munmap after its checks."""
        area = mm.find(start)
        if area is None or area.start >= end:
            return
        if area.start < start:
            self.split(area, start, new_below=False)
        area = mm.find(end)
        if area and area.start < end:
            self.split(area, end, new_below=True)
        gone = mm.inside(start, end)
        for area in gone:
            self.zap(area, area.start, area.end)
        self.free_tables(mm, start, end)
        for area in gone:
            self.drop_area(area)

    def zap(self, area, start, end, keep_swap=False, keep_guards=False, keep_anon=False):
        """Clears the entries of a range of the area, but for what is kept: swap entries, guard markers, private copies."""
        mm = area.mm
        for low, high in self.table_runs(mm, start, end):
            self.take_table(mm, low, 1)
            self.count["scanned_ptes"] += high - low
            for vpn in range(low, high):
                entry = mm.entries.get(vpn)
                if entry is None:
                    continue
                if entry.page is not None:
                    if not keep_swap:
                        del mm.entries[vpn]
                    continue
                if entry.guard:
                    if not keep_guards:
                        del mm.entries[vpn]
                    continue
                if entry.slot:
                    if not keep_swap:
                        del mm.entries[vpn]
                        mm.swapents -= 1
                        self.put_swap_entry(entry.slot)
                    continue
                if keep_anon and self.frames[entry.pfn].anon:
                    continue
                del mm.entries[vpn]
                if entry.pfn:
                    self.zap_page(area, vpn, entry)

    def zap_nonlinear(self, area, start, end, first=0):
        """MADV_DONTNEED and truncate in a nonlinear area: pages of the file from `first` on go (rule H1a)."""
        mm = area.mm
        for low, high in self.table_runs(mm, start, end):
            self.count["scanned_ptes"] += high - low
            held = False
            for vpn in range(low, high):
                entry = mm.entries.get(vpn)
                if entry and entry.pfn > 0 and self.frames[entry.pfn].page >= first:
                    if not held:
                        self.take_table(mm, low, 1)
                    held = True
                    area.leave_absent(vpn, self.frames[entry.pfn].page)
                    self.zap_page(area, vpn, entry)

    def zap_page(self, area, vpn, entry):
        frame = self.frames[entry.pfn]
        self.keep_signs(area, frame, entry)
        self.remove_mapping(area.mm, vpn, frame)
        if frame.slot and frame.count == 1 and self.use_count[frame.slot] == 1:
            self.leave_swap_cache(frame)
        self.free_if_unused(frame)

    def truncate(self, file, size):
        """Rule H4; areas newest first, each to its end."""
        pages = -(-size // PAGE)
        if pages < file.pages:
            self.files_cut.append((self.op_index, file.number))
            for area in file.areas:
                if area.nonlinear:
                    self.zap_nonlinear(area, area.start, area.end, pages)
                elif area.pgoff + area.pages > pages:
                    self.cut_off(area, area.start + max(pages - area.pgoff, 0))
            self.drop_pages(file, pages)
        file.size = size
