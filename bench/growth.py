"""Growth: does ten times the input take more than twelve times the time? Of every reader, call and command.

    python bench/growth.py              all of them, a quarter of an hour
    python bench/growth.py read fork    those whose name has one of these words

The subjects stand in growth_subjects.py. One input of ten times the size is set beside ten of the size, all prepared before:
both fill the caches alike, so that what grows is the work and not what a miss costs. A time is that of the processor in this
process, the least of ROUNDS by turns, or of up to MOST_ROUNDS where it seems to grow too fast; work of less than SHORT seconds,
even of the large input, is a fixed cost beside which no growth can be seen. What is not the work's doing is left out: Python's
collector is off meanwhile, and memory that was given back stays with the process, for the host takes its time to give new one.
Prints a row for each; exit 1 if one grows faster. What a scheme costs by its own rules is in OWN, each with the reason, and is
printed and not counted.
"""
import argparse
import ctypes
import gc
import sys
import time
from contextlib import ExitStack

import numpy as np
from growth_subjects import OWN, SUBJECTS

TIMES, MOST = 10, 12
ROUNDS, MOST_ROUNDS = 2, 8
SHORT = 0.01
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4          # of mallopt
KEPT = 1 << 29                                 # bytes


def measured(subject, n, count):
    """Seconds for each of `count` inputs of size n; what is prepared is not counted."""
    with ExitStack() as prepared:
        works = [prepared.enter_context(subject(n)) for _ in range(count)]
        gc.collect()
        gc.disable()
        try:
            begun = time.process_time()
            for work in works:
                work()
            return (time.process_time() - begun) / count
        finally:
            gc.enable()


def growth(subject, n):
    """(seconds of n, seconds of TIMES n, whether that is too much)"""
    rounds, over = [], True
    while over and len(rounds) < MOST_ROUNDS:
        rounds += [(measured(subject, n, TIMES), measured(subject, TIMES * n, 1)) for _ in range(ROUNDS)]
        small, large = map(min, zip(*rounds, strict=True))
        over = large > SHORT and large > MOST * small
    return small, large, over


def too_much(name):
    """Prints the row of a subject; whether it grows faster than it may."""
    subject, n = SUBJECTS[name]
    small, large, over = growth(subject, n)
    verdict = "" if not over else f"   its own: {OWN[name]}" if name in OWN else "   TOO MUCH"
    print(f"{name:<50}{n:>9,}{small * 1000:>11.1f}{TIMES * n:>11,}{large * 1000:>11.1f}{large / small:>8.1f}{verdict}",
          flush=True)
    return over and name not in OWN


def keep_memory():
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    np.ones(KEPT, np.uint8)


def main(words):
    keep_memory()
    names = [name for name in SUBJECTS if not words or any(word in name for word in words)]
    print(f"{'':<50}{'input':>9}{'ms':>11}{'input':>11}{'ms':>11}{'times':>8}")
    found = [name for name in names if too_much(name)]
    print(f"\n{len(names)} measured; {len(found)} take more than {MOST} times the time for {TIMES} times the input", *found,
          sep="\n")
    return bool(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names (all)")
    sys.exit(main(parser.parse_args().words))
