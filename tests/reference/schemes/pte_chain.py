"""pte_chain (rule G1)."""

from ..common.check import require
from ..common.scheme import Scheme


class PteChain(Scheme):
    """Rule G1. The word is None, an entry (mm, vpn) (DIRECT), or a list of blocks, head first.

    A block is a list of `size` slots; only the head has free ones (None), at its low end.
    """

    files = "pte_chain"
    table_locks = False

    def __init__(self, machine):
        super().__init__(machine)
        self.size = (machine.line - machine.arch.word) // machine.arch.word

    def lock(self, frame):
        self.take("chain", frame)

    def entry_added(self, frame, mm, vpn):
        self.lock(frame)
        self.add(frame, (mm, vpn))

    def entry_removed(self, frame, mm, vpn):
        self.lock(frame)
        self.remove(frame, (mm, vpn))

    def entry_unmapped(self, frame, mm, vpn):
        self.remove(frame, (mm, vpn))

    def entry_moved(self, frame, mm, old, new):
        self.count["rmap_moves"] += 1
        self.entry_removed(frame, mm, old)
        self.entry_added(frame, mm, new)

    def entry_carried(self, frame, mm, old, new):
        """Rule QC3: the kernel's word names where the entry lies, this one where it maps."""
        if isinstance(frame.word, tuple):
            frame.word = (mm, new)
        else:
            block = next(block for block in frame.word if (mm, old) in block)
            block[block.index((mm, old))] = (mm, new)

    def fresh_block(self, *entries):
        return [None] * (self.size - len(entries)) + [*entries]

    def add(self, frame, entry):
        chain = frame.word
        if chain is None:
            frame.word = entry
        elif isinstance(chain, tuple):
            frame.word = [self.fresh_block(entry, chain)]
        elif chain[0][0] is not None:
            chain.insert(0, self.fresh_block(entry))
        else:
            head = chain[0]
            head[head.count(None) - 1] = entry

    def remove(self, frame, entry):
        """The head's lowest entry fills the hole; an emptied head goes."""
        if isinstance(frame.word, tuple):
            assert frame.word == entry
            frame.word = None
            return
        head = frame.word[0]
        block = next(block for block in frame.word if entry in block)
        lowest = head.count(None)
        block[block.index(entry)] = head[lowest]
        head[lowest] = None
        if lowest == self.size - 1:
            del frame.word[0]
            frame.word = frame.word or None

    def candidates(self, frame, purpose):
        self.lock(frame)
        if isinstance(frame.word, tuple):
            blocks = []
            self.count["lock_chain_held"] += 1
            yield frame.word[0], None, frame.word[1]
        else:
            blocks = [[entry for entry in block if entry] for block in frame.word]
        for block in blocks:
            self.count["nodes_visited"] += 1
            for mm, vpn in block:
                self.count["lock_chain_held"] += 1
                yield mm, None, vpn

    def all_referenced(self, frame, mms):
        if len(mms) == 1 and isinstance(frame.word, list):
            frame.word = frame.word[0][-1]

    def check_frame(self, frame):
        word, size = frame.word, self.size
        if not isinstance(word, list):
            require(frame.mapcount == (word is not None), "G1: direct", frame.pfn)
            return
        for number, block in enumerate(word):
            free = block.count(None)
            require(len(block) == size and block[:free] == [None] * free, "G1: free slots at the low end", frame.pfn)
            require(free < size and (free == 0 or number == 0), "G1: only the head has free slots", frame.pfn)
        require(frame.mapcount == sum(size - block.count(None) for block in word), "G1", frame.pfn)
