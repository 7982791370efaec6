"""Hooks and walks in Python: what a class says is checked before it is used (given.pyx), and what it raises is kept.

A hook runs where nothing can be raised. Its first exception is kept, and whoever entered the machine raises it when the
operation has ended: raise_kept. Until then the other hooks are called as ever, so that the scheme goes on knowing its pages,
but walks find nothing any more.
"""
from libc.string cimport memset

from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.base.records cimport P_AREAS, PG_ANON
from rmapcore.pyx.seam.given cimport most_candidates, take_candidate
from rmapcore.pyx.seam.scheme cimport HIT_NONE, WALK_SWEEP, Scheme, Walk

from collections.abc import Generator

from rmapcore.pyx.seam.given import frame_number, no_answer, purpose_number, shown, truth


cdef class Hooked(Scheme):
    """What Prototype is made of: hooks that are methods in Python, a walk that is a generator, and an inner scheme."""

    def __cinit__(self):
        self.walks = {}

    def raise_kept(self):
        self.deaf = False
        try:
            if self.inner is not None:
                self.inner.raise_kept()        # it may be a prototype too, which heard of it first
        finally:
            Scheme.raise_kept(self)

    # hooks of the subclass. Nothing can be raised where they are called, so their first exception is kept

    cdef void tell(self, str hook, tuple arguments) noexcept:
        """One without an answer."""
        if self.deaf:
            return
        try:
            no_answer(getattr(self, hook)(*arguments))
        except BaseException as error:
            self.keep(hook, error)

    cdef bint ask(self, str hook, tuple arguments, bint otherwise) noexcept:
        """One that says True or False. otherwise: what holds if it says nothing of the kind."""
        if self.deaf:
            return otherwise
        try:
            return truth(getattr(self, hook)(*arguments))
        except BaseException as error:
            self.keep(hook, error)
            return otherwise

    cdef bint lets_go(self, pfn_t pfn, bint answer) noexcept:
        """may_move: the engine answers a no with a copy and asks again, so that a no to the copy would loop."""
        if answer or self.s.frame[pfn].mapcount > 1:
            return answer
        self.keep("may_move", ValueError(f"frame {pfn} is mapped once: it moves, and page_moved says where to"))
        return True

    cdef void keep(self, str hook, object error) noexcept:
        """The first exception comes out of the call. One that is no Exception (Ctrl-C) is to end it soon: no hook is called
        any more until it has come out."""
        cdef Scheme scheme
        if not isinstance(error, Exception):
            self.deaf = True
        if self.error is not None and not self.deaf:
            return
        self.error = error
        scheme = self
        while scheme is not None:              # whoever asks, asks the outermost
            scheme.failed = True
            scheme = scheme.outer
        try:
            error.add_note(f"in {hook} of scheme {self.name}")
        except Exception:                      # notes that are no list, or a class that has other ideas: it goes without
            self.error = error

    # a walk in Python: w.a number of its generator, w.b outcome of the candidate given last, w.c: one was given, w.d how many
    cdef void open(self, Walk* w) noexcept:
        w.a = 0
        w.c = 0
        w.d = 0
        if self.failed:
            return
        try:
            generator = self.walk(w.pfn, w.purpose)
            if not isinstance(generator, Generator):
                raise TypeError(f"{shown(generator)} is no generator: walk has to yield")
            self.opened += 1
            w.a = self.opened
            self.walks[w.a] = generator
        except BaseException as error:
            self.keep("walk", error)

    cdef bint step(self, Walk* w) noexcept:
        """The next candidate; False too for one that cannot be, and when the walk is longer than there are candidates."""
        generator = self.walks.get(w.a)
        if generator is None or self.failed:
            return False
        try:
            candidate = generator.send(w.b if w.c else None)
            take_candidate(self.s, w, candidate)
            if w.d == most_candidates(self.s, w):
                raise ValueError(f"{w.d} candidates are more than there can be, and no end: the last was {shown(candidate)}")
        except StopIteration:
            return False
        except BaseException as error:
            self.keep("walk", error)
            return False
        w.c = 1
        w.d += 1
        return True

    cdef void close(self, Walk* w) noexcept:
        try:
            generator = self.walks.pop(w.a, None)
            if generator is not None:
                generator.close()
        except BaseException as error:
            self.keep("walk", error)

    # the inner scheme's walks. It may have missed what the subclass hears instead, and then its lists need have no end

    cdef void begin(self, Walk* w) noexcept nogil:
        self.inner.walk_begin(w)
        self.given = 0
        if self.inner.circle(w):
            with gil:
                self.keep("walk", ValueError(f"the walk of frame {w.pfn} goes in a circle under {self.inner.name}, which was "
                                             "not told of something"))

    cdef bint next(self, Walk* w) noexcept nogil:
        if self.failed or not self.inner.walk_next(w):
            return False
        self.given += 1
        if self.given <= self.s.pool[P_AREAS].bump or self.given <= most_candidates(self.s, w):
            return True
        with gil:
            self.keep("walk", ValueError(f"{self.inner.name} gives more candidates than there can be, and no end"))
        return False

    def candidates(self, pfn, purpose):
        """The inner scheme's candidates for one frame, as (mm, vma, vpn, slot); nothing is looked up or reported.

        Nothing for a frame that is not anonymous. ValueError without an inner scheme, for what is no frame and no purpose, and
        when the inner scheme goes in a circle.
        """
        cdef Walk w
        cdef list found = []
        if self.inner is None or self.inner.core is None:
            raise ValueError(f"scheme {self.name} has no inner scheme, or no machine yet: there are no candidates")
        memset(&w, 0, sizeof(Walk))
        w.purpose = purpose_number(purpose)
        w.pfn = frame_number(pfn, self.s.n_frames)
        if w.purpose != WALK_SWEEP and not self.s.frame[w.pfn].flags & PG_ANON:
            return found
        self.begin(&w)
        while self.next(&w):
            found.append((w.mm, w.vma, w.vpn, w.slot))
            self.inner.walk_hit(&w, HIT_NONE)
        self.inner.walk_end(&w, False)
        return found
