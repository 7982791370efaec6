"""Cases and random programs on the emulator and on this machine's kernel: what the command `verify` runs.

    verify_here ──> verification            files of cases: expectation, emulator, live kernel
               ├──> run_random             random programs: emulator against live kernel, or schemes against one another
               └──> swapdevice             a swap for as long as it takes
"""
from contextlib import ExitStack, suppress
from functools import partial

from rmapcore.core.files import check_directory
from rmapcore.errors import keeping
from rmapcore.linux.swapdevice import temporary_swap
from rmapcore.schemes import choose_all, registry
from rmapcore.verify.case import LIMITS, load_all
from rmapcore.verify.live import Live
from rmapcore.verify.live_machine import LiveMachine
from rmapcore.verify.live_objects import NoCounts, slab_cost
from rmapcore.verify.run import PASS, described
from rmapcore.verify.run_random import STEPS, verify_random
from rmapcore.verify.subject import Unsupported
from rmapcore.verify.verification import KERNEL, Verification, verify_cases

HERE = "."
SWAP_BYTES = 256 << 20                 # cases and programs swap some MiB; slots are handed out by clusters


def verify_here(files=(), schemes=None, kernel=KERNEL, live=False, swap=False, random=0, seed=0, directory=HERE, progress=None,
                steps=STEPS, limits=LIMITS):
    """A Verification of files of cases and of `random` programs.

    live: also on this machine's kernel; where it cannot be, every case is skipped on it with the reason.
    swap: with a swap of our own meanwhile.  seed, steps: of the random programs.  directory: where programs that differ go.
    files, schemes, kernel, progress, limits: see `verification.verify`; random programs run under 6.18, and without the live
    kernel under all schemes if none is named.
    Raises ValueError for swap without live, or nothing to do; OSError where a swap is asked for and cannot be made, and for a
    directory that nothing can be written to; what
    `verify` raises.
    """
    if swap and not live:
        raise ValueError("a swap is for the live kernel: --swap goes with --live")
    if not files and not random:
        raise ValueError("nothing to verify: name a FILE of cases, or --random N")
    schemes = schemes and choose_all(schemes)
    if directory != HERE or (random and live):
        check_directory(directory)
    records, notes = [], []
    with ExitStack() as stack, keeping(lambda: Verification(records, notes, partial=True) if records else None):
        if swap:
            # not zram: there MADV_FREE of a page that came back clean and is shared takes it from all who share it
            stack.enter_context(temporary_swap(SWAP_BYTES, on_disk=True))
        machine, live_subject = None, None
        if live:
            machine, live_subject, unseen = live_kernel()
            notes += unseen
        cases, refused = load_all(files, limits)
        records += verify_cases(cases, refused, schemes, kernel, live_subject, progress).records
        if machine:
            add_slabs(records, cases, machine)
        if random:
            if live and machine is None:
                notes.append("random programs are compared between schemes only")
            others = schemes or (() if machine else registry())
            verify_random(random, seed, others, machine, directory, progress, steps, records)
    return Verification(records, notes)


def live_kernel():
    """(LiveMachine or None, function of a case that gives a function of its files that makes a subject, what is not seen)."""
    try:
        machine = LiveMachine()
    except Unsupported as error:
        reason = str(error)

        def refused(_):
            raise Unsupported(reason)

        return None, lambda case: refused, [f"nothing is done on this machine's kernel: {reason}"]
    return machine, lambda case: machine.subject_of(case, Live), machine.unseen()


def add_slabs(records, cases, machine):
    """Adds "slab", what an area costs by the kernel's slabs, to the records of cases that count objects."""
    cases = {(path, case.id): case for path, case in cases if case.repeat}
    for record in records:
        case = cases.get((record["file"], record["case"]))
        if case and record["live"] == PASS:
            try:
                with suppress(NoCounts):
                    record["slab"] = slab_cost(case, partial(Live, machine=machine))
            except Exception as error:
                record["reason"] = "; ".join(filter(None, (record["reason"], f"slabs: {described(error)}")))
