"""Where the images that execve loads have holes.

Of a program that is loaded anywhere (PIE), and of its loader, the kernel first maps as much of the file as all segments
span, unmaps what is behind the first one, and then maps the others. PERF_RECORD_MMAP2 shows the first step, and not the second:

    [0x55dce0c00000(0x808000) @ 0]: r--p prog             the first segment, 0x1000 long in truth
    [0x55dce0e00000(0x1000) @ 0x200000]: r-xp prog

So what lies between two segments is unmapped here. All but the first one end where their own lines say. Where the first
one ends, `capture` says in a line of its own if there is a hole behind it:

    # image: 0x1000 2148020 /usr/bin/prog                 bytes, inode, path

Other recordings do not say, and two things help. Segments share no more than a page of the file, so the first one is not
longer than where the next one begins in the file, and a page more. That is of no use if a linker keeps them 2 MiB apart in
the file too: then the first one is taken to end behind the last page of it that the program faulted at while it started.
"""
import re
from typing import NamedTuple

import numpy as np

from rmapcore.operations import OPERATION, Op
from rmapcore.traces.files import NO_FILES
from rmapcore.units import PAGE

MOST_APART = 2 << 20                   # the largest distance that linkers keep for pages of any size
STARTING = 1 << 14                     # operations of all processes that are looked at behind an execve
_TOLD = re.compile(r"# image: (0x[0-9a-f]+) (\d+) (.*)")


class Image:
    """The file of an object as it is being mapped: `reached` is the end of its last segment, None while it has one only."""

    __slots__ = ("end", "offset", "reached", "start")

    def __init__(self, start, end, offset):
        self.start, self.end, self.offset, self.reached = start, end, offset, None


class Guess(NamedTuple):
    """Behind a first segment: the place of the record to fill in, and what is known. start and most: its start, and the end
    that it has at most, None if the file does not tell; then: where the next one starts."""

    at: int
    space: int
    start: int
    most: int | None
    then: int
    object: tuple


class Images:
    """Of an importer, whose `emit` and `records` it gets."""

    def __init__(self, emit, records):
        self.emit, self.records = emit, records
        self.loading = {}              # thread -> the Image that it maps
        self.told = {}                 # (inode, path) -> bytes of the first segment
        self.guesses = []

    def tell(self, line):
        """A comment of the recording."""
        match = _TOLD.fullmatch(line)
        if match:
            self.told[match[2], match[3]] = int(match[1], 16)

    def segment(self, thread, space, start, length, offset, object):
        """Before a line of execve is mapped: what it shows to be a hole is unmapped."""
        image = self.loading.get(thread)
        if image is None or not image.start <= start < image.end:
            if not object.path.startswith(NO_FILES):
                self.loading[thread] = Image(start, start + length, offset)
            return
        if image.reached is None:
            apart, in_file = start - image.start, offset - image.offset
            most = image.start + in_file + PAGE if 0 <= in_file < apart else start
            if apart == in_file and not (image.start % MOST_APART or apart % MOST_APART):
                most = None
            self.guesses.append(Guess(len(self.records), space.id, image.start, most, start, (object.inode, object.path)))
            self.records += bytes(OPERATION.itemsize)
        elif image.reached < start:
            self.emit(Op.MUNMAP, space.id, image.reached, start - image.reached)
        image.reached = start + length

    def settle(self, operations):
        """Fills in what is unmapped behind the first segments: all lines were read, and `tell` knows what it can."""
        for guess in self.guesses:
            place = guess.at // OPERATION.itemsize
            told = self.told.get(guess.object)
            if told is not None:
                end = guess.start + told
            elif guess.most is None:
                end = touched(operations[place + 1 : place + STARTING], guess)
            else:
                end = guess.most
            if guess.start < end < guess.then:
                operation = operations[place : place + 1]
                operation["op"], operation["process"] = Op.MUNMAP, guess.space
                operation["addr"], operation["length"] = end, guess.then - end


def touched(behind, guess):
    """The end of the last page of a first segment that the program faulted at; it has one page in any case."""
    behind = behind[behind["process"] == guess.space]
    over = np.flatnonzero(np.isin(behind["op"], (Op.EXECVE, Op.EXIT)))
    behind = behind[: over[0]] if len(over) else behind
    places = behind["addr"][behind["op"] == Op.FAULT]
    places = places[(places >= guess.start) & (places < guess.then)]
    return (int(places.max()) if len(places) else guess.start) // PAGE * PAGE + PAGE
