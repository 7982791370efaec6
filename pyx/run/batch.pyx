"""Batches: many accesses, or many look-ups, in one call.

Pages that follow one another go in groups of TOUCHED: their entries are fetched together before the first one is read. What
a batch does is what the single accesses would have done, in the same order: each is looked at when those before it are done.
"""
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport ESRCH
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, strchr

from rmapcore.pyx.base.counters cimport C_FAULTS_ZERO
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, slot_t, vpn_t
from rmapcore.pyx.base.records cimport OP_READ, OP_WRITE, R_FREED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.x86 cimport PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_RW, pte_get, pte_pfn, pte_present, pte_set
from rmapcore.pyx.machine.pagetable cimport TOUCHED, Cursor, pt_lookup, pt_place
from rmapcore.pyx.machine.vmas cimport peek_vma
from rmapcore.pyx.run.batch cimport FAULT_KINDS, KIND_MASK, SHORT, Touches, find_mm, kind_since, place_of
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel

import numpy as np
from numpy import ndarray

SLICE = 1 << 18               # pages or frames worked on between two looks for signals: some 50 ms


cdef inline bint writes_at(const Touches* t, uint64_t at) noexcept nogil:
    return t.write[at] != 0 if t.write else t.writes


cdef uint32_t fresh_run(State* s, const Touches* t, mm_id mm, const vpn_t* vpn, const slot_t* slot, uint64_t at,
                        uint32_t n) noexcept nogil:
    """How many of n accesses are first touches of anonymous memory, all alike, with frames enough for them; at least 1.

    A page may be among them twice.
    """
    cdef uint32_t i = 0
    cdef uint32_t v = peek_vma(s, mm, vpn[0])
    if n > s.h.frames_free:
        n = <uint32_t> s.h.frames_free
    if v and s.area[v].file == 0:
        while (i < n and slot[i] and pte_get(s, slot[i]) == 0 and s.area[v].start <= vpn[i] < s.area[v].end
               and writes_at(t, at + i) == writes_at(t, at) and (t.pid == NULL or t.pid[at + i] == t.pid[at])):
            i += 1
    return i if i else 1


cdef bint comes_again(const vpn_t* vpn, uint32_t n) noexcept nogil:
    """Is page n one of the n before it?"""
    cdef uint32_t i
    for i in range(n):
        if vpn[i] == vpn[n]:
            return True
    return False


cdef int fault_some(Kernel k, Touches* t, mm_id mm, const vpn_t* vpn, const slot_t* slot, uint32_t n) noexcept nogil:
    """The next access, which its entry does not allow, and those of the n after it that are the same kind of fault."""
    cdef State* s = k.s
    cdef uint64_t at = t.done
    cdef uint64_t[FAULT_KINDS] before
    cdef uint64_t freed = s.h.reclaimed[R_FREED]
    cdef uint16_t kind
    cdef uint32_t i
    cdef Cursor c
    cdef int status
    if k.account is not None:
        k.account.turn(mm, OP_WRITE if writes_at(t, at) else OP_READ, vpn[0], False)
    memcpy(before, &s.count[C_FAULTS_ZERO], sizeof(before))
    c.leaf = 0
    status = k.touch(mm, vpn, fresh_run(s, t, mm, vpn, slot, at, n), writes_at(t, at), &c, &t.done)
    kind = kind_since(s, before, freed)
    n = <uint32_t> (t.done - at)
    for i in range(n):
        if t.kind:
            t.kind[at + i] = kind
        if t.place:
            t.place[at + i] = place_of(s, pte_get(s, pt_lookup(s, mm, vpn[i])), t.address[at + i])
    if t.kind and s.count[C_FAULTS_ZERO] - before[0] not in (0, n):
        for i in range(1, n):
            if comes_again(vpn, i):
                t.kind[at + i] = 0
    return status


cdef int touch_group(Kernel k, Touches* t, uint32_t n) noexcept nogil:
    """The next n accesses, TOUCHED at most."""
    cdef State* s = k.s
    cdef uint64_t first = t.done
    cdef vpn_t[TOUCHED] vpn
    cdef slot_t[TOUCHED] slot
    cdef mm_id[TOUCHED] mm
    cdef uint64_t entry
    cdef uint32_t i
    cdef bint write
    cdef int status
    cdef Cursor c
    c.leaf = 0
    for i in range(n):
        vpn[i] = t.address[first + i] >> PAGE_SHIFT
        mm[i] = t.mm
        if t.pid:
            mm[i] = find_mm(s, t.pid[first + i])
            if i and mm[i] != mm[i - 1]:
                c.leaf = 0
        slot[i] = pt_place(s, mm[i], vpn[i], &c) if mm[i] else 0
    i = 0
    while i < n:
        write = writes_at(t, t.done)
        entry = pte_get(s, slot[i])            # slot 0 belongs to no table and holds nothing
        if entry & PTE_PRESENT and (entry & PTE_RW or not write):
            s.h.op_index += 1
            pte_set(s, slot[i], entry | PTE_ACCESSED | (PTE_DIRTY if write else 0))
            if s.stamp and write:
                s.stamp[pte_pfn(s, entry)] = s.h.op_index
            if t.kind:
                t.kind[t.done] = 0
            if t.place:
                t.place[t.done] = place_of(s, entry, t.address[t.done])
            t.done += 1
        elif mm[i] == 0:
            s.h.op_index += 1
            return ESRCH
        else:
            status = fault_some(k, t, mm[i], vpn + i, slot + i, n - i)
            if status != E_OK or k.anon.failed:
                return status
        i = <uint32_t> (t.done - first)
    return E_OK


