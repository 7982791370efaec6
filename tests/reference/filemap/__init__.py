"""The file sides: who may map a page of the page cache."""

from ..schemes import PteChain
from .interval_tree import IntervalTree
from .list import FileLists
from .none import NoFiles
from .prio_tree import PrioTree

FILE_SIDES = {"interval_tree": IntervalTree, "list": FileLists, "none": NoFiles, "prio_tree": PrioTree, "pte_chain": PteChain}
