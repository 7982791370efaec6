"""cow_context and its faithful form (rules G17 to G19)."""

from collections import Counter

from ..common.check import require
from ..common.scheme import Scheme
from ..common.state import VM_MAYSHARE, VM_SHARED, WRAP

LAST = WRAP - 1
UNWRITTEN = WRAP // 2  # what is taken for a slot of an array that nobody wrote: an offset that leads nowhere


class Span:
    """Offsets of the indices first..last, in the order of their array. capacity 0: one offset, in the entry itself."""

    def __init__(self, first, last, offsets, capacity=0):
        self.first = first
        self.last = last
        self.offsets = list(offsets)
        self.capacity = capacity


class Context:
    """mm is None once its address space has gone. children: newest first. spans: ascending."""

    def __init__(self, mm, parent=None):
        self.mm = mm
        self.parent = parent
        self.children = []
        self.refs = 1
        self.spans = []

    def overlapping(self, first, last):
        return [span for span in self.spans if span.first <= last and span.last >= first]

    def cut(self, at):
        """A border in front of this index."""
        for span in self.overlapping(at, at):
            if span.first < at:
                upper = Span(at, span.last, span.offsets, span.capacity)
                span.last = at - 1
                self.spans.insert(self.spans.index(span) + 1, upper)


def ranges(area):
    """The indices of an area: one range, or two where they wrap around."""
    first, last = area.anon_index(area.start), area.anon_index(area.end - 1)
    return [(first, last)] if first <= last else [(first, LAST), (0, last)]


def offset(area):
    return (area.start - area.anon_index(area.start)) % WRAP


def tracked(area):
    """Does the area need a record of its offset?"""
    private = area.file is None or not area.flags & (VM_SHARED | VM_MAYSHARE)
    return area.word is not None and private and offset(area) != 0


