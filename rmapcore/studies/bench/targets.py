"""What the figures shall be: the project's performance targets, in one table.

A target is a bound on one field of the records of one name; it is judged with the medians of a run. What counting costs
is not among them: it takes a second build (RMAPCORE_UNCOUNTED=1, see setup.py), whose run `--against` compares.
"""
import operator
from typing import NamedTuple

from rmapcore.studies.bench.scenes import ORDERS
from rmapcore.studies.bench.sharing import PARTS, SHARED_ORDERS, SHARERS

ANY = ORDERS
SHUFFLED = ("frames_shuffled", "lru_shuffled")
ORDERED = ("sequential",)
NOISE = 1.05                           # "never slower", as far as medians of noisy machines can tell
MEANT_FOR = 4 << 20                    # pages: smaller machines lie in the cache, where an ideal pass costs next to nothing
PAGES_OF_A_TIB = 1 << 28


class Target(NamedTuple):
    """field of the records `name` in these orders is at most `limit`, or at least, if `least`.

    no_entry_data: only for schemes that keep nothing for each page-table entry.  least_pages, most_pages: only from and up
    to this size.
    """

    name: str
    orders: tuple
    field: str
    limit: float
    least: bool = False
    no_entry_data: bool = False
    least_pages: int = 1
    most_pages: int | None = None

    def meant(self, record, has_entry_data):
        """Whether the record is one that this is about, and has the figure."""
        return (record["name"] == self.name and record["order"] in self.orders and record[self.field] is not None
                and not (self.no_entry_data and has_entry_data)
                and self.least_pages <= record["pages"] <= (self.most_pages or record["pages"]))

    def holds(self, record):
        """Whether the record keeps to it."""
        return (operator.ge if self.least else operator.le)(record[self.field], self.limit)

    @property
    def bound(self):
        """As text: "<= 2"."""
        return f"{'>=' if self.least else '<='} {self.limit:g}"


TARGETS = (
    Target("swapout", SHUFFLED, "ratio_to_ideal", 1.5, least_pages=MEANT_FOR, most_pages=MEANT_FOR),
    Target("swapout", ORDERED, "ratio_to_ideal", 3.0, most_pages=MEANT_FOR),
    Target("swapout", ANY, "to_one_by_one", NOISE),
    Target("swapout", ANY, "times_faster_than_kernel", 40.0, least=True),
    Target("swapout", ORDERED, "growth", 1.3),
    Target("swapout", SHUFFLED, "growth", 1.2),
    *(Target(f"swapout_{sharers}", SHARED_ORDERS, "ratio_to_ideal", 3.0) for sharers in SHARERS if 4 <= sharers <= 64),
    *(Target(f"swapout_{sharers}{part}", orders, "candidate_ns", limit) for orders, limit in ((ORDERED, 6.0), (SHUFFLED, 15.0))
      for sharers in SHARERS if 4 <= sharers <= 64 for part in PARTS),
    Target("ageing", ORDERED, "ratio_to_ideal", 3.0, most_pages=MEANT_FOR),
    Target("ageing", SHUFFLED, "ratio_to_ideal", 1.5, least_pages=MEANT_FOR, most_pages=MEANT_FOR),
    Target("ageing", ANY, "to_one_by_one", NOISE),
    Target("ageing", ORDERED, "growth", 1.3),
    Target("ageing", SHUFFLED, "growth", 1.2),
    Target("fault_in", ORDERED, "ours_ns", 15.0, most_pages=MEANT_FOR),
    Target("fault_in", ORDERED, "growth", 1.3),
    Target("fault_in_batch", ORDERED, "ours_ns", 15.0),
    Target("fault_in_batch", SHUFFLED, "ours_ns", 25.0),
    Target("lookup_sorted", ANY, "ours_ns", 4.0),
    Target("lookup_random", ANY, "ours_ns", 15.0),
    Target("scan", ANY, "times_faster_than_kernel", 40.0, least=True),
    Target("scan", ORDERED, "growth", 1.3),
    Target("fork", ANY, "times_faster_than_kernel", 10.0, least=True, no_entry_data=True),
    Target("exit", ANY, "times_faster_than_kernel", 10.0, least=True, no_entry_data=True),
    Target("mremap", ANY, "times_faster_than_kernel", 3.0, least=True, no_entry_data=True),
    Target("mremap_tables", ANY, "times_faster_than_kernel", 1.0, least=True, no_entry_data=True),
    Target("two_threads", ANY, "to_processes", 0.95, least=True),
    Target("memory", ANY, "bytes_per_page", 44.0),
    Target("memory_swapped_out", ANY, "bytes_per_page", 46.0),
    Target("replay", ANY, "ours_ns", 200.0),                   # 5 M events a second
    Target("parse", ANY, "ours_ns", 5.0),                      # 200 MB of text a second
    Target("load", ANY, "ours_ns", 50.0),                      # 20 M events a second
)


def of(record, has_entry_data):
    """The targets that a record is held to."""
    return [target for target in TARGETS if target.meant(record, has_entry_data)]
