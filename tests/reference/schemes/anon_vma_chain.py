"""anon_vma_chain and its kin (rules G12 to G15)."""

from ..state import VM_ACCESS
from .base import Scheme


class AnonVma:
    """parent: itself for a root. members: Avcs, in the order in which they came (founders of 2010 first)."""

    def __init__(self, parent=None):
        self.parent = parent or self
        self.members = []
        self.children = 0
        self.users = 0
        self.parent.children += 1


class Avc:
    """place: when it came, or came again because its area's bounds changed; the kernel's tree has ties in that order."""

    def __init__(self, area, anon_vma, place):
        self.area = area
        self.anon_vma = anon_vma
        self.place = place


class Word:
    """An area's word: its own anon_vma, and its chain of Avcs, newest first."""

    def __init__(self, own, chain=()):
        self.own = own
        self.chain = list(chain)


class AnonVmaChain2010(Scheme):
    """Rules G12, G13. A page's word is an AnonVma."""

    linear = True
    lock_each = True  # a lock in each anon_vma
    repoint = True  # a page that comes back from the swap cache forgets what it named
    alike = True  # areas of one anon_vma have the same chains

    def __init__(self, machine):
        super().__init__(machine)
        self.clock = 0

    def lock(self, times=1):
        self.count["lock_anon_vma"] += times

    def lock_chain(self, chain):
        """For all that is done to one chain at once."""
        self.lock(len(chain) if self.lock_each else 1)

    # --- chains ---------------------------------------------------------------------------------------------------------

    def tick(self):
        self.clock += 1
        return self.clock

    def link(self, area, anon_vma, founder=False):
        avc = Avc(area, anon_vma, self.tick())
        area.word.chain.insert(0, avc)
        anon_vma.members.insert(0 if founder else len(anon_vma.members), avc)

    def clone(self, area, source, forked=False):
        """The area's word gets the chain of another word."""
        self.lock_chain(source.chain)
        for avc in reversed(source.chain):
            self.link(area, avc.anon_vma)
            if forked and area.word.own is None and self.reusable(avc.anon_vma, source.own):
                area.word.own = avc.anon_vma
        if area.word.own:
            area.word.own.users += 1

    def unlink(self, area):
        word, area.word = area.word, None
        if word is None:
            return
        self.lock_chain(word.chain)
        word.own.users -= 1
        for avc in word.chain:
            avc.anon_vma.members.remove(avc)
            if not avc.anon_vma.members:
                avc.anon_vma.parent.children -= 1

    def reusable(self, anon_vma, own):
        return False

    # --- areas ----------------------------------------------------------------------------------------------------------

    def area_fork(self, child, parent):
        child.word = None
        if parent.word is None:
            return
        child.word = Word(None)
        self.clone(child, parent.word, forked=True)
        if child.word.own is None:
            self.lock()
            child.word.own = AnonVma(parent.word.own)
            child.word.own.users = 1
            self.link(child, child.word.own)

    def area_unlink(self, area):
        self.unlink(area)

    def area_emptied(self, area):
        self.unlink(area)

    def area_split(self, piece):
        """A piece's word is that of the area it comes from, until here."""
        if piece.word is not None:
            source, piece.word = piece.word, Word(piece.word.own)
            self.clone(piece, source)

    def area_clone(self, piece):
        self.area_split(piece)

    def area_import(self, area, giver):
        if area.word is None and giver.word is not None:
            area.word = Word(giver.word.own)
            self.clone(area, giver.word)

    def area_merge(self, area, gone):
        self.unlink(gone)

    def bounds_change(self, area, moved):
        """One lock for the bounds of both; their avcs leave and come again."""
        both = [one for one in (area, moved) if one and one.word is not None]
        if both:
            self.lock()
        for one in both:
            for avc in one.word.chain:
                avc.place = self.tick()

    def stack_grows(self, area):
        self.bounds_change(area, None)

    def anon_vma_of(self, area):
        return area.word.own if area and area.word else None

    def may_bridge(self, prev, following):
        one, other = self.anon_vma_of(prev), self.anon_vma_of(following)
        return one is None or other is None or one is other

    def compatible(self, area, source):
        """source None: a fresh range, which has no anon_vma."""
        return self.may_bridge(area, source)

    def anon_prepare(self, area):
        if area.word is not None:
            return
        own = self.adoptable(area) or AnonVma()
        area.word = Word(own)
        own.users += 1
        self.lock()
        self.link(area, own, founder=True)

    def adoptable(self, area):
        """The anon_vma of the area after or before, if it has been through no fork and a later mprotect could join the two."""
        after, before = area.mm.after(area), area.mm.before(area.start)
        if after and area.end == after.start and after.pgoff == area.index(area.end) and self.alike_but_access(area, after):
            return after.word.own
        if (before and before.end == area.start and before.index(before.end) == area.pgoff
                and self.alike_but_access(area, before)):
            return before.word.own
        return None

    def alike_but_access(self, area, near):
        return (near.word is not None and len(near.word.chain) == 1 and near.file is area.file
                and not (near.flags ^ area.flags) & ~VM_ACCESS)

    # --- pages ----------------------------------------------------------------------------------------------------------

    def page_first(self, frame, area, vpn):
        if frame.slot and frame.word is not None and not self.repoint:
            return
        alone = not frame.slot or self.machine.use_count[frame.slot] == 1
        frame.word = area.word.own if alone else area.word.chain[-1].anon_vma
        frame.index = area.index(vpn)

    def page_reused(self, frame, area):
        frame.word = area.word.own

    def candidates(self, frame, purpose):
        self.lock()
        for avc in frame.word.members:
            self.count["vmas_tried"] += 1
            self.count["lock_anon_vma_held"] += 1
            vpn = avc.area.address(frame.index)
            if vpn is not None:
                yield avc.area.mm, avc.area, vpn
