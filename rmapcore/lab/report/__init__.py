"""Reports of what was measured: a picture (PNG, SVG) or one self-contained page (HTML). Extra `report`.

Pictures are drawn by matplotlib, pages filled by jinja2; both are imported when a report is written, and the same data
give the same bytes. A result brings its data, its plain table and, by its kind, its picture (pictures.FIGURES).
"""
import os
from importlib import import_module

from rmapcore.core.files import write_bytes
from rmapcore.errors import RmapcoreError
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
    if suffix == ".html":
        content = pages.page(data, result.table(), pictures.draw(data, "svg").decode("utf-8")).encode("utf-8")
    else:
        content = pictures.draw(data, suffix[1:])
    write_bytes(path, content)


def shown(data):
    """The same data, names as people are shown them: not every path has only characters that can be drawn or written."""
    if isinstance(data, dict):
        return {shown(key): shown(value) for key, value in data.items()}
    if isinstance(data, list):
        return [shown(value) for value in data]
    return visible(data) if isinstance(data, str) else data
