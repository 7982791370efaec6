"""A comparison as text for a terminal. Sees only the dict of `Result`.

Tables of a row each per scheme and architecture: what the reverse map did for each page freed, how long each phase took, what
it cost in kernel memory and objects, and the check of it all.
"""
from rmapcore.core.memory import scheme_objects
from rmapcore.lab import contention, profiles
from rmapcore.lab.layout import figure, grid, marked, render
from rmapcore.units import format_size, visible

UNITS = {"fork": "ns/copy", "exit": "ns/entry", "replay": "ns/fault"}
WORK = (
    ("walks", "rmap_walks"), ("mms\ntried", "mms_tried"), ("areas\ntried", "vmas_tried"), ("nodes", "nodes_visited"),
    ("PTEs\ntried", "ptes_tried"), ("PTEs\nfound", "ptes_found"), ("area\nlookups", "vma_lookups"),
    ("PT\nlocks", "lock_page_table"),
)
REASONS_SHOWN = 3                       # kinds of what a recording has and a replay has not


def reasons_of(what, reasons):
    """What of a recording no operation says, or what was assumed of it, as a line: the most frequent kinds."""
    told = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    if told:
        words = [f"{count:,} {reason}" for reason, count in told[:REASONS_SHOWN]]
        more = f"; and {len(told) - len(words):,} more kinds" if len(told) > len(words) else ""
        yield f"{what + ':':11} {'; '.join(words)}{more} (--json has all)"


def recorded_under(facts):
    """The kernel that a recording names, and what was chosen for it, as a line."""
    if facts.get("kernel"):
        chosen = facts.get("chosen")
        more = "".join(f", and {name}, its newest scheme, beside the others" for name in chosen["schemes"]) if chosen else ""
        nearest = f": {chosen['kernel']} is the nearest{more}" if chosen else ""
        yield f"recorded:   under kernel {facts['kernel']}{nearest}"



def heading(data):
    """What was run on which machine."""
    workload, machine = data["workload"], data["machine"]
    lines = [visible(workload["name"])]
    if "recording" in workload:
        facts = workload["recording"]
        pages = max((row["pages"] for row in data["results"]), default=0)
        lines.append(f"recording:  {facts['operations']:,} operations in {facts.get('processes', 0):,} address spaces, "
                     f"at most {pages:,} frames in use")
        if facts.get("lost"):
            lines.append(f"LOST:       {facts['lost']:,} events: the recording has gaps, and what follows may be wrong")
        lines += recorded_under(facts)
        if facts.get("calls") and not facts.get("faults") and "snapshot" not in facts:
            lines.append("NO FAULTS:  it has calls only, and nothing says what was touched")
        lines += reasons_of("left out", facts.get("left_out", {}))
        lines += reasons_of("assumed", facts.get("assumed", {}))
    else:
        words = (f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
                 for name, value in workload["parameters"].items())
        families = f" ({workload['families']:,} families)" if workload.get("families", 1) > 1 else ""
        lines.append(f"parameters: {', '.join(words)}{families}")
    side = f", file pages by {machine['file_rmap']}" if machine["file_rmap"] else ""
    contents = "tracked" if machine["track_contents"] else "not tracked"
    lines.append(f"machine:    kernel {machine['kernel']}, RAM {format_size(machine['ram'])}, "
                 f"swap {format_size(machine['swap'])}, seed {workload['seed']}, contents {contents}{side}")
    return "\n".join(lines)


def names(data):
    """What each row is called; architecture and kernel only if there are several."""
    rows = data["results"]
    several = [what for what in ("arch", "kernel") if len({row[what] for row in rows}) > 1]
    return [" ".join(row[what] for what in ("scheme", *several)) for row in rows]


def comparison(data, color, width=None):
    """The tables of `compare`."""
    rows = data["results"]
    labels = names(data)
    freed = sorted({row["reclaim"]["freed"] for row in rows})
    numbers = f"{freed[0]:,}" if len(freed) == 1 else f"{freed[0]:,} to {freed[-1]:,}"
    single = f" ({rows[0]['arch']})" if rows and labels[0] == rows[0]["scheme"] else ""
    parts = [heading(data), "", work_table(f"Work for each page freed, {numbers} pages{single}", rows, labels),
             time_table(rows, labels), memory_table(rows, labels), *objects_table(rows, labels), check_table(rows, labels),
             *profile_tables(rows, labels)]
    parts += [f"PROBLEM: {problem}" for problem in data["problems"]]
    return render(parts, color, width)


