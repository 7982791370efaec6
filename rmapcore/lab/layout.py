"""Tables and lines as text, for a terminal of some width or for none.

Without a width every table is as wide as it must be. With one, a table that is wider is printed in groups of columns, each with
the first columns of the whole, tables that fit stand side by side, and long lines go on below what they say. In colour, what
does not hold is red, and the best and worst of a column, where its maker has marked them, are green and yellow.
"""
import html
import io
import re
import textwrap
from typing import NamedTuple

from rmapcore.units import visible

BETWEEN = 3                            # columns between two columns
GAP = 4                                # between two tables
LEAST_TEXT = 20                        # of a column that is folded
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAULT = re.compile(r"\bNO\b|^(PROBLEM|LOST|NO FAULTS):|\bFAILED$")
_HANGING = re.compile(r"(.*\S\s{2,}|\s*[\w ]+:\s+)\S")


class Grid(NamedTuple):
    """A table: the first `left` columns left, all others right. Names of columns may have several lines."""

    title: str
    columns: list
    rows: list
    left: int


class Cell(str):
    """Text with a colour of its own: "best" or "worst" of its column."""

    mark = None


def grid(title, columns, rows, left=1):
    """A Grid."""
    return Grid(title, list(columns), [list(row) for row in rows], left)


def marked(rows, column, values):
    """The rows with the least and the largest of the values of a column marked; None: it has none."""
    known = [value for value in values if value is not None]
    if len(set(known)) > 1:
        for row, value in zip(rows, values, strict=True):
            if value in (min(known), max(known)):
                row[column] = Cell(row[column])
                row[column].mark = "best" if value == min(known) else "worst"
    return rows


def figure(value):
    """A ratio with three or four significant digits; "-" for none, a bare 0 for nothing."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    for limit, text in ((0.01, "{:.1e}"), (1, "{:.3f}"), (100, "{:.2f}"), (1000, "{:.1f}")):
        if abs(value) < limit:
            return text.format(value)
    return f"{value:,.0f}"


def render(parts, color, width=None):
    """Strings and Grids as one string without trailing blanks.

    What comes from names of files, processes and cases is shown, not obeyed: neither markup nor control characters.
    """
    lines, beside = [], []
    for part in parts:
        if isinstance(part, Grid):
            blocks = [drawn(one, color, width) for one in groups(part, width)]
            if beside and (width is None or len(blocks) > 1
                           or sum(map(wide, [*beside, *blocks])) + GAP * len(beside) > width):
                lines += side_by_side(beside)
                beside = []
            if len(blocks) > 1:
                lines += [line for block in blocks for line in block]
            else:
                beside += blocks
        else:
            lines += side_by_side(beside)
            beside = []
            for line in part.split("\n"):
                lines += [painted(piece, line, color) for piece in wrapped(visible(line), width)]
    lines += side_by_side(beside)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_html(text):
    """Text for a notebook, as it is."""
    return f"<pre>{html.escape(text)}</pre>"


def painted(piece, line, color):
    return f"\x1b[1;31m{piece}\x1b[0m" if color and piece and _FAULT.search(line) else piece


def wrapped(line, width):
    """A line in pieces of at most so many columns, the later ones below the last column of the first."""
    if width is None or len(line) <= width:
        return [line]
    hanging = _HANGING.match(line[:width])
    indent = len(hanging[1]) if hanging and len(hanging[1]) <= width // 2 else len(line) - len(line.lstrip()) + 4
    pieces = textwrap.wrap(line, width, subsequent_indent=" " * indent, break_on_hyphens=False, drop_whitespace=True)
    return pieces or [""]


def shown(text):
    """Columns that a text of several lines takes."""
    from rich.cells import cell_len

    return max(map(cell_len, text.split("\n")))


def groups(table, width):
    """The Grid in parts that fit, each with the first columns of the whole."""
    sizes = [max(shown(name), *(shown(visible(row[number])) for row in table.rows), 0)
             for number, name in enumerate(table.columns)]
    if width is None or 1 + sum(sizes) + BETWEEN * (len(sizes) - 1) <= width:
        yield table
        return
    parts = cut(sizes, table.left, width)
    narrowest = next(less for less in range(width + 1) if len(cut(sizes, table.left, less)) <= len(parts))
    for number, part in enumerate(cut(sizes, table.left, narrowest)):
        yield picked(table, table.title if number == 0 else None, [*range(table.left), *part])


def cut(sizes, left, width):
    """Numbers of the columns behind the first ones, in groups that fit, or of one column each."""
    parts, taken = [[]], 1 + sum(size + BETWEEN for size in sizes[:left])
    used = taken
    for number in range(left, len(sizes)):
        if parts[-1] and used + sizes[number] > width:
            parts.append([])
            used = taken
        parts[-1].append(number)
        used += sizes[number] + BETWEEN
    return parts


def picked(table, title, numbers):
    names, *rows = ([line[number] for number in numbers] for line in (table.columns, *table.rows))
    return Grid(title, names, rows, table.left)


def drawn(table, color, width):
    """The lines of a Grid; texts are folded where it does not fit in any other way."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made = Table(title=table.title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False,
                 padding=(0, 1))
    for number, name in enumerate(table.columns):
        texts = number < table.left
        made.add_column(name, justify="left" if texts else "right", no_wrap=not texts or width is None, vertical="bottom",
                        overflow="fold", min_width=min(LEAST_TEXT, shown(name)) if texts else shown(name))
    for row in table.rows:
        made.add_row(*map(cell_text, row))
    stream = io.StringIO()
    Console(file=stream, width=width or 1000, force_terminal=color, no_color=not color, highlight=False).print(made)
    lines = stream.getvalue().split("\n")[:-1]
    return lines[1:] if table.title is None else lines


def cell_text(cell):
    from rich.text import Text

    styles = {"best": "green", "worst": "yellow"}
    style = "bold red" if _FAULT.search(cell) else styles.get(getattr(cell, "mark", None), "")
    return Text(visible(cell), style=style)


def wide(block):
    return max((shown(_COLOUR.sub("", line).rstrip()) for line in block), default=0)


def side_by_side(blocks):
    """Lines of blocks, one beside the other."""
    sizes = [wide(block) for block in blocks]
    for number in range(max(map(len, blocks), default=0)):
        line = ""
        for block, size in zip(blocks, sizes, strict=True):
            text = block[number].rstrip() if number < len(block) else ""
            line += text + " " * (size + GAP - shown(_COLOUR.sub("", text)))
        yield line