cdef int touch_some(Kernel k, Touches* t, uint64_t budget) noexcept nogil:
    cdef uint64_t end = t.n if t.n - t.done < budget else t.done + budget
    cdef vpn_t[TOUCHED] vpn
    cdef uint32_t i, n
    cdef int status = E_OK
    cdef bint alike = t.pid == NULL and t.write == NULL and t.kind == NULL and t.place == NULL
    cdef Cursor c
    c.leaf = 0
    while t.done < end and status == E_OK and not k.anon.failed:
        n = TOUCHED if end - t.done > TOUCHED else <uint32_t> (end - t.done)
        if alike:
            for i in range(n):
                vpn[i] = t.address[t.done + i] >> PAGE_SHIFT
            if k.account is not None:
                k.account.turn(t.mm, OP_WRITE if t.writes else OP_READ, vpn[0], False)
            status = k.touch(t.mm, vpn, n, t.writes, &c, &t.done)
        else:
            status = touch_group(k, t, n)
    return status


cdef void translate_all(State* s, mm_id mm, uint64_t n, const uint64_t* address, int64_t* place) noexcept nogil:
    cdef slot_t[TOUCHED] slot
    cdef uint64_t at = 0
    cdef uint64_t entry
    cdef uint32_t i, group
    cdef Cursor c
    c.leaf = 0
    while at < n:
        group = TOUCHED if n - at > TOUCHED else <uint32_t> (n - at)
        for i in range(group):
            slot[i] = pt_place(s, mm, address[at + i] >> PAGE_SHIFT, &c)
        for i in range(group):
            entry = pte_get(s, slot[i])
            place[at + i] = <int64_t> place_of(s, entry, address[at + i]) if pte_present(entry) else -1
        at += group


# --- for Python ---------------------------------------------------------------------------------------------------------


cdef dict faults_since(State* s, const uint64_t* before):
    """{kind of fault: how many since}"""
    cdef uint64_t* now = &s.count[C_FAULTS_ZERO]
    return {"zero": now[0] - before[0], "file": now[1] - before[1], "swapin": now[2] - before[2], "cow": now[3] - before[3],
            "spurious": now[4] - before[4]}


cdef uint64_t number(Kernel k, object value, str what) except? 0xBAD0BAD0:
    """An argument of 64 bits."""
    if PyLong_CheckExact(value):
        try:
            return PyLong_AsUnsignedLongLong(value)
        except OverflowError:
            pass
    return k.checked(value, what)