def profile_tables(rows, labels):
    """Those of rows that have a profile, or locks."""
    for name, tables in (("profile", profiles.tables), ("locks", contention.tables)):
        if rows and all(name in row for row in rows):
            yield from tables(rows, labels)


def work_table(title, rows, labels):
    """Counters of walks per page freed; then how much of the search was in vain; then, if any did, the entries that reclaim's
    sweeps read (what fork and exit read is in the counter scanned_ptes, not here).
    """
    swept = any(row["reclaim"]["scanned_ptes"] for row in rows)
    lines = []
    for row, label in zip(rows, labels, strict=True):
        per_page, counters = row["counters_per_page"], row["counters"]
        found, freed = counters["ptes_found"], row["reclaim"]["freed"]
        lines.append([label, *(figure(per_page.get(key)) for _, key in WORK),
                      figure(counters["ptes_tried"] / found if found else None)])
        if swept:
            lines[-1].append(figure(row["reclaim"]["scanned_ptes"] / freed if freed else None))
    for number, (_, key) in enumerate(WORK, 1):
        if key != "ptes_found":
            marked(lines, number, [row["counters_per_page"].get(key) for row in rows])
    return grid(title, ["scheme", *(name for name, _ in WORK), "tried per\nfound", *["PTEs\nswept"] * swept], lines)


def time_table(rows, labels):
    """Nanoseconds by phase."""
    phases = list(dict.fromkeys(phase for row in rows for phase in row["seconds"]))
    columns = ["scheme", *(f"{phase}\n{UNITS.get(phase, 'ns/page')}" for phase in phases), "all\nseconds"]
    lines = [
        [label, *(figure(row["ns_per_page"].get(phase)) for phase in phases), f"{sum(row['seconds'].values()):.3f}"]
        for row, label in zip(rows, labels, strict=True)
    ]
    for number, phase in enumerate(phases, 1):
        marked(lines, number, [row["ns_per_page"].get(phase) for row in rows])
    marked(lines, len(phases) + 1, [sum(row["seconds"].values()) for row in rows])
    return grid("Time of the emulation", columns, lines)


def memory_table(rows, labels):
    """Bytes of the kernel's structures."""
    lines = []
    for row, label in zip(rows, labels, strict=True):
        memory, structures = row["memory"], row["memory"]["structures"]
        low, budget = memory["lowmem_bytes_peak"], memory["lowmem"]
        share = f"{budget['used_peak'] / budget['size']:.0%}" if budget else "-"
        most = budget["runs_out_at"]["processes"] if budget else None
        lines.append([label, format_size(memory["rmap_bytes_peak"]), format_size(memory["added_bytes_peak"]),
                      figure(memory["rmap_bytes_peak"] / max(row["pages"], 1)),
                      f"{structures['page']['size']} B", f"{structures['vm_area_struct']['size']} B",
                      format_size(structures["page_table"]["bytes_peak"] + structures["upper_table"]["bytes_peak"]),
                      format_size(low), share,
                      "-" if most is None else f"{most:,}"])
    columns = ["scheme", "for rmap\nat peak", "beside\npages", "bytes\nper page", "struct\npage", "struct\nvm_area",
               "page\ntables", "kernel\nmemory", "of low\nmemory", "full at\ntasks"]
    for number, key in ((1, "rmap_bytes_peak"), (2, "added_bytes_peak"), (3, "rmap_bytes_peak"), (7, "lowmem_bytes_peak")):
        marked(lines, number, [row["memory"][key] for row in rows])
    if not any(row["memory"]["lowmem"] for row in rows):
        columns, lines = columns[:-2], [line[:-2] for line in lines]
    return grid("Memory of the kernel's structures", columns, lines)


