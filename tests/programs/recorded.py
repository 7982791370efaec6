"""Programs of earlier makers, as data: those that the tests ran while the machine and its twin were made."""
import json
from functools import cache
from pathlib import Path

import zstandard

FILE = Path(__file__).parent.parent / "data" / "programs.jsonl.zst"


@cache
def lines():
    """(kernel, architecture, seed) -> its line."""
    found = {}
    for line in zstandard.ZstdDecompressor().decompress(FILE.read_bytes()).decode().splitlines():
        kernel, arch, seed, _ = line[1:].split(",", 3)
        found[json.loads(kernel), json.loads(arch), int(seed)] = line
    return found


def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def kept(kernel):
    """(seed, architecture) of the programs of a kernel, in order."""
    return sorted((seed, arch) for of, arch, seed in lines() if of == kernel)


def recorded(seed, n_ops=300, arch="x86_64", kernel="2.6.7"):
    """The first n_ops calls of a program; KeyError for one that is not recorded."""
    return [tuples(call) for call in json.loads(lines()[kernel, arch, seed])[3][:n_ops]]
