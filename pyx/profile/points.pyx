"""Events of locks as points (points.pxd), one operation behind the other."""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from rmapcore.pyx.profile.points cimport NOBODY, Point

cdef enum:
    DEEPEST = 64              # locks held at once beside those that are held to the end; one more lets go of another early

cdef Point _point

POINT = np.asarray(<Point[:1]> &_point).dtype


cdef void let_go(Point* p, Point* points, uint32_t taken, uint64_t work, uint32_t k) noexcept nogil:
    """Point k lets go, after work, of the lock that was taken at another."""
    p.work = work
    p.lock = points[taken].lock
    p.mode = points[taken].mode
    points[taken].after = k + 1


def points_of(const uint32_t[::1] operation, const uint64_t[::1] at, const uint64_t[::1] hold, const int32_t[::1] lock,
              const uint8_t[::1] mode, const uint32_t[::1] count, const uint64_t[::1] total):
    """(points, first point of each operation): what operations do, from their events.

    The events are in the order of their operations, and in each as the locks were taken; total: ns of each operation, of which
    none of its events begins or ends later. Locks that are let go of at the same time go last first.
    """
    cdef uint64_t n = len(operation)
    cdef uint64_t operations = len(total)
    out = np.zeros(2 * n + operations, POINT)
    first = np.zeros(operations + 1, np.uint64)
    cdef Point* p = <Point*> <size_t> out.ctypes.data
    cdef uint64_t[::1] begins = first
    through = np.zeros(int(np.bincount(operation).max()) if n else 1, np.uint32)
    cdef uint32_t[::1] whole = through         # points of the locks that are held to the end
    cdef uint64_t[DEEPEST] open_end
    cdef uint32_t[DEEPEST] open_point
    cdef uint64_t e = 0
    cdef uint64_t o, clock, end
    cdef uint32_t k = 0
    cdef int64_t kept
    cdef int held, i, which
    for o in range(operations):
        begins[o] = k
        clock = 0
        held = 0
        kept = 0
        while True:
            # what ends before the next begins is let go of, last taken first among equals
            while held:
                which = held - 1
                for i in range(held - 2, -1, -1):
                    if open_end[i] < open_end[which]:
                        which = i
                end = open_end[which]
                if e < n and operation[e] == o and end > at[e] and held < DEEPEST:
                    break
                let_go(&p[k], p, open_point[which], end - clock if end > clock else 0, k)
                clock = max(clock, end)
                k += 1
                held -= 1
                for i in range(which, held):
                    open_end[i] = open_end[i + 1]
                    open_point[i] = open_point[i + 1]
            if e == n or operation[e] != o:
                break
            p[k].work = at[e] - clock if at[e] > clock else 0
            clock = max(clock, at[e])
            p[k].lock = lock[e]
            p[k].mode = mode[e]
            p[k].count = count[e]
            if at[e] + hold[e] >= total[o] and hold[e]:
                whole[kept] = k
                kept += 1
            else:
                open_end[held] = max(at[e] + hold[e], clock)
                open_point[held] = k
                held += 1
            k += 1
            e += 1
        while kept:
            kept -= 1
            let_go(&p[k], p, whole[kept], total[o] - clock if total[o] > clock else 0, k)
            clock = max(clock, total[o])
            k += 1
        p[k].work = total[o] - clock if total[o] > clock else 0
        p[k].lock = NOBODY
        k += 1
    begins[operations] = k
    return out[:k], first
