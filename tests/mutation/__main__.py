"""The command: tries mutants of the rooms, and prints what became of them."""
import argparse
import hashlib
import json
import resource
import sys
import tomllib
from collections import Counter
from pathlib import Path

import mutation
from mutation import make
from mutation.rooms import ROOMS, sources, tests_of
from mutation.trial import INVALID, KILLED, SURVIVED, Tree, in_child, run_tests

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "mutation"
LONGEST = 3600                                 # seconds of the processor that an unchanged tree may take for its tests


class Run:
    """known: {name: what an earlier run or this one has found} of a mutant, or of a list of tests on the unchanged tree."""

    def __init__(self, options):
        self.options, self.file = options, HOME / "results.jsonl"
        HOME.mkdir(parents=True, exist_ok=True)
        self.tree = Tree(ROOT, HOME / "tree")
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.known = {entry["name"]: entry for entry in map(json.loads, lines)}
        tests = hashlib.sha256()
        for path in sorted((ROOT / "tests").rglob("*.py")):
            tests.update(path.read_bytes())
        self.tests = tests.hexdigest()[:12]

    def note(self, **entry):
        self.known[entry["name"]] = entry
        with self.file.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        return entry

    def seconds_of(self, tests):
        """What tests take of the processor on the unchanged tree; they must pass there."""
        name = "unchanged " + " ".join(tests)
        if name not in self.known:
            before = used()
            status, printed = in_child(lambda: run_tests(tests), self.tree.home, LONGEST)
            if status:
                raise SystemExit(f"the unchanged tree fails ({status}):\n{printed}")
            self.note(name=name, seconds=used() - before)
        return self.known[name]["seconds"]

    def verdict_of(self, mutant):
        """Tests are asked list by list until some fails."""
        lists = tests_of(mutant.path)[:self.options.lists]
        entry = self.known.get(mutant.name, {"verdict": None})
        asked = entry["asked"] if entry["verdict"] == SURVIVED and entry["tests"] == self.tests else 0
        if entry["verdict"] in (KILLED, INVALID) or asked >= len(lists):
            return entry["verdict"]
        before = used()
        for tests in lists[asked:]:
            limit = int(10 + 5 * self.seconds_of(tests))
            verdict, why = self.tree.try_mutant(mutant, tests, limit)
            if verdict != SURVIVED:
                break
        self.note(name=mutant.name, verdict=verdict, asked=len(lists), tests=self.tests, why=why, diff=mutant.diff)
        print(f"{verdict} in {used() - before:.0f} s: {mutant.diff}\n    {why}", flush=True)
        return verdict

    def try_room(self, room):
        """[(mutant, verdict)] of as many mutants of a room as can be compiled."""
        tried, count = [], self.options.count
        for mutant in make.chosen(sources(room, self.tree.sources), 2 * count, self.options.seed):
            if len(tried) < count and (verdict := self.verdict_of(mutant)) != INVALID:
                tried.append((mutant, verdict))
        return tried


def used():
    """Seconds of the processor that children have taken."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def report(results):
    """Prints a table and the survivors without an explanation; whether there are any."""
    entries = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text()).get("survivor", [])
    explained = {(entry["path"], entry["old"], entry["new"]) for entry in entries}
    total, survivors = Counter(), []
    print(f"\n{'room':<12}{'mutants':>9}{'killed':>9}{'equal':>9}{'survived':>10}")
    for room, tried in results.items():
        counts = Counter()
        for mutant, verdict in tried:
            equal = verdict == SURVIVED and (mutant.path, mutant.old.strip(), mutant.new.strip()) in explained
            counts["equal" if equal else verdict] += 1
            survivors += [mutant] if verdict == SURVIVED and not equal else []
        print(f"{room:<12}{len(tried):>9}{counts[KILLED]:>9}{counts['equal']:>9}{counts[SURVIVED]:>10}")
        total += counts
    n = total.total()
    print(f"\n{n} mutants, {total[KILLED]} killed: {100 * total[KILLED] / max(n, 1):.1f} %; {total['equal']} change nothing "
          f"that a test could see, {total[SURVIVED]} survived", *(mutant.diff for mutant in survivors), sep="\n")
    return bool(survivors)


def main():
    parser = argparse.ArgumentParser(prog="python -m mutation", description=mutation.__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="mutants of each room (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: 0)")
    parser.add_argument("--room", action="append", choices=ROOMS, help="only these")
    parser.add_argument("--lists", type=int, default=3, help="1: a file's first tests, 2: all of them, 3: the suite (default)")
    options = parser.parse_args()
    import Cython.Build.Dependencies, numpy, rich.console, setuptools, zstandard  # noqa: E401, F401, I001  (children have them)
    run = Run(options)
    return report({room: run.try_room(room) for room in options.room or ROOMS})


if __name__ == "__main__":
    sys.exit(main())
