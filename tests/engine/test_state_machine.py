"""Hypothesis drives all schemes and their twins at once; what it finds it shrinks to a few calls.

Every scheme runs the same steps beside its own twin. After each step the outcomes are equal; after each example each
scheme equals its twin in everything, all schemes without known faults agree in what programs see, and their check() holds.
"""
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import differential
import programs
import reference
import rmapcore

PAGE = 4096
BASE = 0x80000000 - 16 * PAGE            # the window lies astride a leaf-table border
PROCESSES = st.integers(0, 7)
PAGES = st.integers(0, 31).map(lambda n: BASE + n * PAGE)
LENGTHS = st.integers(1, 8).map(lambda n: n * PAGE)
PROTS = st.sampled_from([3, 3, 3, 1, 7, 0])
FLAGS = st.sampled_from([0x32, 0x32, 0x32, 0x31, 0x132, 0x2032])


class Machines(RuleBasedStateMachine):
    """All schemes that have one and their twins on one architecture, RAM of 24 frames."""

    @initialize(arch=st.sampled_from(["i386", "i386-pae", "x86_64"]), swap=st.sampled_from([0, 20, 200]))
    def start(self, arch, swap):
        options = {"arch": arch, "ram": 24 * PAGE, "swap": swap * PAGE}
        self.pairs = [(rmapcore.Machine(scheme, track_contents=True, **options), reference.Machine(scheme, **options))
                      for scheme in reference.SCHEMES]
        self.states = [(programs.State(), programs.State()) for _ in self.pairs]
        self.count = 0
        self.alike = True
        for pages, kind in ((12, "disk"), (12, "shmem")):
            self.step("file", 0, pages * PAGE, kind)
        self.spawn()

    def step(self, name, index, *arguments):
        """One step on all machines; twins must agree exactly."""
        if name not in ("file", "spawn", "reclaim", "truncate"):
            index %= self.count
        calls = set()
        for pair, states in zip(self.pairs, self.states, strict=True):
            one, other = (programs.run_step(machine, state, (name, index, *arguments))
                          for machine, state in zip(pair, states, strict=True))
            assert one == other, (pair[0].scheme, name, index, arguments, one, other)
            if pair[0].scheme in differential.SOUND:
                calls.add(differential.call_of((name,), one))
        self.alike = self.alike and len(calls) == 1 and None not in calls
        self.count = len(self.states[0][0].processes)

    @precondition(lambda self: self.count < 8)
    @rule()
    def spawn(self):
        self.step("spawn", self.count)

    @precondition(lambda self: self.count < 8)
    @rule(process=PROCESSES)
    def fork(self, process):
        self.step("fork", process)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS, prot=PROTS, flags=FLAGS)
    def mmap(self, process, addr, length, prot, flags):
        self.step("mmap", process, addr, length, prot, flags, None, 0)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS, prot=PROTS, shared=st.booleans(), file=st.integers(0, 1),
          page=st.integers(0, 11))
    def map_file(self, process, addr, length, prot, shared, file, page):
        self.step("mmap", process, addr, length, prot, 0x11 if shared else 0x12, file, page * PAGE)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS)
    def munmap(self, process, addr, length):
        self.step("munmap", process, addr, length)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS, prot=PROTS)
    def mprotect(self, process, addr, length, prot):
        self.step("mprotect", process, addr, length, prot)

    @rule(process=PROCESSES, addr=PAGES, old=LENGTHS, new=LENGTHS, to=PAGES, flags=st.sampled_from([0, 1, 1, 3, 3]))
    def mremap(self, process, addr, old, new, to, flags):
        self.step("mremap", process, addr, old, new, flags, to if flags == 3 else 0)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS, page=st.integers(0, 11), flags=st.sampled_from([0, 0x10000]))
    def remap_file_pages(self, process, addr, length, page, flags):
        self.step("remap_file_pages", process, addr, length, 0, page, flags)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS, write=st.booleans())
    def touch(self, process, addr, length, write):
        self.step("write" if write else "read", process, addr, length)

    @rule(process=PROCESSES, addr=PAGES, length=LENGTHS, advice=st.sampled_from([0, 1, 2, 4]))
    def madvise(self, process, addr, length, advice):
        self.step("madvise", process, addr, length, advice)

    @rule(process=PROCESSES, addr=PAGES, length=st.just(PAGE), lock=st.booleans())
    def mlock(self, process, addr, length, lock):
        self.step("mlock" if lock else "munlockall", process, *((addr, length) if lock else ()))

    @rule(process=PROCESSES, pages=st.integers(-4, 8))
    def brk(self, process, pages):
        self.step("brk", process, (0x08800000 if self.pairs[0][0].arch != "x86_64" else 0x01000000) + pages * PAGE)

    @rule(process=PROCESSES, end=st.sampled_from(["exit", "execve"]))
    def end(self, process, end):
        self.step(end, process)

    @rule(pages=st.integers(1, 30))
    def reclaim(self, pages):
        self.step("reclaim", 0, pages)

    @rule(file=st.integers(0, 1), pages=st.integers(0, 16))
    def truncate(self, file, pages):
        self.step("truncate", file, pages * PAGE)
        self.alike = False                     # whether a private copy beyond the end survives hangs on reclaim (rule H4)

    def teardown(self):
        if not hasattr(self, "pairs"):
            return
        if self.alike:                         # no call went another way under one of the schemes
            views = [differential.seen(machine) for machine, _ in self.pairs if machine.scheme in differential.SOUND]
            assert all(view == views[0] for view in views)
        for machine, twin in self.pairs:
            if machine.scheme in differential.SOUND:
                machine.check()
                twin.check()
            else:
                assert differential.verdict(machine) == differential.verdict(twin)
            one, other = differential.observe(machine), differential.observe(twin)
            assert one == other, differential.difference(one, other)


TestMachines = Machines.TestCase
TestMachines.settings = settings(max_examples=25, stateful_step_count=40, deadline=None, derandomize=True,
                                 suppress_health_check=list(HealthCheck))


@pytest.mark.long
class TestManyMachines(Machines.TestCase):
    """The same, for longer."""

    settings = settings(max_examples=1000, stateful_step_count=60, deadline=None,
                        suppress_health_check=list(HealthCheck))
