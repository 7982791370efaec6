"""Operation arrays with any numbers, under every scheme, kernel and architecture."""
from collections import Counter

import numpy as np

import rmapcore
from fuzz import PAGE, check
from rmapcore.core.program import make
from rmapcore.operations import OPERATION, Op
from rmapcore.schemes import registry

SCHEMES = registry()
AT = 0x10000000 // PAGE
FLAGS = [0, 1, 2, 3, 4, 5, 7, 0x21, 0x22, 0x31, 0x32, 0x132, 0x8032, 0x2032, 0x10000, 0x01000000, 0x100022, 8, 0x28]


def hostile(chance, n, at=AT):
    """n operations whose fields are near what there is (pages from `at` on), and now and then all that their bits can say."""
    operations = np.zeros(n, OPERATION)
    names = operations.dtype.names
    for field in names:
        kind = operations.dtype[field]
        operations[field] = chance.integers(0, np.iinfo(kind).max, n, kind, endpoint=True)
        operations[field] >>= chance.integers(0, kind.itemsize * 8, dtype=kind)
    usual = chance.random((len(names), n)) < chance.choice([0.8, 0.97, 1])
    ranges = {"op": (0, max(Op) + 2), "prot": (0, 8), "process": (0, 6), "other": (0, 6), "addr": (at, at + 60),
              "length": (0, 20), "arg": (0, 30), "arg2": (0, 60)}
    for field, (low, high) in ranges.items():
        chosen = usual[names.index(field)]
        scale = PAGE if field in ("addr", "length") else 1
        operations[field][chosen] = chance.integers(low, high, int(chosen.sum())) * scale
    chosen = usual[names.index("flags")]
    operations["flags"][chosen] = chance.choice(FLAGS, int(chosen.sum()))
    moved = (operations["op"] == Op.MREMAP) & (chance.random(n) < 0.9)
    operations["arg"][moved] *= PAGE
    operations["arg2"][moved] = chance.integers(at, at + 90, int(moved.sum())) * PAGE
    offsets = (operations["op"] == Op.MMAP) & (chance.random(n) < 0.9)
    operations["arg"][offsets] = operations["arg"][offsets] % 30 * PAGE
    return operations


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        chance = np.random.default_rng(rng.randrange(1 << 32))
        scheme, arch = rng.choice(list(SCHEMES)), rng.choice(("x86_64", "x86_64", "i386", "i386-pae"))
        machine = rmapcore.Machine(scheme, rng.choice(("2.6.7", "6.18")), arch, rng.choice((30, 100, 300)) * PAGE,
                                   rng.choice((0, 100, 500)) * PAGE, track_contents=True, max_ptes=rng.choice((None, 1 << 17)))
        files = [machine.file("a", 20 * PAGE), machine.file("b", 20 * PAGE, "shmem"), machine.file("c", 0, "zero")]
        operations = np.concatenate([make(Op.SPAWN, 5, process=np.arange(1, 6)), hostile(chance, rng.choice((200, 1500)))])
        at = 0
        while at < len(operations):
            try:
                statuses = machine.run(operations[at:], rng.choice((files, files, None)))
                self.seen["done"] += int((statuses == 0).sum())
                self.seen["failed"] += int((statuses != 0).sum())
                at = len(operations)
            except (rmapcore.OutOfMemory, rmapcore.ArenaFull) as error:
                self.seen[type(error).__name__] += 1
                at += error.done + 1
        if not SCHEMES[scheme].defects:
            check(machine)
