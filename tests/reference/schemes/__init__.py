"""The schemes: who may map an anonymous page (rules G1-G6, D9, M1); and the file sides that are built like them.

Hooks that a scheme does not need do nothing. A page's word is frame.word, an area's area.word, an mm's mm.word.
"""

from .anon_vma import AnonVma
from .anonmm import Anonmm
from .pte_chain import PteChain
from .virtual_scan import VirtualScan

SCHEMES = {"virtual_scan": VirtualScan, "pte_chain": PteChain, "anonmm": Anonmm, "anon_vma": AnonVma}
