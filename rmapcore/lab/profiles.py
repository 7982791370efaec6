"""The profile of a row of a comparison: as data for its JSON, and as tables."""
from rmapcore.core.profile import KEYS, NOBODY
from rmapcore.lab.layout import figure, grid
from rmapcore.units import format_size, visible

MOST_ROWS = 20                         # of each `by` in the JSON; the others are summed in one row
SHOWN = 5                              # of each in the tables


def data_of(profile):
    """What the JSON of a row holds: {"walks", "longest", "by", "series"}.

    walks: side -> purpose -> measure -> walks, mean, p50, p90, p99, p99.9, max.  by: of each a list of rows with their keys
    and the counts that are not 0; of more than 20 the last is {"others": how many}, summed.  series: as of the profile, at up
    to some hundred moments.
    """
    return {
        "walks": {side: {purpose: {measure: found.summary() for measure, found in measures.items()}
                         for purpose, measures in purposes.items()}
                  for side, purposes in profile.distributions().items()},
        "longest": [{name: value.item() for name, value in zip(walk.dtype.names, walk, strict=True)}
                    for walk in profile.longest],
        "by": {what: rows_of(what, profile.by(what)) for what in KEYS},
        "series": profile.series,
    }


def rows_of(what, rows):
    keys = [name for name, _ in KEYS[what]]
    counts = [name for name in rows.dtype.names if name not in keys]
    out = [{**{name: row[name].item() for name in keys}, **{name: row[name].item() for name in counts if row[name]}}
           for row in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        rest = {name: rows[name][MOST_ROWS:].sum().item() for name in counts}
        out.append({"others": len(rows) - MOST_ROWS, **{name: count for name, count in rest.items() if count}})
    return out


def tables(rows, labels):
    """How long walks are under each scheme; then, of each, whose they are."""
    yield walks_table(rows, labels)
    for row, label in zip(rows, labels, strict=True):
        found = row["profile"]
        areas = [[f"{visible(area['what'])} of {who(area)}", f"{area['start']:#x}" if area["end"] else "-", *work_of(area)]
                 for area in named(found["by"]["area"])]
        yield grid(f"Areas under {label}", ["area of process", "start", *COLUMNS], areas, 2)
        calls = [[call["call"], f"{call['operations']:,}", *work_of(call)] for call in named(found["by"]["call"])]
        yield grid(f"Calls under {label}", ["call", "calls", *COLUMNS], calls)
        yield longest_line(label, found)
        yield peak_line(label, found)


COLUMNS = "walks", "PTEs\ntried", "PTEs\nfound", "copies", "rmap\nbytes"


def who(row):
    """A process, with its name if it has one."""
    return f"{row['process']}{visible(row['name']) and ' ' + visible(row['name'])}"


def named(rows):
    return [row for row in rows if "others" not in row][:SHOWN]


def work_of(row):
    return [f"{row.get(name, 0):,}" for name in ("rmap_walks", "ptes_tried", "ptes_found", "rmap_dups", "rmap_bytes")]


def walks_table(rows, labels):
    """Entries tried in a walk, by purpose."""
    lines = []
    for row, label in zip(rows, labels, strict=True):
        for side, purposes in row["profile"]["walks"].items():
            for purpose, measures in purposes.items():
                tried = measures["ptes_tried"]
                lines.append([label, side, purpose, f"{tried['walks']:,}", figure(tried["mean"]),
                              *(f"{tried[name]:,}" for name in ("p50", "p90", "p99", "p99.9", "max"))])
    return grid("Entries tried in a walk", ["scheme", "pages", "purpose", "walks", "mean", "p50", "p90", "p99", "p99.9", "max"],
                lines, 3)


def longest_line(label, found):
    if not found["longest"]:
        return f"{label}: no page was walked"
    walk = found["longest"][0]
    return (f"{label}: the longest walk tried {walk['ptes_tried']:,} entries for {walk['ptes_found']:,} of frame "
            f"{walk['frame']:,} in operation {walk['operation']:,} ({walk['purpose']}), at {walk['address']:#x} of process "
            f"{who(walk)}, {visible(walk['what']) or NOBODY}")


def peak_line(label, found):
    if not found["series"]:
        return f"{label}: nothing was run"
    peak = max(found["series"], key=lambda sample: sample["rmap_bytes"])
    objects = ", ".join(f"{count:,} {name}" for name, count in peak["objects"].items() if count)
    return (f"{label}: most for reverse mapping after operation {peak['operation']:,}: {format_size(peak['rmap_bytes'])}, "
            f"{peak['processes']:,} processes, {peak['areas']:,} areas{objects and f'; {objects}'}")
