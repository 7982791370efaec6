"""rmap_chain (rule G4a)."""

from ..common.state import PAGE
from .anonmm import Anonmm

SLOTS = 7  # of a block; the first one has its count in one of them


class RmapChain(Anonmm):
    """chains: frame -> virtual page numbers where it is mapped beside its index, oldest first."""

    files = "list"

    def __init__(self, machine):
        super().__init__(machine)
        self.chains = {}

    def add(self, frame, vpn):
        if frame.index != vpn * PAGE and vpn not in self.chains.get(frame, ()):
            self.chains.setdefault(frame, []).append(vpn)

    def entry_added(self, frame, mm, vpn):
        self.add(frame, vpn)

    def entry_forked(self, frame, mm, vpn): ...

    def page_last(self, frame):
        self.chains.pop(frame, None)
        super().page_last(frame)

    def page_reused(self, frame, area):
        if frame.word is not area.mm.word:
            old, frame.word = frame.word, area.mm.word
            frame.word.count += 1
            self.drop(old)

    def may_move(self, frame):
        return True

    def entry_moved(self, frame, mm, old, new):
        self.count["rmap_moves"] += 1
        if frame.mapcount == 1 and frame not in self.chains:
            frame.index = new * PAGE
        else:
            self.add(frame, new)

    def may_swapin(self, frame, vpn):
        return True

    def candidates(self, frame, purpose):
        chain = self.chains.get(frame, [])
        for mm, _, vpn in super().candidates(frame, purpose):
            yield mm, None, vpn
            for position, other in enumerate(chain, 1):
                if position == 1 or position % SLOTS == 0:
                    self.count["nodes_visited"] += 1
                yield mm, None, other

    def all_referenced(self, frame, mms): ...

    def knows(self, frame, vpn):
        return super().knows(frame, vpn) or vpn in self.chains.get(frame, ())
