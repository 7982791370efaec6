"""Files of machines in which one number is what would do most harm: of every array, every field, in a record that is in use.

python -m fuzz.fields SCHEME ARCH [own] prints each number before the file is loaded, so that the last line tells what a crash
is of; own: only arrays that not every machine has.
"""
import io
import itertools
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

from fuzz.machinefiles import Fuzzer


def spots(arrays):
    """(array, field or None) of all numbers that a file has."""
    for name, array in arrays.items():
        if name != "machine" and len(array):
            yield from ((name, field) for field in array.dtype.names or (None,))


def other(array, field, which):
    """The array with the largest number, its length or 1 in the last record in which this field is not 0. None: as it was."""
    array = array.copy()
    numbers = (array[field] if field else array).reshape(len(array), -1)
    used = np.flatnonzero(numbers.any(axis=1))
    at = int(used[-1]) if len(used) else len(array) - 1
    spot = int(np.flatnonzero(numbers[at])[0]) if len(used) else 0
    value = {"max": np.iinfo(numbers.dtype).max, "bump": len(array), "1": 1}[which] & np.iinfo(numbers.dtype).max
    if numbers[at, spot] == value:
        return None
    place = (at, *np.unravel_index(spot, (array[field] if field else array).shape[1:])) if numbers.shape[1] > 1 else (at,)
    (array[field] if field else array)[place] = value
    return array


def main(scheme, arch, which="all"):
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder))
        _, arrays = fuzzer.saved(scheme, arch)
        everyones = fuzzer.saved("virtual_scan", arch)[1] if which == "own" else {}
        for (name, field), value in itertools.product(spots(arrays), ("max", "bump", "1")):
            changed = other(arrays[name], field, value)
            if changed is None or name in everyones:
                continue
            print(name, field, value, flush=True)
            out = io.BytesIO()
            np.savez(out, **arrays | {name: changed})
            fuzzer.attempt(random.Random(f"{scheme} {name} {field} {value}"), out.getvalue())
        print(fuzzer.counts())


if __name__ == "__main__":
    main(*sys.argv[1:])
