"""anon_vma_chain and its kin (rules G13 to G16)."""

from collections import Counter

from ..common.check import require
from ..common.intervals import Node, Tree
from ..common.scheme import Scheme
from ..common.state import VM_ACCESS, WRAP


class AnonVma:
    """parent: itself for a root. members: Avcs, in the order in which they came (founders of 2010 first). tree: of the same."""

    def __init__(self, parent=None):
        self.parent = parent or self
        self.root = parent.root if parent else self
        self.members = []
        self.tree = Tree()
        self.children = 0
        self.users = 0
        self.parent.children += 1


class Avc:
    """node: its place in the tree, where there is one."""

    def __init__(self, area, anon_vma):
        self.area = area
        self.anon_vma = anon_vma
        self.node = None


class Word:
    """An area's word: its own anon_vma, and its chain of Avcs, newest first."""

    def __init__(self, own, chain=()):
        self.own = own
        self.chain = list(chain)


class Chains(Scheme):
    """Rule G13. A page's word is an AnonVma."""

    linear = True
    keeps_words = True  # rule G13
    lock_each = False  # a lock in each anon_vma, else one in the root
    repoint = False  # a page that comes back from the swap cache forgets what it named
    alike = True  # areas of one anon_vma have the same chains
    newest_first = False  # a copy of a chain is made from its newest avc on, and is the other way round (rule QI4)

    def lock(self, anon_vma, times=1):
        """Its own, or the root's. Of a step that takes many, all are told as that of the area where it began."""
        self.take("anon_vma", anon_vma if self.lock_each else anon_vma.root, times)

    def lock_chain(self, word):
        """For all that is done to one chain at once."""
        self.lock(word.own, len(word.chain) if self.lock_each else 1)

    # --- chains -----------------------------------------------------------------------------------------------------

    def link(self, area, anon_vma, founder=False):
        avc = Avc(area, anon_vma)
        area.word.chain.insert(0, avc)
        anon_vma.members.insert(0 if founder else len(anon_vma.members), avc)
        self.enter(avc)

    def enter(self, avc):
        """Into the tree, where there is one."""

    def leave(self, avc): ...

    def clone(self, area, source, forked=False):
        """The area's word gets the chain of another word."""
        self.lock_chain(source)
        for avc in source.chain[::1 if self.newest_first else -1]:
            self.link(area, avc.anon_vma)
            if forked and area.word.own is None and self.reusable(avc.anon_vma, source.own):
                area.word.own = avc.anon_vma
        if area.word.own:
            area.word.own.users += 1

    def unlink(self, area):
        word, area.word = area.word, None
        if word is None:
            return
        self.lock_chain(word)
        word.own.users -= 1
        for avc in word.chain:
            self.leave(avc)
            avc.anon_vma.members.remove(avc)
            if not avc.anon_vma.members:
                avc.anon_vma.parent.children -= 1

    def reusable(self, anon_vma, own):
        return False

    # --- areas ------------------------------------------------------------------------------------------------------

    def area_fork(self, child, parent):
        child.word = None
        if parent.word is None:
            return
        child.word = Word(None)
        self.clone(child, parent.word, forked=True)
        if child.word.own is None:
            self.lock(parent.word.own)
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

    def area_clone(self, piece, source):
        self.area_split(piece)

    def area_import(self, area, giver):
        if area.word is None and giver.word is not None:
            area.word = Word(giver.word.own)
            self.clone(area, giver.word)

    def area_merge(self, area, gone):
        self.unlink(gone)

    def chained(self, area):
        return area is not None and area.word is not None and len(area.word.chain) > 0

    def bounds_change(self, area, moved):
        """One lock for the bounds of both; their avcs leave, and come again after it."""
        both = [one for one in (area, moved) if self.chained(one)]
        if both:
            self.lock(both[0].word.own)
        for one in both:
            for avc in one.word.chain:
                self.leave(avc)

    def bounds_changed(self, area, moved):
        for one in (moved, area):
            if self.chained(one):
                for avc in one.word.chain:
                    self.enter(avc)

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
        self.lock(own)
        self.link(area, own, founder=True)

    def adoptable(self, area):
        """The anon_vma of the area after or before, if it has been through no fork and a later mprotect could join the two."""
        after, before = area.mm.after(area), area.mm.before(area.start)
        if after and area.end == after.start and self.goes_on(area, after) and self.alike_but_access(area, after):
            return after.word.own
        if before and before.end == area.start and self.goes_on(before, area) and self.alike_but_access(area, before):
            return before.word.own
        return None

    def alike_but_access(self, area, near):
        return (near.word is not None and len(near.word.chain) == 1 and near.file is area.file and near.policy == area.policy
                and not (near.flags ^ area.flags) & ~VM_ACCESS)

    # --- pages ------------------------------------------------------------------------------------------------------

    def page_first(self, frame, area, vpn):
        if frame.slot and frame.word is not None and not self.repoint:
            return
        frame.word = area.word.own if self.machine.comes_back_alone(frame) else area.word.own.root
        frame.index = area.anon_index(vpn)

    def page_reused(self, frame, area):
        frame.word = area.word.own

    def candidates(self, frame, purpose):
        self.lock(frame.word)
        for avc in self.proposed(frame):
            self.count["vmas_tried"] += 1
            self.count["lock_anon_vma_held"] += 1
            vpn = avc.area.anon_address(frame.index)
            if vpn is not None:
                yield avc.area.mm, avc.area, vpn

    def may_name(self, area, word):
        """May a page that the area maps have this word?"""
        return any(avc.anon_vma is word for avc in area.word.chain)

    def check(self):
        """What rules G13 to G16 and docs/facts/invariants.md say of chains."""
        machine = self.machine
        areas = [area for mm in machine.mms for area in mm.areas if self.chained(area)]
        users = Counter(id(area.word.own) for area in areas)
        everyone = {id(avc.anon_vma): avc.anon_vma for area in areas for avc in area.word.chain}
        children = Counter(id(one.parent) for one in everyone.values())
        chains = {}
        for area in areas:
            names = [avc.anon_vma for avc in area.word.chain]
            root = area.word.own.root
            require(area.word.own in names and root in names, "G13: chain", area.start)
            require(self.newest_first or names[-1] is root, "G13: the root is last", area.start)
            if self.newest_first:
                names.sort(key=id)
            for avc in area.word.chain:
                require(avc.area is area and avc in avc.anon_vma.members, "G13: avc", area.start)
                require(avc.anon_vma.root is root and avc.anon_vma.parent in names, "G13: ancestors", area.start)
            if self.alike:
                require(chains.setdefault(id(area.word.own), names) == names, "G13: equal chains", area.start)
        kept = sum(len(one.members) for one in everyone.values())
        require(kept == sum(len(area.word.chain) for area in areas), "G13: avcs")
        for one in everyone.values():
            require((one.users, one.children) == (users[id(one)], children[id(one)]), "G13: counts", one.users, one.children)
        for mm in machine.mms:
            for vpn, entry in mm.entries.items():
                area = mm.find(vpn)
                if entry.slot:
                    require(area.word is not None, "G13: swap entry without anon_vma", mm.pid, vpn)
                elif entry.pfn > 0 and machine.frames[entry.pfn].anon:
                    frame = machine.frames[entry.pfn]
                    require(area.word is not None, "G13: page without anon_vma", mm.pid, vpn)
                    require(self.may_name(area, frame.word), "G13: page", mm.pid, vpn)
                    require(area.anon_address(frame.index) == vpn, "G13: address", mm.pid, vpn)


