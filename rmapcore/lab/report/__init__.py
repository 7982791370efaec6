"""Reports of what was measured: a picture (PNG, SVG) or one self-contained page (HTML). Extra `report`.

Pictures are drawn by matplotlib, pages filled by jinja2; both are imported when a report is written, and the same data
give the same bytes. A result brings its data, its plain table and, by its kind, its picture (pictures.FIGURES).
"""
import os
from importlib import import_module

from rmapcore.core.files import write_bytes
from rmapcore.errors import RmapcoreError
from rmapcore.lab import tables
from rmapcore.units import visible

SUFFIXES = (".html", ".png", ".svg")


def suffix_of(path):
    """".html", ".png" or ".svg"; ValueError names the path."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"report {os.fspath(path)!r}: the name must end in {', '.join(SUFFIXES)}")
    return suffix


def available():
    """RmapcoreError if the extra is not installed."""
    try:
        for name in ("jinja2", "matplotlib"):
            import_module(name)
    except ImportError as error:
        raise RmapcoreError(f"reports need the extra `report`: pip install 'rmapcore[report]' ({error})") from None


def write(result, path):
    """Writes the report of a result (to_dict, table) to a path, by its suffix."""
    suffix = suffix_of(path)
    available()
    from rmapcore.lab.report import pages, pictures

    data = shown(result.to_dict())
    if suffix != ".html":
        write_bytes(path, pictures.draw(data, suffix[1:]))
        return
    found = sections(data["results"], lambda: tables.names(data))
    bare = {**data, "results": [{name: value for name, value in row.items() if name not in ("profile", "locks")}
                                for row in data["results"]]}
    text = {"title": "Result", "svg": pictures.in_page(pictures.draw(data, "svg", True).decode("utf-8"), "The rows beside one "
                                                       "another"),
            "text": tables.comparison(bare, False) if found else result.table()}
    content = pages.page(data["workload"]["name"], data["problems"], [("", data)], [text], **found)
    write_bytes(path, content.encode("utf-8"))


def write_both(path, names, runs, table, problems):
    """Writes the page of two runs, the JSON of comparisons, beside each other: those of their rows that both have."""
    if suffix_of(path) != ".html":
        raise ValueError(f"report {os.fspath(path)!r}: two runs beside each other are a page, whose name ends in .html")
    if not all(isinstance(run, dict) and "workload" in run for run in runs):
        raise ValueError("report: only runs of compare and replay have a page")
    available()
    from rmapcore.lab.report import pages

    runs = [shown(run) for run in runs]
    labels = [dict(zip(tables.names(run), run["results"], strict=True)) for run in runs]
    pairs = [(f"{label}, {when}", rows[label]) for label in labels[0] if label in labels[1]
             for when, rows in zip(("then", "now"), labels, strict=True)]
    names = [f"{when}: {visible(name)}" for when, name in zip(("Then", "Now"), names, strict=True)]
    content = pages.page("Two runs", [visible(problem) for problem in problems], [*zip(names, runs, strict=True)],
                         [{"title": "What differs", "svg": None, "text": table}],
                         **sections([row for _, row in pairs], lambda: [label for label, _ in pairs]))
    write_bytes(path, content.encode("utf-8"))


def sections(rows, names):
    """What a page shows of profiles and locks, where all rows have them: a profile, and then maybe locks. names: gives the
    labels of such rows."""
    from rmapcore.lab.report import locks, profiles

    found = {}
    for name, section in (("profile", profiles), ("locks", locks)):
        if not rows or any(name not in row for row in rows):
            break
        found[name] = section.of_rows(rows, names())
    return found


def shown(data):
    """The same data, names as people are shown them: not every path has only characters that can be drawn or written."""
    if isinstance(data, dict):
        return {shown(key): shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [shown(value) for value in data]
    return visible(data) if isinstance(data, str) else data
