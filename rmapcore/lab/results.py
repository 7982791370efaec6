"""Result: what a comparison measured; as a table, as a dict, as a JSON file, as a report."""
import json

from rmapcore.core.files import write_text
from rmapcore.lab import report, tables, timeline
from rmapcore.lab.layout import as_html
from rmapcore.version import VERSION


class Measured:
    """What was measured, as data: {"rmapcore", "workload": {"name", "parameters", "seed", ...}, "machine", "results",
    "problems"}.

    problems: what does not hold, one line each. Empty if all is well.  "partial" is there, and true, if it was broken off.
    """

    def __init__(self, workload, machine, rows, problems, partial=False):
        self.problems = list(problems)
        self._data = {"rmapcore": VERSION, "workload": workload, "machine": machine, "results": rows,
                      "problems": self.problems}
        if partial:
            self._data["partial"] = True

    def __repr__(self):
        rows = self._data["results"]
        return (f"<{type(self).__name__} of {self._data['workload']['name']}: {len(rows)} rows, "
                f"{len(self.problems)} problems>")

    def _repr_html_(self):
        return as_html(self.table())

    @property
    def ok(self):
        """Whether everything checked holds."""
        return not self.problems

    def to_dict(self):
        """Everything, as in the JSON of `rmapcore compare`."""
        return json.loads(self.to_json())

    def to_json(self):
        """The JSON text; the same for the same input but for seconds and nanoseconds."""
        return json.dumps(self._data, indent=1, allow_nan=False) + "\n"

    def save(self, path):
        """Writes the JSON to a file, which appears complete or not at all."""
        write_text(path, self.to_json())

    def report(self, path):
        """Writes a picture (.png, .svg) or a page with pictures and tables (.html), by the path's suffix.

        Needs the extra `report`; RmapcoreError says so, ValueError names another suffix.
        """
        report.write(self, path)


class Result(Measured):
    """The rows of a comparison.

    problems: machines that were full, entries that a scheme missed or invented, contents that differ between schemes.
    """

    def __init__(self, program, machine, rows, partial=False, timelines=None):
        workload = {"name": program.name, "parameters": program.parameters, "seed": program.seed, **program.facts}
        super().__init__(workload, machine, rows, find_problems(rows), partial)
        self._program, self._timelines = program, timelines

    def flame(self, path):
        """Writes collapsed stacks for speedscope and flamegraph.pl: scheme, process, call and step, weighed by counters.

        ValueError if it was compared without profile=True.
        """
        write_text(path, timeline.stacks(*self._profiled()))

    def trace_events(self, path):
        """Writes a timeline for Perfetto in the Trace Event format: reclaim, forks, exits, the longest walks, sizes; with
        `cpus` the longest holds of locks.

        ValueError if it was compared without profile=True.
        """
        write_text(path, timeline.trace_events(self._program, *self._profiled()))

    def _profiled(self):
        if self._timelines is None:
            raise ValueError("there is no profile: compare with profile=True")
        return tables.names(self._data), self._timelines

    def table(self, color=False, width=None):
        """Tables for people: work, time, memory, objects and check of each row; in `width` columns, or as wide as they are."""
        return tables.comparison(self._data, color, width)

    def details(self, color=False, width=None):
        """Every counter, structure and kind of call of each row."""
        return tables.details(self._data, color, width)


def find_problems(rows):
    """What does not hold in rows of one program, as lines."""
    first, several = {}, len({row["kernel"] for row in rows}) > 1
    for row in rows:
        name = " under ".join([f"{row['scheme']} on {row['arch']}", *[row["kernel"]] * several])
        if row["error"]:
            yield f"{name}: {row['error']}"
        for what in ("missed", "extra"):
            if row["check"][what]:
                yield f"{name}: the reverse map {what} {row['check'][what]:,} entries"
        if row["error"]:
            continue
        reference = first.setdefault((row["arch"], row["kernel"]), row)
        same_calls = reference["calls"]["first_difference"] == row["calls"]["first_difference"]
        if same_calls and row["final"]["digest"] != reference["final"]["digest"]:
            yield f"{name}: programs saw other contents than under {reference['scheme']}, though all calls ended alike"
