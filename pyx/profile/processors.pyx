"""The simulation (processors.pxd says what it is)."""
import numpy as np

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from rmapcore.pyx.profile.points cimport NOBODY, Point
from rmapcore.pyx.profile.processors cimport (
    AWAY, DONE, FAIR, LATER, READY, RUNNING, SLEEPING, SPINNING, SPINS, TRIES, WRITES, Actor, Lock, Wait,
)

cdef Lock _lock
cdef Actor _actor
cdef Wait _wait

LOCK = np.asarray(<Lock[:1]> &_lock).dtype
ACTOR = np.asarray(<Actor[:1]> &_actor).dtype
WAIT = np.asarray(<Wait[:1]> &_wait).dtype
MOST_WAITS = 1 << 22
NO_SLEEP, IN_LINE = SPINS, FAIR            # by lock


cdef class Processors:
    """points, first: of points_of. spins: uint32 by lock, SPINS or FAIR.

    order: operations by actor, each actor's in its order; bounds: where in it each actor begins, and the end. born: by actor,
    the operation after which it may begin, or -1. begins: by operation, ns before which it may not. phase: by operation, from
    0, ascending in the order in which they were recorded. switch, slice, handoff: ns that it costs to come to a processor after
    sleeping; ns after which an actor lets others go first; ns of waiting after which nobody passes any more. run() does it;
    then `time`, ns, `locks`, `actors` and `waits` say how it went.
    """

    def __init__(self, points, first, spins, order, bounds, born, begins, phase, uint32_t cpus, uint64_t switch,
                 uint64_t slice, uint64_t handoff):
        cdef int64_t i, o
        self.n_actors = len(bounds) - 1
        self.idle = cpus
        self.switch = switch
        self.slice = slice
        self.handoff = handoff
        self.locks = np.zeros(len(spins), LOCK)
        self.locks["writer"] = self.locks["first"] = self.locks["last"] = NOBODY
        self.locks["longest_who"] = self.locks["longest_whom"] = NOBODY
        self.locks["spins"] = spins
        self.actors = np.zeros(self.n_actors, ACTOR)
        self.actors["next"] = self.actors["lock"] = NOBODY
        self.n_phases = int(phase.max()) + 1 if len(phase) else 0
        left = np.bincount(phase, minlength=self.n_phases).astype(np.uint64)
        child, sibling = np.full(len(phase), NOBODY, np.int32), np.full(self.n_actors, NOBODY, np.int32)
        born_at = np.ascontiguousarray(born, np.int64)
        for i in range(<int64_t> self.n_actors - 1, -1, -1):
            o = born_at[i]
            if o >= 0:
                sibling[i] = child[o]
                child[o] = i
        self.kept_waits = np.zeros(min(MOST_WAITS, max(1, int(np.count_nonzero(points["count"])))), WAIT)
        self.most_waits = len(self.kept_waits)
        self.keep = (points, first, order, bounds, born_at, begins, phase, left, child, sibling)
        self.point = <Point*> <size_t> points.ctypes.data
        self.first = <const uint64_t*> <size_t> first.ctypes.data
        self.lock = <Lock*> <size_t> self.locks.ctypes.data
        self.actor = <Actor*> <size_t> self.actors.ctypes.data
        self.wait = <Wait*> <size_t> self.kept_waits.ctypes.data
        self.order = <const uint32_t*> <size_t> order.ctypes.data
        self.bounds = <const uint64_t*> <size_t> bounds.ctypes.data
        self.born = <const int64_t*> <size_t> born_at.ctypes.data
        self.begins = <const uint64_t*> <size_t> begins.ctypes.data
        self.phase = <const uint32_t*> <size_t> phase.ctypes.data
        self.phase_left = <uint64_t*> <size_t> left.ctypes.data
        self.child = <int32_t*> <size_t> child.ctypes.data
        self.sibling = <int32_t*> <size_t> sibling.ctypes.data
        self.heap_time = np.zeros(self.n_actors + 1, np.uint64)
        self.heap_number = np.zeros(self.n_actors + 1, np.uint64)
        self.heap_actor = np.zeros(self.n_actors + 1, np.int32)
        self.line = np.zeros(self.n_actors + 1, np.int32)
        self.spinners = np.zeros(cpus, np.int32)

    @property
    def waits(self):
        """Array of WAIT, in the order in which they ended."""
        return self.kept_waits[:self.n_waits]

    def run(self):
        """Until nobody can go on. True: all operations were done; False: actors wait for one another in a circle."""
        cdef uint32_t i
        cdef int32_t a
        with nogil:
            while self.n_now < self.n_phases and self.phase_left[self.n_now] == 0:
                self.n_now += 1
            for i in range(self.n_actors):
                if self.born[i] < 0:
                    self.make_ready(i)
            self.dispatch()
            while self.heaped:
                a = self.pop()
                if self.actor[a].state == LATER:
                    self.make_ready(a)
                else:
                    self.go_on(a)
                self.dispatch()
        return self.done == self.n_actors

    # time

    cdef void push(self, uint64_t when, int32_t a) noexcept nogil:
        """The actor is heard of then; it has one place in the heap at the most."""
        cdef uint64_t i = self.heaped
        cdef uint64_t up
        self.heaped += 1
        self.number += 1
        while i:
            up = (i - 1) // 2
            if self.heap_time[up] <= when:     # what was pushed before goes first
                break
            self.heap_time[i] = self.heap_time[up]
            self.heap_number[i] = self.heap_number[up]
            self.heap_actor[i] = self.heap_actor[up]
            i = up
        self.heap_time[i] = when
        self.heap_number[i] = self.number
        self.heap_actor[i] = a

    cdef int32_t pop(self) noexcept nogil:
        """Whoever is heard of next; the clock is there."""
        cdef int32_t a = self.heap_actor[0]
        cdef uint64_t when, number
        cdef uint64_t i = 0
        cdef uint64_t down
        cdef int32_t last
        self.time = self.heap_time[0]
        self.heaped -= 1
        when = self.heap_time[self.heaped]
        number = self.heap_number[self.heaped]
        last = self.heap_actor[self.heaped]
        while True:
            down = 2 * i + 1
            if down >= self.heaped:
                break
            if down + 1 < self.heaped and self.earlier(down + 1, self.heap_time[down], self.heap_number[down]):
                down += 1
            if not self.earlier(down, when, number):
                break
            self.heap_time[i] = self.heap_time[down]
            self.heap_number[i] = self.heap_number[down]
            self.heap_actor[i] = self.heap_actor[down]
            i = down
        self.heap_time[i] = when
        self.heap_number[i] = number
        self.heap_actor[i] = last
        return a

    cdef bint earlier(self, uint64_t i, uint64_t when, uint64_t number) noexcept nogil:
        return self.heap_time[i] < when or (self.heap_time[i] == when and self.heap_number[i] < number)

    # processors

    cdef void make_ready(self, int32_t a) noexcept nogil:
        """It stands in line for a processor; who spins for a lock that one may sleep for makes room."""
        cdef int32_t spinner
        self.actor[a].state = READY
        self.line[(self.line_first + self.line_n) % (self.n_actors + 1)] = a
        self.line_n += 1
        if self.idle == 0 and self.n_spinners:
            self.n_spinners -= 1
            spinner = self.spinners[self.n_spinners]
            self.actor[spinner].state = SLEEPING
            self.actor[spinner].switched = 1
            self.actor[spinner].slept = 1
            self.idle += 1

    cdef void dispatch(self) noexcept nogil:
        """Processors take who is ready, in line."""
        cdef Actor* r
        cdef int32_t a
        while self.idle and self.line_n:
            a = self.line[self.line_first]
            self.line_first = (self.line_first + 1) % (self.n_actors + 1)
            self.line_n -= 1
            self.idle -= 1
            r = &self.actor[a]
            r.since = self.time
            r.state = RUNNING
            if not r.begun and not self.begin(a):
                continue
            if r.lock == NOBODY:
                self.work(a, self.switch if r.switched else 0)
            else:                              # woken; what it did before it waited is done
                self.busy += self.switch
                self.push(self.time + self.switch, a)
            r.switched = 0

    cdef void work(self, int32_t a, uint64_t more) noexcept nogil:
        """It works up to its next point."""
        more += self.point[self.actor[a].at].work
        self.busy += more
        self.push(self.time + more, a)

    cdef void give_up(self, int32_t a, uint32_t state) noexcept nogil:
        self.actor[a].state = state
        self.idle += 1

    cdef bint begin(self, int32_t a) noexcept nogil:
        """Its next operation begins, if it may; otherwise it leaves its processor, and is heard of when it may."""
        cdef Actor* r = &self.actor[a]
        cdef uint32_t o
        if self.bounds[a] + r.operation == self.bounds[a + 1]:
            self.give_up(a, DONE)
            self.done += 1
            return False
        o = self.order[self.bounds[a] + r.operation]
        if self.phase[o] > self.n_now:
            self.give_up(a, AWAY)
            return False
        if self.begins[o] > self.time:
            self.give_up(a, LATER)
            self.push(self.begins[o], a)
            return False
        r.at = <uint32_t> self.first[o]
        r.begun = 1
        return True

    cdef void ended(self, int32_t a) noexcept nogil:
        """An operation is done: who waited for that may begin. Then the next one, unless others are to go first."""
        cdef Actor* r = &self.actor[a]
        cdef uint32_t o = self.order[self.bounds[a] + r.operation]
        cdef int32_t c = self.child[o]
        r.begun = 0
        r.operation += 1
        while c != NOBODY:
            self.make_ready(c)
            c = self.sibling[c]
        self.phase_left[self.phase[o]] -= 1
        if self.phase_left[self.n_now] == 0:
            while self.n_now < self.n_phases and self.phase_left[self.n_now] == 0:
                self.n_now += 1
            self.phase_begins()
        if self.line_n and self.time - r.since >= self.slice and r.state == RUNNING:
            self.give_up(a, READY)
            self.make_ready(a)
        elif self.begin(a):
            self.work(a, 0)

    cdef void phase_begins(self) noexcept nogil:
        """Actors whose next operation had to wait for it, in their order."""
        cdef uint32_t i, o
        cdef Actor* r
        for i in range(self.n_actors):
            r = &self.actor[i]
            if r.state == AWAY:
                o = self.order[self.bounds[i] + r.operation]
                if self.phase[o] == self.n_now:
                    self.make_ready(i)

    # locks

    cdef void go_on(self, int32_t a) noexcept nogil:
        """It has come to its point."""
        cdef Actor* r = &self.actor[a]
        cdef Point* p = &self.point[r.at]
        if r.lock != NOBODY:
            self.come_again(a, &self.lock[r.lock])
            return
        if p.lock == NOBODY:
            self.ended(a)
            return
        if p.count == 0:
            r.at += 1
            self.release(a, &self.lock[p.lock], p.mode, p.lock)
            self.work(a, 0)
            return
        self.acquire(a, r, p)

    cdef void acquire(self, int32_t a, Actor* r, Point* p) noexcept nogil:
        cdef Lock* k = &self.lock[p.lock]
        k.acquired += p.count
        if k.writer == a:
            k.nested += 1
        elif k.writer == NOBODY and not (p.mode & WRITES and k.readers) and (k.first == NOBODY or self.may_pass(k, p.mode)):
            self.grant(a, k, p.mode)
        elif p.mode & TRIES:
            k.failed += 1
            k.acquired -= p.count
            r.at = p.after
            self.work(a, 0)
            return
        else:
            self.stand_in_line(a, r, p, k)
            return
        r.at += 1
        self.work(a, 0)

    cdef bint may_pass(self, Lock* k, uint32_t mode) noexcept nogil:
        """The lock is free, and who stands in line sleeps: may somebody who comes now have it before?"""
        return mode == WRITES and k.spins == 0 and not self.overdue(k)

    cdef bint overdue(self, Lock* k) noexcept nogil:
        """The first in line has waited too long to be passed."""
        return self.time - self.actor[k.first].came >= self.handoff

    cdef void grant(self, int32_t a, Lock* k, uint32_t mode) noexcept nogil:
        if mode & WRITES:
            k.writer = a
        else:
            k.readers += 1

    cdef void stand_in_line(self, int32_t a, Actor* r, Point* p, Lock* k) noexcept nogil:
        if k.first == NOBODY:
            k.first = a
        else:
            self.actor[k.last].next = a
        k.last = a
        r.next = NOBODY
        r.lock = p.lock
        r.mode = p.mode
        r.since = r.came = self.time
        r.slept = 0
        if k.spins & SPINS:
            r.state = SPINNING
        elif self.line_n or not self.owner_runs(k):
            self.sleep(a)
        else:
            r.state = SPINNING
            self.spinners[self.n_spinners] = a
            self.n_spinners += 1

    cdef bint owner_runs(self, Lock* k) noexcept nogil:
        """Is it worth spinning for? Whoever has it is on a processor, as far as one can see."""
        if k.spins & FAIR or k.writer == NOBODY:
            return True
        return self.actor[k.writer].state != SLEEPING and self.actor[k.writer].state != READY

    cdef void sleep(self, int32_t a) noexcept nogil:
        self.actor[a].switched = 1
        self.actor[a].slept = 1
        self.give_up(a, SLEEPING)

    cdef void come_again(self, int32_t a, Lock* k) noexcept nogil:
        """Who was woken takes the lock, if it still can; otherwise it sleeps again, where it stood in line."""
        cdef Actor* r = &self.actor[a]
        cdef int32_t lock = r.lock
        r.woken = 0
        if k.writer != NOBODY or k.readers:
            self.sleep(a)
            return
        self.leave_line(a, k)
        self.grant(a, k, r.mode)
        self.got(a, k, lock, k.giver)

    cdef void leave_line(self, int32_t a, Lock* k) noexcept nogil:
        cdef int32_t before = NOBODY
        cdef int32_t one = k.first
        while one != a:
            before = one
            one = self.actor[one].next
        if before == NOBODY:
            k.first = self.actor[a].next
        else:
            self.actor[before].next = self.actor[a].next
        if k.last == a:
            k.last = before

    cdef int32_t who_spins(self, Lock* k) noexcept nogil:
        """The first writer in line that is on a processor, waiting; NOBODY."""
        cdef int32_t one = k.first
        while one != NOBODY and not (self.actor[one].state == SPINNING and self.actor[one].mode & WRITES):
            one = self.actor[one].next
        return one

    cdef bint wake(self, Lock* k, int32_t lock, int32_t from_whom) noexcept nogil:
        """A free lock, for which a writer sleeps first in line: who spins has it, or else the sleeper is woken, and comes for
        it. False: it has waited too long, and is given it.
        """
        cdef Actor* sleeper = &self.actor[k.first]
        cdef int32_t other
        if not self.overdue(k):
            other = self.who_spins(k)
            if other != NOBODY:
                self.leave_line(other, k)
                self.grant(other, k, self.actor[other].mode)
                self.got(other, k, lock, from_whom)
                return True
        elif not sleeper.woken:
            return False
        if not sleeper.woken:
            sleeper.woken = 1
            self.make_ready(k.first)
        return True

    cdef void release(self, int32_t a, Lock* k, uint32_t mode, int32_t lock) noexcept nogil:
        """Who is first in line gets it: a writer alone, or the readers up to the next writer."""
        cdef int32_t next
        k.giver = a
        if k.writer == a:
            if k.nested:
                k.nested -= 1
                return
            k.writer = NOBODY
        else:
            k.readers -= 1
        while k.first != NOBODY and k.writer == NOBODY:
            next = k.first
            if self.actor[next].mode & WRITES and k.readers:
                return
            if (self.actor[next].mode & WRITES and k.spins == 0 and self.actor[next].state != SPINNING
                    and self.wake(k, lock, a)):
                return
            k.first = self.actor[next].next
            self.grant(next, k, self.actor[next].mode)
            self.got(next, k, lock, a)

    cdef void got(self, int32_t a, Lock* k, int32_t lock, int32_t from_whom) noexcept nogil:
        """The wait of an actor is over."""
        cdef Actor* r = &self.actor[a]
        cdef uint64_t waited = self.time - r.came
        cdef uint32_t i
        cdef Wait* w
        r.lock = NOBODY
        r.at += 1
        r.waited += waited
        k.waits += 1
        k.slept += r.slept
        k.waited += waited
        if k.longest_who == NOBODY or waited > k.longest:
            k.longest = waited
            k.longest_who = a
            k.longest_whom = from_whom
        if self.n_waits < self.most_waits:
            w = &self.wait[self.n_waits]
            w.start = r.came
            w.wait = waited
            w.who = a
            w.whom = from_whom
            w.lock = lock
            w.operation = self.order[self.bounds[a] + r.operation]
            self.n_waits += 1
        else:
            self.left_out += 1
        if r.state == SLEEPING:
            self.make_ready(a)
            return
        for i in range(self.n_spinners):
            if self.spinners[i] == a:
                self.n_spinners -= 1
                self.spinners[i] = self.spinners[self.n_spinners]
                break
        r.state = RUNNING
        self.work(a, 0)
