"""Random programs for the twin and the real machine: the same steps on both, and their outcomes are compared.

program() makes a list of steps without any machine, run_step() executes one. Unlike a case a step may be any system call
with any numbers, on any architecture; the makers are by kernel, and share what rmapcore.verify's maker of cases has.
"""

import random

from .run import State, run_step
from .v2_6_7 import HEAPS, Calls
from .v6_18 import Calls618

__all__ = ["State", "program", "run_step"]

MAKERS = {"2.6.7": Calls, "6.18": Calls618}


def program(seed, n_ops=300, n_processes=12, arch="x86_64", kernel="2.6.7"):
    """A list of n_ops steps or a few more; the same for the same arguments."""
    return MAKERS[kernel](random.Random(f"{seed} {arch}"), n_processes, HEAPS[arch], seed).run(n_ops)
