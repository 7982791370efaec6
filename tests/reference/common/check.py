"""Machine.check(): every invariant of the rules and of schemes.md 13.10, by name of the rule; changes nothing."""

from collections import Counter

from ..filemap import FileLists, IntervalTree, PrioTree
from ..schemes import Anonmm, AnonVma, PteChain, VirtualScan
from ..schemes.anon_vma_chain import Chains
from .state import STACK_PAGES, VM_GROWSDOWN, VM_SHARED, VM_WRITE


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
        if isinstance(self.anon, Anonmm):
            self.check_anonmm()
        if isinstance(self.anon, AnonVma):
            self.check_anon_vma()
        if isinstance(self.anon, Chains):
            self.anon.check(require)
        if isinstance(self.anon, VirtualScan):
            require(self.anon.ring[0] is None and set(self.anon.ring[1:]) == set(self.mms), "G11: ring")
            require(self.anon.ring.count(self.anon.swap_mm) == 1 and len(self.anon.ring) == len(self.mms) + 1, "G11")

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
            require(not area.flags & VM_GROWSDOWN or area.pages <= STACK_PAGES or not area.word, "F2", area.start)
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
                require(not entry.rw and not entry.dirty and not area.file, "F5: zero page", mm.pid, vpn)
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
            if isinstance(self.side, PrioTree | IntervalTree):
                check = self.check_prio_tree if isinstance(self.side, PrioTree) else self.check_interval_tree
                check(file, [area for area in areas if not area.nonlinear])
                odd = [area for area in areas if area.nonlinear]
                require(len(odd) == len(file.odd) and set(odd) == set(file.odd), "G7a", file.number)
            if isinstance(self.side, FileLists):
                for shared, listed in enumerate(file.tree):
                    mine = [area for area in areas if bool(area.flags & VM_SHARED) == shared]
                    require(len(listed) == len(mine) and set(listed) == set(mine), "G9: areas of a list", file.number)

    def check_prio_tree(self, file, areas):
        tree = file.tree
        hung = []
        require(tree.root is None or tree.root.parent is None, "G7: root", file.number)
        for node, value, mask, by_size in tree.nodes():
            hung.extend(node.areas)
            require(node.areas and node.h <= tree.limit, "G7: node", node.r, node.h)
            key, prefix_mask = (node.h - node.r, mask) if by_size else (node.r, mask)
            prefix = ~(2 * prefix_mask - 1) if not by_size else 0
            require(by_size or key & prefix == value & prefix, "G7: radix order", node.r, node.h, value, mask)
            for child in (node.left, node.right):
                require(not child or (child.parent is node and node.h >= child.h), "G7: heap order", node.r, node.h)
            for area in node.areas:
                require((area.pgoff, area.pgoff + area.pages - 1) == (node.r, node.h), "G7: vm_set", area.pgoff)
                require(self.side.node_of[area] is node, "G7: vm_set", area.pgoff)
        require(len(hung) == len(areas) and set(hung) == set(areas), "G7: areas of the tree", file.number)

    def check_interval_tree(self, file, areas):
        nodes = list(file.tree.nodes())
        require(len(nodes) == len(areas) and {node.area for node in nodes} == set(areas), "G12: areas of the tree", file.number)
        require([node.start for node in nodes] == sorted(area.pgoff for area in areas), "G12: order", file.number)
        require(not nodes or not file.tree.root.red, "G12: root", file.number)
        paths = set()
        for node in nodes:
            area, children = node.area, (node.left, node.right)
            require((node.start, node.last) == (area.pgoff, area.pgoff + area.pages - 1), "G12: bounds", area.pgoff)
            require(all(child is None or child.parent is node for child in children), "G12: links", area.pgoff)
            require(not node.red or not any(child and child.red for child in children), "G12: red below red", area.pgoff)
            black, above = 0, node
            while above and None in children:
                black, above = black + (not above.red), above.parent
            paths |= {black} if None in children else set()
        require(len(paths) <= 1, "G12: black height", file.number)

    def check_whomaps(self):
        """The scheme finds what is there, each place once; chains have the shape of rule G1."""
        before = dict(self.count)
        used = [frame.pfn for frame in self.frames if frame.mapcount]
        answers = self.whomaps(used)
        self.count.update(before)
        for pfn, found, there in zip(used, answers, self.mappings(used), strict=True):
            require(sorted(found) == sorted(there), "G8: whomaps", pfn, found, there)
        for frame in self.frames[1:]:
            if isinstance(self.anon, Chains) and frame.slot and not frame.anon:
                continue                       # in the swap cache it may keep the word that it had (G13)
            if frame.pins and not frame.mapcount:
                continue
            keeper = self.keeper(frame)
            if isinstance(keeper, PteChain):
                self.check_chain(frame, keeper.size)
            if isinstance(keeper, FileLists) and frame.word is not None:
                self.check_chain(frame, keeper.chains.size)

    def check_chain(self, frame, size):
        word = frame.word
        if not isinstance(word, list):
            require(frame.mapcount == (word is not None), "G1: direct", frame.pfn)
            return
        for number, block in enumerate(word):
            free = block.count(None)
            require(len(block) == size and block[:free] == [None] * free, "G1: free slots at the low end", frame.pfn)
            require(free < size and (free == 0 or number == 0), "G1: only the head has free slots", frame.pfn)
        require(frame.mapcount == sum(size - block.count(None) for block in word), "G1", frame.pfn)

    def check_anonmm(self):
        pages = Counter(id(frame.word) for frame in self.frames if frame.anon)
        for head in {id(mm.word.head): mm.word.head for mm in self.mms}.values():
            require(head.ring[0] is head, "G2: head first")
            for one in head.ring:
                expected = pages[id(one)] + (one.mm is not None) + (len(head.ring) if one is head else 0)
                require(one.head is head and one.count == expected, "G2: count", one.count, expected)
        for mm in self.mms:
            require(mm.word.mm is mm and mm.word in mm.word.head.ring, "G2: ring", mm.pid)
            for vpn, entry in mm.entries.items():
                if entry.pfn > 0 and self.frames[entry.pfn].anon:
                    frame = self.frames[entry.pfn]
                    require(self.anon.knows(frame, vpn), "G2: address", mm.pid, vpn)
                    require(mm.word in frame.word.head.ring, "G2: group", mm.pid, vpn)

    def check_anon_vma(self):
        members = Counter(id(area) for mm in self.mms for area in mm.areas if area.word is not None)
        for mm in self.mms:
            for area in mm.areas:
                if area.word is not None:
                    require(sum(one is area for one in area.word) == 1, "G5: on the list once", mm.pid, area.start)
                    require(all(id(one) in members for one in area.word), "G5: only living areas", mm.pid, area.start)
            for vpn, entry in mm.entries.items():
                area = mm.find(vpn)
                if entry.slot:
                    require(area.word is not None, "G5: swap entry without anon_vma", mm.pid, vpn)
                elif entry.pfn > 0 and self.frames[entry.pfn].anon:
                    frame = self.frames[entry.pfn]
                    require(frame.word is area.word is not None, "G5: page and area", mm.pid, vpn)
                    require(area.address(frame.index) == vpn, "G6: address", mm.pid, vpn)
