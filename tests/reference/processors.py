"""The twin of pyx/profile/processors: operations on N processors, in plain Python (docs/locks.md, "On N processors")."""
import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count


@dataclass
class Hold:
    """A lock that an operation takes `at` ns after it began, for `hold` ns."""

    at: int
    hold: int
    lock: str
    writes: bool = True
    tries: bool = False
    count: int = 1


@dataclass
class Operation:
    actor: int
    ns: int
    holds: list = field(default_factory=list)
    begins: int = 0
    phase: int = 0
    births: tuple = ()                         # actors that may begin when it is done


class Lock:
    def __init__(self, spins):
        self.spins = spins
        self.writer, self.nested, self.readers = None, 0, 0
        self.line = deque()
        self.acquired = self.failed = self.slept = 0
        self.giver = None

    def free(self, hold, now, handoff):
        """For somebody who comes now: one who stands in line and sleeps may be passed for a while."""
        if self.writer is not None or (hold.writes and self.readers):
            return False
        return not self.line or (hold.writes and not hold.tries and not self.spins and now - self.line[0][0].came < handoff)


class Actor:
    def __init__(self, number, operations):
        self.number = number
        self.operations = deque(operations)
        self.steps = None                      # of the operation under way
        self.asleep = self.since = self.came = self.slept = 0
        self.waiting = None                    # hold
        self.woken = False


def steps_of(operation):
    """("work", ns), ("take", hold), ("drop", hold) of an operation, in order. A try that fails gets True sent."""
    clock, held = 0, []

    def drop_until(limit):
        nonlocal clock
        while held:
            last = min(held, key=lambda one: (one[0], -held.index(one)))
            if limit is not None and last[0] > limit:
                return
            held.remove(last)
            yield "work", last[0] - clock
            clock = last[0]
            yield "drop", last[1]

    skip_to = -1
    for hold in operation.holds:
        if hold.at < skip_to or (hold.at + hold.hold <= skip_to and hold.hold):
            continue
        yield from drop_until(hold.at)
        yield "work", hold.at - clock
        clock = hold.at
        if (yield "take", hold):
            clock = skip_to = hold.at + hold.hold
        else:
            held.append((hold.at + hold.hold, hold))
    yield from drop_until(None)
    yield "work", operation.ns - clock
    yield "end", None


