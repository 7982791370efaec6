"""What a page shows of profiles: plots of how long walks are and of what there was over time, and tables of whose work it was.

Rows are those of results, each with a label: of one run the schemes, of two the schemes and which run.
"""
import numpy as np
from matplotlib.ticker import FuncFormatter

from rmapcore.lab.report.pictures import drawn, lines_of, log_axis, plain
from rmapcore.lab.report.sheets import address, cell, number, table
from rmapcore.units import format_size

COUNTS = {"rmap_walks": "walks", "ptes_tried": "PTEs tried", "ptes_found": "PTEs found", "vmas_tried": "areas tried",
          "nodes_visited": "nodes", "rmap_dups": "copies by fork", "pages_copied_cow": "pages copied",
          "scanned_ptes": "PTEs scanned", "rmap_bytes": "bytes"}
KEYS = {"process": ["process", "name", "generation"], "program": ["name", "processes"],
        "area": ["process", "name", "start", "end", "what", "areas"], "file": ["file", "what", "areas"],
        "call": ["call", "operations"], "process_call": ["process", "name", "call"], "phase": ["phase"],
        "generation": ["generation", "processes"]}
TEXTS = ("name", "what", "call", "phase")
TITLES = {"area": "areas", "program": "programs", "process": "processes", "call": "calls", "process_call": "processes in calls",
          "file": "files", "phase": "phases", "generation": "generations of forks"}
OPEN = ("area", "program", "call")     # the others are folded
SHOWN_AS = {"process": number, "file": number, "start": address, "end": address}
PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


def of_rows(rows, labels):
    """{"distributions", "walks", "series", "parts"} of rows that all have a profile."""
    found = [row["profile"] for row in rows]
    return {"distributions": [*distributions(found, labels)], "walks": walks(found, labels), "series": [*series(found, labels)],
            "parts": [*parts(found, labels)]}


# --- plots ------------------------------------------------------------------------------------------------------------


def distributions(found, labels):
    """A plot for each kind of walk: which share of them tried more entries than so many."""
    kinds = dict.fromkeys((side, purpose) for one in found for side, purposes in one["walks"].items() for purpose in purposes)
    for side, purpose in kinds:
        lines = []
        for one in found:
            histogram = np.array(one["walks"].get(side, {}).get(purpose, {}).get("ptes_tried", {}).get("histogram", []), float)
            if not len(histogram):
                lines.append(None)
                continue
            values, counts = histogram.T
            more = 1 - np.cumsum(counts) / counts.sum()
            lines.append(([0.0, *values], [1.0, *more]))
        yield {"title": f"{purpose}, {side} pages",
               "svg": drawn(lambda axes, lines=lines: share_of_walks(axes, lines, labels),
                            f"Share of walks ({purpose}, {side} pages) that tried more entries than so many")}


def share_of_walks(axes, lines, labels):
    lines_of(axes, lines, labels, step=True, legend="lower left")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    least = min((min(filter(None, line[1])) for line in lines if line), default=1)
    axes.set_yscale("log")
    axes.set_ylim(least / 3, 1.3)
    log_axis(axes.yaxis, 10)
    axes.set_xlabel("entries tried")
    axes.set_ylabel("share of walks that tried more")


def series(found, labels):
    """A plot for each thing that there was more or less of."""
    timed = all("seconds" in moment for one in found for moment in one["series"])
    at = "seconds" if timed else "operation"

    def line(one, value):
        return [moment[at] for moment in one["series"]], [value(moment) for moment in one["series"]]

    def plot(title, unit, lines, names):
        return {"title": title, "svg": drawn(lambda axes: over_time(axes, lines, names, unit, timed),
                                             f"{title}, by {'seconds' if timed else 'operations'}")}

    yield plot("For reverse mapping", "KiB", [line(one, lambda moment: moment["rmap_bytes"] / 1024) for one in found], labels)
    objects = [(one, f"{name}, {label}" if len(labels) > 1 else name, name) for one, label in zip(found, labels, strict=True)
               for name in dict.fromkeys(name for moment in one["series"] for name in moment["objects"])]
    if objects:
        yield plot("Objects of the scheme", "objects", [line(one, lambda moment, name=name: moment["objects"].get(name, 0))
                                                        for one, _, name in objects], [text for _, text, _ in objects])
    yield plot("Longest walk so far", "entries", [line(one, lambda moment: moment["longest_walk"]) for one in found], labels)
    yield plot("Walks", "a second" if timed else "an operation", [rates(one["series"], at) for one in found], labels)
    for title, name in (("Processes", "processes"), ("Areas", "areas"), ("Pages present", "present"),
                        ("Pages in swap", "swapped")):
        lines = [line(one, lambda moment, name=name: moment[name]) for one in found]
        same = all(one == lines[0] for one in lines)
        yield plot(title, title.split()[0].lower(), lines[:1] if same else lines,
                   ["every row" if len(labels) > 1 else labels[0]] if same else labels)


