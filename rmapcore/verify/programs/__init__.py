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
- Where the kernel places a mapping of its own choice: such a place is only for shared and file memory, which cannot
  merge with what the process itself has there.
"""
import random

from rmapcore.verify.case import Case
from rmapcore.verify.programs.advice import Advice
from rmapcore.verify.programs.contents import Contents
from rmapcore.verify.programs.memory import Memory
from rmapcore.verify.programs.mistakes import Mistakes
from rmapcore.verify.programs.model import Model
from rmapcore.verify.programs.moves import Moves
from rmapcore.verify.programs.steps import FILES, Steps

LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

COMMON = {"map": 12, "write": 44, "read": 12, "munmap": 4, "mprotect": 6, "hole": 1, "dontneed": 4, "fork": 5, "exit": 4,
          "mistake": 2}
MOVES = {"move": 10, "move_several": 3, "grow": 4, "shrink": 2, "dontunmap": 4}
LOCKS = {"mlock": 6, "mlock_onfault": 4, "munlock": 6, "mlockall": 1, "munlockall": 1}
ADVICE = {"advise": 8, "exec": 1}
ANON = {"anon": 1}
SHARED = {"anon": 6, "shm": 3}
ALL = {"anon": 5, "shm": 2, "private_file": 1, "shared_file": 1, "private_memfd": 1, "shared_memfd": 1}


class Profile:
    """weights: action -> how often; kinds: memory -> how often."""

    def __init__(self, weights, kinds, needs=(), reads_all=False, window=512, lengths=LENGTHS, heap=False):
        self.weights, self.kinds, self.needs = weights, kinds, list(needs)
        self.reads_all, self.window, self.lengths, self.heap = reads_all, window, lengths, heap


PROFILES = {
    "anon": Profile(COMMON, ANON),
    "move": Profile(COMMON | MOVES | {"noreserve": 2}, ANON),
    "mixed": Profile(COMMON | MOVES, ALL),
    "reads": Profile(COMMON | {"write": 24, "read": 30, "move": 6, "grow": 2}, ALL, reads_all=True),
    "swap": Profile(COMMON | {"pageout": 14, "move": 6, "dontunmap": 2}, SHARED, needs=["swap"]),
    "flags": Profile(COMMON | ADVICE | LOCKS | {"mprotect": 12, "move": 6, "grow": 2, "noreserve": 2}, ALL),
    "tree": Profile(COMMON | {"map": 5, "write": 55, "fork": 13, "exit": 11, "move": 5}, ANON),
    # areas that split and merge: neighbours, gaps filled, protections there and back
    "merge": Profile(COMMON | MOVES | {"map": 16, "gap": 6, "mprotect": 16, "back": 10, "advise": 4, "mbind": 4,
                                       "munmap": 8, "noreserve": 2}, {"anon": 8, "shared_file": 1, "private_file": 1}),
    "locks": Profile(COMMON | LOCKS | {"mlock": 10, "munlock": 10, "populate": 5, "map_locked": 3, "grow": 3, "move": 4,
                                       "mlockall": 3, "munlockall": 2, "dontneed_locked": 2}, SHARED),
    "guards": Profile(COMMON | {"guard": 9, "unguard": 5, "keep": 8, "populate": 4, "seal": 1, "droppable": 1, "move": 4,
                                "free": 3, "fork": 7}, SHARED),
    "heap": Profile(COMMON | {"brk": 14, "write_heap": 10, "stack": 5, "below_stack": 8, "fork": 6, "exec": 1, "move": 2},
                    ANON, heap=True),
    "files": Profile(COMMON | MOVES | {"truncate": 6, "remove": 4, "duplicate": 4, "anywhere": 3, "populate": 2},
                     {"anon": 1, "private_file": 2, "shared_file": 2, "private_memfd": 2, "shared_memfd": 2, "shm": 2}),
    "pins": Profile(COMMON | {"pin": 8, "unpin": 8, "move": 5, "free": 2, "fork": 7}, ANON),
    "wide": Profile(COMMON | MOVES | {"move": 18, "move_several": 8}, SHARED, window=1600,
                    lengths=(1, 3, 16, 64, 200, 512, 520)),
    "discard": Profile(COMMON | {"pageout": 12, "free": 8, "cold": 4, "pin": 2, "unpin": 2, "fork": 6, "mlock": 2,
                                 "munlock": 2, "move": 4, "guard": 1}, SHARED, needs=["swap"]),
    "reclaim": Profile(COMMON | {"reclaim": 4, "free": 3, "pageout": 3, "mlock": 3, "munlock": 3, "move": 4}, SHARED,
                       needs=["swap", "memcg"]),
}
PROFILES["all"] = Profile(
    COMMON | MOVES | LOCKS | ADVICE
    | dict.fromkeys(("gap", "back", "mbind", "populate", "map_locked", "guard", "unguard", "keep", "free", "cold",
                     "truncate", "remove", "duplicate", "anywhere", "pin", "unpin", "noreserve", "stack", "brk",
                     "write_heap", "below_stack", "dontneed_locked"), 2), ALL, heap=True)


def program(seed, profile, steps=200, processes=6):
    """A case of that many steps, or a few more; the same for the same arguments on every machine.

    processes: how many may live at once, 12 at most.
    """
    rng = random.Random(f"{profile} {seed} {steps} {processes}")
    made = Cases(rng, PROFILES[profile], processes).run(steps)
    files = dict(FILES) if any("file" in step for step in made) else {}
    return Case(id=f"random/{profile}_{seed}_{steps}", steps=made, files=files, needs=PROFILES[profile].needs, expect={},
                source=f"seed {seed}, profile {profile}")


class Cases(Memory, Contents, Moves, Advice, Mistakes, Steps):
    """Makes the steps of a case."""

    def begin(self):
        self.turn_to(self.born(Model()))
        if self.profile.heap:
            self.brk_to(self.rng.randint(1, 4))          # so that all processes know where the heap begins

    def instead_of(self, name):
        return "map" if not self.model.pages and self.rng.random() < 0.7 else name
