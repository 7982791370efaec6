"""verify: files of cases, each case on the emulator under each scheme and, if asked for, on the live kernel.

With the live kernel a case is compared three ways: what it expects against the emulator, against the kernel, and what was
seen of the two against each other, which is more than a case expects.
"""
import json
import os
from functools import partial

from rmapcore.errors import keeping
from rmapcore.kernels import find as find_kernel
from rmapcore.schemes import choose_all
from rmapcore.verify import tables
from rmapcore.verify.case import LIMITS, load_all
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.page_tables import differing_tables
from rmapcore.verify.run import FAIL, PASS, SHARING, SKIPPED, Verdict, run
from rmapcore.verify.state import difference

SCHEME, KERNEL = "anon_vma_chain", "6.18"      # what cases are recorded from; others are compared in what all share

FULL = 65_000                          # areas; 65,530 are the limit


class Verification:
    """What a run gave.

    records: {"file", "case", "scheme", "emulator": "pass"|"fail"|"skipped", "live": the same or None, "reason"}.
    A line that holds no case is a record too: of no scheme (None), failed, its reason with file, line and value.
    problems: what does not hold, one line each.  notes: what could not be looked at, one line each.
    partial: whether it was broken off.
    """

    def __init__(self, records, notes=(), partial=False):
        self.records = records
        self.partial = partial
        self.notes = list(notes)
        self.problems = [f"{record['file']}: {record['case']} ({record['scheme']}): {record['reason']}"
                         if record["scheme"] else record["reason"]
                         for record in records if FAIL in (record["emulator"], record["live"])]

    def __repr__(self):
        return f"<Verification: {len(self.records)} records, {len(self.problems)} do not hold>"

    @property
    def ok(self):
        """Whether no case failed."""
        return not self.problems

    @property
    def usable(self):
        """Whether all lines of all files held a case."""
        return all(record["scheme"] for record in self.records)

    def to_json(self):
        """The list of records as JSON text; of a run that was broken off {"partial": true, "records": […]}."""
        return json.dumps({"partial": True, "records": self.records} if self.partial else self.records, indent=1,
                          allow_nan=False) + "\n"

    def table(self, color=False, width=None):
        """The records for people."""
        return tables.text(self.records, color, width)


def verify(files, schemes=None, kernel=KERNEL, live=None, progress=None, limits=LIMITS):
    """Runs the cases of files; a Verification.

    files: paths.  schemes: by whatever names one (rmapcore/schemes.py); None: anon_vma_chain. Under any other, and any other
    kernel, what no scheme may change is compared: contents, protections, presence, mapcounts, shared frames, errors.
    live: None, or a function of a case that gives a function of its files, which makes a subject on the live kernel.
    progress: None or called with (done, total, text).  limits: Limits of the files.
    A line or file that cannot be used is a failed record; all others run. Raises UnknownName, OSError before anything is run.
    """
    return verify_cases(*load_all(files, limits), schemes, kernel, live, progress)


def verify_cases(cases, refused, schemes=None, kernel=KERNEL, live=None, progress=None):
    """The same of cases that were read, as `load_all` gives them."""
    schemes = choose_all(schemes or SCHEME)
    find_kernel(kernel)
    records = [refusal(error) for error in refused]
    with keeping(lambda: Verification(records, partial=True) if records else None):
        for done, (path, case) in enumerate(cases):
            if progress:
                progress(done, len(cases), f"{os.path.basename(path)}: {case.id}")
            on_kernel = run(case, live(case), trail=True) if live else None
            for scheme in schemes:
                universal = (scheme.text, kernel) != (SCHEME, KERNEL)
                verdict = run(case, partial(Emulator, kernel=kernel, scheme=scheme), live is not None, universal=universal)
                records.append(record(path, case, scheme, *compared(case, verdict, on_kernel, universal)))
    return Verification(records)


def refusal(error):
    """The record of a CaseError."""
    case = f"line {error.line}" if error.line else "the whole file"
    return {"file": error.file, "case": case, "scheme": None, "emulator": FAIL, "live": None, "reason": str(error)}


def record(path, case, scheme, verdict, on_kernel):
    """One flat record. The reason says whose it is if there are two."""
    reasons = [verdict.reason] if on_kernel is None else [
        f"{who}: {one.reason}" for who, one in (("emulator", verdict), ("live", on_kernel)) if one.reason]
    return {"file": path, "case": case.id, "scheme": str(scheme), "emulator": verdict.outcome,
            "live": on_kernel and on_kernel.outcome, "reason": "; ".join(filter(None, reasons))}


def compared(case, verdict, on_kernel, universal):
    """Both verdicts, after holding them against each other and against what the case is known to be."""
    if case.recorded == FAIL:
        verdict, on_kernel = (expected_failure(one) for one in (verdict, on_kernel))
    if on_kernel and verdict.outcome == on_kernel.outcome == PASS:
        reason = parted(verdict.trail, on_kernel.trail, universal,
                        SHARING not in verdict.left_out | on_kernel.left_out)
        if reason:
            verdict = Verdict(FAIL, reason)
    return verdict, on_kernel


def expected_failure(verdict):
    """The verdict on a case that the kernel it was taken from fails."""
    if verdict is None or verdict.outcome != FAIL:
        return verdict
    return Verdict(SKIPPED, f"the kernel it was recorded on does not meet it either ({verdict.reason})")


def parted(trail, other, universal, sharing):
    """Where what was seen of two subjects differs first; None if nowhere.

    Not looked at once a process is near the limit of areas: a real one has some beside those of the case.
    """
    for (done, error, state), (_, kernel_error, kernel_state) in zip(trail, other, strict=True):
        if error != kernel_error:
            return f"step {done}: {error or 'success'} emulated, {kernel_error or 'success'} live"
        if state is not None:
            if any(len(process["vmas"]) > FULL for seen in (state, kernel_state) for process in seen.values()):
                return None
            sides = "emulated", "live"
            texts = difference(state, kernel_state, sides, universal, sharing)
            if not texts and not universal:
                texts = differing_tables(*({name: facts["tables"] for name, facts in seen.items()}
                                           for seen in (state, kernel_state)), sides)
            if texts:
                return f"after step {done}: {'; '.join(texts)}"
    return None
