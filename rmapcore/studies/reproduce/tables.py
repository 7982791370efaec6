"""A run as text for a terminal, some 110 columns wide: a table for each row. Sees only the records."""
from itertools import groupby

from rmapcore.lab.layout import grid, render
from rmapcore.studies.reproduce.registry import ROWS


def text(records, color, width=None):
    """All tables of a run."""
    parts = []
    for name, group in groupby(records, key=lambda record: record["row"]):
        parts += table(name, list(group))
    held = sum(record["holds"] for record in records)
    parts.append(f"{held:,} of {len(records):,} hold. In brackets: a closed form, for the source gives no number.")
    return render(parts, color, width)


def table(name, records):
    """The records of one row, and notes on machines that were smaller than asked for."""
    row = ROWS[name]
    lines, notes, last = [], [], None
    for (workload, values), group in groupby(records, key=lambda record: (record["workload"], record["parameters"])):
        if workload not in (None, last):
            lines.append([workload, *[""] * 4])
            last = workload
        lines.append([", ".join(f"{key} {number(value)}" for key, value in values.items()), *[""] * 4])
        for record in group:
            mark = ""
            if record["scaled"]:
                notes.append(f"({len(notes) + 1}) {record['scaled']}; expected {number(record['expected'])}")
                mark = f" ({len(notes)})"
            derived = record["derived"] and record["published"] is not None
            published = f"[{number(record['published'])}]" if derived else number(record["published"])
            lines.append([f"  {record['quantity']}{mark}", published, number(record["emulated"]), record["tolerance"],
                          "yes" if record["holds"] else "NO"])
    kernels = " and ".join(sorted({record["kernel"] for record in records}))
    title = f"Row {name}: {row.claim}\n({row.source}; rules of kernel {kernels})"
    return [title, grid("", ["", "published", "emulated", "tolerance", "holds"], lines), *notes, ""]


def number(value):
    """All digits of whole numbers, six of others; "-" for none."""
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
