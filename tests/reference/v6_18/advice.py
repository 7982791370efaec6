"""madvise of kernel 6.18, and names of areas (rules QE9, QE14, QE15)."""

import errno

from ..common.reclaim import CLEAN, SEEN
from ..common.state import (
    PAGE,
    VM_DONTCOPY,
    VM_DONTDUMP,
    VM_DROPPABLE,
    VM_HUGEPAGE,
    VM_LOCKED,
    VM_MERGEABLE,
    VM_NOHUGEPAGE,
    VM_RAND_READ,
    VM_READ,
    VM_SEALED,
    VM_SEQ_READ,
    VM_SHARED,
    VM_WIPEONFORK,
    VM_WRITE,
    WRAP,
    Entry,
)
from ..common.uapi import fail_if, pages_of

NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED = range(5)
FREE, REMOVE, DONTFORK, DOFORK = 8, 9, 10, 11
MERGEABLE, UNMERGEABLE, HUGEPAGE, NOHUGEPAGE = 12, 13, 14, 15
DONTDUMP, DODUMP, WIPEONFORK, KEEPONFORK = 16, 17, 18, 19
COLD, PAGEOUT, POPULATE_READ, POPULATE_WRITE, DONTNEED_LOCKED = 20, 21, 22, 23, 24
COLLAPSE = 25
GUARD_INSTALL, GUARD_REMOVE = 102, 103
# advice -> flags that go, flags that come
FLAGS = {
    NORMAL: (VM_RAND_READ | VM_SEQ_READ, 0),
    RANDOM: (VM_SEQ_READ, VM_RAND_READ),
    SEQUENTIAL: (VM_RAND_READ, VM_SEQ_READ),
    DONTFORK: (0, VM_DONTCOPY),
    DOFORK: (VM_DONTCOPY, 0),
    MERGEABLE: (0, VM_MERGEABLE),
    UNMERGEABLE: (VM_MERGEABLE, 0),
    HUGEPAGE: (VM_NOHUGEPAGE, VM_HUGEPAGE),
    NOHUGEPAGE: (VM_HUGEPAGE, VM_NOHUGEPAGE),
    DONTDUMP: (0, VM_DONTDUMP),
    DODUMP: (VM_DONTDUMP, 0),
    WIPEONFORK: (0, VM_WIPEONFORK),
    KEEPONFORK: (VM_WIPEONFORK, 0),
}
PAGES = {DONTNEED, FREE, REMOVE, COLD, PAGEOUT, DONTNEED_LOCKED, GUARD_INSTALL, GUARD_REMOVE}
POPULATE = {POPULATE_READ, POPULATE_WRITE}
DISCARDS = {DONTNEED, DONTNEED_LOCKED, FREE, REMOVE, DONTFORK, WIPEONFORK, GUARD_INSTALL}
NOT_LOCKED = {DONTNEED, FREE, REMOVE, COLD, PAGEOUT, GUARD_INSTALL}


