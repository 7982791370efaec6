"""Mutants of a source, Python or Cython: one operator, number or statement of a function's body becomes another.

Both languages are read as text, for no parser of the one reads the other (mutmut and cosmic-ray, which change Python's syntax
trees, never see a kernel): strings and comments are blanked, and what is changed is found by its look.
"""
import hashlib
import random
import re
from collections import defaultdict
from typing import NamedTuple

QUOTED = re.compile(r'"""[\s\S]*?"""|' r"'''[\s\S]*?'''|" r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'|#[^\n]*")
HEADER = re.compile(r"^ *(?:async )?(?:def|cdef|cpdef)\b[^=\n]*\([\s\S]*?\)[^()\n]*:[ \t]*$", re.MULTILINE)
# statements that do nothing or end in an error, or only speed up; chance and time, of which a test cannot know what is right
SILENT = re.compile(r"^ *(?:from |import |cimport |include |@|class |cdef (?!.*[^=<>!]=[^=])|ctypedef |raise |assert |global |"
                    r"nonlocal |pass\b|with gil|with nogil)|prefetch|unlikely|add_argument\(|rng\.|random\(|monotonic|"
                    r"perf_counter")
SIMPLE = r"[A-Za-z_][\w.]*(?:\[[\w. +-]*\])?"
OPERATORS = {                                  # operator -> patterns and what becomes of them
    "boundary": [(r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > ")],
    "equality": [(r" == ", " != "), (r" != ", " == "), (r" is not ", " is "), (r" not in ", " in ")],
    "arithmetic": [(r"(?<=[\w\])]) \+ ", " - "), (r"(?<=[\w\])]) - ", " + "), (r" << ", " >> "), (r" \* (?=\w)", " + "),
                   (r" // ", " * "), (r" \+= ", " -= "), (r" -= ", " += ")],
    "bits": [(r"(?<=[\w\])]) & ", " | "), (r"(?<=[\w\])]) \| ", " & "), (r" \|= ", " &= "), (r"& ~", "& ")],
    "logic": [(r" and ", " or "), (r" or ", " and "), (r"\bnot (?!in\b)", "")],
    "condition": [(r"(?<=\bif )([^:\n]+)(?=:$)", r"not (\1)"), (r"(?<=\bwhile )([^:\n]+)(?=:$)", r"False and (\1)")],
    "number": [(r"(?<![\w.])(\d+)(?![\w.])", "one more"), (r"(?<![\w.])1(?![\w.])", "0")],
    # but for a state, a kernel, a walk, a machine: no compiler takes a number in its place
    "swap": [(rf"\((?!(?:\w+\.)?[skwm], )({SIMPLE}), ({SIMPLE})\)", r"(\2, \1)"), (rf"({SIMPLE}) - ({SIMPLE})", r"\2 - \1")],
    "leave": [(r"\bcontinue$", "break"), (r"\breturn True$", "return False"), (r"\breturn False$", "return True")],
    "drop": [(rf"^{SIMPLE}(?: [-+|&]?= [^\n]+|\([^\n]*\))$", "pass")],
}


class Mutant(NamedTuple):
    """Line (from 1) of path becomes `new`. operator: its name in OPERATORS. context: the lines around."""

    path: str
    line: int
    old: str
    new: str
    operator: str
    context: str

    @property
    def name(self):
        """The same for the same change of the same lines, wherever in the file they stand."""
        return hashlib.sha256("\n".join((self.path, self.context, self.new)).encode()).hexdigest()[:12]

    @property
    def diff(self):
        return f"{self.path}:{self.line} ({self.operator})\n    - {self.old.strip()}\n    + {self.new.strip()}"

    def applied(self, text):
        lines = text.split("\n")
        assert lines[self.line - 1] == self.old
        return "\n".join([*lines[:self.line - 1], self.new, *lines[self.line:]])


def bodies(text):
    """(number from 0, line, depth of brackets at its begin) of the lines of functions' bodies that do something.

    Strings and comments stand there as NUL.
    """
    def blank(sign):
        return lambda match: re.sub(r"[^\n]", sign, match.group())
    depth, inside, silent, header = 0, None, False, False
    for number, line in enumerate(HEADER.sub(blank("\1"), QUOTED.sub(blank("\0"), text)).split("\n")):
        header = header or "\1" in line
        if not line.strip(" \0\1"):
            continue
        indent = len(line) - len(line.lstrip(" "))
        if depth == 0:
            if header:
                inside, header = indent, False
            elif inside is not None and indent < inside:
                inside = None
            silent = bool(SILENT.search(line))
        if inside is not None and not silent:
            yield number, line, depth
        depth += sum(map(line.count, "([{")) - sum(map(line.count, ")]}"))


def mutants(path, text):
    """All mutants of a source."""
    lines = text.split("\n")
    for number, code, depth in bodies(text):
        start, end = len(code) - len(code.lstrip(" \0")), len(code.rstrip(" \0"))
        context = "\n".join(lines[max(number - 2, 0):number + 3])
        whole = not depth and code.count("(") == code.count(")") and not code[start:].startswith("cdef ")
        for operator, changes in OPERATORS.items():
            for pattern, becomes in changes if whole or operator != "drop" else ():
                for match in re.finditer(pattern, code[start:end]):
                    new = str(int(match[1]) + 1) if becomes == "one more" else match.expand(becomes)
                    old = lines[number]
                    changed = old[:start + match.start()] + new + old[start + match.end():]
                    if "\0" not in new:        # no string stood in what moved
                        yield Mutant(path, number + 1, old, changed, operator, context)


def chosen(sources, count, seed):
    """`count` different mutants of {path: text}, operators taking turns, by seed."""
    rng, by_operator, picked = random.Random(f"{seed} {' '.join(sorted(sources))}"), defaultdict(list), {}
    for path in sorted(sources):
        for mutant in mutants(path, sources[path]):
            by_operator[mutant.operator].append(mutant)
    for group in by_operator.values():
        rng.shuffle(group)
    while len(picked) < count and any(by_operator.values()):
        for operator in OPERATORS:
            if by_operator[operator]:
                mutant = by_operator[operator].pop()
                picked.setdefault(mutant.name, mutant)
    return list(picked.values())[:count]
