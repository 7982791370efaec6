"""What random programs are made of, by what they are for.

PROFILES: cases, which `rmapcore verify --random` runs on an emulator beside the live kernel, and beside other schemes.

TWINS, by kernel: programs for an emulator beside its twin, or beside itself under another scheme, with RAM of a few dozen
frames. Nothing there happens by chance, so all is made that cases leave out, and what no case can say: calls with any
numbers (`call`), accesses here and there in one call (`touch`), processes without a parent (`spawn`), calls of dead ones,
`remap_file_pages`, reclaim of some pages, files cut off in the middle of a page. Ranges are short, locks are few and do not
last.
"""
FILES = {"F0": 256, "F1": 128, "M0": 256}
PROTS = ("rw",) * 8 + ("r", "r", "rwx", "rx", "w", "")
LENGTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
ADVICE_KEPT = ("normal", "random", "sequential", "dontdump", "dodump")

COMMON = {"map": 12, "write": 44, "read": 12, "munmap": 4, "mprotect": 6, "hole": 1, "dontneed": 4, "fork": 5, "exit": 4,
          "mistake": 2}
MOVES = {"move": 10, "move_several": 3, "grow": 4, "shrink": 2, "dontunmap": 4}
LOCKS = {"mlock": 6, "mlock_onfault": 4, "munlock": 6, "mlockall": 1, "munlockall": 1}
ADVICE = {"advise": 8, "exec": 1, "kind_of_pages": 4, "map_stack": 3}
ANON = {"anon": 1}
SHARED = {"anon": 6, "shm": 3}
ALL = {"anon": 5, "shm": 2, "private_file": 1, "shared_file": 1, "private_memfd": 1, "shared_memfd": 1}


class Profile:
    """weights: action -> how often; kinds: memory -> how often.  files: name -> pages.

    needs: as a case has them.  reads_all: what is not anonymous is read too.  window: pages.  lengths: of ranges, pages.
    heap: a program begins with brk.  advice: that frees nothing, for `plain`.
    twin: the program is for two emulators with a few dozen frames, see above.  far_stacks: how many of its growing areas
    have room to grow, and are beyond the window.  stack_limit: pages.  prots: protections, as often as they stand there.
    """

    def __init__(self, weights, kinds, needs=(), reads_all=False, window=512, lengths=LENGTHS, heap=False, files=FILES,
                 advice=ADVICE_KEPT, twin=False, far_stacks=0.0, stack_limit=None, prots=PROTS):
        self.weights, self.kinds, self.needs, self.files = weights, kinds, list(needs), files
        self.reads_all, self.window, self.lengths, self.heap = reads_all, window, lengths, heap
        self.advice, self.twin, self.far_stacks, self.stack_limit = advice, twin, far_stacks, stack_limit
        self.prots = prots


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
    "heap": Profile(COMMON | {"brk": 14, "write_heap": 10, "stack": 5, "below_stack": 8, "protect_growing": 4,
                              "fork": 6, "exec": 1, "move": 2}, ANON, heap=True),
    "files": Profile(COMMON | MOVES | {"truncate": 6, "remove": 4, "duplicate": 4, "anywhere": 3, "populate": 2},
                     {"anon": 1, "private_file": 2, "shared_file": 2, "private_memfd": 2, "shared_memfd": 2, "shm": 2}),
    "pins": Profile(COMMON | {"pin": 8, "unpin": 8, "move": 5, "free": 2, "fork": 7}, ANON),
    "wide": Profile(COMMON | MOVES | {"move": 18, "move_several": 8, "anywhere": 5, "hint": 2, "elsewhere": 5}, SHARED,
                    window=1600, lengths=(1, 3, 16, 64, 200, 512, 520)),
    "discard": Profile(COMMON | {"pageout": 12, "free": 8, "cold": 4, "pin": 2, "unpin": 2, "fork": 6, "mlock": 2,
                                 "munlock": 2, "move": 4, "guard": 1}, SHARED, needs=["swap"]),
    "reclaim": Profile(COMMON | {"reclaim": 4, "free": 3, "pageout": 3, "mlock": 3, "munlock": 3, "move": 4}, SHARED,
                       needs=["swap", "memcg"]),
}
PROFILES["all"] = Profile(
    COMMON | MOVES | LOCKS | ADVICE
    | dict.fromkeys(("gap", "back", "mbind", "populate", "map_locked", "guard", "unguard", "keep", "free", "cold",
                     "truncate", "remove", "duplicate", "anywhere", "pin", "unpin", "noreserve", "stack", "brk",
                     "write_heap", "below_stack", "dontneed_locked", "hint", "elsewhere", "dontunmap_elsewhere",
                     "stack_anywhere", "willneed", "kind_of_pages", "map_stack", "protect_growing", "low"), 2), ALL, heap=True)
# where the kernel puts what has no address, or one that it need not take
PROFILES["place"] = Profile(
    COMMON | MOVES | {"anywhere": 12, "hint": 9, "elsewhere": 9, "dontunmap_elsewhere": 4, "stack": 2, "stack_anywhere": 4,
                      "below_stack": 6, "munmap": 9, "low": 4}, {"anon": 8, "shm": 2, "private_file": 1, "shared_file": 1})

# areas that grow downwards, moved and cut, and what the kernel places beside them and into the room that they leave
PROFILES["growing"] = Profile(
    COMMON | MOVES | {"anywhere": 12, "hint": 5, "elsewhere": 8, "dontunmap_elsewhere": 4, "stack": 5, "stack_anywhere": 9,
                      "below_stack": 16, "move_growing": 14, "munmap": 12, "protect_growing": 3, "low": 3, "write": 24},
    {"anon": 8, "shm": 1, "private_file": 1})

