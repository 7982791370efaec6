"""argument_2026 as text: a table a figure, a column a scheme; the points turned the other way; what was not run; what it
comes to.
"""
from rmapcore.lab.layout import figure, grid, render
from rmapcore.units import format_size, visible

SHORT = {"anon_vma_chain": "avc", "cow_context": "cow\nrepaired", "cow_context_2026_05": "cow\nfaithful",
         "anon_vma_lazy": "lazy"}
NONE = "-"
FIGURES = 7                                    # of a row in the table of points


def whole(value):
    return NONE if value is None else f"{value:,}"


def size(value):
    return NONE if value is None else format_size(value)


def by_walk(name):
    """A count of the walks, a page."""
    return lambda row: figure(row["walks"][name] / row["pages"] if row["pages"] else None)


def tried(what):
    return lambda row: whole(row["walks"]["by_tried"][what])


def lock(what):
    return lambda row: figure(row["locks"].get(what))


TABLES = (                                     # title, [(what a line is, its value of a row)]
    ("What there is", [("processes", lambda row: whole(row["processes"])), ("pages", lambda row: whole(row["pages"])),
                       ("entries", lambda row: whole(row["mappings"]))]),
    ("Areas", [("now", lambda row: whole(row["areas"])), ("peak", lambda row: whole(row["areas_peak"]))]),
    ("Bytes of objects for reverse mapping",
     [("now", lambda row: size(row["bytes"])), ("peak", lambda row: size(row["bytes_peak"]))]),
    ("Bytes, with what pages and areas hold for it", [("", lambda row: size(row["all_bytes"]))]),
    ("Objects that a fork makes", [("", lambda row: figure(sum(row["by_fork"].values())) if row["by_fork"] else NONE)]),
    ("Locks of the scheme taken", [("a fork", lock("fork")), ("an exit", lock("exit")), ("a walk", lock("walk")),
                                   ("in all", lambda row: whole(row["locks"]["all"])),
                                   ("the busiest", lambda row: whole(row["locks"]["busiest"]))]),
    ("Walks of all anonymous pages: contexts or nodes entered, a page",
     [("mean", by_walk("nodes")), ("longest", lambda row: whole(row["walks"]["by_nodes"]["max"]))]),
    ("Walks of all anonymous pages: addresses looked up, a page", [("", by_walk("lookups"))]),
    ("Walks of all anonymous pages: entries tried, a page",
     [("mean", by_walk("tried")), ("p50", tried("p50")), ("p99", tried("p99")), ("longest", tried("max"))]),
    ("Walks of all anonymous pages: entries found, a page", [("", by_walk("found"))]),
    ("Entries missed by these walks, and left when all was asked back",
     [("missed", lambda row: whole(row["missed"])), ("left", lambda row: whole(row.get("left")))]),
    ("Time of the emulation, seconds (this machine's)", [("", lambda row: f"{row['seconds']:.3f}")]),
)


def column_of(row):
    return row["scheme"], row["kernel"]


def by_row(rows):
    """{name of a row: {column: row}}, in order."""
    found = {}
    for row in rows:
        found.setdefault(row["row"], {})[column_of(row)] = row
    return found


def head(column):
    """A column's name in the tables."""
    scheme, kernel = column
    return f"{SHORT.get(scheme, scheme)}\n{kernel}"


def argument(data, color, width=None):
    """All of it."""
    columns = list(dict.fromkeys(column_of(row) for row in data["results"]))
    rows = by_row(data["results"])
    workload = data["workload"]
    parts = [f"{workload['name']}: part {workload['parameters']['part']:g} of the sizes named, {data['machine']['arch']}, "
             f"seed {workload['seed']}", *map(about, workload["rows"].items()), *known_by(data["results"]), "",
             *(part(title, lines, rows, columns) for title, lines in TABLES[:4]),
             kinds("Objects for reverse mapping, now", rows, columns, "now"),
             kinds("Objects for reverse mapping, at their peaks", rows, columns, "peak"),
             *(part(title, lines, rows, columns) for title, lines in TABLES[4:]),
             *switches(data["switches"], rows),
             "now: at the moment that the row names; peaks, forks and exits: of the whole program.",
             f"{NONE}: the scheme has no such objects; no call of that kind; a recording, of which nothing is asked back.",
             "", "Not run", *(f"{name}: {reason}" for name, reason in workload["not_run"].items()),
             "", "What it comes to", *summary(rows, columns)]
    parts += ["", *(f"PROBLEM: {problem}" for problem in data["problems"])] if data["problems"] else []
    return render(parts, color, width)


