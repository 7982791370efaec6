"""Random programs for the emulator and for a live kernel: steps as the cases have them, the same bytes for a seed.

A program works in a window of 512 pages (one page table; `wide`: a few tables), so that ranges meet, split and merge
all the time. Its profile says what it is made of. What is left out, because a live kernel may do either:

- A read of a file's or of shared memory's page that is not present maps the pages around it too, but not those locked
  at that moment (the flusher, another processor). Only `reads` has such accesses, and whoever compares repeats a run
  that differs. Elsewhere file and shared memory is only written, except that locking it populates it.
- Pages of a file on disk that grew, or lost pages, are read in with as many neighbours as readahead likes, several to a
  folio. Nobody sees that as long as nobody reads, so `reads` changes no file's size; and a file that was cut off is never
  cut off again above its lowest size, because the pages of a folio leave the page tables together.
- MADV_PAGEOUT of file pages leaves the dirty ones, as the flusher likes; it gets anonymous and shared memory only.
- Pages under MADV_FREE are discarded when the kernel likes, but without pressure it does not, and MADV_PAGEOUT
  discards them at once. Bytes of such pages are taken as not known. A page that was swapped in by a read, and is shared
  since, is passed over by MADV_FREE if it is in the swap cache; from a swap device in memory (zram) it may come without,
  and then it is discarded for all. So with swap a range is written before it is freed.
- Memory that is executable only (prot "x") depends on the processor's protection keys.

All that is made for two emulators side by side: see `profiles`.
"""
import random

from rmapcore.verify.case import Case
from rmapcore.verify.programs.advice import Advice
from rmapcore.verify.programs.contents import Contents
from rmapcore.verify.programs.memory import Memory
from rmapcore.verify.programs.mistakes import Mistakes
from rmapcore.verify.programs.model import Model
from rmapcore.verify.programs.moves import Moves
from rmapcore.verify.programs.profiles import PROFILES, hunted
from rmapcore.verify.programs.steps import Steps

__all__ = ["PROFILES", "Programs", "hunted_program", "program"]


def program(seed, profile, steps=200, processes=6):
    """A case of that many steps, or a few more; the same for the same arguments on every machine.

    processes: how many may live at once, 12 at most.
    """
    rng = random.Random(f"{profile} {seed} {steps} {processes}")
    made = Programs(rng, PROFILES[profile], processes).run(steps)
    files = PROFILES[profile].files if any("file" in step for step in made) else {}
    return Case(id=f"random/{profile}_{seed}_{steps}", steps=made, files=dict(files), needs=PROFILES[profile].needs, expect={},
                source=f"seed {seed}, profile {profile}")


def hunted_program(seed):
    """A case for `hunt`, which looks for programs that a scheme cannot cope with; the same for the same seed everywhere.

    It ends with a reclaim of all that can go, which walks to unmap what other walks only look for.
    """
    rng = random.Random(f"hunt {seed}")
    profile, steps, processes = hunted(rng)
    made = Programs(rng, profile, processes).run(steps)
    files = profile.files if any("file" in step for step in made) else {}
    return Case(id=f"hunt/{seed}", steps=[*made, {"op": "reclaim"}], files=dict(files), needs=tuple(profile.needs),
                source=f"seed {seed}")


class Programs(Memory, Contents, Moves, Advice, Mistakes, Steps):
    """Makes the steps of a program."""

    def begin(self):
        if self.profile.twin:
            self.do_spawn()
            return
        self.turn_to(self.born(Model()))
        if self.profile.stack_limit:
            self.add("limit", stack=self.profile.stack_limit)
        if self.profile.heap:
            self.brk_to(self.rng.randint(1, 4))          # so that all processes know where the heap begins

    def prepare(self):
        if self.profile.twin and len(self.living) < 2:
            self.do_spawn()
        for process, when in list(self.unlock_at.items()):
            if len(self.steps) >= when:
                del self.unlock_at[process]
                self.turn_to(process)
                self.do_munlockall()

    def instead_of(self, name):
        return "map" if not self.model.pages and self.rng.random() < 0.7 else name
