"""anonmm and its kin (rules G2-G4, G3a)."""

from collections import Counter

from ..common.check import require
from ..common.scheme import Scheme
from ..common.state import PAGE


class AnonmmObject:
    """mm is None once its address space has gone. ring (of the head): head first, then the others by fork."""

    def __init__(self, mm, head):
        self.mm = mm
        self.head = head or self
        self.count = 1 if head else 2
        self.ring = None if head else [self]


class Anonmm(Scheme):
    """Rules G2-G4. A page's word is an AnonmmObject, its index the address in bytes."""

    def lock(self, one):
        """The head's."""
        self.take("anonmm", one.head)

    def mm_exec(self, mm):
        mm.word = AnonmmObject(mm, None)

    def mm_fork(self, child, parent):
        self.lock(parent.word)
        head = parent.word.head
        child.word = AnonmmObject(child, head)
        head.ring.append(child.word)
        head.count += 1

    def mm_exit(self, mm):
        self.lock(mm.word)
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

    def knows(self, frame, vpn):
        """Would a walk look for the page there?"""
        return frame.index == vpn * PAGE

    def candidates(self, frame, purpose):
        self.lock(frame.word)
        vpn = frame.index // PAGE
        for one in self.order(frame):
            if one.mm is None:
                continue
            self.count["mms_tried"] += 1
            self.count["lock_anonmm_held"] += 1
            if one.mm.rss:
                yield one.mm, None, vpn

    def order(self, frame):
        """The ring as a walk goes round it."""
        ring = frame.word.head.ring
        position = ring.index(frame.word)
        return ring[position:] + ring[:position]

    def all_referenced(self, frame, mms):
        if frame.word.mm is None:
            old, frame.word = frame.word, mms[0].word
            frame.word.count += 1
            self.drop(old)

    def check(self):
        machine = self.machine
        pages = Counter(id(frame.word) for frame in machine.frames if frame.anon)
        for head in {id(mm.word.head): mm.word.head for mm in machine.mms}.values():
            require(head.ring[0] is head, "G2: head first")
            for one in head.ring:
                expected = pages[id(one)] + (one.mm is not None) + (len(head.ring) if one is head else 0)
                require(one.head is head and one.count == expected, "G2: count", one.count, expected)
        for mm in machine.mms:
            require(mm.word.mm is mm and mm.word in mm.word.head.ring, "G2: ring", mm.pid)
            for vpn, entry in mm.entries.items():
                if entry.pfn > 0 and machine.frames[entry.pfn].anon:
                    frame = machine.frames[entry.pfn]
                    require(self.knows(frame, vpn), "G2: address", mm.pid, vpn)
                    require(mm.word in frame.word.head.ring, "G2: group", mm.pid, vpn)


class AnonmmNaive(Anonmm):
    """Rule G3a."""

    exhaustive = True

    def order(self, frame):
        return frame.word.head.ring
