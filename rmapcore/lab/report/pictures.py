"""The pictures: one for a comparison, one for each argument, and plots of a page. Colours are told apart by colour-blind people
(Okabe and Ito).

Drawn without a display and without state: a Figure of its own, text as paths, no date, fixed identifiers in SVG.
"""
import hashlib
import html
import io
import re

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from rmapcore.units import escaped

COLOURS = ("#999999", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "sv^oDPX*d"
DASHES = ("-", "--", ":", "-.")
GRID = "#808081"                       # stands for the lines of a page's colours
STYLE = {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "axes.grid": True, "grid.color": "#dddddd",
         "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "rmapcore", "svg.fonttype": "path",
         "axes.axisbelow": True, "text.parse_math": False}


def draw(data, kind, transparent=False):
    """The picture of a result's data as bytes; kind: "png" or "svg"; transparent: for in_page."""
    with matplotlib.rc_context({**STYLE, "grid.color": GRID} if transparent else STYLE):
        figure = FIGURES.get(data["workload"]["name"], comparison)(data)
        stream = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(stream, format=kind, dpi=150, metadata=metadata, transparent=transparent)
    return stream.getvalue()


def drawn(plot, about):
    """A small plot, plot(axes), as SVG in the colours of a page; about: what it shows, for who cannot see it."""
    with matplotlib.rc_context({**STYLE, "grid.color": GRID}):
        figure = Figure(figsize=(5.4, 3.1), layout="constrained")
        plot(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    return in_page(stream.getvalue(), about)


def in_page(svg, about):
    """SVG as part of a page: without the XML declaration, black as the text's colour, identifiers that no other one has."""
    svg = svg[svg.index("<svg"):].replace("#000000", "currentColor").replace(GRID, "currentColor; stroke-opacity: 0.2")
    own = hashlib.sha256(svg.encode("utf-8")).hexdigest()[:8]
    svg = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{own}-", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(about)}" ', 1)


def lines_of(axes, lines, labels, step=False, legend="best"):
    """A line for each label, (x, y) or None, as steps if the values hold until the next one.  legend: where it is."""
    for number, (line, label) in enumerate(zip(lines, labels, strict=True)):
        if line is not None:
            axes.plot(*line, color=COLOURS[(number + 2) % len(COLOURS)], linewidth=1.4, label=drawable(label),
                      linestyle=DASHES[number // len(COLOURS) % len(DASHES)], drawstyle="steps-post" if step else "default")
    axes.legend(frameon=False, fontsize=8, loc=legend)


def drawable(text):
    """Text as the font can draw it: what it lacks is escaped."""
    font = get_font(findfont(FontProperties()))
    return "".join(one if font.get_char_index(ord(one)) else escaped(ord(one)) for one in text)


def plain(value, _=None):
    """0.01, 1, 10, 1k, 1M: tick labels of long axes."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def log_axis(axis, base):
    axis.set_major_locator(LogLocator(base))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())


def lines(axes, rows, schemes, x, y, style="-"):
    """A line a scheme, left out where it has no value."""
    for number, scheme in enumerate(schemes):
        points = sorted((row[x], y(row)) for row in rows if row["scheme"] == scheme and y(row))
        if points:
            axes.plot(*zip(*points, strict=True), style, color=COLOURS[number % len(COLOURS)],
                      marker=MARKERS[number % len(MARKERS)], markersize=4.5, linewidth=1.4, label=scheme,
                      fillstyle="full" if style == "-" else "none")


def the_argument(data):
    """Two rows of panels: the search in swapout by fraction rewritten; copies, the search after a move, bytes, time."""
    rows = data["results"]
    schemes = list(dict.fromkeys(row["scheme"] for row in rows))
    swapout = [row for row in rows if row["part"] == "swapout"]
    mremap = [row for row in rows if row["part"] == "mremap"]
    least, most = min(row["areas"] for row in swapout), max(row["areas"] for row in swapout)
    some = sorted({row["rewritten"] for row in swapout})
    figure = Figure(figsize=(13, 7), layout="constrained")
    panels = figure.subplots(2, 4)

    def per_page(name):
        return lambda row: row[name] / row["freed"] if row["freed"] else None

    ceiling = max(per_page("looked_at")(row) for row in swapout)
    for axes, rewritten in zip(panels[0], some, strict=True):
        lines(axes, [row for row in swapout if row["rewritten"] == rewritten and row["areas"] == least], schemes,
              "processes", per_page("looked_at"))
        axes.set_title(f"swapout, {rewritten:.0%} rewritten by each child")
        axes.set_ylim(0.8, ceiling * 2)
        axes.set_yscale("log")
    panels[0][0].set_ylabel("looked at for each page freed")
    panels[0][0].legend(frameon=False, loc="upper left")

    copies, after, memory, time = panels[1]
    for rewritten, style in ((0.0, "-"), (0.5, "--")):
        chosen = [row for row in mremap if row["rewritten"] == rewritten and row["moved"] == "all"]
        lines(copies, chosen, schemes, "processes", lambda row: row["pages_copied_mremap"], style)
    copies.set_title("pages copied by mremap in every child\n(dashed: half rewritten before; no line: none)")
    copies.set_ylabel("pages")
    copies.set_yscale("log")
    for moved, style in (("none", "-"), ("all", "--")):
        chosen = [row for row in mremap if row["rewritten"] == 0.5 and row["moved"] == moved]
        lines(after, chosen, schemes, "processes", per_page("looked_at"), style)
    after.set_title("swapout after it, half rewritten\n(dashed: moved in every child)")
    after.set_ylabel("looked at for each page freed")
    after.set_yscale("log")
    middle = some[len(some) // 2]
    for areas, style in ((least, "-"), (most, "--")):
        chosen = [row for row in swapout if row["areas"] == areas and row["rewritten"] == middle]
        lines(memory, chosen, schemes, "processes", per_page("rmap_bytes_peak"), style)
    memory.set_title(f"kernel bytes for reverse mapping, {middle:.0%} rewritten\n({least} area, dashed: {most})")
    memory.set_ylabel("bytes for each page")
    memory.set_yscale("log")
    chosen = [row for row in swapout if row["areas"] == least and row["rewritten"] == middle]
    lines(time, chosen, schemes, "processes", lambda row: row["ns_reclaim"])
    time.set_title(f"time of the emulation, {middle:.0%} rewritten\n(this machine's)")
    time.set_ylabel("ns for each page freed")
    time.set_yscale("log")
    for axes in panels.flat:
        axes.set_xscale("log", base=2)
        axes.set_xlabel("processes of the family")
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        if axes.lines:
            log_axis(axes.yaxis, 10)
    parameters = data["workload"]["parameters"]
    figure.suptitle(f"{data['workload']['name']}: {parameters['pages']:,} pages swapped out, {data['machine']['arch']}; "
                    "looked at: address spaces, areas or chain entries, or entries that a sweep read")
    return figure


def argument_2026(data):
    """Bars of every row under every scheme: bytes, contexts or nodes, entries tried for each found, entries missed."""
    rows = data["results"]
    names = list(dict.fromkeys(row["row"] for row in rows))
    columns = list(dict.fromkeys((row["scheme"], row["kernel"]) for row in rows))
    figure = Figure(figsize=(13, 2.2 + 0.42 * len(names)), layout="constrained")
    panels = figure.subplots(1, 4, sharey=True)

    def ratio(one, other):
        return one / other if other else 0

    measures = (
        ("bytes of objects", lambda row: row["bytes"], True),
        ("contexts or nodes entered, a page", lambda row: ratio(row["walks"]["nodes"], row["pages"]), True),
        ("entries tried for each there is", lambda row: ratio(row["walks"]["tried"], row["mappings"]), True),
        ("entries missed, of 100", lambda row: 100 * ratio(row["missed"], row["mappings"]), False),
    )
    height = 0.8 / len(columns)
    for axes, (title, value, logarithmic) in zip(panels, measures, strict=True):
        for number, column in enumerate(columns):
            of = {row["row"]: value(row) for row in rows if (row["scheme"], row["kernel"]) == column and "walks" in row}
            axes.barh([names.index(name) + (number + 0.5) * height - 0.4 for name in of], list(of.values()), height,
                      color=COLOURS[number % len(COLOURS)], label=" ".join(column))
        axes.set_title(title)
        if logarithmic:
            axes.set_xscale("log")
            log_axis(axes.xaxis, 10)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=len(columns))
    figure.suptitle(f"{data['workload']['name']}: all anonymous pages walked once at the moment that each row names")
    return figure


def comparison(data):
    """Bars of every row: the search for each page freed, time by phase, kernel bytes at peak."""
    rows = data["results"]
    several = len({row["arch"] for row in rows}) > 1
    labels = [drawable(row["scheme"]) + (f"\n{row['arch']}" if several else "") for row in rows]
    phases = list(dict.fromkeys(phase for row in rows for phase in row["seconds"]))
    figure = Figure(figsize=(13, 1.6 + 0.55 * len(rows)), layout="constrained")
    work, time, memory = figure.subplots(1, 3, sharey=True)
    places = range(len(rows))
    work.barh(places, [row["counters"]["ptes_tried"] / freed if (freed := row["reclaim"]["freed"]) else 0 for row in rows],
              color=COLOURS[2], label="entries tried")
    work.barh(places, [row["counters"]["ptes_found"] / freed if (freed := row["reclaim"]["freed"]) else 0 for row in rows],
              color=COLOURS[6], height=0.4, label="entries found")
    swept = [row["reclaim"]["scanned_ptes"] / freed if (freed := row["reclaim"]["freed"]) else 0 for row in rows]
    if any(swept):
        work.barh(places, swept, color=COLOURS[5], label="entries swept")
    work.set_title("work for each page freed")
    left = [0.0] * len(rows)
    for number, phase in enumerate(phases):
        seconds = [row["seconds"].get(phase, 0) for row in rows]
        time.barh(places, seconds, left=left, color=COLOURS[number % len(COLOURS)], label=phase)
        left = [before + more for before, more in zip(left, seconds, strict=True)]
    time.set_title("seconds of the emulation, by phase")
    memory.barh(places, [row["memory"]["rmap_bytes_peak"] / (1 << 20) for row in rows], color=COLOURS[3])
    memory.set_title("MiB of kernel structures for reverse mapping, at peak")
    work.set_yticks(places, labels)
    work.invert_yaxis()
    for axes in (work, time):                  # below the ticks, where no bar is
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=2.4, ncols=5)
    figure.suptitle(drawable(data["workload"]["name"]))
    return figure


FIGURES = {"the_argument": the_argument, "argument_2026": argument_2026}
