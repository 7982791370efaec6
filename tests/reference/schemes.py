"""The schemes: who may map an anonymous page (rules G1-G6, D9, M1) - pte_chain, anonmm, anon_vma.

Hooks that a scheme does not need do nothing. A page's word is frame.word, an area's area.word, an mm's mm.word.
"""

from .state import PAGE, VM_ACCESS


class Scheme:
    linear = False  # anonymous areas carry linear page offsets
    table_locks = True  # page_referenced takes the page-table lock for each candidate

    def __init__(self, machine):
        self.machine = machine
        self.count = machine.count

    def mm_exec(self, mm): ...

    def mm_fork(self, child, parent): ...

    def mm_exit(self, mm): ...

    def file_born(self, file): ...

    def area_link(self, area): ...

    def area_unlink(self, area): ...

    def area_clone(self, piece): ...

    def area_split(self, piece): ...

    def bounds_change(self, area, moved): ...

    def area_import(self, area, giver): ...

    def area_merge(self, area, gone): ...

    def area_fork(self, child, parent): ...

    def compatible(self, area, source):
        return True

    def anon_prepare(self, area): ...

    def stack_grows(self, area): ...

    def page_first(self, frame, area, vpn): ...

    def page_last(self, frame): ...

    def entry_added(self, frame, mm, vpn): ...

    def entry_forked(self, frame, mm, vpn):
        self.entry_added(frame, mm, vpn)

    def entry_removed(self, frame, mm, vpn): ...

    def entry_moved(self, frame, mm, old, new): ...

    def entry_unmapped(self, frame, mm, vpn): ...

    def may_move(self, frame):
        return True

    def may_swapin(self, frame, vpn):
        return True

    def all_referenced(self, frame, mms): ...


class PteChain(Scheme):
    """Rule G1. The word is None, an entry (mm, vpn) (DIRECT), or a list of blocks, head first.

    A block is a list of `size` slots; only the head has free ones (None), at its low end.
    """

    table_locks = False

    def __init__(self, machine):
        super().__init__(machine)
        self.size = (machine.line - machine.arch.word) // machine.arch.word

    def lock(self):
        self.count["lock_chain"] += 1

    def entry_added(self, frame, mm, vpn):
        self.lock()
        self.add(frame, (mm, vpn))

    def entry_removed(self, frame, mm, vpn):
        self.lock()
        self.remove(frame, (mm, vpn))

    def entry_unmapped(self, frame, mm, vpn):
        self.remove(frame, (mm, vpn))

    def entry_moved(self, frame, mm, old, new):
        self.count["rmap_moves"] += 1
        self.entry_removed(frame, mm, old)
        self.entry_added(frame, mm, new)

    def fresh_block(self, *entries):
        return [None] * (self.size - len(entries)) + [*entries]

    def add(self, frame, entry):
        chain = frame.word
        if chain is None:
            frame.word = entry
        elif isinstance(chain, tuple):
            frame.word = [self.fresh_block(entry, chain)]
        elif chain[0][0] is not None:
            chain.insert(0, self.fresh_block(entry))
        else:
            head = chain[0]
            head[head.count(None) - 1] = entry

    def remove(self, frame, entry):
        """The head's lowest entry fills the hole; an emptied head goes."""
        if isinstance(frame.word, tuple):
            assert frame.word == entry
            frame.word = None
            return
        head = frame.word[0]
        block = next(block for block in frame.word if entry in block)
        lowest = head.count(None)
        block[block.index(entry)] = head[lowest]
        head[lowest] = None
        if lowest == self.size - 1:
            del frame.word[0]
            frame.word = frame.word or None

    def candidates(self, frame, purpose):
        self.lock()
        if isinstance(frame.word, tuple):
            blocks = []
            self.count["lock_chain_held"] += 1
            yield frame.word[0], None, frame.word[1]
        else:
            blocks = [[entry for entry in block if entry] for block in frame.word]
        for block in blocks:
            self.count["nodes_visited"] += 1
            for mm, vpn in block:
                self.count["lock_chain_held"] += 1
                yield mm, None, vpn

    def all_referenced(self, frame, mms):
        if len(mms) == 1 and isinstance(frame.word, list):
            frame.word = frame.word[0][-1]


class AnonmmObject:
    """mm is None once its address space has gone. ring (of the head): head first, then the others by fork."""

    def __init__(self, mm, head):
        self.mm = mm
        self.head = head or self
        self.count = 1 if head else 2
        self.ring = None if head else [self]


