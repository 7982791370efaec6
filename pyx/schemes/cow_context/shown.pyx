"""How the COW contexts are shown: their tree, what was moved, and whom a walk asks."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, vma_id
from rmapcore.pyx.base.records cimport PG_ANON, Frame
from rmapcore.pyx.parts.shown cimport frames_shown, mms_shown, records_shown
from rmapcore.pyx.schemes.cow_context.contexts cimport CowContexts, area_at
from rmapcore.pyx.schemes.cow_context.remaps cimport CONTEXT_LINK, LAST_INDEX, ContextRecord


cdef class ShownContexts(CowContexts):
    """Base of both schemes."""

    def structure(self):
        cdef ContextRecord* r
        cdef uint32_t o, e
        cdef list rows = frames_shown(self.s, PG_ANON, "cow_context") + mms_shown(self.s, "cow_context")
        for o in sorted(records_shown(self.s, self.contexts, self.context, sizeof(ContextRecord), CONTEXT_LINK)):
            r = &self.context[o]
            links = {"address space": ("mm", r.mm)} if r.mm else {}
            if r.parent:
                links["parent"] = "cow_context", r.parent
            e = self.met(o, 0, LAST_INDEX)
            moved = []
            while e:
                moved.append(("remap", e))
                fields = {"indices": (self.node[e].start, self.node[e].last), "offsets": self.offsets_of(e)}
                rows.append(("remap", e, fields, {}))
                e = self.following(e, 0, LAST_INDEX)
            rows.append(("cow_context", o, {"references": r.refs}, links | ({"moved": moved} if moved else {})))
        return rows

    cdef list offsets_of(self, uint32_t e):
        """The offsets of a span, which wrap, in their order."""
        cdef list found = []
        cdef uint32_t c = self.span[e].first
        while c and len(found) < <Py_ssize_t> self.s.pool[self.offsets].bump:
            found.append(self.offset[c].off)
            c = self.offset[c].next
        return found

    cdef list lies(self, mm_id mm, uint64_t vpn):
        """The area there, if one is."""
        cdef vma_id v = area_at(self.s, mm, vpn)
        return [("area", v)] if v else []

    def route(self, pfn):
        cdef Frame* f = &self.s.frame[<uint32_t> pfn]
        cdef uint32_t o = f.rmap
        cdef uint64_t off
        cdef uint32_t e
        cdef mm_id mm
        cdef list met = []
        while o:
            met.append(("cow_context", o))
            mm = self.context[o].mm
            if mm:
                met += [("mm", mm), *self.lies(mm, f.index)]
                if self.faithful and f.mapcount < 2:           # H1, H2, H9
                    break
                e = self.at(o, f.index)
                if e:
                    met.append(("remap", e))
                    for off in self.offsets_of(e):
                        met += self.lies(mm, f.index + off)
            o = self.onward(o, f.rmap)
        return met
