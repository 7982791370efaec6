"""Which layout this rmapcore has: what the public declarations say, as a digest.

A scheme that was compiled outside has the layouts of records and classes in it. Through the seam it imports the type that
layout.pxd names after the digest: if it was compiled against other declarations there is no type of that name, and the import
fails. setup.py writes layout.pxd.
"""
import re
from pathlib import Path

DIGEST = re.search(r"layout_(\w+) ", Path(__file__).with_name("layout.pxd").read_text(encoding="utf-8"))[1]


def __getattr__(name):
    """The type that modules ask for when they are imported."""
    if name == f"layout_{DIGEST}":
        return object
    if name.startswith("layout_"):
        raise ImportError(f"it was compiled against another version of rmapcore, with layout {name.removeprefix('layout_')}, "
                          f"and this one has {DIGEST}: compile it again")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