class AnonVmaChain2010(Chains):
    """Rule G14."""

    lock_each = True
    repoint = True

    def proposed(self, frame):
        return frame.word.members


class Trees(Chains):
    """What G15 and G16 share."""

    def enter(self, avc):
        avc.node = Node(avc.area, avc.area.anon_index(avc.area.start))
        if avc.node.last >= WRAP:
            avc.node.start, avc.node.last = 0, WRAP - 1
        avc.node.area = avc
        avc.anon_vma.tree.insert(avc.node)

    def leave(self, avc):
        avc.anon_vma.tree.remove(avc.node)

    def proposed(self, frame):
        for node in frame.word.tree.overlapping(frame.index, self.count):
            yield node.area

    def check(self):
        super().check()
        for mm in self.machine.mms:
            for area in mm.areas:
                for avc in area.word.chain if area.word else ():
                    order = [node.area for node in avc.anon_vma.tree.nodes()]
                    require(order == sorted(order, key=lambda avc: avc.node.start), "G15: order", area.start)
                    require(set(order) == set(avc.anon_vma.members), "G15: tree", area.start)


class AnonVmaChainDegree(Trees):
    """Rule G15."""

    alike = False

    def reusable(self, anon_vma, own):
        return anon_vma is not own and anon_vma.users + anon_vma.children < 2

    def compatible(self, area, source):
        one, other = self.anon_vma_of(area), self.anon_vma_of(source)
        return one is other or ((one is None or other is None) and area.word is not None and len(area.word.chain) == 1)


class AnonVmaChain(Trees):
    """Rule G16."""

    files = "interval_tree"

    @property
    def newest_first(self):
        return self.machine.newest_first

    def reusable(self, anon_vma, own):
        return anon_vma.children < 2 and not anon_vma.users

    def compatible(self, area, source):
        one, other = self.anon_vma_of(area), self.anon_vma_of(source)
        if one is None or other is None:
            return all(len(word.chain) == 1 for word in (area.word, source and source.word) if word)  # none has inherited
        return one is other
