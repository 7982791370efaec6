"""Huge pages of anonymous memory: one fault brings 512 pages.

A kernel that is asked for them (madvise MADV_HUGEPAGE) answers the first fault in an empty block of 2 MiB with a huge page, if
it has one. Here pages are small: an operation behind that fault touches the whole block. Whether there was a huge page shows
later: another fault in the block that finds no page says that there was none, and then the operation is left out.
"""

from rmapcore.operations import OPERATION, Op

RECORD_BYTES = OPERATION.itemsize
BLOCK_BYTES = 2 << 20
FAULT_PRESENT, FAULT_WRITE = 1, 2


class Answer:
    """What the first fault in a block brought: `at` is the place of its record, None if it was one small page."""

    __slots__ = ("address", "at", "space", "write")

    def __init__(self, at, space, address, write):
        self.at, self.space, self.address, self.write = at, space, address, write


class HugePages:
    """Who asked for huge pages and what came. A space has `blocks`: number of a block that huge pages were asked for -> the
    Answer to its first fault, which spaces that were forked since share; None before.
    """

    def __init__(self):
        self.answers = []

    @staticmethod
    def ask(space, start, length):
        """madvise(MADV_HUGEPAGE)."""
        numbers = range(-(-start // BLOCK_BYTES), (start + length) // BLOCK_BYTES)
        for number in numbers:
            space.blocks.setdefault(number, None)
        if numbers:
            space.look_at(numbers.start * BLOCK_BYTES, numbers.stop * BLOCK_BYTES)

    @staticmethod
    def empty(space, start, length, keep=False):
        """The range was unmapped or replaced; keep: only its pages were given back."""
        numbers = range(start // BLOCK_BYTES, -(-(start + length) // BLOCK_BYTES))
        blocks = space.blocks
        for number in numbers if len(numbers) < len(blocks) else list(blocks):
            if number in blocks and number in numbers:
                if keep:
                    blocks[number] = None
                else:
                    del blocks[number]

    def faulted(self, space, address, code, records):
        """Behind the record of a fault; adds an empty one where it may have brought a huge page."""
        number = address // BLOCK_BYTES
        if code & FAULT_PRESENT or number not in space.blocks:
            return
        answer = space.blocks[number]
        if answer is not None:
            answer.at = None
            return
        answer = space.blocks[number] = Answer(len(records), space.id, number * BLOCK_BYTES, code & FAULT_WRITE)
        self.answers.append(answer)
        records += bytes(RECORD_BYTES)

    def settle(self, operations):
        """Fills in the operations of the huge pages that there were."""
        for answer in self.answers:
            if answer.at is not None:
                operation = operations[answer.at // RECORD_BYTES:][:1]
                operation["op"] = Op.WRITE if answer.write else Op.READ
                operation["process"], operation["addr"], operation["length"] = answer.space, answer.address, BLOCK_BYTES
