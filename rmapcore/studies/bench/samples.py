"""What a measurement gives: one Sample for each thing measured."""
import time
from typing import NamedTuple


class Sample(NamedTuple):
    """One figure of one round.

    name, order, pages: as in the records.  done: operations that came out right; `seconds` took `units` of them, or one
    for each page.  ideal: seconds of the yardstick for the same pages, None without one.  speed_up: work of two threads
    to work of one; to_processes: to that of two processes.  bytes_per_page: of the host's memory.  to_one_by_one:
    seconds to those of the same without groups.  candidates: entries that walks looked up in these seconds.
    """

    name: str
    order: str
    pages: int
    done: int
    seconds: float | None = None
    ideal: float | None = None
    units: int | None = None
    speed_up: float | None = None
    to_processes: float | None = None
    bytes_per_page: float | None = None
    to_one_by_one: float | None = None
    candidates: int | None = None

    @property
    def candidate_ns(self):
        """Nanoseconds for each candidate."""
        return None if self.candidates is None else self.seconds / self.candidates * 1e9

    @property
    def expected(self):
        """How many operations there should be."""
        return self.pages if self.units is None else self.units


def timed(work, *arguments):
    """(seconds of processor time, what work gave), of work in this thread: others who want the processor too do not count."""
    start = time.thread_time()
    result = work(*arguments)
    return time.thread_time() - start, result


def elapsed(work, *arguments):
    """(seconds on the clock, what work gave), of work in several threads."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result
