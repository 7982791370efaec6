"""What a measurement gives: one Sample for each thing measured."""
import time
from typing import NamedTuple


class Sample(NamedTuple):
    """One figure of one round.

    name, order, pages: as in the records.  done: operations that came out right; `seconds` took `units` of them, or one
    for each page.  ideal: seconds of the yardstick for the same pages, None without one.  speed_up: work of two threads
    to work of one.  bytes_per_page: of the host's memory.  to_one_by_one: seconds to those of the same without groups.
    """

    name: str
    order: str
    pages: int
    done: int
    seconds: float | None = None
    ideal: float | None = None
    units: int | None = None
    speed_up: float | None = None
    bytes_per_page: float | None = None
    to_one_by_one: float | None = None

    @property
    def expected(self):
        """How many operations there should be."""
        return self.pages if self.units is None else self.units


def timed(work, *arguments):
    """(seconds, what work gave)."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result
