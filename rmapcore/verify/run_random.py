"""Random programs on the emulator beside the live kernel, and under every scheme beside one another.

Each program is compared step by step: errors after every step, all that is seen of the processes every few steps, and at
the end the numbers of vm_area_struct, anon_vma and anon_vma_chain objects that its memory takes. What differs from the
live kernel is run again, because a kernel now and then leaves a page out for reasons of the moment; if it differs again
it is shrunk, and written out twice: as a case that holds what the kernel did, and as a C program that does the same steps
by real processes.

Under other schemes the same programs must show the same, what schemes may decide aside: where areas have their borders.
Two schemes part where one of them has to act otherwise, and nothing after that is compared: an mremap over a border
that one has and the other has not fails for the one, and a scheme that looks for a page at one address only copies a
shared page that comes to another.
"""
import os
import re
from dataclasses import replace
from functools import partial

from rmapcore.core.files import write_text
from rmapcore.schemes import choose
from rmapcore.verify.c_program import source
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.live import Live
from rmapcore.verify.lockstep import lockstep
from rmapcore.verify.objects import KIND as OBJECTS_KIND
from rmapcore.verify.objects import differing_objects
from rmapcore.verify.programs import PROFILES, program
from rmapcore.verify.run import FAIL, PASS, SKIPPED, described
from rmapcore.verify.script import line, observed_case
from rmapcore.verify.shrink import shrink
from rmapcore.verify.subject import Unsupported

REFERENCE = "anon_vma_chain"           # the scheme that is compared with the kernel, and with the other schemes
STEPS = 200
EVERY = 5                              # steps between two looks
LOOKS = 20                             # at a candidate for a smaller program
PROCESSES = (4, 12, 6, 8)              # how many may live at once, in turn
RUNS_AGAIN = 2                         # of a program that differed from the kernel


def programs(n, seed, lacks=lambda need: None, steps=STEPS):
    """n cases of so many steps, all profiles in turn that can be run: lacks(need) says why a need is not met, or None."""
    names = [name for name, profile in PROFILES.items() if not any(map(lacks, profile.needs))]
    for number in range(n):
        yield program(f"{seed}.{number}", names[number % len(names)], steps, PROCESSES[number // len(names) % len(PROCESSES)])


def verify_random(n, seed=0, schemes=(), machine=None, directory=".", progress=None, steps=STEPS, records=None):
    """The records of n random programs of so many steps, as `verification` has them, for the reference scheme and others.

    machine: None, or a `live_machine.LiveMachine`: the reference scheme is compared with its kernel. Without one it is
    compared with itself: a second run must show the same, and its invariants must hold.
    directory: where a program that differs from the kernel is written to.  progress: None or called with (done, n, text).
    records: None, or a list that takes them as they are made, so that they are there if Ctrl-C breaks this off.
    """
    report = progress or (lambda done, total, text: None)
    records = [] if records is None else records
    for done, case in enumerate(programs(n, seed, machine.lacks if machine else lambda need: None, steps)):
        for scheme in {str(scheme): scheme for scheme in (REFERENCE, *schemes)}.values():
            report(done, n, f"{case.id} {scheme}")
            if str(scheme) == REFERENCE and machine:
                perform = partial(BesideKernel(case, machine, partial(report, done, n)).outcomes, directory)
            else:
                perform = partial(beside_reference, case, scheme)
            records.append(record(case, seed, scheme, *contained(perform)))
    return records


def contained(perform):
    """What perform() gives, (outcome of the emulator, of the kernel, reason); what it raises fails this program only."""
    try:
        return perform()
    except Unsupported as error:
        return SKIPPED, None, str(error)
    except Exception as error:
        return FAIL, None, described(error)


def record(case, seed, scheme, emulator, kernel, reason):
    return {"file": f"random programs, seed {seed}", "case": case.id, "scheme": str(scheme), "emulator": emulator,
            "live": kernel, "reason": reason}


def beside_reference(case, scheme):
    """(outcome, None, reason) of a program under a scheme, against the same under the reference."""
    if case.needs and choose(scheme).sweeps:
        return SKIPPED, None, f"{scheme} reclaims by sweeps of page tables, not the pages that are asked for"
    try:
        found = lockstep(case, (partial(Emulator, scheme=scheme), Emulator), (scheme, REFERENCE), EVERY, True, parts)
    except Unsupported as error:
        return SKIPPED, None, str(error)
    return (FAIL, None, found.text) if found else (PASS, None, "")


def parts(step, errors, subjects):
    """Whether two schemes have parted: by the order of their walks, over a border that only one has, by a copy of only one."""
    copied = [subject.machine.counters["pages_copied_mremap"] for subject in subjects]
    if any(subject.parted() for subject in subjects):
        return True
    return copied[0] != copied[1] or (errors[0] != errors[1] and step["op"] == "mremap" and "EFAULT" in errors)


class BesideKernel:
    """A program on the emulator and on the live kernel. report: called with a text."""

    def __init__(self, case, machine, report):
        self.case, self.machine, self.report = case, machine, report
        self.makers = (Emulator, machine.subject_of(case, Live))
        self.counting = (Emulator, machine.subject_of(case, Live, objects=True))

    def compare(self, case, every=EVERY):
        """The first Difference; of the numbers of objects at the end, if there is no other."""
        return self.compare_states(case, every) or differing_objects(case, self.counting)

    def compare_states(self, case, every=EVERY):
        """The first Difference of what is seen every so many steps."""
        return lockstep(case, self.makers, every=every)

    def need(self):
        """Unsupported if the machine has lost what the program needs: somebody may have turned swap off meanwhile."""
        reason = next(filter(None, map(self.machine.lacks, self.case.needs)), None)
        if reason:
            raise Unsupported(reason)

    def outcomes(self, directory):
        """(outcome of the emulator, of the kernel, reason)."""
        try:
            found = self.compare(self.case)
            for _ in range(RUNS_AGAIN):
                if found is None:
                    return PASS, PASS, ""
                self.need()
                if self.compare(self.case) is None:
                    return PASS, PASS, f"differed once, not again: {found.text}"
        except Unsupported as error:
            return SKIPPED, SKIPPED, str(error)
        found = self.compare(self.case, every=1) or found
        case = replace(self.case, steps=self.case.steps[:found.step])
        write(case, found, directory)  # what is there if shrinking is broken off
        case, found = self.smaller(case, found)
        files = write(case, found, directory)
        return FAIL, PASS, f"{found.text}; {len(case.steps)} steps in {' and '.join(files)}"

    def smaller(self, case, found):
        """(case, Difference): the same kind of difference in as few steps as possible."""
        def differs(candidate):
            if found.kind == OBJECTS_KIND:
                return differing_objects(candidate, self.counting) is not None
            other = lockstep(candidate, self.makers, every=max(len(candidate.steps) // LOOKS, 1))
            return other is not None and other.kind == found.kind

        def progress(tried, left):
            self.report(f"{case.id} differs: {left} steps left, {tried} tries")

        small = shrink(case, differs, progress=progress)
        seen = self.compare(small, every=1)
        return (case, found) if seen is None else (replace(small, steps=small.steps[:seen.step]), seen)


def write(case, found, directory):
    """The paths of the case and of the C program."""
    base = os.path.join(directory, re.sub(r"\W+", "_", case.id))
    made = observed_case(case, found.errors, found.wheres, found.state, found.text)
    for path, text in ((f"{base}.jsonl", line(made)), (f"{base}.c", source(case))):
        write_text(path, text)
    return f"{base}.jsonl", f"{base}.c"
