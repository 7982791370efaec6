"""THE REGISTRY: every scheme and every file side, one line each, resolved when first used.

A new scheme is one file in pyx/schemes/ and one line here: the build, the tests, the benchmarks and the commands find it.
"""
from dataclasses import dataclass
from importlib import import_module

from rmapcore.errors import UnknownName


@dataclass(frozen=True)
class Spec:
    """where: module:class.  files: the file side it goes with by default.  era: kernels that had it.  about: one line.

    defects: known faults of history, one line each; machines with such a scheme lose pages, and check() finds them.
    """

    where: str
    files: str
    era: str
    about: str
    defects: tuple = ()

    def load(self):
        module, name = self.where.split(":")
        return getattr(import_module(module), name)


SCHEMES = {
    "virtual_scan": Spec("rmapcore.pyx.schemes.virtual_scan:VirtualScan", "none", "2.4, to 2.5.26",
                         "no reverse map: reclaim sweeps the page tables of all processes"),
    "pte_chain": Spec("rmapcore.pyx.schemes.pte_chain:PteChain", "pte_chain", "2.5.27-2.6.6",
                      "every page keeps a chain of its page-table entries"),
    "rmap_chain": Spec("rmapcore.pyx.schemes.anonmm.rmap_chain:RmapChain", "list", "March 2003, never merged",
                       "anonmm, and a chain of the other addresses of a page that was moved while shared"),
    "anonmm": Spec("rmapcore.pyx.schemes.anonmm.anonmm:Anonmm", "prio_tree", "May 2004",
                   "a page knows its first address space and its address; the fork family is searched"),
    "anonmm_naive": Spec("rmapcore.pyx.schemes.anonmm.anonmm:AnonmmNaive", "prio_tree", "argued in March 2004",
                         "the same, but every address space of the family is tried"),
    "anon_vma": Spec("rmapcore.pyx.schemes.anon_vma:AnonVma", "prio_tree", "2.6.8-2.6.33",
                     "a page knows the list of areas that share its origin"),
    "anon_vma_unshared": Spec("rmapcore.pyx.schemes.anon_vma:AnonVmaUnshared", "prio_tree", "March 2004",
                              "the same, but no area shares a list with its neighbour"),
    "anon_vma_2_6_7": Spec("rmapcore.pyx.schemes.anon_vma:AnonVma267", "prio_tree", "2.6.7",
                           "the same with its first faults",
                           ("an area that takes over pages at a moved border gets no anon_vma: they are lost",)),
    "anon_vma_chain_2010": Spec("rmapcore.pyx.schemes.anon_vma_chain.lists:AnonVmaChain2010", "prio_tree", "2.6.34-3.6",
                                "an area has a chain of anon_vmas, its own and its ancestors'; a page knows its maker's"),
    "anon_vma_chain_degree": Spec("rmapcore.pyx.schemes.anon_vma_chain.trees:AnonVmaChainDegree", "prio_tree", "3.19-5.19",
                                  "the same with interval trees; a child reuses the anon_vma of an ancestor that has gone",
                                  ("areas of one process may reuse the same one though their ancestors differ: merged, they"
                                   " lose pages",)),
    "anon_vma_chain": Spec("rmapcore.pyx.schemes.anon_vma_chain.trees:AnonVmaChain", "interval_tree", "6.0 to today",
                           "the same without that fault; what may merge as from 6.16 on"),
}

FILE_SIDES = {
    "interval_tree": Spec("rmapcore.pyx.filemap.trees.interval_tree:IntervalTree", "", "3.7 to today",
                          "a balanced tree of areas per file, by their first file page"),
    "list": Spec("rmapcore.pyx.filemap.list:FileLists", "", "2.5.62-2.6.6 (objrmap patches)",
                 "two plain lists of areas per file, private and shared ones"),
    "none": Spec("rmapcore.pyx.filemap.none:NoFiles", "", "2.4, to 2.5.26",
                 "nothing; for schemes that sweep page tables"),
    "prio_tree": Spec("rmapcore.pyx.filemap.trees.prio_tree:PrioTree", "", "2.6.7-3.6",
                      "a radix priority search tree of areas per file"),
    "pte_chain": Spec("rmapcore.pyx.filemap.pte_chain:PteChainFiles", "", "2.5.27-2.6.6",
                      "page-cache pages keep chains too"),
}


def schemes():
    """Known schemes: name -> one-line description, known faults of history included."""
    return {name: "; known fault: ".join((spec.about, *spec.defects)) for name, spec in SCHEMES.items()}


def walking():
    """Names of the schemes that can walk one page: all but those that sweep page tables instead."""
    return [name for name, spec in SCHEMES.items() if not spec.load()().sweeps]


def _options(text, name):
    """The options after a name's colon: "line=32,highpte=0" -> dict."""
    options = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"scheme {name!r}: option {part!r} is not KEY=VALUE")
        options[key] = value
    return options


def _spec(table, kind, name):
    if name not in table:
        raise UnknownName(f"{kind} {name!r} is unknown; known: {', '.join(table)}")
    return table[name]


def make(scheme, file_rmap=None):
    """Scheme and file side for one machine: (scheme object, file side object, scheme name, file side name).

    scheme: a name, with options after a colon, or a Scheme object.  file_rmap: the same for the file side; None for the
    scheme's usual one.
    UnknownName for a name that is not here, ValueError for an option that the scheme does not take, and for a file side
    that proposes nothing beside a scheme that does not sweep.
    """
    if isinstance(scheme, str):
        name, _, text = scheme.partition(":")
        spec = _spec(SCHEMES, "scheme", name)
        options = _options(text, name)
        made = spec.load()(**options)
        default = spec.files
    else:
        made, name = scheme, scheme.name
        if not name:
            raise ValueError("a Scheme object needs a name")
        options = dict(made.options)
        default = SCHEMES[name].files if name in SCHEMES else "prio_tree"
    side, _, text = (file_rmap or default).partition(":")
    cls = _spec(FILE_SIDES, "file_rmap", side).load()
    # one kernel has one kind of chain: unless told otherwise the scheme's options go for its file pages too
    files = cls(**(_options(text, side) or (options if side == name else {})))
    if files.sweeps and not made.sweeps:
        raise ValueError(f"file_rmap {side} needs a scheme that sweeps page tables")
    return made, files, name, side
