"""What a hunt found, as text, JSON and files."""
import json
import os
import re

from rmapcore.core.files import write_text
from rmapcore.lab.layout import as_html, render


class Hunt:
    """What a hunt gave.

    scheme, kernel, seed: of it.  programs: looked at.  reduced: of them, made smaller.  kinds: {kind of fault: in how many
    programs}.  findings: list of Finding, the shortest first.  files: paths written, by finding.
    cost: the factor, None: what is looked for is losses.  partial: whether it was broken off.  problems: one line each.
    """

    def __init__(self, scheme, kernel, seed, search, cost=None, partial=False):
        self.scheme, self.kernel, self.seed, self.cost, self.partial = scheme, kernel, seed, cost, partial
        self.programs, self.reduced = search.programs, search.reduced
        self.kinds = dict(search.kinds.most_common())
        self.findings = sorted(search.findings, key=lambda found: found.extent)
        self.files = []
        self.problems = [f"{scheme}: {found.sentence()}, after {len(found.case.steps)} calls" for found in self.findings]

    def __repr__(self):
        return f"<Hunt of {self.scheme}: {self.programs:,} programs, {len(self.findings)} findings>"

    def _repr_html_(self):
        return as_html(self.table())

    @property
    def ok(self):
        """Whether nothing was found."""
        return not self.findings

    def to_dict(self):
        """For the JSON."""
        return {"scheme": self.scheme, "kernel": self.kernel, "seed": self.seed, "cost": self.cost,
                "programs": self.programs,
                "reduced": self.reduced, "kinds": {str(kind): count for kind, count in self.kinds.items()},
                "findings": [found.to_dict(self.scheme, self.kernel) for found in self.findings],
                **({"partial": True} if self.partial else {})}

    def to_json(self):
        """to_dict() as JSON text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    def write(self, directory):
        """Writes each program three times: in Python, as a file of cases, and in C for the live kernel."""
        base = os.path.join(directory, re.sub(r"\W+", "_", f"hunt {self.scheme}"))
        for number, found in enumerate(self.findings, 1):
            texts = {"py": found.python(self.scheme, self.kernel), "jsonl": found.seen, "c": found.c()}
            self.files.append([f"{base}_{number}.{suffix}" for suffix in texts])
            for path, text in zip(self.files[-1], texts.values(), strict=True):
                write_text(path, text)

    def table(self, color=False, width=None):
        """The findings for people: the shortest of each kind with its calls, in Python, and its files; others in words."""
        parts = [f"{self.scheme}, kernel {self.kernel}, seed {self.seed}: {self.programs:,} programs, {self.reduced:,} made "
                 f"smaller, {len(self.findings)} findings", ""]
        shown = set()
        for number, found in enumerate(self.findings, 1):
            if found.kind not in shown:
                shown.add(found.kind)
                parts += self.whole(number, found)
        others = [f"{number:4}. {found.kind}: {', '.join(found.words)}" for number, found in enumerate(self.findings, 1)
                  if self.findings[[one.kind for one in self.findings].index(found.kind)] is not found]
        return render([*parts, *(["Other ways:"] if others else []), *others], color, width)

    def whole(self, number, found):
        """One finding: lines."""
        yield f"{number}. {found.kind}: {found.sentence()}"
        yield (f"    {len(found.case.steps)} calls, found {f'{found.times:,} times' if found.times > 1 else 'once'}, first in "
               f"program {found.number:,}:")
        yield from (f"    {call}" for call in found.calls())
        yield from ("", *(f"        {line}".rstrip() for line in found.python(self.scheme, self.kernel).splitlines()), "")
        yield from (f"    {' '.join(self.files[number - 1])}", "") if self.files else ()