class Advice:
    def madvise(self, mm, addr, length, advice):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or advice not in {*FLAGS, *PAGES, *POPULATE, WILLNEED, COLLAPSE}, errno.EINVAL)
        if advice in POPULATE:
            self.each_area(mm, start, end, lambda *part: self.populate_part(*part, advice == POPULATE_WRITE))
            return
        holes, at = False, start
        while at < end:
            area = mm.find(at)
            holes = holes or area is None or area.start > at
            if area is None or area.start >= end:
                break
            low, high = max(at, area.start), min(area.end, end)
            at = max(high, min(self.advise(area, low, high, advice).end, end))
        fail_if(holes, errno.ENOMEM)

    def name_area(self, mm, addr, length, name):
        at, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or end >= WRAP // PAGE, errno.EINVAL)
        holes = False
        while at < end:
            area = mm.find(at)
            holes = holes or area is None or area.start > at
            if area is None or area.start >= end:
                break
            low, at = max(at, area.start), min(area.end, end)
            fail_if(area.file and not area.file.shmem, errno.EBADF)
            self.modify_or_again(area, low, at, area.flags, name=name)
        fail_if(holes, errno.ENOMEM)

    def modify_or_again(self, area, start, end, flags, **other):
        try:
            return self.modify(area, start, end, flags, **other)
        except OSError as error:  # no room for a split
            raise OSError(errno.EAGAIN, "EAGAIN") from error

    def populate_part(self, area, start, end, write):
        fail_if(not area.flags & (VM_WRITE if write else VM_READ), errno.EINVAL)
        fail_if(not self.fault_in(area, start, end, write), errno.EFAULT)
        return area

    def advise(self, area, start, end, advice):
        """One area's part; the area that holds it then."""
        fail_if(area.flags & VM_SEALED and not area.cached and not area.flags & VM_WRITE and advice in DISCARDS,
                errno.EPERM)
        fail_if(area.flags & VM_LOCKED and advice in NOT_LOCKED, errno.EINVAL)
        fail_if(advice == COLLAPSE, errno.EINVAL)
        if advice in FLAGS:
            fail_if(advice == WIPEONFORK and area.file, errno.EINVAL)
            fail_if(advice in (KEEPONFORK, DODUMP) and area.flags & VM_DROPPABLE, errno.EINVAL)
            gone, new = FLAGS[advice]
            if advice == MERGEABLE and area.flags & (VM_SHARED | VM_DROPPABLE):
                new = 0
            return self.modify_or_again(area, start, end, (area.flags & ~gone) | new)
        if advice in (DONTNEED, DONTNEED_LOCKED):
            self.zap(area, start, end, keep_guards=True)
            self.free_leaves(area.mm, start, end)
        elif advice == REMOVE:
            fail_if(area.file is None, errno.EINVAL)
            fail_if(not area.flags & VM_SHARED, errno.EACCES)
            self.punch(area.file, area.index(start), area.index(start) + end - start)
        elif advice == FREE:
            fail_if(area.cached, errno.EINVAL)
            self.free_lazily(area, start, end)
        elif advice in (COLD, PAGEOUT):
            self.cool(area, start, end, advice == PAGEOUT)
        elif advice == GUARD_INSTALL:
            self.install_guards(area, start, end)
        elif advice == GUARD_REMOVE:
            for vpn in [vpn for vpn in range(start, end) if vpn in area.mm.entries and area.mm.entries[vpn].guard]:
                del area.mm.entries[vpn]
        return area

    def install_guards(self, area, start, end):
        if area.private and not area.cached:
            self.prepare(area)
        area.guards = True
        self.zap(area, start, end)
        for vpn in range(start, end):
            self.need_leaf(area.mm, vpn)
            area.mm.entries[vpn] = Entry(guard=True)

    # --- pages that may go (rules QE9, QB2) -------------------------------------------------------------------------

    def free_lazily(self, area, start, end):
        mm = area.mm
        for vpn in range(start, end):
            entry = mm.entries.get(vpn)
            if entry and entry.slot:
                del mm.entries[vpn]
                mm.swapents -= 1
                self.put_swap_entry(entry.slot)
            elif entry and entry.pfn > 0:
                self.free_page_lazily(entry, self.frames[entry.pfn])

    def free_page_lazily(self, entry, frame):
        if frame.slot or frame.dirty:
            if frame.mapcount != 1 or (frame.slot and self.use_count[frame.slot] > 1):
                return
            if frame.slot:
                self.leave_swap_cache(frame)
            frame.dirty = False
        entry.young = entry.dirty = False
        if not frame.lazyfree:
            frame.lazyfree, frame.referenced = True, False
            self.lru_move(frame, False)

    def cool(self, area, start, end, out):
        """Pages that nobody else maps are made to look old, or written out at once."""
        for vpn in range(start, end):
            entry = area.mm.entries.get(vpn)
            frame = self.frames[entry.pfn] if entry and entry.pfn > 0 else None
            if frame and frame.mapcount == 1:
                entry.young = frame.referenced = False
                if out:
                    self.page_out(frame)
                elif frame.active:
                    self.lru_move(frame, False)

    # --- pages of files (rules QE9, QE14) ---------------------------------------------------------------------------

    def punch(self, file, first, end):
        """Pages [first, end) of the file go; private copies stay."""
        self.files_cut.append((self.op_index, file.number))
        for area in file.areas:
            low, high = max(first, area.pgoff), min(end, area.pgoff + area.pages)
            if low < high:
                self.zap(area, area.start + low - area.pgoff, area.start + high - area.pgoff, keep_swap=True,
                         keep_guards=True, keep_anon=True)
        self.drop_pages(file, first, end)

    def write_back(self, file, start, length):
        """Dirty pages of a file on disk go there, and each entry of them hears of the next write (rule QF7)."""
        self.op_index += 1
        fail_if(start + length >= WRAP, errno.EINVAL)
        self.write_back_file(file, start, length)

    def write_back_file(self, file, start, length):
        last = min(file.pages, pages_of(start + length)) if length else file.pages
        pages = [] if file.shmem or file.zero else range(start // PAGE, last)

        def clean(mm, area, vpn, entry):
            entry.rw = entry.dirty = False
            return SEEN

        if self.anon.sweeps and pages:
            self.clean_areas(file, pages[0], last, clean)
        for page in pages:
            frame = file.cache.get(page)
            if frame and frame.dirty:
                if frame.mapcount and not self.anon.sweeps:
                    self.walk(frame, CLEAN, clean)
                file.disk[page] = frame.stamp
                frame.dirty = False

    def sync(self):
        self.op_index += 1
        for number in sorted(self.files):
            self.write_back_file(self.files[number], 0, 0)

    def clean_areas(self, file, first, last, clean):
        """Where nothing leads from a page to its entries, page tables are read as truncation does."""
        for area in file.areas:
            low, high = max(first, area.pgoff), min(last, area.pgoff + area.pages)
            if area.private or low >= high:
                continue
            for begin, end in self.table_runs(area.mm, area.start + low - area.pgoff, area.start + high - area.pgoff):
                self.count["scanned_ptes"] += end - begin
                for vpn in range(begin, end):
                    if vpn in area.mm.entries:
                        clean(area.mm, area, vpn, area.mm.entries[vpn])

    def cut_off(self, area, first):
        self.zap(area, first, area.end, keep_guards=True)