class Anonmm(Scheme):
    """Rules G2-G4. A page's word is an AnonmmObject, its index the address in bytes."""

    def lock(self):
        self.count["lock_anonmm"] += 1

    def mm_exec(self, mm):
        mm.word = AnonmmObject(mm, None)

    def mm_fork(self, child, parent):
        self.lock()
        head = parent.word.head
        child.word = AnonmmObject(child, head)
        head.ring.append(child.word)
        head.count += 1

    def mm_exit(self, mm):
        self.lock()
        mm.word.mm = None
        self.drop(mm.word)
        mm.word = None

    def drop(self, one):
        one.count -= 1
        if one.count == 0:
            one.head.ring.remove(one)
            one.head.count -= 1

    def page_first(self, frame, area, vpn):
        frame.word = area.mm.word
        frame.index = vpn * PAGE
        frame.word.count += 1

    def page_last(self, frame):
        self.drop(frame.word)
        frame.word = None

    def may_move(self, frame):
        return frame.mapcount == 1

    def entry_moved(self, frame, mm, old, new):
        self.count["rmap_moves"] += 1
        frame.index = new * PAGE

    def may_swapin(self, frame, vpn):
        return frame.mapcount == 0 or frame.index == vpn * PAGE

    def candidates(self, frame, purpose):
        self.lock()
        vpn = frame.index // PAGE
        ring = frame.word.head.ring
        position = ring.index(frame.word)
        for one in ring[position:] + ring[:position]:
            if one.mm is None:
                continue
            self.count["mms_tried"] += 1
            self.count["lock_anonmm_held"] += 1
            if one.mm.rss:
                yield one.mm, None, vpn

    def all_referenced(self, frame, mms):
        if frame.word.mm is None:
            old, frame.word = frame.word, mms[0].word
            frame.word.count += 1
            self.drop(old)


class AnonVma(Scheme):
    """Rules G5, G6, D9. An area's or page's word is the list of areas that share an anon_vma."""

    linear = True

    def lock(self):
        self.count["lock_anon_vma"] += 1

    def join(self, area):
        """At the list's head, under its lock."""
        if area.word is not None:
            self.lock()
            area.word.insert(0, area)

    def area_clone(self, piece):
        self.join(piece)

    def area_unlink(self, area):
        if area.word is not None:
            self.lock()
            area.word.remove(area)

    def bounds_change(self, area, moved):
        """One lock for all that an adjust does to the list: import, split, swallowing."""
        if area.word is not None or (moved and moved.word is not None):
            self.lock()

    def area_split(self, piece):
        if piece.word is not None:
            piece.word.insert(0, piece)

    def area_import(self, area, giver):
        if area.word is None and giver.word is not None:
            area.word = giver.word
            area.word.insert(0, area)

    def area_merge(self, area, gone):
        if gone.word is not None:
            gone.word.remove(gone)

    def area_fork(self, child, parent):
        child.word = parent.word
        self.join(child)

    def compatible(self, area, source):
        """source None: a fresh range, which has no anon_vma."""
        return source is None or area.word is None or source.word is None or area.word is source.word

    def anon_prepare(self, area):
        if area.word is not None:
            return
        area.word = self.adoptable(area)
        if area.word is not None:
            self.join(area)
        else:
            area.word = [area]

    def adoptable(self, area):
        """The anon_vma of the area after or before, where a later mprotect could make the two mergeable."""
        after, before = area.mm.after(area), area.mm.before(area.start)
        if after and area.end == after.start and after.pgoff == area.index(area.end) and self.alike(area, after):
            return after.word
        if before and before.end == area.start and before.index(before.end) == area.pgoff and self.alike(area, before):
            return before.word
        return None

    def alike(self, area, near):
        return near.word is not None and near.file is area.file and not (near.flags ^ area.flags) & ~VM_ACCESS

    def stack_grows(self, area):
        self.lock()

    def page_first(self, frame, area, vpn):
        frame.word = area.word
        frame.index = area.index(vpn)

    def page_last(self, frame):
        frame.word = None

    def candidates(self, frame, purpose):
        self.lock()
        for area in frame.word:
            self.count["vmas_tried"] += 1
            self.count["lock_anon_vma_held"] += 1
            vpn = area.address(frame.index)
            if area.mm.rss and vpn is not None:
                yield area.mm, area, vpn
