"""Would guidance help `rmapcore hunt`? Blind random programs against a search that goes on from where something was new.

    python bench/hunt_guidance.py SCHEME [--seeds N] [--seconds S]

Guided: after every step it is noted what the step did to the scheme, as the call and how many of each of its objects, of areas
and of locks there are more or less. A program that shows a step that no earlier one has shown is kept up to there. Half of the
programs are new ones, the others go on from one that was kept, with other weights and by other dice.

Prints for each seed how many programs and seconds of the processor it took until a walk missed a mapping, or that none did
within S seconds; and the medians.
"""
import argparse
import random
import statistics
import time
from functools import partial

from rmapcore.studies.hunt.judge import Judge
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.programs import Programs
from rmapcore.verify.programs.profiles import hunted

KEPT = 4000                            # programs to go on from, the newest
MOST = 3                               # differences beyond are all the same
SHARE = 0.5                            # of the programs that go on from another
MORE = (10, 20, 40, 80)                # steps


class Path:
    """How a program came about: (seed, number of steps reached by it), each going on from the one before."""

    def __init__(self, seeds):
        self.seeds = seeds

    def steps(self):
        maker = None
        for seed, reached in self.seeds:
            rng = random.Random(f"hunt {seed}")
            profile, steps, processes = hunted(rng)
            if maker is None:
                maker = Programs(rng, profile, processes)
            else:                      # the same memory and files, other weights
                maker.begin = lambda: None
                maker.rng, maker.weights = rng, profile.weights
            maker.run(reached or steps)
        return maker.steps, dict(maker.profile.files)


def census(machine):
    """What a step may change: objects of the scheme, areas, locks."""
    counts = {name: entry["live"] for name, entry in machine.memory()["structures"].items()}
    return counts | {name: count for name, count in machine.counters.items() if name.startswith("lock_")}


def looked(path, make, features):
    """(whether a walk misses something, number of the first step that shows what is not among the features; None)."""
    steps, files = path.steps()
    judge = Judge(make(files))
    before, new = None if features is None else census(judge.subject.machine), None
    for number, step in enumerate([*steps, {"op": "reclaim"}], 1):
        faults = judge.reclaim(step) if step["op"] == "reclaim" else judge.step(step)
        if faults or judge.faults():
            return True, new
        if judge.ended:
            break
        if features is not None:
            after = census(judge.subject.machine)
            change = {name: max(-MOST, min(MOST, count - before.get(name, 0))) for name, count in after.items()}
            feature = (step["op"], *(item for item in sorted(change.items()) if item[1]))
            if feature not in features:
                features.add(feature)
                new = min(number, len(steps))
            before = after
    return False, new


def searched(make, seed, guided, seconds):
    """(programs, seconds of the processor) until the first fault; None for the programs if there was none."""
    rng, features, kept = random.Random(seed), set() if guided else None, []
    begun, programs = time.process_time(), 0
    while (spent := time.process_time() - begun) < seconds:
        path = Path([(f"{seed}.{programs}", None)])
        if kept and rng.random() < SHARE:
            before, reached = rng.choice(kept)
            path = Path([*before[:-1], (before[-1][0], reached), (f"{seed}.{programs}", reached + rng.choice(MORE))])
        programs += 1
        found, new = looked(path, make, features)
        if found:
            return programs, time.process_time() - begun
        if new is not None:
            kept = [*kept, (path.seeds, new)][-KEPT:]
    return None, spent


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("scheme")
    options.add_argument("--kernel", default="6.18")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=300)
    options = options.parse_args()
    make = partial(Emulator, kernel=options.kernel, scheme=options.scheme)
    for guided in (False, True):
        name = "guided" if guided else "blind"
        results = []
        for seed in range(options.seeds):
            programs, spent = searched(make, seed, guided, options.seconds)
            results.append(spent)
            print(f"{options.scheme}, {name}, seed {seed}: {programs or 'none'} programs, {spent:.1f} s", flush=True)
        print(f"{options.scheme}, {name}: median {statistics.median(results):.1f} s", flush=True)


if __name__ == "__main__":
    main()
