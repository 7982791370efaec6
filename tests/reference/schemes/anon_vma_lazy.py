"""anon_vma_lazy (rule G20), with its usual options."""

from ..common.state import WRAP
from .anon_vma_chain import AnonVma, AnonVmaChain, Word


class Root:
    """The word of an area that was never forked, and of its pages: where they lie. Areas and pages keep it alive."""

    own = None
    chain = ()

    def __init__(self, area):
        self.mm = area.mm
        self.off = distance(area)

    def serves(self, area):
        return (self.mm, self.off) == (area.mm, distance(area))


class Tagged(Word):
    """inherited: the anon_vma is the parent's (PARENT)."""

    def __init__(self, own, inherited=False):
        super().__init__(own)
        self.inherited = inherited


def distance(area):
    return (area.start - area.anon_index(area.start)) % WRAP


def lazy(area):
    return isinstance(area.word, Root)


def page_word(area):
    """Of a page of its own."""
    return area.word if lazy(area) else area.word.own


class AnonVmaLazy(AnonVmaChain):
    # --- anon_vmas --------------------------------------------------------------------------------------------------

    def upgrade(self, area):
        if lazy(area):
            own = self.adoptable(area) or AnonVma()
            self.lock(own)
            area.word = Tagged(own)
            own.users += 1
            self.link(area, own, founder=True)
            return
        word = area.word
        self.lock(word.own)
        word.inherited = False
        word.own.users -= 1
        parent, word.own = word.own, None
        for avc in word.chain if self.newest_first else reversed(word.chain):
            if word.own is None and self.reusable(avc.anon_vma, None):
                word.own = avc.anon_vma
        if word.own is None:
            word.own = AnonVma(parent)
            self.link(area, word.own)
        word.own.users += 1

    def alike_but_access(self, area, near):
        return super().alike_but_access(area, near) and not near.word.inherited

    def unlink(self, area):
        if area.word is not None and lazy(area):
            area.word = None
        super().unlink(area)

    # --- areas ------------------------------------------------------------------------------------------------------

    def copy_word(self, area, source):
        """The area becomes what the source is."""
        if lazy(source):
            area.word = source.word if source.word.serves(area) else Root(area)
            return
        area.word = Tagged(source.word.own, source.word.inherited)
        self.clone(area, source.word)

    def area_fork(self, child, parent):
        child.word = None
        if parent.word is None:
            return
        if lazy(parent) or parent.word.inherited:
            self.upgrade(parent)
        child.word = Tagged(parent.word.own, inherited=True)
        self.clone(child, parent.word)

    def area_split(self, piece):
        if piece.word is not None and not lazy(piece):
            source, piece.word = piece.word, Tagged(piece.word.own, piece.word.inherited)
            self.clone(piece, source)

    def area_clone(self, piece, area):
        if area.word is None:
            return
        if lazy(area):
            self.upgrade(area)
        self.copy_word(piece, area)

    def area_import(self, area, giver):
        if area.word is None and giver.word is not None:
            self.copy_word(area, giver)

    def kind(self, area):
        """None, "lazy", or whether it is inherited and which anon_vma it has."""
        if area is None or area.word is None:
            return None
        return "lazy" if lazy(area) else (area.word.inherited, id(area.word.own))

    def may_bridge(self, prev, following):
        one, other = self.kind(prev), self.kind(following)
        return one is None or other is None or one == other

    def compatible(self, area, source):
        kinds = {self.kind(area), self.kind(source)}
        if None not in kinds or len(kinds) == 1 or "lazy" in kinds:
            return len(kinds - {None}) < 2
        word = area.word or source.word
        return not word.inherited and len(word.chain) == 1

    def anon_prepare(self, area):
        if area.word is None:
            area.word = Root(area)

    # --- pages ------------------------------------------------------------------------------------------------------

    def page_first(self, frame, area, vpn):
        if frame.slot and isinstance(frame.word, AnonVma):
            return
        alone = lazy(area) or self.machine.comes_back_alone(frame)
        frame.word = page_word(area) if alone else area.word.own.root
        frame.index = area.anon_index(vpn)

    def page_reused(self, frame, area):
        frame.word = page_word(area)

    def entry_forked(self, frame, mm, vpn):
        if isinstance(frame.word, Root):
            frame.word = mm.find(vpn).word.own

    def entry_moved(self, frame, mm, old, new):
        if isinstance(frame.word, Root):
            frame.word = page_word(mm.find(new))
            self.count["rmap_moves"] += 1

    def candidates(self, frame, purpose):
        if not isinstance(frame.word, Root):
            yield from super().candidates(frame, purpose)
            return
        self.count["mms_tried"] += 1
        self.count["vma_lookups"] += 1
        vpn = (frame.index + frame.word.off) % WRAP
        area = frame.word.mm.find(vpn)
        if area is not None and area.start <= vpn:
            self.count["vmas_tried"] += 1
            if frame.word.serves(area):
                yield area.mm, area, vpn

    def may_name(self, area, word):
        return word.serves(area) if isinstance(word, Root) else super().may_name(area, word)
