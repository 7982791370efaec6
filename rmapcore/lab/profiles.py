"""The profile of a row of a comparison: as data for its JSON, and as tables."""
import numpy as np

from rmapcore.core.profile import KEYS, NOBODY
from rmapcore.lab.layout import figure, grid
from rmapcore.units import format_size, visible

MOST_ROWS = 20                         # of each `by` in the JSON; the others are summed in one row
MOST_BARS = 100                        # of a histogram in the JSON
SHOWN = 5                              # of each in the tables


def data_of(profile, seconds=None):
    """What the JSON of a row holds: {"walks", "longest", "by", "held", "series"}.

    walks: side -> purpose -> measure -> walks, mean, p50, p90, p99, p99.9, max, and histogram: up to 100 of [value, walks],
    where neighbours are one the largest of their values.  by: of each a list of rows with their keys
    and the counts that are not 0; of more than 20 the last is {"others": how many}, summed.  held: what programs
    cost in objects of the scheme, the 20 that cost most.  series: as of the profile, at up
    to some hundred moments, with "seconds" of the recording since its first page fault if those are given.
    """
    series = profile.series
    for moment, second in zip(series, seconds or [], strict=bool(seconds)):
        moment["seconds"] = round(second, 6)
    times = {moment["operation"]: moment.get("seconds") for moment in series}
    return {
        "walks": {side: {purpose: {measure: {**found.summary(), "histogram": histogram_of(found)}
                                   for measure, found in measures.items()} for purpose, measures in purposes.items()}
                  for side, purposes in profile.distributions().items()},
        "longest": as_dicts(profile.longest),
        "by": {what: rows_of(what, profile.by(what)) for what in KEYS},
        "held": [{**row, "seconds": times[row["operation"]]} for row in as_dicts(profile.held[:MOST_ROWS])],
        "series": series,
    }


def histogram_of(found):
    parts = np.array_split(np.arange(len(found.values)), min(len(found.values), MOST_BARS)) if found.walks else []
    return [[int(found.values[part[-1]]), int(found.counts[part].sum())] for part in parts]


def as_dicts(rows):
    return [{name: value.item() for name, value in zip(row.dtype.names, row, strict=True)} for row in rows]


def rows_of(what, rows):
    keys = [name for name, _ in KEYS[what]]
    out = [{**{name: row[name].item() for name in keys}, **counts_of(rows[number:number + 1], keys)}
           for number, row in enumerate(rows[:MOST_ROWS])]
    if len(rows) > MOST_ROWS:
        out.append({"others": len(rows) - MOST_ROWS, **counts_of(rows[MOST_ROWS:], keys)})
    return out


def counts_of(rows, keys):
    """The sums that are not 0, and {"objects": those of the scheme's objects that are not}."""
    sums = {name: rows[name].sum().item() for name in rows.dtype.names if name not in keys and name != "objects"}
    objects = {name: rows["objects"][name].sum().item() for name in rows["objects"].dtype.names or ()}
    return {**{name: count for name, count in sums.items() if count},
            "objects": {name: count for name, count in objects.items() if count}}


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
        timed = any(row["seconds"] is not None for row in found["held"])
        held = [[visible(row["name"]) or "-", row["object"], f"{row['most']:,}", format_size(row["bytes"]),
                 f"{row['operation']:,}", *([f"{row['seconds']:.3f} s"] if timed else [])] for row in found["held"][:SHOWN]]
        if held:
            names = ["program", "object", "most", "bytes", "after\noperation", *(["at"] if timed else [])]
            yield grid(f"Objects of programs under {label}", names, held, 2)
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
    when = f" ({peak['seconds']:.3f} s)" if "seconds" in peak else ""
    return (f"{label}: most for reverse mapping after operation {peak['operation']:,}{when}: "
            f"{format_size(peak['rmap_bytes'])}, {peak['processes']:,} processes, "
            f"{peak['areas']:,} areas{objects and f'; {objects}'}")
