"""How the schemes with anon_vma_chains are shown: their objects, and whom a walk asks."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.base.records cimport PG_ANON, Frame
from rmapcore.pyx.parts.shown cimport areas_shown, frames_shown, live_areas, records_shown
from rmapcore.pyx.schemes.anon_vma_chain.chains cimport AVC_LINK, CHAINED_LINK, AvChains, AvcRecord, ChainedRecord


cdef class ShownChains(AvChains):
    """Base of those with lists and of those with trees."""

    cdef bint asked(self, uint32_t c, uint64_t index) noexcept nogil:
        return True

    def of(self, word):
        """What a word of a frame or an area names."""
        return {"anon_vma": ("anon_vma", word)}

    def structure(self):
        cdef uint32_t o, c
        cdef vma_id v
        cdef list rows = frames_shown(self.s, PG_ANON, self.of) + areas_shown(self.s, self.of)
        for o in sorted(records_shown(self.s, self.anon_vmas, self.anon_vma, sizeof(ChainedRecord), CHAINED_LINK)):
            links = {"in walk order": [("anon_vma_chain", c) for c in self.survey(o, [])]}
            if self.anon_vma[o].parent != o:
                links["parent"] = "anon_vma", self.anon_vma[o].parent
            rows.append(("anon_vma", o, {"children": self.anon_vma[o].children, "users": self.anon_vma[o].users}, links))
        for c in sorted(records_shown(self.s, self.avcs, self.avc, sizeof(AvcRecord), AVC_LINK)):
            links = {"area": ("area", self.avc[c].vma), "anon_vma": ("anon_vma", self.avc[c].anon_vma)}
            rows.append(("anon_vma_chain", c, {}, links))
        for v in live_areas(self.s):
            if self.chain[v].newest:
                rows.append(("area", v, {}, {"chain, newest first": self.chained(v)}))
        return rows

    cdef list chained(self, vma_id v):
        """The chain of an area."""
        cdef list found = []
        cdef uint32_t c = self.chain[v].newest
        while c and len(found) < <Py_ssize_t> self.s.pool[self.avcs].bump:
            found.append(("anon_vma_chain", c))
            c = self.avc[c].older
        return found

    def route(self, pfn):
        cdef Frame* f = &self.s.frame[<uint32_t> pfn]
        cdef list met = [("anon_vma", f.rmap)]
        cdef uint32_t c
        for c in self.survey(f.rmap, []):
            if self.asked(c, f.index):
                met += [("anon_vma_chain", c), ("area", self.avc[c].vma)]
        return met
