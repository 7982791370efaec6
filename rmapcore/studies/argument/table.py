"""the_argument as text: a table for swapout, one for mremap, and what the rows come to."""
from rmapcore.lab.layout import figure, grid, render
from rmapcore.units import format_size

SHOWN = (0.0, 0.1)                     # fractions rewritten for which bytes are shown; the JSON has all


def cell_name(row):
    """A cell in words."""
    moved = "" if row["moved"] is None else f", {label(row['part'], row['areas'], row['moved'])}"
    areas = "" if row["areas"] == 1 or row["part"] == "malloc" else f", {row['areas']} areas"
    return f"{row['processes']} processes, {row['rewritten']:.0%} rewritten{areas}{moved}"


def label(part, areas, moved):
    """What tells groups of cells of a part apart."""
    if part == "mremap":
        return f"moved by {moved}"
    if part == "malloc":
        return f"memory {moved}"
    return f"{areas} area{'s' * (areas > 1)}"


def by_cell(rows):
    """{key of a cell: {scheme: row}}, in order."""
    found = {}
    for row in rows:
        key = tuple(row[name] for name in ("part", "areas", "moved", "rewritten", "processes"))
        found.setdefault(key, {})[row["scheme"]] = row
    return found


def looked(row):
    """What the search looked at for each page freed."""
    return row["looked_at"] / row["freed"] if row["freed"] else None


def argument(data, color, width=None):
    """All of it."""
    cells = by_cell(data["results"])
    schemes = list(dict.fromkeys(row["scheme"] for row in data["results"]))
    parameters = data["workload"]["parameters"]
    heading = (f"{data['workload']['name']}: pages {parameters['pages']:,}, families of up to {parameters['most']:,} "
               f"processes, {data['machine']['arch']}, seed {data['workload']['seed']}")
    tables = [
        part(cells, schemes, "swapout", "Swapout: looked at for each page freed", "looked at, a page",
             lambda row: figure(looked(row))),
        part(cells, schemes, "swapout", "Swapout: kernel bytes for reverse mapping at peak", "bytes at peak",
             lambda row: format_size(row["rmap_bytes_peak"]), SHOWN),
        part(cells, schemes, "mremap", "mremap in every child, or none: pages copied", "pages copied",
             lambda row: f"{row['pages_copied_mremap']:,}"),
        part(cells, schemes, "mremap", "Swapout after it: looked at for each page freed", "looked at, a page",
             lambda row: figure(looked(row))),
        part(cells, schemes, "malloc", "Memory that children mapped for themselves, kept or shared with a child of their own",
             "looked at, a page", lambda row: figure(looked(row))),
        part(cells, schemes, "split", "One area cut into an area a page", "looked at, a page",
             lambda row: figure(looked(row))),
    ]
    looking = "Looked at: address spaces, areas or entries of chains; entries of page tables where reclaim sweeps these."
    parts = [heading, looking, "", *tables, "What it comes to", *summary(cells, schemes)]
    parts += ["", *(f"PROBLEM: {problem}" for problem in data["problems"])] if data["problems"] else []
    return render(parts, color, width)


def part(cells, schemes, name, title, over, value, rewritten=None):
    """One figure of the cells of a part, a column a scheme; rewritten: of these only."""
    lines = []
    last = None
    for (found, areas, moved, fraction, processes), rows in cells.items():
        if found != name or (rewritten is not None and fraction not in rewritten):
            continue
        group = label(name, areas, moved), f"{fraction:.0%}"
        lines.append([*(("", "") if group == last else group), f"{processes:,}",
                      *(value(rows[scheme]) for scheme in schemes)])
        last = group
    heads = [f"{over if number == 0 else ''}\n{scheme}" for number, scheme in enumerate(schemes)]
    return grid(title, ["", "re-\nwritten", "pro-\ncesses", *heads], lines, left=2)


def summary(cells, schemes):
    """Who looks at least, in how many cells; who looks at more than another, at most by how much; who copies."""
    for name, word in (("swapout", "swapout"), ("mremap", "after mremap"), ("malloc", "malloc"), ("split", "split")):
        chosen = {key: rows for key, rows in cells.items() if key[0] == name}
        least = (f"{scheme} {sum(looked(rows[scheme]) == min(map(looked, rows.values())) for rows in chosen.values())}"
                 for scheme in schemes)
        yield f"{word}, least looked at, of {len(chosen)} cells: {', '.join(least)}"
        for one in schemes:
            for other in schemes:
                if one != other:
                    yield from worst(word, chosen, one, other)
    copied = (f"{scheme} {sum(rows[scheme]['pages_copied_mremap'] for rows in cells.values()):,}" for scheme in schemes)
    yield f"pages copied by mremap, in all cells: {', '.join(copied)}"


def worst(word, cells, one, other):
    """The cell in which `one` looks at most more than `other`, if there is one."""
    ratios = [(looked(rows[one]) / looked(rows[other]), rows[one]) for rows in cells.values() if looked(rows[other])]
    ratio, row = max(ratios, key=lambda pair: pair[0], default=(0, None))
    if ratio >= 1.01:
        yield f"{word}: {one} looks at up to {figure(ratio)} times as much as {other} ({cell_name(row)})"
