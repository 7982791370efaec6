"""How fast the kernels are, beside three yardsticks: the command `rmapcore bench`, and the scenes that bench/ uses.

   the ideal memory pass      a loop that knows each victim's frame and entry, and only reads, checks and writes both
   the live kernel            this machine's own kernel doing the same to as many pages
   itself at another size     nanoseconds per page, and the ratio to the ideal pass, shall stay level

Seconds are those of the processor, and drift on shared machines even so: both sides of a ratio are measured in one round,
right after each other, and medians of several rounds are taken. The story, a file each:

   scenes     machines in a known state        measures, sharing, threads, memory, recording, growth    what is measured
   samples    what a measurement gives         records, targets                                 medians, ratios, bounds
   run        all of it in one run             busy           whether others were at work on the processors meanwhile
   tables, against                             for people
"""
from rmapcore.studies.bench.run import Bench, bench, subjects
from rmapcore.studies.bench.scenes import ORDERS, Scene, empty, machine_of, scene
from rmapcore.studies.bench.sharing import family

__all__ = ["ORDERS", "Bench", "Scene", "bench", "empty", "family", "machine_of", "scene", "subjects"]
