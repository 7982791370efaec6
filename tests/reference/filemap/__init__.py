"""The file sides: who may map a page of the page cache."""

from ..schemes import PteChain
from .list import FileLists
from .prio_tree import PrioTree

FILE_SIDES = {"list": FileLists, "prio_tree": PrioTree, "pte_chain": PteChain}