def objects_table(rows, labels):
    """The objects that schemes make for reverse mapping, and how many of them forks have made; no table if there are none."""
    lines = []
    for row, label in zip(rows, labels, strict=True):
        forks = row["forks"]
        for name, item in scheme_objects(row["memory"]["structures"]).items():
            if item["peak"]:
                made = forks["made"].get(name)
                lines.append([label, name, f"{item['size']} B", f"{item['peak']:,}",
                              "-" if made is None else f"{made:,}", figure(made / forks["seen"] if forks["seen"] else None)])
    if lines:
        forks = max(row["forks"]["count"] for row in rows)
        yield grid(f"Objects for reverse mapping, {forks:,} forks", ["scheme", "object", "bytes", "at peak", "made by\nforks",
                                                                    "per\nfork"], lines, 2)


def check_table(rows, labels):
    """Whether the scheme found everything, and whether programs saw the same."""
    lines = []
    for row, label in zip(rows, labels, strict=True):
        check, calls = row["check"], row["calls"]
        first = calls["first_difference"]
        lines.append([label, f"{check['frames']:,}", f"{check['points']:,}", f"{check['missed']:,}",
                      f"{check['extra']:,}", f"{calls['done']:,}", f"{calls['failed']:,}",
                      "none" if first is None else f"{first:,}", (row["final"]["digest"] or "-")[:8]])
    columns = ["scheme", "frames\nchecked", "points", "missed", "extra", "calls\ndone", "failed", "first\ndiffers",
               "contents\ndigest"]
    return grid("Check", columns, lines)


def details(data, color, width=None):
    """The listing of `replay`: for each row all counters, structures, and operations by kind."""
    parts = [heading(data)]
    facts = data["workload"].get("recording", {})
    for title, key in (("left out of the recording", "left_out"), ("assumed of the recording", "assumed")):
        if facts.get(key):
            parts += ["", f"{title}:"] + [f"{count:9,}  {reason}" for reason, count in facts[key].items()]
    for row in data["results"]:
        parts += ["", f"{row['scheme']} on {row['arch']}, file pages by {row['file_rmap']}", *detail_tables(row)]
    parts += [check_table(data["results"], names(data)), *profile_tables(data["results"], names(data))]
    parts += [f"PROBLEM: {problem}" for problem in data["problems"]]
    return render(parts, color, width)


def detail_tables(row):
    """Everything about one row."""
    per_page, per_walk = row["counters_per_page"], row["counters_per_walk"]
    yield grid("Operations", ["kind", "done", "failed", "errors"], [
        [kind, f"{calls['done']:,}", f"{calls['failed']:,}",
         ", ".join(f"{name} {count:,}" for name, count in calls["errors"].items())]
        for kind, calls in row["calls"]["by_kind"].items()
    ])
    yield grid("Counters", ["counter", "count", "per page freed", "per walk"], [
        [name, f"{count:,}", figure(per_page.get(name)), figure(per_walk.get(name))]
        for name, count in row["counters"].items() if count
    ])
    yield grid("Reclaim", ["frames", "count"], [[name, f"{count:,}"] for name, count in row["reclaim"].items()])
    yield grid("Kernel structures", ["structure", "bytes each", "now", "peak", "bytes at peak", "in slabs", "zone"], [
        [name, f"{item['size']:,}", f"{item['live']:,}", f"{item['peak']:,}", format_size(item["bytes_peak"]),
         format_size(item["slab_bytes_peak"]) if item["per_slab"] else "-", item["zone"]]
        for name, item in row["memory"]["structures"].items()
    ])
    yield grid("Totals", ["what", "value"], [
        ["for reverse mapping at peak", format_size(row["memory"]["rmap_bytes_peak"])],
        ["kernel memory at peak", format_size(row["memory"]["lowmem_bytes_peak"])],
        ["frames in use at peak, memory unlimited", f"{row['pages']:,}"],
        *([f"{phase}, seconds", f"{seconds:.4f}"] for phase, seconds in row["seconds"].items()),
        *([f"{phase}, {UNITS.get(phase, 'ns/page')}", figure(row["ns_per_page"].get(phase))]
          for phase in row["seconds"]),
        *([f"at the end: {name}", f"{row['final'][name]:,}"] for name in ("processes", "vmas", "present", "swapped")),
    ])