cdef class Borrowed:
    """The memory of an array in one dimension, for as long as this lives; or of one number."""
    cdef uint64_t one
    cdef Py_buffer view
    cdef bint held
    cdef void* at
    cdef Py_ssize_t n

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    cdef bint fits(self, object array, const char* letters) except -1:
        try:
            PyObject_GetBuffer(array, &self.view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (BufferError, ValueError):
            return False
        if self.view.ndim != 1 or strchr(letters, self.view.format[0]) == NULL:
            PyBuffer_Release(&self.view)
            return False
        self.held = True
        self.at = self.view.buf
        self.n = self.view.len // self.view.itemsize
        return True


cdef Borrowed borrow(object array, const char* letters, object convert):
    """letters: formats of elements that are right as they are.  convert: makes an array of what is not."""
    cdef Borrowed found = Borrowed.__new__(Borrowed)
    if type(array) is not ndarray or not found.fits(array, letters):
        found.fits(convert(array), letters)
    return found


cdef Borrowed borrow_addresses(Kernel k, object addresses):
    cdef Borrowed found
    if not PyLong_CheckExact(addresses):
        return borrow(addresses, b"LQ", addresses_of)
    found = Borrowed.__new__(Borrowed)
    found.one = number(k, addresses, "addresses")
    found.at = &found.one
    found.n = 1
    return found


cdef object whole_numbers(values, str what, dtype):
    """values as a contiguous array of an unsigned dtype, in one dimension."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{what}: they must be whole numbers, not {array.dtype}")
    if array.size and (array.min() < 0 or array.max() > np.iinfo(dtype).max):
        raise ValueError(f"{what}: they must be numbers from 0 to {np.iinfo(dtype).max}")
    return np.ascontiguousarray(array.ravel(), dtype)


def addresses_of(values):
    return whole_numbers(values, "addresses", np.uint64)


def pids_of(values):
    return whole_numbers(values, "process", np.uint32)


def truths_of(values):
    array = np.asarray(values)
    if array.size and array.dtype.kind != "b":
        raise TypeError(f"write: True, False or an array of them, not of {array.dtype}")
    return np.ascontiguousarray(array.ravel(), bool)


def touch(Kernel k not None, uint32_t pid, addresses, write, process=None, bint kinds=False):
    """Touches one page per address (bytes), in order: {kind of fault: how many}, or with kinds the kind of each, uint8.

    write, process (pids): one for all, or an array of as many. Raises what k.fails makes of a status.
    """
    cdef Touches t
    cdef Borrowed where = borrow_addresses(k, addresses)
    cdef Borrowed writes, pids, found
    cdef uint64_t[FAULT_KINDS] before
    cdef uint64_t i
    cdef object answer = None
    t.address = <const uint64_t*> where.at
    t.n = where.n
    t.done = 0
    t.pid = NULL
    t.write = NULL
    t.writes = False
    t.kind = NULL
    t.place = NULL
    if write is True or write is False:
        t.writes = write
    elif np.ndim(write) == 0:
        t.writes = bool(write)
    else:
        writes = borrow(write, b"?", truths_of)
        if writes.n != where.n:
            raise ValueError(f"write: {writes.n} elements for {where.n} addresses")
        t.write = <const uint8_t*> writes.at
    if process is not None:
        pids = borrow(process, b"I", pids_of)
        if pids.n != where.n:
            raise ValueError(f"process: {pids.n} elements for {where.n} addresses")
        t.pid = <const uint32_t*> pids.at
    if kinds:
        answer = np.empty(where.n, np.uint8)
        found = borrow(answer, b"B", None)
        t.kind = <uint16_t*> PyMem_Malloc(sizeof(uint16_t) * t.n + 1)
        if t.kind == NULL:
            raise MemoryError
    try:
        k.operation.enter()
        try:
            t.mm = find_mm(k.s, pid)
            memcpy(before, &k.s.count[C_FAULTS_ZERO], sizeof(before))
            touch_all(k, &t)
            if not kinds:
                return faults_since(k.s, before)
        finally:
            k.operation.leave()
        for i in range(t.n):
            (<uint8_t*> found.at)[i] = <uint8_t> (t.kind[i] & KIND_MASK)
        return answer
    finally:
        PyMem_Free(t.kind)


cdef int touch_all(Kernel k, Touches* t) except -1:
    """Slice by slice, up to the end or the first failure."""
    cdef int status = E_OK
    cdef uint64_t budget
    if t.mm == 0 and t.pid == NULL:
        k.fails(k, ESRCH, 0)
    while t.done < t.n:
        budget = SLICE
        k.step.enter()
        if t.n <= SHORT:
            status = touch_some(k, t, budget)
        else:
            with nogil:
                status = touch_some(k, t, budget)
        if k.account is not None:
            k.account.rest()
        k.step.leave()
        if k.anon.failed:
            k.anon.raise_kept()
        if status != E_OK:
            k.fails(k, status, t.done)
        PyErr_CheckSignals()
    return 0


def translate(Kernel k not None, uint32_t pid, addresses):
    """Physical addresses (bytes, int64) of addresses of a process; -1 where no page is mapped. Nothing is touched or counted.

    One address that is a plain int gives an int. Raises what k.fails makes of ESRCH.
    """
    cdef Borrowed where = borrow_addresses(k, addresses)
    cdef Borrowed found
    cdef mm_id mm
    cdef int64_t place
    cdef object answer = None
    if where.at != &where.one:
        answer = np.empty(where.n, np.int64)
        found = borrow(answer, b"lq", None)
    k.alone.enter()
    try:
        mm = find_mm(k.s, pid)
        if mm == 0:
            k.fails(k, ESRCH, 0)
        if answer is None:
            translate_all(k.s, mm, 1, &where.one, &place)
            return place
        if where.n <= SHORT:
            translate_all(k.s, mm, where.n, <const uint64_t*> where.at, <int64_t*> found.at)
        else:
            with nogil:
                translate_all(k.s, mm, where.n, <const uint64_t*> where.at, <int64_t*> found.at)
        return answer
    finally:
        k.alone.leave()
