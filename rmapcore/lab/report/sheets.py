"""Tables of a page that can be sorted: cells have a text, and what they are sorted by."""


def cell(value, text=None):
    if text is None:
        text = f"{value:,}" if isinstance(value, int) else str(value)
    return {"value": value, "text": text}


def number(value):
    """A cell of what is a name though it is a number."""
    return cell(value, str(value))


def address(value):
    return cell(value, f"{value:#x}")


def table(title, columns, rows, left=1, opened=True):
    return {"title": title, "columns": columns, "rows": rows, "left": left, "open": opened}
