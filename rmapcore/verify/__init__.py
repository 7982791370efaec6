"""Cases on the emulator and on the live kernel: areas, protections, presence, mapcounts, shared frames, object counts.

    case, fields      what a file of cases may hold
    state             what is observed of all processes, its recorded form, and how two differ
    subject           what can run a case; emulator: rmapcore.Machine as one
    expect            the expectations of a case against a state
    run               one case on one subject
    verification      files of cases on all subjects; tables: what came of it, as text
"""
from rmapcore.verify.verification import Verification, verify

__all__ = ["Verification", "verify"]
