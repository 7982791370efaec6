"""THE REGISTRY of rows: numbers of the published ones, names of the closed forms below them.

A module of rows has a table ROWS, name -> Row, and one line here.
"""
from rmapcore.reproduce import chains, windows

ROWS = {
    **chains.ROWS,
    **windows.ROWS,
}
