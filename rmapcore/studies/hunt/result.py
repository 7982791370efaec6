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

    def groups(self):
        """[findings whose walks go wrong in one way], the group with the shortest first."""
        found = {}
        for one in self.findings:
            found.setdefault(one.wrong, []).append(one)
        return list(found.values())

    def table(self, color=False, width=None):
        """The findings for people, those together whose walks go wrong in one way: the shortest of them with its calls, in
        Python, and its files; the others in words."""
        groups, numbers = self.groups(), {id(found): number for number, found in enumerate(self.findings, 1)}
        ways = f" of {len(groups)} kinds of walks" if groups else ""
        parts = [f"{self.scheme}, kernel {self.kernel}, seed {self.seed}: {self.programs:,} programs, {self.reduced:,} made "
                 f"smaller, {len(self.findings)} findings{ways}", ""]
        for group in groups:
            parts += self.whole(numbers[id(group[0])], group[0])
            others = [f"{numbers[id(found)]:8}. {found.kind}: {', '.join(found.words)}" for found in group[1:]]
            parts += ["    The same walk by other calls:", *others, ""] if others else []
        return render(parts, color, width)

    def whole(self, number, found):
        """One finding: lines."""
        yield f"{number}. {found.kind}: {found.sentence()}"
        yield from (f"    {found.walk}",) if found.walk else ()
        yield (f"    {len(found.case.steps)} calls, found {f'{found.times:,} times' if found.times > 1 else 'once'}, first in "
               f"program {found.number:,}:")
        yield from (f"    {call}" for call in found.calls())
        yield from ("", *(f"        {line}".rstrip() for line in found.python(self.scheme, self.kernel).splitlines()), "")
        yield from (f"    {' '.join(self.files[number - 1])}", "") if self.files else ()