def about(item):
    """What a row runs, as a line."""
    name, of = item
    parameters = ", ".join(f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}"
                           for key, value in of["parameters"].items())
    after = f"after {of['after']}" if of["after"] else "when most entries are there"
    return f"{name + ':':16}{visible(of['workload'])}{parameters and f', {parameters}'}; {after}"


def known_by(rows):
    """What the short names of columns stand for, as lines."""
    sizes = {row["scheme"]: row["sizes"]["vm_area_struct"] for row in rows}
    for scheme, name in SHORT.items():
        if scheme in sizes:
            yield f"{name.replace(chr(10), ' ') + ':':16}{scheme}, areas of {sizes[scheme]} bytes"


def part(title, lines, rows, columns):
    """One figure of all rows."""
    out = []
    for name, found in rows.items():
        for number, (what, value) in enumerate(lines):
            out.append(["" if number else name, what,
                        *(failed(found[column]) or value(found[column]) for column in columns)])
    return grid(title, ["", "", *map(head, columns)], out, 2)


def kinds(title, rows, columns, when):
    """Objects by kind."""
    out = []
    for name, found in rows.items():
        counts = {column: by_kind(row["objects"], when) for column, row in found.items()}
        those = dict.fromkeys(kind for of in counts.values() for kind, count in of.items() if count)
        for number, kind in enumerate(those):
            out.append(["" if number else name, kind, *(whole(counts[column].get(kind)) for column in columns)])
    return grid(title, ["", "", *map(head, columns)], out, 2)


def by_kind(objects, when):
    """{kind: how many}; arrays of all sizes are one kind."""
    counts = {}
    for name, entry in objects.items():
        kind, _, last = name.rpartition("_")
        kind = f"{kind}s" if last.isdecimal() else name
        counts[kind] = counts.get(kind, 0) + entry[when]
    return counts


def failed(row):
    """What stands for a figure of a row that ended too early to have it."""
    return "error" if "walks" not in row else ""


def switches(turned, rows):
    """Each UNVERIFIED point: the figures as decided, and turned."""
    if not turned:
        return
    letters = dict(zip(dict.fromkeys(row["point"] for row in turned), "abcdefghijklmnopqrstuvwxyz", strict=False))
    out = []
    for row in turned:
        decided = rows[row["row"]][tuple(row["decided"].values())]
        out += [[letters[row["point"]], row["row"], "decided", *figures(decided)], ["", "", "turned", *figures(row)]]
    yield grid("Points that nobody could verify, as decided and turned the other way",
               ["", "", "", "areas", "objects", "bytes", "with pages\nand areas", "nodes", "tried", "missed"], out, 3)
    yield "\n".join([*(f"{letter}: {point}" for point, letter in letters.items()), ""])


def figures(row):
    """What the table of points shows of a row."""
    if failed(row):
        return [failed(row)] * FIGURES
    return [whole(row["areas"]), whole(sum(entry["now"] for entry in row["objects"].values())), size(row["bytes"]),
            size(row["all_bytes"]), by_walk("nodes")(row), by_walk("tried")(row), whole(row["missed"])]


def summary(rows, columns):
    """Each column beside the first: bytes, entries tried, what is missed, over all rows."""
    first = columns[0]
    beside = head(first).replace("\n", " ")
    for column in columns:
        those = [(name, found[first], found[column]) for name, found in rows.items()
                 if not failed(found[first]) and not failed(found[column])]
        name = head(column).replace("\n", " ")
        missed = sum(row["missed"] for _, _, row in those)
        left = sum(row.get("left") or 0 for _, _, row in those)
        ratios = "" if column == first else (
            f"bytes now {spread(those, lambda row: row['bytes'])} of {beside}'s, entries tried "
            f"{spread(those, lambda row: row['walks']['tried'])}; ")
        yield f"{name}: {ratios}missed {missed:,}, left {left:,}"


def spread(those, value):
    """The least and the largest ratio to the first column, with the first rows where they are."""
    ratios = {name: value(row) / value(first) for name, first, row in those if value(first)}
    if not ratios:
        return NONE
    least, most = min(ratios, key=ratios.get), max(ratios, key=ratios.get)
    if ratios[least] == ratios[most]:
        return f"{figure(ratios[least])} times"
    return f"{figure(ratios[least])} ({least}) to {figure(ratios[most])} times ({most})"
