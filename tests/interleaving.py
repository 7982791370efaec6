"""Threads that take turns: one of them runs at a time, up to its next hand-over, and who goes on then is drawn by seed.

So a test of threads meets many interleavings, and the same ones each time, however busy the host is.
"""
import random
import threading

SOON = 300                                     # seconds until a thread that never comes back is an error of the test


class Interleaving:
    """turns: which thread went on at each hand-over, by number."""

    def __init__(self, seed):
        self.turns = []
        self._rng = random.Random(seed)
        self._waiting = {}                     # number of a thread that has not ended: its gate, open while it may run
        self._me = threading.local()

    def run(self, *works):
        """Calls each work in a thread of its own, numbered from 0, until all have ended; what they gave, or the first error."""
        results, errors = [None] * len(works), []

        def run(number, work):
            self._me.number = number
            self._waiting[number].acquire()
            try:
                results[number] = work()
            except BaseException as error:
                errors.append(error)
            finally:
                del self._waiting[number]
                self._open_one()

        self._waiting = {number: threading.Semaphore(0) for number in range(len(works))}
        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(works)]
        for thread in threads:
            thread.start()
        self._open_one()
        for thread in threads:
            thread.join(SOON)
            assert not thread.is_alive()
        if errors:
            raise errors[0]
        return results

    def give_way(self):
        """A hand-over; nothing in a thread that is none of these."""
        number = getattr(self._me, "number", None)
        if number in self._waiting:
            gate = self._waiting[number]
            self._open_one()
            gate.acquire()

    def _open_one(self):
        if self._waiting:
            self.turns.append(self._rng.choice(sorted(self._waiting)))
            self._waiting[self.turns[-1]].release()


class Slices:
    """A budget for the place of `rmapcore.pyx.run.batch.SLICE`: calls action() before each slice, on the thread that runs it.

    The machine is then in the middle of an operation, for as long as that takes.
    """

    def __init__(self, action, pages=16):
        self.action, self.pages = action, pages

    def __index__(self):
        self.action()
        return self.pages

    __int__ = __index__
