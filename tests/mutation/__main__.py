"""The command: tries mutants of the rooms, and prints what became of them."""
import argparse
import hashlib
import json
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import mutation
from mutation import make
from mutation.rooms import ROOMS, sources, tests_of
from mutation.trial import FIRST, INVALID, KILLED, SURVIVED, Tree, allowed, in_child, run_tests, used

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "mutation"


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
            status, printed = in_child(lambda: run_tests(tests), self.tree.home, FIRST)
            if status:
                raise SystemExit(f"the unchanged tree fails ({status}):\n{printed}")
            self.note(name=name, seconds=used() - before)
        return self.known[name]["seconds"]

    def chosen(self, rooms):
        """{room: mutants of it} that can be compiled, and are."""
        count = self.options.count
        chosen = {room: make.chosen(sources(room, self.tree.sources), 2 * count, self.options.seed) for room in rooms}
        kernels = [mutant for room in rooms for mutant in chosen[room] if not mutant.path.endswith(".py")]
        self.tree.build({number: mutant for number, mutant in enumerate(kernels, 1)
                         if self.known.get(mutant.name, {}).get("verdict") != INVALID})
        for mutant in kernels:
            if mutant.name not in self.tree.numbers:
                self.note(name=mutant.name, verdict=INVALID, diff=mutant.diff)
        return {room: [mutant for mutant in chosen[room] if self.known.get(mutant.name, {}).get("verdict") != INVALID][:count]
                for room in rooms}

    def waiting(self, mutant, level):
        """Is this level's list of tests to be asked about a mutant?"""
        entry = self.known.get(mutant.name, {"verdict": None})
        asked = entry["asked"] if entry["verdict"] == SURVIVED and entry["tests"] == self.tests else 0
        return entry["verdict"] != KILLED and asked <= level < len(tests_of(mutant.path))

    def ask(self, mutants, level):
        """Asks one list of tests about each mutant."""
        by_tests = defaultdict(list)
        for mutant in mutants:
            if self.waiting(mutant, level):
                by_tests[tuple(tests_of(mutant.path)[level])].append(mutant)
        for tests, group in by_tests.items():
            kernels = [mutant for mutant in group if not mutant.path.endswith(".py")]
            for mutant, verdict, why in self.tree.try_kernels(kernels, tests) if kernels else ():
                self.tell(mutant, level, verdict, why)
            for mutant in group:
                if mutant.path.endswith(".py"):
                    seconds = allowed(self.seconds_of(tests))
                    self.tell(mutant, level, *self.tree.try_python(mutant, tests, seconds))

    def tell(self, mutant, level, verdict, why):
        self.note(name=mutant.name, verdict=verdict, asked=level + 1, tests=self.tests, why=why, diff=mutant.diff)
        print(f"{verdict}, list {level + 1}: {mutant.diff}\n    {why}", flush=True)

    def verdicts(self, rooms):
        """{room: [(mutant, verdict)]}: tests are asked list by list until some fails."""
        chosen = self.chosen(rooms)
        for level in range(self.options.lists):
            self.ask([mutant for room in rooms for mutant in chosen[room]], level)
        return {room: [(mutant, self.known[mutant.name]["verdict"]) for mutant in chosen[room]] for room in rooms}


def report(results):
    """Prints a table and the survivors without an explanation; whether there are any."""
    entries = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text()).get("survivor", [])
    explained = {(entry["path"], entry["old"], entry["new"]): entry.get("near", "") for entry in entries}
    total, survivors = Counter(), []
    print(f"\n{'room':<12}{'mutants':>9}{'killed':>9}{'equal':>9}{'survived':>10}")
    for room, tried in results.items():
        counts = Counter()
        for mutant, verdict in tried:
            near = explained.get((mutant.path, mutant.old.strip(), mutant.new.strip()))
            equal = verdict == SURVIVED and near is not None and near in mutant.context
            counts["equal" if equal else verdict] += 1
            survivors += [mutant] if verdict == SURVIVED and not equal else []
        print(f"{room:<12}{len(tried):>9}{counts[KILLED]:>9}{counts['equal']:>9}{counts[SURVIVED]:>10}")
        total += counts
    noticeable = total.total() - total["equal"]
    print(f"\n{total.total()} mutants, of which {total['equal']} change nothing that a test could see; of the other "
          f"{noticeable} {total[KILLED]} killed: {100 * total[KILLED] / max(noticeable, 1):.1f} %, {total[SURVIVED]} survived",
          *(mutant.diff for mutant in survivors), sep="\n")
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
    return report(run.verdicts(options.room or [*ROOMS]))


if __name__ == "__main__":
    sys.exit(main())