class CowContext(Scheme):
    """Rules G17, G19. A page's word is a Context, an area's True once it was marked."""

    files = "interval_tree"
    linear = True
    keeps_words = True
    faithful = False

    def __init__(self, machine):
        super().__init__(machine)
        self.contexts = []
        self.leaked = Counter()

    # --- contexts ---------------------------------------------------------------------------------------------------

    def mm_exec(self, mm):
        mm.word = Context(mm)
        self.contexts.append(mm.word)

    def mm_fork(self, child, parent):
        self.take("anonmm", parent.word)
        child.word = Context(child, parent.word)
        parent.word.children.insert(0, child.word)
        parent.word.refs += 1
        self.contexts.append(child.word)

    def mm_exit(self, mm):
        mm.word.mm = None
        self.put(mm.word)
        mm.word = None

    def put(self, context):
        """One reference less; who has none goes, and with it its reference on the parent."""
        context.refs -= 1
        while context.refs == 0:
            self.contexts.remove(context)
            if self.faithful:
                self.leaked.update(span.capacity for span in context.spans if span.capacity and span.first >= 1 << 32)
            if context.parent is None:
                return
            self.take("anonmm", context.parent)
            context.parent.children.remove(context)
            context = context.parent
            context.refs -= 1

    # --- records ----------------------------------------------------------------------------------------------------

    def add(self, context, first, last, off):
        if not self.faithful and self.stands(context, first, last, off):
            return
        context.cut(first)
        context.cut(last + 1)
        at, spans = first, []
        for span in context.overlapping(first, last):
            if span.first > at:
                spans.append(Span(at, span.first - 1, [off]))
            self.append(span, off)
            spans.append(span)
            at = span.last + 1
        if at <= last:
            spans.append(Span(at, last, [off]))
        below = [span for span in context.spans if span.last < first]
        context.spans = below + spans + [span for span in context.spans if span.first > last]

    def stands(self, context, first, last, off):
        """Is the offset recorded for all of these indices?"""
        spans = [span for span in context.overlapping(first, last) if off in span.offsets]
        return sum(min(span.last, last) - max(span.first, first) + 1 for span in spans) == last - first + 1

    def append(self, span, off):
        offsets = span.offsets
        if not self.faithful and off in offsets:
            return
        if len(offsets) >= max(span.capacity, 1):
            span.capacity = max(2, 2 * span.capacity)
        place = next((place for place, one in enumerate(offsets) if one >= off), len(offsets))
        if offsets[place:place + 1] == [off]:
            return
        if self.faithful and place < len(offsets):  # hole 4
            above = offsets[place + 1:]
            offsets[place:] = [off, above[0] if above else UNWRITTEN, *above]
        else:
            offsets.insert(place, off)

    def record(self, area):
        for first, last in ranges(area):
            self.add(area.mm.word, first, last, offset(area))

    def forget(self, context, first, last, off):
        for at in (first, last + 1):
            if any(off in span.offsets for span in context.overlapping(at, at)):
                context.cut(at)
        for span in context.overlapping(first, last):
            if off in span.offsets:
                span.offsets.remove(off)
        context.spans = [span for span in context.spans if span.offsets]

    def overwrite(self, context, first, last, old, new):
        """Of whole spans (hole 6). False: none has the old one."""
        found = False
        for span in context.overlapping(first, last):
            if old in span.offsets:
                span.offsets[span.offsets.index(old)] = new
                found = True
        return found

    # --- areas ------------------------------------------------------------------------------------------------------

    def area_clone(self, piece, source):
        if not tracked(piece):
            return
        if self.faithful:
            old = (source.start - piece.anon_index(piece.start)) % WRAP
            for first, last in ranges(piece):
                if not self.overwrite(piece.mm.word, first, last, old, offset(piece)):
                    self.add(piece.mm.word, first, last, offset(piece))
        else:
            self.record(piece)

    def area_import(self, area, giver):
        if giver.word is not None:
            area.word = True
            if not self.faithful and tracked(area):
                self.record(area)

    def bounds_changed(self, area, moved):
        for one in (moved, area):
            if one and not self.faithful and tracked(one):
                self.record(one)

    def area_unlink(self, area):
        if not self.faithful and tracked(area):
            for first, last in ranges(area):
                self.forget(area.mm.word, first, last, offset(area))

    def area_fork(self, child, parent):
        child.word = parent.word
        if tracked(child):
            self.record(child)
        if self.faithful and parent.file and tracked(parent):
            self.record(parent)

    def anon_prepare(self, area):
        if area.word is None:
            area.word = True
            if tracked(area) and not (self.faithful and area.file is None):
                self.record(area)

    def compatible(self, area, source):
        return not self.faithful or area.word is (source.word if source else None)  # hole 13

    def may_bridge(self, prev, following):
        return True

    # --- pages ------------------------------------------------------------------------------------------------------

    def page_first(self, frame, area, vpn):
        if frame.word is not None:
            if frame.slot:
                return
            self.put(frame.word)
        frame.word = area.mm.word
        if not self.faithful and not self.machine.comes_back_alone(frame):
            while frame.word.parent:
                frame.word = frame.word.parent
        frame.word.refs += 1
        frame.index = area.anon_index(vpn)

    def page_last(self, frame):
        if not frame.slot:
            self.page_freed(frame)

    def page_freed(self, frame):
        if frame.word is not None:
            self.put(frame.word)
            frame.word = None

    def page_reused(self, frame, area):
        if frame.word is not area.mm.word:
            area.mm.word.refs += 1
            self.put(frame.word)
            frame.word = area.mm.word

    # --- walks ------------------------------------------------------------------------------------------------------

    def candidates(self, frame, purpose):
        for context in self.order(frame.word):
            if context.mm is None:
                continue
            self.count["mms_tried"] += 1
            exclusive = frame.mapcount < 2
            yield from self.tried(context.mm, frame.index, 0)
            if self.faithful and exclusive and frame.mapcount < 2:  # holes 1, 2, 9
                return
            for span in context.overlapping(frame.index, frame.index):
                for off in span.offsets:
                    yield from self.tried(context.mm, frame.index, off)

    def order(self, context):
        self.count["nodes_visited"] += 1
        yield context
        yield from self.below(context)

    def below(self, context):
        """All descendants, children before their parents, newest first."""
        for child in context.children:
            self.count["nodes_visited"] += 1
            yield from self.below(child)
            yield child

    def tried(self, mm, index, off):
        vpn = (index + off) % WRAP
        area = mm.find(vpn)
        self.count["vma_lookups"] += 1
        if area and area.start <= vpn:
            self.count["vmas_tried"] += 1
            if offset(area) == off:
                yield mm, area, vpn

    # --- what it keeps ----------------------------------------------------------------------------------------------

    def census(self):
        """{name: how many} of what memory() counts."""
        arrays = Counter(self.leaked)
        nodes = 0
        for context in self.contexts:
            arrays.update(span.capacity for span in context.spans if span.capacity)
            nodes += self.nodes(context)
        return {"cow_context": len(self.contexts), "maple_node": nodes, "arrays": {size: n for size, n in arrays.items() if n}}

    def nodes(self, context):
        """The least nodes that a maple tree of these ranges can have."""
        slots = at = 0
        for span in context.spans:
            slots += 1 + (span.first > at)
            at = span.last + 1
        level = -(-(slots + 1) // 16) if slots else 0
        nodes = level
        while level > 1:
            level = -(-level // 10)
            nodes += level
        return nodes

    def check(self):
        machine = self.machine
        refs = Counter(id(frame.word) for frame in machine.frames if frame.word is not None and frame.file is None)
        refs.update(id(mm.word) for mm in machine.mms)
        refs.update(id(context.parent) for context in self.contexts if context.parent)
        for context in self.contexts:
            require(context.refs == refs[id(context)], "G17: references", context.refs, refs[id(context)])
            require(all(child.parent is context and child in self.contexts for child in context.children), "G17: children")
            at = 0
            for span in context.spans:
                require(at <= span.first <= span.last and span.offsets, "G18: spans", span.first, span.last)
                require(span.capacity or len(span.offsets) == 1, "G18: array", span.first)
                require(self.faithful or span.offsets == sorted(set(span.offsets)), "G18: order", span.first)
                at = span.last + 1
        for mm in machine.mms:
            require(mm.word.mm is mm and mm.word in self.contexts, "G17: mm", mm.pid)
            if not self.faithful:
                self.check_entries(mm)

    def check_entries(self, mm):
        """A walk would come by all that is mapped."""
        above, kin = mm.word, []
        while above:
            kin.append(above)
            above = above.parent
        for vpn, entry in mm.entries.items():
            if entry.pfn > 0 and self.machine.frames[entry.pfn].anon:
                frame = self.machine.frames[entry.pfn]
                off = (vpn - frame.index) % WRAP
                require(frame.word in kin, "G17: kin", mm.pid, vpn)
                require(off == 0 or self.stands(mm.word, frame.index, frame.index, off), "G18: record", mm.pid, vpn)


class CowContext202605(CowContext):
    """Rules G17, G18: with its holes."""

    faithful = True
