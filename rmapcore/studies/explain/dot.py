"""A Drawing in Graphviz's language. Names of nodes are our own; what anybody named is in labels, escaped."""
import html

from rmapcore.lab.layout import wrapped
from rmapcore.studies.explain.drawing import ABSENT, ASKED, FOUND, MISSED, PLAIN
from rmapcore.units import visible

COLOURS = {                            # border and ground of a box
    "frame": ("#8a6d3b", "#fdf6e3"), "walked": ("#1f4e9c", "#dbe7fb"), "slot": ("#888888", "#eeeeee"),
    "file": ("#4d7a4d", "#eef7ee"), "scheme": ("#6a4c93", "#f3eefa"), "gone": ("#b3261e", "#ffffff"),
    "process": ("#555555", "#ffffff"),
}
GROUNDS = {FOUND: "#cdebcd", ABSENT: "#e6e6e6", MISSED: "#f7c8c4", ASKED: "#dbe7fb", PLAIN: None}
WALK, LOST, LINK = "#1f4e9c", "#b3261e", "#777777"
SAID = {FOUND: "#2e6b2e", ABSENT: "#555555", MISSED: LOST}
PAGES = ("frame", "walked", "slot")
WIDEST, WIDEST_TOLD = 60, 110          # characters of a line in a box, and of one above all
HEAD = """digraph explain {{
  graph [rankdir=LR, nodesep=0.18, ranksep=0.7, fontname="Helvetica", fontsize=12, labelloc=t, labeljust=l,
         label=<{label}>]
  node [shape=plain, fontname="Helvetica", fontsize=11]
  edge [fontname="Helvetica", fontsize=9, color="{link}", fontcolor="{link}", arrowsize=0.6]
"""


def text_of(drawing):
    """The whole text."""
    told = [piece for line in drawing.told for piece in wrapped(line, WIDEST_TOLD)]
    head = [f"<B>{escaped(drawing.title, None)}</B>", *(escaped(line, None) for line in told), " "]
    parts = [HEAD.format(label="".join(f'{line}<BR ALIGN="LEFT"/>' for line in head), link=LINK)]
    parts += [f"  {node(box)}\n" for box in drawing.boxes]
    for rank, kinds in (("min", PAGES), ("max", ("process",))):
        parts += [f"  {{ rank={rank}; {' '.join(box.name for box in drawing.boxes if box.kind in kinds)} }}\n"]
    parts += [f"  {edge(one)}\n" for one in drawing.edges]
    parts += [f"  {left} -> {right} [style=invis]\n" for left, right in drawing.apart]
    return "".join(parts) + "}\n"


def escaped(text, most=WIDEST):
    """Text for a label."""
    text = visible(text)
    return html.escape(text if most is None or len(text) <= most else f"{text[:most - 1]}…")


def node(box):
    colour, ground = COLOURS[box.kind]
    rows = "".join("<HR/>" * (line.head and number > 0) + row(line) for number, line in enumerate(box.lines))
    style = ' STYLE="DASHED"' if box.kind == "gone" else ""
    return (f'{box.name} [label=<<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{colour}" '
            f'BGCOLOR="{ground}"{style}>{rows}</TABLE>>]')


def row(line):
    text = f"<B>{escaped(line.text)}</B>" if line.head else escaped(line.text)
    if line.state in SAID:
        text += f'&#160;&#160;<FONT COLOR="{SAID[line.state]}"><B>{line.state}</B></FONT>'
    if line.marks:
        text = f'<FONT COLOR="{WALK}"><B>{", ".join(map(str, line.marks))}</B></FONT>&#160;&#160;{text}'
    port = f' PORT="{line.port}"' if line.port else ""
    ground = f' BGCOLOR="{GROUNDS[line.state]}"' if GROUNDS[line.state] else ""
    return f'<TR><TD ALIGN="LEFT"{port}{ground}>{text}</TD></TR>'


def edge(one):
    if one.back:
        return f'{one.end} -> {one.start} [label="{quoted(one.text)}", dir=back]'
    where = f"{one.end}:{one.port}" if one.port else one.end
    said = [f'label="{quoted(one.text)}"'] if one.text else []
    if not one.orders:
        said.append("constraint=false")
    if one.state == MISSED:
        said += [f'color="{LOST}"', f'fontcolor="{LOST}"', "style=dashed"]
    elif not one.orders:
        said.append("style=dotted")
    return f"{one.start} -> {where} [{', '.join(said)}]" if said else f"{one.start} -> {where}"


def quoted(text):
    """Text between quotation marks: a backslash would begin an escape of Graphviz's."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')
