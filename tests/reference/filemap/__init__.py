"""The file sides: who may map a page of the page cache."""

from ..schemes import PteChain
from .prio_tree import PrioTree

FILE_SIDES = {"pte_chain": PteChain, "prio_tree": PrioTree}
