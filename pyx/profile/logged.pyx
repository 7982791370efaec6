"""A scheme, or a file side, whose locks a log sees on their way (locks.pxd); a ledger sees it too, as in watched.pyx."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport mm_id, slot_t, vma_id, vpn_t
from rmapcore.pyx.profile.ledger cimport Ledger
from rmapcore.pyx.profile.locks cimport LockLog
from rmapcore.pyx.profile.watched cimport Watched
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Lead, Outcome, Scheme, Walk

from rmapcore.pyx.profile.watched import watch


def log_locks(Kernel k, const uint64_t[::1] cost, uint64_t operation, uint64_t area, uint64_t object, uint64_t table_of):
    """The locks of this Kernel's machine are logged from now on: a LockLog. Once a machine; the caller holds it."""
    watch(k)
    ledger = k.account
    log = LockLog(k, ledger, cost, operation, area, object, table_of)
    k.watch(log, Logged((<Watched> k.anon).watched, ledger, False, log), Logged((<Watched> k.side).watched, ledger, True, log))
    return log


cdef class Logged(Watched):
    cdef LockLog log

    def __init__(self, Scheme watched, Ledger ledger, bint of_files, LockLog log):
        Watched.__init__(self, watched, ledger, of_files)
        self.log = log

    cdef void want(self) noexcept nogil:
        Watched.want(self)
        self.wants_entries = True              # whose page tables are copied and emptied

    cdef uint32_t object_of(self, vma_id v) noexcept nogil:
        """Whose lock guards what this side keeps of an area; 0: nobody's."""
        return self.s.area[v].file if self.of_files else self.watched.lock_of_area(v)

    cdef uint32_t enter(self, vma_id changes, vma_id v) noexcept nogil:
        """A hook is about to be called: what object_of says of v before it. changes: an area that is to change; 0: none."""
        if changes:
            self.log.mark_area(changes)
        self.log.enter()
        return self.object_of(v)

    cdef void mm_exec(self, mm_id mm) noexcept nogil:
        Watched.mm_exec(self, mm)
        if self.watched.lock_of_mm(mm, True):
            self.log.born(self.watched.lock_of_mm(mm, True))

    cdef void mm_fork(self, mm_id child, mm_id parent) noexcept nogil:
        cdef uint32_t o = self.watched.lock_of_mm(parent, True)
        cdef uint32_t own
        self.log.enter()
        Watched.mm_fork(self, child, parent)
        self.log.leave(o, o)
        self.log.parent = parent
        own = self.watched.lock_of_mm(child, True)
        if own != o:
            self.log.born(own)
        self.log.forked(child)

    cdef void mm_exit(self, mm_id mm) noexcept nogil:
        cdef uint32_t o = self.watched.lock_of_mm(mm, False)
        self.log.enter()
        Watched.mm_exit(self, mm)
        self.log.leave(o, o)

    cdef void area_link(self, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(0, v)
        Watched.area_link(self, v)
        self.log.leave(before, self.object_of(v))

    cdef void area_unlink(self, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(v, v)
        Watched.area_unlink(self, v)
        self.log.leave(before, before)

    cdef void area_before(self, vma_id v) noexcept nogil:
        self.log.mark_area(v)
        self.log.enter()
        Watched.area_before(self, v)
        self.log.bounds_open(self.object_of(v), self.of_files)

    cdef void area_after(self, vma_id v) noexcept nogil:
        self.log.enter()
        Watched.area_after(self, v)
        self.log.bounds_close(self.of_files)

    cdef void area_split(self, vma_id new, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(v, v)
        Watched.area_split(self, new, v)
        self.log.leave(before, self.object_of(v))

    cdef void area_clone(self, vma_id new, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(v, v)
        Watched.area_clone(self, new, v)
        self.log.leave(before, self.object_of(v))

    cdef void area_import(self, vma_id v, vma_id giver) noexcept nogil:
        cdef uint32_t before = self.enter(v, giver)
        Watched.area_import(self, v, giver)
        self.log.leave(before, self.object_of(giver))

    cdef void area_merge(self, vma_id v, vma_id gone) noexcept nogil:
        cdef uint32_t before = self.enter(gone, gone)
        Watched.area_merge(self, v, gone)
        self.log.leave(before, before)

    cdef void area_fork(self, vma_id child, vma_id parent) noexcept nogil:
        cdef uint32_t before = self.enter(parent, parent)
        cdef uint32_t own
        Watched.area_fork(self, child, parent)
        own = self.object_of(child)
        if not self.of_files and own != self.object_of(parent) and self.log.grew():
            self.log.born(own)
        self.log.leave(before, self.object_of(parent))

    cdef void area_nonlinear(self, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(0, v)
        Watched.area_nonlinear(self, v)
        self.log.leave(before, self.object_of(v))

    cdef void area_emptied(self, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(0, v)
        Watched.area_emptied(self, v)
        self.log.leave(before, before)

    cdef void pages_forked(self, vma_id child, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if (self.s.area[child].file != 0) == self.of_files:     # both sides hear of a file's area
            self.log.tables_copied(self.s.area[child].mm, self.log.parent, vpn, n)
        Watched.pages_forked(self, child, vpn, slot, n)

    cdef void pages_unmapping(self, vma_id v, vpn_t vpn, slot_t slot, uint32_t n) noexcept nogil:
        if (self.s.area[v].file != 0) == self.of_files:
            self.log.table_empties(self.s.area[v].mm, vpn, n)
        Watched.pages_unmapping(self, v, vpn, slot, n)

    cdef void anon_prepare(self, vma_id v) noexcept nogil:
        cdef uint32_t before = self.enter(0, v)
        Watched.anon_prepare(self, v)
        self.log.leave(before, self.object_of(v))

    cdef void lead(self, Lead* leads, uint32_t n) noexcept nogil:
        """Only what fetching needs: nobody sees a lock of a walk that its lead settles."""
        cdef uint32_t i
        Watched.lead(self, leads, n)
        for i in range(n):
            leads[i].tried = 0

    cdef void walk_begin(self, Walk* w) noexcept nogil:
        cdef uint32_t o = self.s.frame[w.pfn].owner if self.of_files else self.watched.lock_of_frame(w.pfn)
        self.log.walk_begins(w)
        Watched.walk_begin(self, w)
        self.log.walk_began(w, o)

    cdef void walk_hit(self, Walk* w, Outcome outcome) noexcept nogil:
        self.log.candidate(w.mm, w.vpn)
        Watched.walk_hit(self, w, outcome)

    cdef void walk_end(self, Walk* w, bint complete) noexcept nogil:
        Watched.walk_end(self, w, complete)
        self.log.walk_ends(w)
