"""reproduce: the rows in order, each at its published sizes or at those asked for."""
import gc
import json

from rmapcore.arguments import several, whole
from rmapcore.errors import UnknownName, keeping
from rmapcore.lab.layout import as_html
from rmapcore.studies.reproduce import tables
from rmapcore.studies.reproduce.registry import ROWS
from rmapcore.studies.reproduce.row import Case, Size


class Reproduction:
    """What a run gave.

    records: dicts, as `Case.record` says.  partial: whether it was broken off.  problems: what does not hold, one line each.
    """

    def __init__(self, records, partial=False):
        self.records = records
        self.partial = partial
        self.problems = [f"row {record['row']}: {record['quantity']}: {record['emulated']}, expected "
                         f"{record['expected']} ({record['tolerance']})" for record in records if not record["holds"]]

    def __repr__(self):
        return f"<Reproduction: {len(self.records)} records, {len(self.problems)} do not hold>"

    def _repr_html_(self):
        return as_html(self.table())

    @property
    def ok(self):
        """Whether every record holds."""
        return not self.problems

    def to_json(self):
        """The list of records as JSON text; of a run that was broken off {"partial": true, "records": […]}."""
        return json.dumps({"partial": True, "records": self.records} if self.partial else self.records, indent=1,
                          allow_nan=False) + "\n"

    def table(self, color=False, width=None):
        """The records for people."""
        return tables.text(self.records, color, width)


def reproduce(rows=None, progress=None, **parameters):
    """Emulates what was published and holds the results against it; a Reproduction.

    rows: names of rows (or numbers), or one; None: all.  progress: None or called with (done, total, text).
    parameters: replace those of the published sizes; sizes of a row that do not have them all are left out, and each row
    must have one that does. What is expected is the closed form's value.
    Raises TypeError, ValueError, UnknownName before anything is run; RmapcoreError if the host lacks the memory.
    """
    rows = ROWS if rows is None else [rows] if isinstance(rows, str | int) else several(rows, "rows")
    names = list(dict.fromkeys(row if isinstance(row, str) else str(whole(row, "rows", 0, 99)) for row in rows))
    if not names:
        raise ValueError("rows: at least one is needed")
    for name in names:
        if name not in ROWS:
            raise UnknownName(f"row {name!r} is unknown; known: {', '.join(ROWS)}")
    cases = [case for name in names for case in cases_of(name, parameters)]
    records = []
    with keeping(lambda: Reproduction(records, partial=True) if records else None):
        for done, case in enumerate(cases):
            def report(text, done=done, name=case.name):
                if progress:
                    progress(done, len(cases), f"row {name}: {text}")

            case.report = report
            records += ROWS[case.name].measure(case)
            gc.collect()               # machines and their processes refer to each other
    return Reproduction(records)


def cases_of(name, given):
    """A Case for each size of a row that has the `given` parameters, which replace the published ones."""
    row = ROWS[name]
    for key in given:
        if key not in row.parameters:
            raise UnknownName(f"row {name} has no parameter {key!r}; it has {', '.join(row.parameters)}")
    given = {key: row.parameters[key].parse(key, value) for key, value in given.items()}
    seen = []
    for workload, published in row.sizes:
        size = Size(workload, published | given)
        if size not in seen and len(size.parameters) == len(published):
            seen.append(size)
            yield Case(name, row.source, *size, size in row.sizes)
    if not seen:
        raise ValueError(f"row {name}: no program of it has all of {', '.join(given)}")


def rows():
    """Known rows: name -> {"claim", "source", "parameters": {name: {"type", "text"}}, "sizes": [...]}.

    sizes: the published ones, {"workload", "parameters"} each.
    """
    return {
        name: {
            "claim": row.claim,
            "source": row.source,
            "parameters": {key: {"type": parameter.type_name, "text": parameter.text}
                           for key, parameter in row.parameters.items()},
            "sizes": [size._asdict() for size in row.sizes],
        }
        for name, row in ROWS.items()
    }
