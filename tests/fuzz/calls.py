"""Random programs with all calls, under every scheme, file side, kernel and architecture; every other one with pools that end
right behind what is in use.
"""
from collections import Counter

import rmapcore
from fuzz import PAGE, given_back
from programs import State, program, run_step
from rmapcore.schemes import FILE_SIDES, registry, walking

SCHEMES = registry()
ARCHES = ("x86_64", "x86_64", "i386", "i386-pae")
SIZES = ((40, 300), (64, 120), (28, 400), (64, 0))         # RAM and swap in pages
SPARE = (0, 1, 5)
UNREAD = ("frames", "slots")                               # what they can hold is RAM and swap: those are lowered by SIZES
EVERY = 40                                                 # steps between two checks


def sides(scheme):
    """File sides that a scheme may have, None: its own."""
    return [None, None, *(side for side in FILE_SIDES if side != "none" or scheme not in walking())]


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        scheme, kernel, arch = rng.choice(list(SCHEMES)), rng.choice(("2.6.7", "6.18")), rng.choice(ARCHES)
        ram, swap = rng.choice(SIZES)
        machine = rmapcore.Machine(scheme, kernel, arch, ram * PAGE, swap * PAGE, rng.choice(sides(scheme)),
                                   track_contents=True)
        steps = program(rng.randrange(1 << 32), rng.choice((60, 250, 400)), arch, kernel)
        lowered = rng.random() < 0.5
        made = State()
        for number, step in enumerate(steps, 1):
            self.step(rng, machine, made, step, lowered and number > 40)
            if number % EVERY == 0 or number == len(steps):
                self.look(rng, machine, scheme)
        self.seen["programs"] += 1

    def step(self, rng, machine, made, step, lowered):
        lengths, pools = (len(made.results), len(made.pins)), machine._core.writable("pools")
        usual = pools["capacity"].copy()
        if lowered:
            for number, name in machine._core.pool_names.items():
                if name not in UNREAD and rng.random() < 0.5:
                    pools["capacity"][number] = min(int(pools["bump"][number]) + rng.choice(SPARE), int(usual[number]))
        try:
            run_step(machine, made, step)
            return
        except rmapcore.ArenaFull:
            self.seen["full"] += 1
            if rng.random() < 0.05:
                self.look(rng, machine, machine.scheme)
        finally:
            pools["capacity"][:] = usual
        del made.results[lengths[0]:], made.pins[lengths[1]:]
        run_step(machine, made, step)                  # what follows counts on it

    def look(self, rng, machine, scheme):
        """All that a user may look at; check() only of schemes that lose no pages."""
        with given_back():
            if not SCHEMES[scheme].defects:
                machine.check()
            if rng.random() < 0.1:
                machine = machine.copy()
                machine.memory()
                machine.crosscheck()
            if rng.random() < 0.1:
                machine.reclaim(rng.randrange(20))
                if not SCHEMES[scheme].defects:
                    machine.check()
        self.seen["looks"] += 1