def rates(moments, at):
    """Walks since the moment before, for each of the unit."""
    times = np.array([0, *(moment[at] for moment in moments)], float)
    walks = np.array([0, *(moment["rmap_walks"] for moment in moments)], float)
    apart = np.diff(times)
    return times[1:], np.divide(np.diff(walks), apart, out=np.zeros(len(apart)), where=apart > 0)


def over_time(axes, lines, labels, unit, timed):
    lines_of(axes, lines, labels)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds of the recording" if timed else "operations")
    axes.set_ylabel(unit)


# --- tables -----------------------------------------------------------------------------------------------------------


def walks(found, labels):
    rows = [[cell(label), cell(side), cell(purpose), cell(tried["walks"]), cell(tried["mean"], f"{tried['mean']:.2f}"),
             *(cell(tried[name]) for name in PERCENTILES)]
            for one, label in zip(found, labels, strict=True) for side, purposes in one["walks"].items()
            for purpose, measures in purposes.items() for tried in (measures["ptes_tried"],)]
    return table("Entries tried in a walk", ["scheme", "pages", "purpose", "walks", "mean", *PERCENTILES], rows, 3)


def parts(found, labels):
    """For each row: whose work it was, what programs held, and the longest walks."""
    for one, label in zip(found, labels, strict=True):
        tables = [attributed(what, one["by"][what], label) for what in TITLES]
        yield {"title": f"Whose work it was: {label}", "tables": tables}
        tables = [held(one["held"], label)] if one["held"] else []
        yield {"title": f"Objects and longest walks: {label}", "tables": [*tables, longest(one["longest"], label)]}


def attributed(what, rows, label):
    keys = sorted(KEYS[what], key=lambda name: name not in TEXTS)
    left = sum(name in TEXTS for name in keys)
    counts = [name for name in COUNTS if any(name in row for row in rows)]
    objects = dict.fromkeys(name for row in rows for name in row["objects"])
    lines = []
    for row in rows:
        if "others" in row:
            head = [cell(f"{row['others']:,} others"), *(cell("") for _ in keys[1:left]), *(cell(-1, "") for _ in keys[left:])]
        else:
            head = [SHOWN_AS.get(name, cell)(row[name]) for name in keys]
        lines.append([*head, *(cell(row.get(name, 0)) for name in counts),
                      *(cell(row["objects"].get(name, 0)) for name in objects)])
    columns = [*keys, *(COUNTS[name] for name in counts), *objects]
    return table(f"By {TITLES[what]}, {label}", columns, lines, left, what in OPEN)


def held(rows, label):
    timed = any(row["seconds"] is not None for row in rows)
    lines = [[cell(row["name"]), cell(row["object"]), cell(row["most"]), cell(row["bytes"], format_size(row["bytes"])),
              cell(row["operation"]), *([cell(row["seconds"], f"{row['seconds']:.3f} s")] if timed else [])] for row in rows]
    return table(f"Objects that programs held, at their most, {label}",
                 ["program", "object", "most", "bytes", "after operation", *(["at"] if timed else [])], lines, 2)


def longest(walks, label):
    """The ten longest of all."""
    lines = [[cell(walk["purpose"]), cell(walk["side"]), cell(walk["name"]), cell(walk["what"]), cell(walk["ptes_tried"]),
              cell(walk["ptes_found"]), cell(walk["mms_tried"]), cell(walk["vmas_tried"]), cell(walk["nodes_visited"]),
              cell(walk["steps_locked"]), cell(walk["operation"]), number(walk["frame"]), number(walk["process"]),
              address(walk["address"]), address(walk["start"])] for walk in walks[:10]]
    return table(f"The ten longest walks, {label}",
                 ["purpose", "pages", "name", "what", "PTEs tried", "found", "address spaces", "areas", "nodes", "steps locked",
                  "operation", "frame", "process", "address", "area at"], lines, 4)
