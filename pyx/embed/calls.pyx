"""System calls, reclaim and look-ups in the reverse map, one at a time (calls.pxd). Each is one operation."""
from libc.errno cimport EBADF, EFAULT, EINVAL, ESRCH
from libc.stdint cimport int64_t, uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport C_SCANNED_PTES, tally
from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id
from rmapcore.pyx.base.records cimport (
    OP_BRK, OP_EXECVE, OP_EXIT, OP_FORK, OP_MADVISE, OP_MMAP, OP_MPROTECT, OP_MREMAP, OP_MUNMAP, OP_RECLAIM, OP_SPAWN,
    OP_TRUNCATE, P_FILES, R_FREED, Operation,
)
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MAP_ANONYMOUS
from rmapcore.pyx.embed.doors cimport CHANGING, HOOK_RAISED, TOO_SMALL, Slot, enter, fail, finish, leave, slots, use_doors
from rmapcore.pyx.engine.fork cimport execve, fork, spawn, tear_down
from rmapcore.pyx.look.users cimport count_entries, find_users, scan_users
from rmapcore.pyx.reclaim.scan cimport scan_begin
from rmapcore.pyx.run.batch cimport find_mm
from rmapcore.pyx.seam.kernel cimport E_OK, Kernel

cdef extern from "rmapcore.h" nogil:
    enum:
        RMAPCORE_SCAN

cdef enum:
    STEP = 1 << 20            # frames that a reclaim looks at at a time; it does not come back in between

use_doors(slots())


cdef inline bint is_file(State* s, uint32_t file) noexcept nogil:
    """Does somebody hold it open under that number?"""
    return 0 < file < s.pool[P_FILES].bump and s.file[file].alive and s.file[file].handle


cdef int reclaim(Kernel k, uint64_t pages) noexcept nogil:
    """k.result: frames freed."""
    cdef uint64_t before = k.s.h.reclaimed[R_FREED]
    scan_begin(&k.scan, pages, False)
    while not k.scan_step(&k.scan, STEP) and not k.anon.failed:
        pass
    k.result = k.s.h.reclaimed[R_FREED] - before
    return E_OK


cdef int perform(Kernel k, const Operation* op, uint64_t* result) noexcept nogil:
    """One operation that is no access: its status. *result: a pid, an address, the break, frames freed."""
    cdef int status
    if k.account is not None:
        k.account.turn(find_mm(k.s, op.process), op.op, op.addr >> PAGE_SHIFT, True)
    status = step(k, op)
    if k.account is not None:
        k.account.rest()
    result[0] = k.result
    return HOOK_RAISED if k.anon.failed else status


cdef int step(Kernel k, const Operation* op) noexcept nogil:
    cdef State* s = k.s
    cdef mm_id mm = find_mm(s, op.process)
    cdef mm_id out
    cdef uint32_t file = 0
    cdef int status
    s.h.op_index += 1
    if op.op == OP_SPAWN:
        status = spawn(k, 0, &out)
        if status == E_OK:
            k.result = s.mm[out].pid
        return status
    if op.op == OP_RECLAIM:
        return reclaim(k, op.arg)
    if op.op == OP_TRUNCATE:
        return k.truncate(op.other, op.arg) if is_file(s, op.other) else EBADF
    if mm == 0:
        return ESRCH
    if op.op == OP_FORK:
        status = fork(k, mm, 0, &out)
        if status == E_OK:
            k.result = s.mm[out].pid
        return status
    if op.op == OP_EXECVE:
        return execve(k, mm, &out)
    if op.op == OP_EXIT:
        tear_down(k, mm)
        return E_OK
    if op.op == OP_MMAP and not op.flags & MAP_ANONYMOUS:
        file = op.other
        if not is_file(s, file):
            return EBADF
    return k.call(mm, op, file)


cdef int users(Kernel k, uint64_t n, const uint32_t* frames, int64_t* offsets, uint32_t* processes,
               uint64_t* addresses) noexcept nogil:
    """Who maps n frames, found through the scheme; a scheme that sweeps pays for a scan of every leaf table."""
    cdef State* s = k.s
    cdef uint64_t i
    if not k.anon.sweeps:
        find_users(k, n, frames, offsets, processes, addresses)
        return HOOK_RAISED if k.anon.failed else E_OK
    tally(s, C_SCANNED_PTES, count_entries(s))
    offsets[0] = 0
    for i in range(n):
        offsets[i + 1] = offsets[i] + <int64_t> scan_users(s, frames[i], s.frame[frames[i]].mapcount, processes + offsets[i],
                                                           addresses + offsets[i])
    return E_OK


# --- as functions of the table: each enters the machine for itself ------------------------------------------------------


cdef int64_t call(uint64_t m, const Operation* op, bint answers) noexcept nogil:
    """Enters for one operation; its result if it has one, else 0."""
    cdef Slot* slot
    cdef uint64_t result = 0
    cdef int status = enter(m, CHANGING, &slot)
    if status:
        return status
    status = slot.call(slot.kernel, op, &result)
    if answers and status == E_OK and <int64_t> result < 0:    # 2.6.7's mremap, where nothing is to do, gives back any address
        status = EINVAL
    return finish(slot, CHANGING, status, op.addr, <int64_t> result if answers else 0)


