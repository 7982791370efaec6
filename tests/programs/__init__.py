"""Random programs for the twin and the real machine: the same calls on both, and their outcomes are compared.

program() makes a list of calls without any machine, from steps of rmapcore.verify's maker; run_step() executes one.
recorded() has programs of earlier makers: what they found once is looked for in every run.
"""
import random

from rmapcore.verify.programs import Programs
from rmapcore.verify.programs.profiles import TWINS

from .calls import Calls
from .recorded import kept, recorded
from .run import State, run_step

PROCESSES = 12

__all__ = ["TWINS", "State", "kept", "program", "recorded", "run_step"]


def program(seed, n_ops=300, arch="x86_64", kernel="2.6.7"):
    """A list of n_ops calls or a few more, of 12 processes at most at a time; the same for the same arguments.

    Kernels after 6.18 have its calls, and its programs.
    """
    kernel = kernel if kernel in TWINS else "6.18"
    profile = TWINS[kernel]
    steps = Programs(random.Random(f"{seed} {arch} {kernel}"), profile, PROCESSES).run(n_ops)
    return Calls(seed, arch, profile.files, profile.window).of(steps)