# ulimit -s
PROFILES["limits"] = Profile(
    COMMON | {"stack": 7, "below_stack": 24, "protect_growing": 4, "fork": 7, "exec": 2, "stack_anywhere": 2, "mlockall": 1,
              "munlockall": 2}, ANON, stack_limit=12)

SHORT = (1,) * 6 + (2,) * 5 + (3,) * 4 + (4, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24)
TWIN_KINDS = {"anon": 65, "shm": 7, "private_file": 12, "shared_file": 6, "private_memfd": 6, "shared_memfd": 3}
TWIN = {"touch": 16, "write": 14, "read": 10, "map": 3, "replace": 8, "map_populate": 1, "noreserve": 1, "map_locked": 1,
        "hint": 3, "anywhere": 4, "munmap": 5, "mprotect": 9, "move": 8, "elsewhere": 5, "several": 1, "brk": 3, "mlock": 2,
        "munlock": 2, "mlockall": 1, "munlockall": 2, "fork": 6, "exec": 1, "exit": 3, "reclaim": 3, "truncate": 1,
        "wrong": 5, "wild": 2, "dead": 1, "stack": 1, "protect_pair": 3, "plain": 3, "dontneed": 2}
TWINS = {
    "2.6.7": Profile(TWIN | {"remap": 8, "scattered": 1}, TWIN_KINDS, window=96, lengths=SHORT, twin=True,
                     files={"F0": 32, "M0": 30, "F1": 24}, advice=("normal", "random", "sequential", "willneed")),
    "6.18": Profile(TWIN | {
        "fork": 6, "exit": 2, "plain": 4, "dontneed": 3, "keep": 2, "dontneed_locked": 1, "free": 2, "cold": 1, "pageout": 2,
        "remove": 2, "populate": 3, "guard_pair": 2, "mlock": 2, "mlock_onfault": 1, "lock_pair": 2, "mbind": 3,
        "seal_and_end": 1, "pin": 2, "unpin": 2, "several": 4, "dontunmap": 2, "dontunmap_elsewhere": 2, "grow_into": 4,
        "remap": 2, "stack": 2, "validate": 1, "duplicate": 2, "wrong": 4, "wrong_new": 2,
        }, TWIN_KINDS | {"droppable": 4}, window=96, lengths=SHORT, twin=True, files={"F0": 32, "M0": 30, "F1": 24, "M1": 17},
        advice=("normal", "random", "sequential", "willneed", "dontdump", "dodump"), far_stacks=0.7),
}

# Programs in which a scheme may lose its way: `hunted` makes a profile for each of them.
ALWAYS = {"map": 0.2, "write": 20, "read": 4}
GROUPS = {                             # weights of actions, and how many of the broad programs have them
    "places": ({"map": 12, "munmap": 4, "gap": 3, "anywhere": 0.5}, 0.5),
    "families": ({"fork": 12, "exit": 8}, 0.8),
    "moves": ({"move": 10, "move_several": 2, "grow": 4, "shrink": 1, "dontunmap": 2, "elsewhere": 0.5, "duplicate": 0.3}, 0.5),
    "protections": ({"mprotect": 8, "back": 6}, 0.5),
    "swap": ({"reclaim": 3, "pageout": 2, "dontneed": 2}, 0.5),
    "growing": ({"brk": 3, "write_heap": 3, "stack_anywhere": 1, "below_stack": 2}, 0.15),
    "locks": ({"mlock": 2, "munlock": 2, "populate": 2, "pin": 1, "unpin": 1}, 0.15),
    "advice": ({"advise": 2, "mbind": 1, "guard": 1, "unguard": 1, "kind_of_pages": 1, "truncate": 1, "remove": 1,
                "exec": 0.3}, 0.15),
}
DEEP = 0.4                             # of the programs: two groups only, often, on very few pages
OFTEN = 3                              # times their weights
KINDS = (ANON,) * 4 + ({"anon": 1, "private_file": 1}, ALL)
WINDOWS, NARROW = (3, 6, 12, 24, 48), (2, 3, 4)
PALETTES = (("rw", "rwx"), ("rw", "r"), PROTS)          # a deep one has two protections, which come back
SPREAD = 0.6                           # of weights: a standard deviation of their logarithms
SMALL_FILES = {"F0": 16, "F1": 16, "M0": 16}


def hunted(rng):
    """(a profile of its own, how many steps, how many processes): for a program to hunt with.

    A fault hides where one more kind of call undoes what it needs, and shows where the same few calls meet again and again. So
    a program has some groups of actions only; many are deep, two groups for long, and the others broad.
    """
    deep = rng.random() < DEEP
    if deep:
        groups = rng.sample(sorted(GROUPS), 2, counts=[round(20 * share) for _, share in map(GROUPS.get, sorted(GROUPS))])
        steps, window = rng.choice((150, 300, 300)), rng.choice(NARROW)
    else:
        groups = [name for name, (_, share) in GROUPS.items() if rng.random() < share]
        steps, window = rng.choice((20, 40, 80, 160)), rng.choice(WINDOWS)
    weights = dict(ALWAYS)
    for name in groups:
        weights |= {action: weight * (OFTEN if deep else 1) for action, weight in GROUPS[name][0].items()}
    weights = {action: weight * rng.lognormvariate(0, SPREAD) for action, weight in weights.items()}
    lengths = [length for length in LENGTHS if length <= max(window // 2, 2)]
    kinds, prots = rng.choice(KINDS), ("rw",)
    if "protections" in groups:
        prots = rng.choice(PALETTES[:2] if deep else PALETTES)
    profile = Profile(weights, kinds, ["swap", "memcg"], window=window, lengths=lengths, heap="brk" in weights,
                      files=SMALL_FILES, prots=prots)
    return profile, steps, rng.choice((3, 4, 6, 10))
