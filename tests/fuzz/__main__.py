"""Runs one fuzzer: python -m fuzz NAME [--seconds S] [--seed N] [--first K] [--most M].

Prints how many executions there were, now and then and at the end. What is found stands on stderr, with the command that does
it again, and makes the exit status 1; so do an execution that takes more than LONGEST seconds, and memory beyond MOST_MEMORY.
A crash ends all, and so does an execution that hangs: the number of the one that was under way is in the file that the first
line names.
"""
import argparse
import faulthandler
import importlib
import itertools
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from fuzz import FUZZERS

LONGEST, HANGS = 60, 900               # seconds of one execution, under sanitizers: of this process, and of a busy machine
MOST_MEMORY = 6 << 30                  # bytes of this process at its peak, sanitizers' own included
EVERY = 60                             # seconds between two lines
MOST_FOUND = 20


def peak():
    """Bytes of memory at the most, since this program began: what getrusage says counts the one that started it, too."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def run(options):
    """(executions, findings)"""
    folder = tempfile.mkdtemp(prefix="fuzz-")
    fuzzer = importlib.import_module(f"fuzz.{options.name}").Fuzzer(Path(folder))
    place = os.open(path := f"{folder}/number", os.O_WRONLY | os.O_CREAT)
    print(f"{options.name}: seed {options.seed}; the number of the execution under way is in {path}", flush=True)
    begun = told = time.monotonic()
    found, last = 0, False
    numbers = itertools.count(options.first)
    while not last:
        number = next(numbers)
        os.pwrite(place, f"{number:<20}\n".encode(), 0)
        faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.__stderr__)
        before = time.process_time()
        try:
            fuzzer.one(random.Random(f"{options.name} {options.seed} {number}"))
            assert time.process_time() - before < LONGEST, f"it took {time.process_time() - before:.0f} s"
        except Exception:
            found += 1
            print(f"{options.name} --seed {options.seed} --first {number} --most 1", file=sys.stderr)
            traceback.print_exc()
        faulthandler.cancel_dump_traceback_later()
        done, now = number + 1 - options.first, time.monotonic()
        if peak() > MOST_MEMORY:
            found += 1
            print(f"{options.name}: {peak() >> 20} MiB after execution {number} of seed {options.seed}", file=sys.stderr)
        last = now - begun > options.seconds or done == options.most or found >= MOST_FOUND or peak() > MOST_MEMORY
        if last or now - told > EVERY:
            told = now
            print(f"{options.name}: {done:,} executions, {now - begun:.0f} s, {found} findings, {peak() >> 20} MiB, "
                  f"{fuzzer.counts()}", flush=True)
    os.close(place)
    shutil.rmtree(folder)
    return done, found


def main():
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("name", choices=FUZZERS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first execution")
    parser.add_argument("--most", type=int, help="most executions")
    _, found = run(parser.parse_args())
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
