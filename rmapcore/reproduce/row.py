"""What a row is, what it gives, and how it is judged."""
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple


class Bound(NamedTuple):
    """From `low` to `high` (None: no end), whatever was expected."""

    low: float | None
    high: float | None

    def holds(self, expected, emulated):
        return (self.low is None or emulated >= self.low) and (self.high is None or emulated <= self.high)

    def __str__(self):
        if self.low is None:
            return f"<= {self.high:,}"
        if self.high is None:
            return f">= {self.low:,}"
        return f"{self.low:,} to {self.high:,}"


class Exact:
    """Equal to the last digit; means are compared as fractions."""

    def holds(self, expected, emulated):
        return expected == emulated

    def __str__(self):
        return "exact"


class Within(NamedTuple):
    """At most `part` of what is expected away from it; `each_way` in its own unit."""

    each_way: float

    def holds(self, expected, emulated):
        return abs(emulated - expected) <= self.each_way

    def __str__(self):
        return f"+-{self.each_way:,}"


EXACT = Exact()


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    claim: what the source says, in one line.  source: who, when.  parameters: name -> workloads.parameters.Parameter.
    cases: the published sizes, dicts of all parameters; a parameter that a user sets replaces that of every case.
    measure: function of (Case), a generator of records, which runs the machines.
    """

    claim: str
    source: str
    parameters: dict
    cases: tuple
    measure: Callable


@dataclass
class Case:
    """One size at which a row is measured.

    name: the row's.  values: parameter -> value.  published: whether these are the source's own, so that its numbers
    apply.  report: called with a text where something begins, so that Ctrl-C and progress come through.  scaled: None, or
    how far the machines were smaller than asked for.
    """

    name: str
    source: str
    values: dict
    published: bool
    report: Callable = field(default=lambda text: None)
    scaled: str | None = None

    def __getitem__(self, parameter):
        return self.values[parameter]

    def record(self, quantity, expected, emulated, tolerance=EXACT, published=None, source=None):
        """A record as the interface has it, and after `source`:

        expected: the closed form at the size that was run.  derived: true if `published` is the closed form too, for the
        source gives no number, or none for these parameters.  scaled: null, or by how much the machine was smaller.
        published: the source's number, used where the parameters are the source's.
        """
        given = published is not None and self.published
        return {
            "row": self.name,
            "quantity": quantity,
            "parameters": dict(self.values),
            "published": plain(published if given else expected),
            "emulated": plain(emulated),
            "tolerance": str(tolerance),
            "holds": bool(tolerance.holds(expected, emulated)),
            "source": source or self.source,
            "expected": plain(expected),
            "derived": not given,
            "scaled": self.scaled,
        }


def plain(value):
    """A number as JSON has it: an int where it is whole."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