cdef int64_t do_spawn(uint64_t m) noexcept nogil:
    cdef Operation op = Operation(OP_SPAWN, 0, 0, 0, 0, 0, 0, 0, 0)
    return call(m, &op, True)


cdef int64_t do_fork(uint64_t m, uint32_t process) noexcept nogil:
    cdef Operation op = Operation(OP_FORK, 0, 0, process, 0, 0, 0, 0, 0)
    return call(m, &op, True)


cdef int do_execve(uint64_t m, uint32_t process) noexcept nogil:
    cdef Operation op = Operation(OP_EXECVE, 0, 0, process, 0, 0, 0, 0, 0)
    return <int> call(m, &op, False)


cdef int do_exit(uint64_t m, uint32_t process) noexcept nogil:
    cdef Operation op = Operation(OP_EXIT, 0, 0, process, 0, 0, 0, 0, 0)
    return <int> call(m, &op, False)


cdef int64_t do_mmap(uint64_t m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot, uint32_t flags,
                     uint32_t file, uint64_t offset) noexcept nogil:
    cdef Operation op = Operation(OP_MMAP, prot & 0xFFFF, flags, process, 0 if flags & MAP_ANONYMOUS else file, address, length,
                                  offset, 0)
    return call(m, &op, True)


cdef int do_munmap(uint64_t m, uint32_t process, uint64_t address, uint64_t length) noexcept nogil:
    cdef Operation op = Operation(OP_MUNMAP, 0, 0, process, 0, address, length, 0, 0)
    return <int> call(m, &op, False)


cdef int do_mprotect(uint64_t m, uint32_t process, uint64_t address, uint64_t length, uint32_t prot) noexcept nogil:
    cdef Operation op = Operation(OP_MPROTECT, prot & 0xFFFF, prot & ~<uint32_t> 0xFFFF, process, 0, address, length, 0, 0)
    return <int> call(m, &op, False)


cdef int64_t do_mremap(uint64_t m, uint32_t process, uint64_t old_address, uint64_t old_size, uint64_t new_size, uint32_t flags,
                       uint64_t new_address) noexcept nogil:
    cdef Operation op = Operation(OP_MREMAP, 0, flags, process, 0, old_address, old_size, new_size, new_address)
    return call(m, &op, True)


cdef int do_madvise(uint64_t m, uint32_t process, uint64_t address, uint64_t length, uint32_t advice) noexcept nogil:
    cdef Operation op = Operation(OP_MADVISE, 0, 0, process, 0, address, length, advice, 0)
    return <int> call(m, &op, False)


cdef int64_t do_brk(uint64_t m, uint32_t process, uint64_t address) noexcept nogil:
    cdef Operation op = Operation(OP_BRK, 0, 0, process, 0, address, 0, 0, 0)
    return call(m, &op, True)


cdef int do_truncate(uint64_t m, uint32_t file, uint64_t size) noexcept nogil:
    cdef Operation op = Operation(OP_TRUNCATE, 0, 0, 0, file, 0, 0, size, 0)
    return <int> call(m, &op, False)


cdef int64_t do_reclaim(uint64_t m, uint64_t pages) noexcept nogil:
    cdef Operation op = Operation(OP_RECLAIM, 0, 0, 0, 0, 0, 0, pages, 0)
    return call(m, &op, True)


cdef int64_t do_whomaps_many(uint64_t m, size_t n, const uint32_t* frames, int64_t* offsets, size_t most, uint32_t* processes,
                             uint64_t* addresses) noexcept nogil:
    cdef Slot* slot
    cdef uint64_t needed = 0
    cdef size_t i
    cdef int status
    cdef int code = enter(m, CHANGING, &slot)
    if code:
        return code
    if offsets == NULL or (n and frames == NULL) or (most and (processes == NULL or addresses == NULL)):
        return finish(slot, CHANGING, EFAULT, 0, 0)
    for i in range(n):
        if frames[i] >= slot.s.n_frames:
            return finish(slot, CHANGING, EINVAL, 0, 0)
        needed += slot.s.frame[frames[i]].mapcount if frames[i] else 0
    if needed > most:
        leave(slot, CHANGING)
        return fail(TOO_SMALL, needed)
    offsets[n] = 0
    status = slot.reverse(slot.kernel, n, frames, offsets, processes, addresses)
    return finish(slot, CHANGING, status, 0, offsets[n])


cdef int64_t do_whomaps(uint64_t m, uint32_t frame, int how, size_t most, uint32_t* processes,
                        uint64_t* addresses) noexcept nogil:
    cdef Slot* slot
    cdef int64_t[2] offsets
    cdef uint64_t needed
    cdef int code
    if how != RMAPCORE_SCAN:
        return do_whomaps_many(m, 1, &frame, offsets, most, processes, addresses)
    code = enter(m, 0, &slot)
    if code:
        return code
    if frame >= slot.s.n_frames:
        return finish(slot, 0, EINVAL, 0, 0)
    needed = slot.s.frame[frame].mapcount if frame else 0
    if needed and (processes == NULL or addresses == NULL):
        return finish(slot, 0, EFAULT, 0, 0)
    if needed > most:
        leave(slot, 0)
        return fail(TOO_SMALL, needed)
    scan_users(slot.s, frame, most, processes, addresses)
    leave(slot, 0)
    return <int64_t> needed
