"""What a row is, what it gives, and how it is judged."""
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple


class Bound(NamedTuple):
    """From `low` to `high` (None: no end), whatever was expected; without any end nothing is judged."""

    low: float | None
    high: float | None

    def holds(self, expected, emulated):
        return (self.low is None or emulated >= self.low) and (self.high is None or emulated <= self.high)

    def __str__(self):
        if self.low is None and self.high is None:
            return "none"
        if self.low is None:
            return f"<= {self.high:,}"
        if self.high is None:
            return f">= {self.low:,}"
        return f"{self.low:,} to {self.high:,}"


class Within(NamedTuple):
    """At most `each_way` away from what is expected."""

    each_way: float

    def holds(self, expected, emulated):
        return abs(emulated - expected) <= self.each_way

    def __str__(self):
        return f"+-{self.each_way:,}"


class Exact:
    """Equal to the last digit; means are compared as fractions."""

    def holds(self, expected, emulated):
        return expected == emulated

    def __str__(self):
        return "exact"


EXACT = Exact()
NOT_JUDGED = Bound(None, None)         # at sizes for which the source says nothing, and no closed form does


class Size(NamedTuple):
    """A published size: all parameters that apply, and the workload that they are of (None: the row's own machines)."""

    workload: str | None
    parameters: dict


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    claim: what the source says, in one line.  source: who, when.  parameters: name -> workloads.parameters.Parameter.
    sizes: the published ones, a tuple of Size.
    measure: function of a Case, a generator of records, which runs the machines.
    """

    claim: str
    source: str
    parameters: dict
    sizes: tuple
    measure: Callable


@dataclass
class Case:
    """One size at which a row is measured.

    name, source: the row's.  workload: as in Size.  values: parameter -> value.  published: whether these are the
    source's own, so that its numbers apply.  report: called with a text where something begins, so that Ctrl-C and
    progress come through.  scaled: None, or how far the machines were smaller than asked for.  kernel: whose rules the
    machine has that is being measured.
    """

    name: str
    source: str
    workload: str | None
    values: dict
    published: bool
    report: Callable = field(default=lambda text: None)
    scaled: str | None = None
    kernel: str = "2.6.7"

    def __getitem__(self, parameter):
        return self.values[parameter]

    def record(self, quantity, expected, emulated, tolerance=EXACT, published=None, whole=None, source=None):
        """A record as the interface has it, and after `source`:

        workload: its name, or null.  expected: the closed form at the size that was run.  derived: true if `published`
        is a closed form too, at the size asked for (`whole`, if that differs from what was run), because the source
        gives no number, or none for these parameters.  scaled: null, or by how much the machine was smaller.
        kernel: the rules of all that is not the scheme.
        """
        given = published is not None and self.published
        return {
            "row": self.name,
            "quantity": quantity,
            "parameters": dict(self.values),
            "published": plain(published if given else expected if whole is None else whole),
            "emulated": plain(emulated),
            "tolerance": str(tolerance),
            "holds": bool(tolerance.holds(expected, emulated)),
            "source": source or self.source,
            "workload": self.workload,
            "expected": plain(expected),
            "derived": not given,
            "scaled": self.scaled,
            "kernel": self.kernel,
        }


def plain(value):
    """A number as JSON has it: an int where it is whole."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
