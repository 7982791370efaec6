"""anonmm and its kin (rules G2-G4, G3a)."""

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

    def knows(self, frame, vpn):
        """Would a walk look for the page there?"""
        return frame.index == vpn * PAGE

    def candidates(self, frame, purpose):
        self.lock()
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


class AnonmmNaive(Anonmm):
    """Rule G3a."""

    exhaustive = True

    def order(self, frame):
        return frame.word.head.ring