class Processors:
    """waits: (start, ns, who, whom, lock). spins: names of locks that one does not sleep for."""

    def __init__(self, operations, cpus, spins=(), switch=0, slice_=10**18, handoff=10**18):
        self.idle, self.switch, self.slice, self.handoff = cpus, switch, slice_, handoff
        self.locks = {hold.lock: Lock(hold.lock in spins) for operation in operations for hold in operation.holds}
        by_actor = {}
        for operation in operations:
            by_actor.setdefault(operation.actor, []).append(operation)
        self.actors = {number: Actor(number, found) for number, found in by_actor.items()}
        self.left = [0] * (1 + max((operation.phase for operation in operations), default=0))
        for operation in operations:
            self.left[operation.phase] += 1
        self.phase = 0
        self.time, self.number = 0, count()
        self.heap, self.ready, self.spinning, self.parked, self.waits = [], deque(), [], [], []
        self.unborn = {birth for operation in operations for birth in operation.births}

    def run(self):
        self.next_phase()
        for number in self.actors:
            if number not in self.unborn:
                self.make_ready(self.actors[number])
        self.dispatch()
        while self.heap:
            self.time, _, actor, event = heapq.heappop(self.heap)
            if event == "wake":
                self.make_ready(actor)
            else:
                self.go_on(actor, event)
            self.dispatch()
        return self.time

    def later(self, ns, actor, event):
        heapq.heappush(self.heap, (self.time + ns, next(self.number), actor, event))

    def next_phase(self):
        while self.phase < len(self.left) and self.left[self.phase] == 0:
            self.phase += 1

    # processors

    def make_ready(self, actor):
        self.ready.append(actor)
        if self.idle == 0 and self.spinning:
            self.sleep(self.spinning.pop())

    def sleep(self, actor):
        actor.asleep = actor.slept = 1
        self.idle += 1

    def dispatch(self):
        while self.idle and self.ready:
            actor = self.ready.popleft()
            self.idle -= 1
            actor.since = self.time
            if actor.steps is None and not self.begin(actor):
                continue
            if actor.waiting:
                self.later(self.switch, actor, ("again", actor.waiting))
            else:
                self.step(actor, None, self.switch * actor.asleep)
            actor.asleep = 0

    def begin(self, actor):
        operation = actor.operations[0] if actor.operations else None
        if operation is not None and operation.phase <= self.phase and operation.begins <= self.time:
            actor.steps = steps_of(operation)
            return True
        self.idle += 1
        if operation is not None and operation.phase > self.phase:
            self.parked.append(actor)
        elif operation is not None:
            self.later(operation.begins - self.time, actor, "wake")
        return False

    def step(self, actor, answer, more=0):
        """Goes on up to what is not work."""
        kind, what = next(actor.steps) if answer is None else actor.steps.send(answer)
        ns = more
        while kind == "work":
            ns += what
            kind, what = next(actor.steps)
        self.later(ns, actor, (kind, what))

    def go_on(self, actor, event):
        kind, hold = event
        if kind == "end":
            self.ended(actor)
        elif kind == "drop":
            self.drop(actor, hold)
            self.step(actor, None)
        elif kind == "again" and actor.waiting:
            self.come_again(actor, hold)
        else:
            self.take(actor, hold)

    def ended(self, actor):
        operation = actor.operations.popleft()
        actor.steps = None
        for birth in operation.births:
            if birth in self.actors:
                self.make_ready(self.actors[birth])
        self.left[operation.phase] -= 1
        if self.left[self.phase] == 0:
            self.next_phase()
            waiting, self.parked = sorted(self.parked, key=lambda one: list(self.actors).index(one.number)), []
            for one in waiting:
                if one.operations[0].phase == self.phase:
                    self.make_ready(one)
                else:
                    self.parked.append(one)
        if self.ready and self.time - actor.since >= self.slice:
            self.idle += 1
            self.make_ready(actor)
        elif self.begin(actor):
            self.step(actor, None)

    # locks

    def take(self, actor, hold):
        lock = self.locks[hold.lock]
        if lock.writer is actor:
            lock.nested += 1
        elif lock.free(hold, self.time, self.handoff):
            self.grant(lock, actor, hold)
        elif hold.tries:
            lock.failed += 1
            self.step(actor, True)
            return
        else:
            lock.acquired += hold.count
            lock.line.append((actor, hold))
            actor.since = actor.came = self.time
            actor.waiting, actor.slept = hold, 0
            owner_away = lock.writer is not None and (lock.writer.asleep or lock.writer in self.ready)
            if not lock.spins and (self.ready or owner_away):
                self.sleep(actor)
            elif not lock.spins:
                self.spinning.append(actor)
            return
        lock.acquired += hold.count
        self.step(actor, None)

    def grant(self, lock, actor, hold):
        if hold.writes:
            lock.writer = actor
        else:
            lock.readers += 1

    def drop(self, actor, hold):
        lock = self.locks[hold.lock]
        if lock.writer is actor:
            if lock.nested:
                lock.nested -= 1
                return
            lock.writer = None
        else:
            lock.readers -= 1
        lock.giver = actor
        while lock.line and lock.writer is None and not (lock.line[0][1].writes and lock.readers):
            other, wanted = lock.line[0]
            if wanted.writes and not lock.spins and other not in self.spinning:
                late = self.time - other.came >= self.handoff
                spinners = [one for one in lock.line if one[0] in self.spinning and one[1].writes]
                if spinners and not late:
                    other, wanted = spinners[0]
                elif not late or other.woken:
                    if not other.woken:
                        other.woken = True
                        self.make_ready(other)
                    return
            lock.line.remove((other, wanted))
            self.got(lock, other, wanted)

    def come_again(self, actor, hold):
        lock = self.locks[hold.lock]
        actor.woken = False
        if lock.writer is not None or lock.readers:
            self.sleep(actor)
        else:
            lock.line.remove((actor, hold))
            self.got(lock, actor, hold)

    def got(self, lock, actor, hold):
        self.grant(lock, actor, hold)
        actor.waiting = None
        self.waits.append((actor.came, self.time - actor.came, actor.number, lock.giver.number, hold.lock))
        lock.slept += actor.slept
        if actor.asleep:
            self.make_ready(actor)
            return
        if actor in self.spinning:             # the last one takes its place
            self.spinning[self.spinning.index(actor)] = self.spinning[-1]
            self.spinning.pop()
        self.step(actor, None)
