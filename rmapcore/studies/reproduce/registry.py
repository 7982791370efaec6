"""THE REGISTRY of rows: numbers of the published ones, names of the closed forms below them.

A module of rows has a table ROWS, name -> Row, and one line here.
"""
from rmapcore.studies.reproduce import areas, chains, family, generations, mixes, windows

MODULES = (chains, windows, areas, family, generations, mixes)
ROWS = dict(sorted(((name, row) for module in MODULES for name, row in module.ROWS.items()),
                   key=lambda item: (not item[0].isdecimal(), int(item[0]) if item[0].isdecimal() else 0)))
