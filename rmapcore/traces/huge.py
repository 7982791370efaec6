"""Huge pages of anonymous memory: one fault brings 512 pages.

A kernel that is asked for them (madvise MADV_HUGEPAGE) answers the first fault in an empty block of 2 MiB with a huge page, if
it has one. Here pages are small: an operation behind that fault touches the whole block. Whether there was a huge page shows
later: another fault in the block that finds no page says that there was none, and then the operation is left out. It does not
say so if it came from another thread while the kernel was still clearing the huge page for the first, which has faulted nowhere
else since; then the operation goes behind it.

The first write to a huge page of zeros, which a read has brought, is answered by a huge page too (6.13).
"""

import numpy as np

from rmapcore.operations import FAULT_PRESENT, FAULT_WRITE, OPERATION, Op
from rmapcore.traces.files import page_up

RECORD_BYTES = OPERATION.itemsize
BLOCK_BYTES = 2 << 20
CLEARING = 200_000_000                 # ns that a fault may take to clear a huge page, on a machine that does other things too


class Answer:
    """What the first fault in a block brought: `at` is the place of its record, None if it was one small page.

    threads: tid of each that has faulted there -> the place behind the record of its fault.
    zeros: the Answer to a read before, which this can be the second to.
    """

    __slots__ = ("address", "at", "space", "threads", "time", "write", "zeros")

    def __init__(self, at, space, address, write, tid, time, zeros=None):
        self.at, self.space, self.address, self.write, self.time, self.zeros = at, space, address, write, time, zeros
        self.threads = {tid: at}

    def races(self, space, tid, time, records):
        """Whether a fault that finds no page may have come before those of the other threads were over."""
        if self.space != space or tid in self.threads or time - self.time > CLEARING:
            return False
        start = min(self.threads.values()) // RECORD_BYTES
        since = np.frombuffer(records, OPERATION)[start:]
        faults = np.flatnonzero(since["op"] == Op.FAULT)[:-1]                # without this one
        tids = since["arg2"][faults]
        return not any(np.any(faults[tids == other] >= place // RECORD_BYTES - start) for other, place in self.threads.items())

    def was_none(self):
        self.at = None
        if self.zeros:
            self.zeros.at = None


class HugePages:
    """Who asked for huge pages and what came. A space has `asked`, the ranges that huge pages were asked for, in whole blocks:
    whoever asks for all of its memory has no more than one; and `blocks`: number of a block of these -> the Answer to its first
    fault, which spaces that were forked since share.
    """

    def __init__(self):
        self.answers = []

    @staticmethod
    def ask(space, start, length):
        """madvise(MADV_HUGEPAGE)."""
        numbers = range(-(-start // BLOCK_BYTES), (start + length) // BLOCK_BYTES)
        if numbers:
            space.asked.add(numbers.start * BLOCK_BYTES, len(numbers) * BLOCK_BYTES, 0, 0)
            space.look_at(numbers.start * BLOCK_BYTES, numbers.stop * BLOCK_BYTES)

    @staticmethod
    def whole(start, length):
        """(start, length) of the blocks that lie in a range wholly, None if none does."""
        first, past = -(-start // BLOCK_BYTES), (start + length) // BLOCK_BYTES
        return (first * BLOCK_BYTES, (past - first) * BLOCK_BYTES) if first < past else None

    @staticmethod
    def empty(space, start, length, keep=False):
        """The range was unmapped or replaced; keep: only its pages were given back.

        A huge page of which a part is given back is split, and what its block lacks then comes in small pages.
        """
        blocks = space.blocks
        if not blocks and not space.asked.starts:
            return
        numbers = range(start // BLOCK_BYTES, -(-(start + length) // BLOCK_BYTES))
        if not keep:
            space.asked.cut(numbers.start * BLOCK_BYTES, len(numbers) * BLOCK_BYTES)
        for number in numbers if len(numbers) < len(blocks) else list(blocks):
            if number in blocks and number in numbers:
                del blocks[number]
                whole = start <= number * BLOCK_BYTES and (number + 1) * BLOCK_BYTES <= page_up(start + length)
                if not whole:
                    space.asked.cut(number * BLOCK_BYTES, BLOCK_BYTES)

    def faulted(self, space, address, code, tid, time, records):
        """Behind the record of a fault; adds an empty one where it may have brought a huge page."""
        number = address // BLOCK_BYTES
        answer, zeros = space.blocks.get(number), None
        if answer is None and space.asked.at(address) is None:
            return
        if code & FAULT_PRESENT:
            if answer is None or answer.write or not code & FAULT_WRITE:
                return
            zeros = answer
        elif answer is not None:
            if answer.at is not None and answer.races(space.id, tid, time, records):
                answer.at = answer.threads[tid] = len(records)
                records += bytes(RECORD_BYTES)
            else:
                answer.was_none()
            return
        answer = Answer(len(records), space.id, number * BLOCK_BYTES, code & FAULT_WRITE, tid, time, zeros)
        space.blocks[number] = answer
        self.answers.append(answer)
        records += bytes(RECORD_BYTES)

    def settle(self, operations):
        """Fills in the operations of the huge pages that there were."""
        for answer in self.answers:
            if answer.at is not None and not (answer.zeros and answer.zeros.at is None):
                operation = operations[answer.at // RECORD_BYTES:][:1]
                operation["op"] = Op.WRITE if answer.write else Op.READ
                operation["process"], operation["addr"], operation["length"] = answer.space, answer.address, BLOCK_BYTES
