"""The work counters by name: those of the enum in pyx/base/counters.pxd, in its order."""
from collections.abc import Mapping

from rmapcore.pyx.base import counters

COUNTERS = tuple(name.removeprefix("C_").lower() for name in
                 sorted((name for name in vars(counters) if name.startswith("C_")), key=vars(counters).get))


class Counters(Mapping):
    """A snapshot of the work counters: a read-only mapping of name to count."""

    def __init__(self, row):
        self._row = row

    def __getitem__(self, name):
        try:
            return int(self._row[COUNTERS.index(name)])
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self):
        return iter(COUNTERS)

    def __len__(self):
        return len(COUNTERS)

    def since(self, before):
        """What was counted between `before` and this snapshot."""
        return Counters(self._row - before._row)

    def __repr__(self):
        return f"Counters({ {name: count for name, count in self.items() if count} })"
