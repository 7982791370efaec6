"""Reads what the C program of a case printed, in the form that recorded states have."""
import re

from rmapcore.verify.state import CODES, ZERO_CLASS


def parsed(output):
    """({process: recorded form} of the last picture that a program printed, the lines about steps)."""
    state, steps, rows = {}, [], None
    for line in output.splitlines():
        words = line.split()
        if line.startswith("step ") and len(words) > 2:
            steps.append(line)
        elif line.startswith("step ") or line == "at the end":
            state = {}
        elif re.fullmatch(r"p\d+", line):
            rows = state[line] = {"vmas": [], "pages": []}
        elif line.startswith("  area "):
            rows["vmas"].append(area_row(words))
        elif line.startswith("  pages "):
            rows["pages"].append(page_run(words))
    return state, steps


def place_and_pages(text):
    """(prefix of a place's name, first, end) of "3-5" or "L+3-5"."""
    prefix, first, end = re.fullmatch(r"(\w+\+|)(-?\d+)-(-?\d+)", text).groups()
    return prefix, int(first), int(end)


def area_row(words):
    prefix, first, end = place_and_pages(words[1])
    row = [prefix + str(first) if prefix else first, prefix + str(end) if prefix else end, *words[2:4]]
    return [*row, int(words[5])] if words[4:5] == ["from"] else row


def page_run(words):
    prefix, first, end = place_and_pages(words[1])
    facts = dict(zip(words[3::2], map(int, words[4::2]), strict=True))
    known = facts.get("frame", facts.get("slot", ZERO_CLASS))
    return [prefix + str(first) if prefix else first, end - first, CODES[words[2]], facts.get("mapcount", 0), known]
