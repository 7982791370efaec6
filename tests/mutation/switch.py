"""Many mutants in one source: which of them a process runs is a number that its environment gives (chosen.h), 0 for none.

So the kernels are compiled once for all mutants. A statement is written out for each mutant of it and as it was; of a header,
and of a declaration, what is changed becomes an expression with a choice.
"""
import re
from collections import defaultdict

from mutation.make import QUOTED

NAME = "rmapcore_mutant"
DECLARED = f"cdef extern from *:\n    int {NAME}\n"
CONDITION = re.compile(r"( *(?:if|elif|while) )([\s\S]+):(\s*)$")
HEADER = re.compile(r" *(?:for|with|else|elif|try|except|finally|cdef)\b")
BEGINS, ENDS = "([{", ")]}"


class Unswitchable(Exception):
    """No form is known for a change of such a statement."""


def blanked(text):
    """The same text with spaces for comments and NUL for strings."""
    return QUOTED.sub(lambda match: re.sub(r"[^\n]", " " if match[0][0] == "#" else "\0", match[0]), text)


def statements(text):
    """(first line, line behind the last), from 0, of each statement that takes a line or more; a header is one."""
    depth, first = 0, None
    for number, line in enumerate(blanked(text).split("\n")):
        first = number if first is None else first
        depth += sum(map(line.count, BEGINS)) - sum(map(line.count, ENDS))
        if depth <= 0:
            yield first, number + 1
            first = None


def piece(code, start, end):
    """(start, end) of the smallest expression in a statement's blanked code that holds a change at [start, end): an argument,
    an index, what is assigned.
    """
    low, depth = start, 0
    while low > 0:
        before = code[low - 1]
        if not depth and (before in BEGINS + ",:" or re.search(r"(?<![=!<>])=$|\bin $|\breturn $", code[:low])):
            break
        depth += (before in ENDS) - (before in BEGINS)
        low -= 1
    high, depth = end, 0
    while high < len(code) and not (not depth and code[high] in ENDS + ",:"):
        depth += (code[high] in BEGINS) - (code[high] in ENDS)
        high += 1
    while low < high and code[low].isspace():
        low += 1
    while low < high and code[high - 1].isspace():
        high -= 1
    if code[low:high].startswith("*") or not code[low:high] or low > start or high < end:
        raise Unswitchable
    return low, high


def alike(one, other):
    """How many characters two texts begin with that are the same."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def switch(old, changed):
    """A statement's text with a choice between what it was and {number: changed text}."""
    code = blanked(old)
    if match := CONDITION.fullmatch(code):
        begin, behind = match.span(2)
        expression = f"not ({old[begin:behind]})"           # of numbers wider than an int, and of pointers
        for number, new in changed.items():
            other = new[begin:len(new) - (len(old) - behind)]
            expression = f"(not ({other}) if {NAME} == {number} else {expression})"
        return f"{old[:begin]}not ({expression}){old[behind:]}"
    if not HEADER.match(code):
        indent = re.match(" *", old)[0]
        lines, word = [], "if"
        for number, new in changed.items():
            lines += [f"{indent}{word} {NAME} == {number}:", "    " + new]
            word = "elif"
        return "\n".join([*lines, f"{indent}else:", "    " + old])
    if len(changed) > 1:
        raise Unswitchable
    (number, new), = changed.items()
    start = alike(old, new)
    low, high = piece(code, start, len(old) - alike(old[:start - 1:-1], new[:start - 1:-1]))
    other = new[low:len(new) - (len(old) - high)]
    return f"{old[:low]}(({other}) if {NAME} == {number} else ({old[low:high]})){old[high:]}"


def switched(text, mutants):
    """(the text with those of {number: mutant} that could be put in, the set of their numbers)"""
    lines, held = text.split("\n"), set()
    of_line = defaultdict(dict)
    for number, mutant in mutants.items():
        of_line[mutant.line - 1][number] = mutant
    for first, behind in reversed([*statements(text)]):
        old, changed = "\n".join(lines[first:behind]), {}
        for line in range(first, behind):
            for number, mutant in of_line[line].items():
                changed[number] = "\n".join([*lines[first:line], mutant.new, *lines[line + 1:behind]])
        while changed:
            try:
                lines[first:behind] = switch(old, changed).split("\n")
                held |= changed.keys()
                break
            except Unswitchable:
                changed.popitem()
    return "\n".join(lines), held


def declared(text):
    """A module's or a .pxd file's text that knows the number: declared behind its docstring."""
    docstring = re.match(r'\s*(?:"""[\s\S]*?"""\n)?', text).end()
    return text[:docstring] + DECLARED + text[docstring:]
