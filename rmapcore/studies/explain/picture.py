"""Graphviz's language as SVG, by pygraphviz of the extra `report`: its wheels have Graphviz in them (docs/explain.md).

It runs in a process of its own: what its libraries print goes nowhere, and what ends them ends nothing else.
"""
import subprocess
import sys
from importlib.util import find_spec

from rmapcore.errors import RmapcoreError

SECONDS = 120
DRAW = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format="svg", prog="dot"))
"""


def available():
    """RmapcoreError if the extra is not installed."""
    if find_spec("pygraphviz") is None:
        raise RmapcoreError("SVG needs the extra `report`: pip install 'rmapcore[report]'; .dot is written without")


def svg(text):
    """SVG of a text in Graphviz's language. RmapcoreError."""
    available()
    try:
        done = subprocess.run([sys.executable, "-P", "-c", DRAW], input=text.encode(), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise RmapcoreError(f"Graphviz was not done with the picture after {SECONDS} seconds; write .dot") from None
    if done.returncode or not done.stdout:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RmapcoreError(f"Graphviz could not draw the picture: {last or f'exit status {done.returncode}'}")
    return done.stdout.decode()
