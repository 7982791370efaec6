"""Result: what a comparison measured; as a table, as a dict, as a JSON file."""
import json
import os
import secrets

from rmapcore import tables


class Result:
    """The rows of a comparison.

    problems: what does not hold, one line each: machines that were full, entries that a scheme missed or invented,
    contents that differ between schemes. Empty if all is well.
    """

    def __init__(self, program, machine, rows):
        from rmapcore import __version__

        workload = {"name": program.name, "parameters": program.parameters, "seed": program.seed, **program.facts}
        self.problems = list(find_problems(rows))
        self._data = {"rmapcore": __version__, "workload": workload, "machine": machine, "results": rows,
                      "problems": self.problems}

    def __repr__(self):
        rows = self._data["results"]
        return f"<Result of {self._data['workload']['name']}: {len(rows)} rows, {len(self.problems)} problems>"

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

    def table(self, color=False):
        """Tables for people, some 100 columns wide: work, time, memory and check of each row."""
        return tables.comparison(self._data, color)

    def details(self, color=False):
        """Every counter, structure and kind of call of each row."""
        return tables.details(self._data, color)


def write_text(path, text):
    """Writes a file that appears complete or not at all; a device or a pipe is written to, never replaced."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    temporary = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "x", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def find_problems(rows):
    """What does not hold in rows of one program, as lines."""
    first = {}
    for row in rows:
        name = f"{row['scheme']} on {row['arch']}"
        if row["error"]:
            yield f"{name}: {row['error']}"
        for what in ("missed", "extra"):
            if row["check"][what]:
                yield f"{name}: the reverse map {what} {row['check'][what]:,} entries"
        if row["error"]:
            continue
        reference = first.setdefault(row["arch"], row)
        same_calls = reference["calls"]["first_difference"] == row["calls"]["first_difference"]
        if same_calls and row["final"]["digest"] != reference["final"]["digest"]:
            yield f"{name}: programs saw other contents than under {reference['scheme']}, though all calls ended alike"
