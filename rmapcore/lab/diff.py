"""diff: the JSON of two runs beside each other, and whether what changed is too much.

A file holds a comparison (rows by scheme, arch and kernel) or the records of bench (by name, scheme, pages and order). Figures
of a row are its numbers, named as in the JSON with dots between ("check.missed", "ns_per_page.reclaim"); those of `counters` by
themselves ("ptes_tried"); of a profile how long walks are, as "profile.walks.anon.unmap.ptes_tried.p99". Times are compared
only where a condition names them: they are the machine's, and drift.

A condition is NAME, a comparison (> >= < <=) and a number. NAME is a figure's, or the end of several: "p99" is that of every
kind of walk and measure. With a sign the number is about the change: "+2%" of what was there before, "+10" in the figure's own
unit. Without one it is about the later figure itself.
"""
import json
import operator
import re

from rmapcore.core.files import content_of
from rmapcore.lab import report
from rmapcore.lab.layout import figure, grid, render

COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
CONDITION = re.compile(r"\s*([\w.() /-]+?)\s*(>=|<=|>|<)\s*([+-]?)(\d{1,30}(?:\.\d{1,30})?)(%?)\s*")
KEYS = (("scheme", "arch", "kernel"), ("name", "scheme", "pages", "order"))
PASSED_OVER = re.compile(r"(seconds|ns_per_page)\.|(ours|ideal|kernel)_ns|ratio_to_ideal|times_faster|to_one_by_one|growth|"
                         r"speed_up|counters_per_|memory\.structures\..*bytes|profile\.(\w+\.){3}(?!ptes_tried)\w+\.walks")


class Condition:
    """One condition; ValueError if the text is none."""

    def __init__(self, text):
        match = CONDITION.fullmatch(text) if isinstance(text, str) else None
        if not match or (match[5] and not match[3]):
            raise ValueError(f"condition {text!r} is not like 'ptes_tried > +2%': NAME, one of {' '.join(COMPARISONS)}, and a "
                             "number with a sign for a change, and then perhaps %, or without for the figure itself")
        self.text = text.strip()
        self.name, self.holds, self.sign = match[1], COMPARISONS[match[2]], match[3]
        self.number = float(f"{match[3]}{match[4]}")
        self.relative = bool(match[5])

    def among(self, names):
        """Those that it is about: the one of its name, or else all that end in it."""
        return [self.name] if self.name in names else [name for name in names if name.endswith(f".{self.name}")]

    def met(self, then, now):
        """Whether figures of two runs meet it."""
        if not self.sign:
            return self.holds(now, self.number)
        if not self.relative:
            return self.holds(now - then, self.number)
        return self.holds((now / then - 1) * 100 if then else (float("inf") if now > then else 0.0), self.number)


def meets(conditions, then, now):
    """A line for each row and condition that is met. then, now: {key: {name: number}}. ValueError: no row has the figure."""
    for condition in conditions:
        both = [(key, name) for key in now if key in then for name in condition.among(now[key]) if name in then[key]]
        if not both:
            raise ValueError(f"condition {condition.text!r}: no row of both runs has the figure {condition.name!r}")
        for key, name in both:
            before, after = then[key][name], now[key][name]
            if condition.met(before, after):
                yield f"{named(key)}: {name} is {number(after)}, was {number(before)}: {condition.text}"


def named(key):
    return " ".join(str(part) for part in key if part is not None)


def number(value):
    return f"{value:,}" if isinstance(value, int) else figure(value)


def read(path):
    """(JSON, {key of a row: {name of a figure: number}}) of a file; "-" is standard input.

    OSError; ValueError names the file and what is wrong.
    """
    try:
        data = json.loads(content_of(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: this is no JSON: {error}") from None
    rows = data.get("results", data.get("records")) if isinstance(data, dict) else data      # records: bench's, broken off
    found = {}
    for row in rows if isinstance(rows, list) else [None]:
        keys = next((keys for keys in reversed(KEYS) if isinstance(row, dict) and {*keys} - {"kernel"} <= row.keys()), None)
        if keys is None:
            raise ValueError(f"{path}: this is neither the JSON of compare or replay nor that of bench")
        key = tuple(row.get(name) for name in keys)
        if key in found:
            raise ValueError(f"{path}: {named(key)} is there twice")
        found[key] = dict(numbers({name: value for name, value in row.items() if name not in keys}))
    return data, found


def numbers(values, before=""):
    """(name, number) of all numbers below a dict of JSON."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from numbers(value, "" if (before, name) == ("", "counters") else f"{before}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{name}", value


class Difference:
    """Two files beside each other.

    rows: {"row", "figure", "then", "now"} of every figure that differs, but for times and what is made of other figures.
    problems: conditions that are met.
    """

    def __init__(self, earlier, later, conditions=()):
        conditions = [Condition(text) for text in conditions]
        (self._then, then), (self._now, now) = read(earlier), read(later)
        self._paths = str(earlier), str(later)
        self.rows = [{"row": named(key), "figure": name, "then": then[key][name], "now": value}
                     for key, figures in now.items() if key in then for name, value in figures.items()
                     if name in then[key] and then[key][name] != value and not PASSED_OVER.match(name)]
        self.alone = {str(path): [named(key) for key in one if key not in other]
                      for path, one, other in ((earlier, then, now), (later, now, then))}
        if not then.keys() & now.keys():
            raise ValueError(f"{earlier} and {later} have no row in common")
        self.problems = list(meets(conditions, then, now))

    @property
    def ok(self):
        """Whether no condition is met."""
        return not self.problems

    def to_json(self):
        """{"differences", "only_in", "problems"} as JSON text."""
        return json.dumps({"differences": self.rows, "only_in": self.alone, "problems": self.problems}, indent=1) + "\n"

    def report(self, path):
        """Writes a page (.html) of both runs beside each other; of profiles, where all rows have one.

        Needs the extra `report`; RmapcoreError says so, ValueError names another suffix or runs that have no page.
        """
        report.write_both(path, self._paths, (self._then, self._now), self.table(), self.problems)

    def table(self, color=False, width=None):
        """Figures that differ, and conditions that are met, for people."""
        lines = [[row["row"], row["figure"], number(row["then"]), number(row["now"]),
                  f"{(row['now'] / row['then'] - 1) * 100:+.2f} %" if row["then"] else "new"] for row in self.rows]
        parts = [grid("", ["row", "figure", "then", "now", "change"], lines, 2) if lines else "No figure differs, times apart."]
        parts += [f"only in {path}: {', '.join(rows)}" for path, rows in self.alone.items() if rows]
        return render([*parts, *(f"PROBLEM: {problem}" for problem in self.problems)], color, width)
