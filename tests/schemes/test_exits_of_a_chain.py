"""What exits cost under pte_chain: a removal searches from the newest block on (docs/facts/pte-chain.md, "Cost")."""
import pytest

import reference
from reference.schemes.pte_chain import PteChain

PAGE = 4096
AT = 0x40000000


@pytest.mark.parametrize(("children", "order", "blocks"), [
    (100, 1, 100), (100, -1, 457), (1000, 1, 1000), (1000, -1, 36_713),
], ids=["100 newest first", "100 oldest first", "1000 newest first", "1000 oldest first"])
def test_blocks_that_exits_look_at(children, order, blocks, monkeypatch):
    looked = []
    remove = PteChain.remove

    def counted(self, frame, entry):
        if isinstance(frame.word, list):
            looked.append(next(at for at, block in enumerate(frame.word, 1) if entry in block))
        remove(self, frame, entry)
    monkeypatch.setattr(PteChain, "remove", counted)
    parent = reference.Machine("pte_chain", ram=64 * PAGE, swap=0).spawn()
    parent.mmap(AT, PAGE, 3, 0x32)
    parent.write(AT, PAGE)
    for child in [parent.fork() for _ in range(children)][::-order]:
        child.exit()
    assert sum(looked) == blocks
