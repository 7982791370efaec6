"""The schemes: who may map an anonymous page (rules G1-G6, D9, M1); and the file sides that are built like them.

Hooks that a scheme does not need do nothing. A page's word is frame.word, an area's area.word, an mm's mm.word.
"""

from .anon_vma import AnonVma, AnonVma267, AnonVmaUnshared
from .anon_vma_chain import AnonVmaChain, AnonVmaChain2010, AnonVmaChainDegree
from .anon_vma_lazy import AnonVmaLazy
from .anonmm import Anonmm, AnonmmNaive
from .cow_context import CowContext, CowContext202605
from .pte_chain import PteChain
from .rmap_chain import RmapChain
from .virtual_scan import VirtualScan

SCHEMES = {
    "virtual_scan": VirtualScan, "pte_chain": PteChain, "rmap_chain": RmapChain, "anonmm": Anonmm,
    "anonmm_naive": AnonmmNaive, "anon_vma": AnonVma, "anon_vma_unshared": AnonVmaUnshared,
    "anon_vma_2_6_7": AnonVma267, "anon_vma_chain_2010": AnonVmaChain2010,
    "anon_vma_chain_degree": AnonVmaChainDegree, "anon_vma_chain": AnonVmaChain,
    "anon_vma_lazy": AnonVmaLazy,
    "cow_context": CowContext, "cow_context_2026_05": CowContext202605,
}
