"""Cases on the emulator and on the live kernel: areas, protections, presence, mapcounts, shared frames, object counts.

    case, fields      what a file of cases may hold; script: a case written as such a file has it
    programs          random cases
    subject           what can run a case: emulator, rmapcore.Machine; live and live_*, processes of this machine
    state             what is observed of all processes, its recorded form, and how two differ; universal: what may differ
    expect            the expectations of a case against a state
    run               one case on one subject
    lockstep          one case on two subjects, step by step; objects: the numbers of kernel objects that it takes
    shrink            a case that shows a difference, made smaller; c_program, program.c: a case as a C program
    verification      files of cases on all subjects; tables: what came of it, as text
    run_random        random cases on two subjects; run_live: all that the command does
"""
from rmapcore.verify.verification import Verification, verify

__all__ = ["Verification", "verify"]
