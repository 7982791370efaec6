"""first_owner: a page knows who mapped it first and where; a walk asks this address space, and then everybody else there."""
import numpy as np

from rmapcore import Prototype


class FirstOwner(Prototype):
    """A page knows its first address space and its address; all others are asked after that one."""

    arrays = {"owner": ("frame", np.uint32, "word"), "place": ("frame", np.uint64, "word")}      # mm; user address / 4096

    def page_first(self, pfn, v, vpn):
        self.owner[pfn] = self.core.view("areas")["mm"][v]
        self.place[pfn] = vpn

    def may_move(self, pfn, vpn):
        """A page has one address only: shared, it cannot move, and is copied."""
        return bool(self.core.view("frames")["mapcount"][pfn] == 1 or self.place[pfn] == vpn)

    def page_moved(self, pfn, v, vpn, old, new):
        self.place[pfn] = vpn

    def may_swapin(self, pfn, vpn):
        return bool(self.core.view("frames")["mapcount"][pfn] == 0 or self.place[pfn] == vpn)

    def walk(self, pfn, purpose):
        mms = self.core.view("mms")
        first, vpn = int(self.owner[pfn]), int(self.place[pfn])
        if mms["alive"][first]:
            yield first, 0, vpn
        mm = int(self.core.view("head")["mm_first"][0])
        while mm:
            if mm != first:
                yield mm, 0, vpn
            mm = int(mms["next"][mm])
