"""Schemes in Python with a hook that answers nonsense (tests/schemes/hookfuzz.py)."""
from collections import Counter

from schemes.hookfuzz import one_round

from fuzz import given_back


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        with given_back():                             # its programs check in between
            one_round(rng, self.seen)
