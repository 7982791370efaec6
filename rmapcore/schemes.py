"""THE REGISTRY: every scheme and every file side, one line each, resolved when first used; and how a scheme is named.

A new scheme is one file in pyx/schemes/ and one line here: the build, the tests, the benchmarks and the commands find it.
Wherever a scheme is asked for, one of these will do:

    name                anon_vma, pte_chain:line=32        a line below, or announced by an installed package
    module:Class        ideas.search:Mine                  imported
    path:Class          ideas/mine.py:Mine:depth=3         a file of its own: its name ends in .py
    a class             Mine                               of Scheme, Prototype among them; each machine gets a new object
    an object           Mine()                             a second machine gets another one of its class and options

A name of a line below wins over everything else. What follows the last colon is options if it holds "=". Packages announce
schemes in the entry-point group "rmapcore.schemes", as name = module:Class. A class from outside says by class attributes
what a line says here: `file_rmap` (prio_tree), `defects`; its first line of documentation is the description.
"""
import os
import sys
from dataclasses import dataclass
from importlib import import_module, util

from rmapcore.arguments import instead_of, one_of, several, shown, text_of
from rmapcore.errors import UnknownName
from rmapcore.pyx.seam.scheme import Scheme

GROUP = "rmapcore.schemes"


@dataclass(frozen=True)
class Spec:
    """A line of the registry.

    where: module:class.  files: the file side it goes with by default.  era: kernels that had it.  about: one line.
    since: year and month in which it was merged or first proposed, "2004-08".  merged: Linus's tree had it.
    sizes: published bytes of struct page and struct vm_area_struct with it and its usual file side, a pair each for i386,
    i386-pae and x86_64.
    defects: known faults of history, one line each; machines with such a scheme lose pages, and check() finds them.
    merged: whether a kernel had it.
    """

    where: str
    files: str
    era: str
    about: str
    since: str = ""
    sizes: tuple = ()
    defects: tuple = ()
    merged: bool = True

    def load(self):
        """The class."""
        module, _, name = self.where.partition(":")
        return _attribute(import_module(module), name)


# sizes: docs/facts/structures.md; the protection word of i386-pae adds 4 to an area
SCHEMES = {
    "virtual_scan": Spec(
        "rmapcore.pyx.schemes.virtual_scan:VirtualScan", "none", "2.4, to 2.5.26",
        "no reverse map: reclaim sweeps the page tables of all processes",
        since="2001-01", sizes=((48, 68), (48, 72), (96, 136))),
    "pte_chain": Spec(
        "rmapcore.pyx.schemes.pte_chain:PteChain", "pte_chain", "2.5.27-2.6.6",
        "every page keeps a chain of its page-table entries",
        since="2002-07", sizes=((32, 64), (32, 68), (56, 128))),
    "rmap_chain": Spec(
        "rmapcore.pyx.schemes.anonmm.rmap_chain:RmapChain", "list", "March 2003, never merged",
        "anonmm, and a chain of the other addresses of a page that was moved while shared",
        since="2003-03", sizes=((40, 64), (40, 68), (80, 128)), merged=False),
    "anonmm": Spec(
        "rmapcore.pyx.schemes.anonmm.anonmm:Anonmm", "prio_tree", "May 2004",
        "a page knows its first address space and its address; the fork family is searched",
        since="2004-05", sizes=((32, 72), (32, 76), (56, 144)), merged=False),
    "anonmm_naive": Spec(
        "rmapcore.pyx.schemes.anonmm.anonmm:AnonmmNaive", "prio_tree", "argued in March 2004",
        "the same, but every address space of the family is tried",
        since="2004-03", sizes=((32, 72), (32, 76), (56, 144)), merged=False),
    "anon_vma": Spec(
        "rmapcore.pyx.schemes.anon_vma:AnonVma", "prio_tree", "2.6.8-2.6.33",
        "a page knows the list of areas that share its origin",
        since="2004-08", sizes=((32, 84), (32, 88), (56, 168))),
    "anon_vma_unshared": Spec(
        "rmapcore.pyx.schemes.anon_vma:AnonVmaUnshared", "prio_tree", "March 2004",
        "the same, but no area shares a list with its neighbour",
        since="2004-03", sizes=((32, 84), (32, 88), (56, 168)), merged=False),
    "anon_vma_2_6_7": Spec(
        "rmapcore.pyx.schemes.anon_vma:AnonVma267", "prio_tree", "2.6.7",
        "the same with its first faults",
        since="2004-06", sizes=((32, 84), (32, 88), (56, 168)),
        defects=("an area that takes over pages at a moved border gets no anon_vma: they are lost",)),
    "anon_vma_chain_2010": Spec(
        "rmapcore.pyx.schemes.anon_vma_chain.lists:AnonVmaChain2010", "prio_tree", "2.6.34-3.6",
        "an area has a chain of anon_vmas, its own and its ancestors'; a page knows its maker's",
        since="2010-05", sizes=((32, 88), (32, 92), (56, 176))),
    "anon_vma_chain_degree": Spec(
        "rmapcore.pyx.schemes.anon_vma_chain.trees:AnonVmaChainDegree", "prio_tree", "3.19-5.19",
        "the same with interval trees; a child reuses the anon_vma of an ancestor that has gone",
        since="2015-02", sizes=((32, 92), (32, 96), (64, 184)),
        defects=("areas of one process may reuse the same one though their ancestors differ: merged, they lose pages",)),
    "anon_vma_chain": Spec(
        "rmapcore.pyx.schemes.anon_vma_chain.trees:AnonVmaChain", "interval_tree", "6.0 to today",
        "the same without that fault; what may merge as from 6.16 on",
        since="2022-10", sizes=((32, 92), (32, 96), (64, 192))),
    "anon_vma_lazy": Spec(
        "rmapcore.pyx.schemes.anon_vma_chain.lazy:AnonVmaLazy", "interval_tree", "proposed in May 2026, not merged",
        "the same from the first fork on; before it a page knows its address space and an area of it",
        since="2026-05", sizes=((32, 96), (32, 100), (64, 196)), merged=False),
    "cow_context": Spec(
        "rmapcore.pyx.schemes.cow_context.variants:CowContext", "interval_tree", "proposed in 2026, repaired here",
        "an address space has a context in the tree of its forks, and offsets for what was moved; a page knows its maker's",
        since="2026-05", merged=False, sizes=((32, 92), (32, 96), (64, 192))),
    "cow_context_2026_05": Spec(
        "rmapcore.pyx.schemes.cow_context.variants:CowContext202605", "interval_tree", "May 2026, never merged",
        "the same as the prototype stood",
        since="2026-05", merged=False, sizes=((32, 92), (32, 96), (64, 192)),
        defects=("a page mapped once is not found where it was moved to, nor private file pages (H1)",
                 "nor one that only a child still has, while its maker lives (H2)",
                 "a shared page that a child faults in from swap is lost to its parent and siblings (H3)",
                 "offsets recorded out of order destroy each other: moved pages are lost, or found twice (H4)",
                 "a moved area that grows has no record of what is new (H5)",
                 "moving a part on takes the record of the rest along (H6)",
                 "an unmapping walk that leaves one mapping ends at the next address space without it (H9)")),
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


# --- which there are ----------------------------------------------------------------------------------------------------


def registry():
    """Every scheme that has a name: {name: Spec}, the lines above first. UnknownName if a package announces one in vain."""
    return SCHEMES | {name: _spec_of(_announced(point), point.value) for name, point in _entry_points().items()}


def schemes():
    """Known schemes: name -> one-line description, known faults of history included."""
    lines = {name: "; known fault: ".join((spec.about, *spec.defects)) for name, spec in SCHEMES.items()}
    for name, point in _entry_points().items():
        try:
            spec = _spec_of(_announced(point), point.value)
            lines[name] = "; known fault: ".join((spec.about, *spec.defects))
        except UnknownName as error:           # a package that is broken leaves the others alone
            lines[name] = str(error)
    return lines


def walking():
    """Names of the schemes that can walk one page: all but those that sweep page tables instead."""
    return [name for name, spec in registry().items() if not spec.load()().sweeps]


def newest(until="9999-12"):
    """Name of the newest scheme that a kernel had and that has no known faults, of those up to a year and month."""
    sound = (name for name, spec in SCHEMES.items() if spec.merged and not spec.defects and spec.since <= until)
    return max(sound, key=lambda name: SCHEMES[name].since)


def _entry_points():
    """{name: entry point} of what packages announce; of two with one name the first that is found."""
    from importlib import metadata  # longer to import than all else here

    points = {}
    for point in metadata.entry_points(group=GROUP):
        if point.name not in SCHEMES:
            points.setdefault(point.name, point)
    return points


def _announced(point):
    """The class behind an entry point."""
    return _class(point.value, f"{point.name} (announced by {point.dist.name if point.dist else 'a package'})")


def _spec_of(cls, where):
    """What a class from outside says of itself."""
    about = (cls.__doc__ or "").strip().partition("\n")[0] or "no description"
    return Spec(where, getattr(cls, "file_rmap", "prio_tree"), "", about, defects=tuple(getattr(cls, "defects", ())))


# --- one by its name, class or object -----------------------------------------------------------------------------------


class Choice:
    """A scheme as it was asked for. text: the same as it is told, in tables, JSON and saved machines.

    name: of a line or entry point, None of another.  spec: Spec.  options: dict of str to str.
    """

    def __init__(self, text, spec, cls, options, name=None, made=None):
        self.text, self.spec, self.cls, self.options, self.name = text, spec, cls, options, name
        self._made = made
        self.again = made is None or _alike(made, cls, options)        # whether there can be another such object

    def __str__(self):
        return self.text

    def make(self):
        """A Scheme object for one more machine. ValueError for options that the class does not take."""
        if self._made is not None and self._made.core is None:
            return self._made
        if not self.again:
            raise ValueError(f"scheme {self.text}: an object is for one machine, and its class and options do not make another "
                             "one like it; pass a class that does")
        try:
            return self.cls(**self.options)
        except TypeError as error:
            raise ValueError(f"scheme {self.text!r}: {error}") from error

    def found_anywhere(self):
        """The text for another process, wherever it runs: a file by its whole path."""
        path, dot, rest = self.text.rpartition(".py:")
        return f"{os.path.abspath(path)}{dot}{rest}" if dot and self.name is None else self.text

    @property
    def sweeps(self):
        """Whether it sweeps page tables and cannot walk one page."""
        return (self._made or self.make()).sweeps


def choose(scheme):
    """The Choice for a name, a class or an object, as the head of this file says.

    UnknownName for text that leads to no scheme, with the reason; TypeError for anything else that is none.
    """
    if isinstance(scheme, Choice):
        return scheme
    if isinstance(scheme, str):
        return _named(scheme)
    cls = scheme if isinstance(scheme, type) else type(scheme)
    if not issubclass(cls, Scheme):
        raise TypeError(f"scheme: {shown(scheme)} is no name, and no class or object of Scheme")
    text = f"{cls.__module__}:{cls.__qualname__}"
    options = {} if cls is scheme else dict(scheme.options)
    suffix = ":" * bool(options) + ",".join(f"{key}={value}" for key, value in options.items())
    name = next((name for name, spec in SCHEMES.items() if spec.where == text), None)
    return Choice(f"{name or text}{suffix}", SCHEMES[name] if name else _spec_of(cls, text), cls, options, name,
                  None if cls is scheme else scheme)


def choose_all(schemes):
    """Choices for one scheme or several; TypeError for what is none, ValueError for none, and for one that is there twice."""
    one = isinstance(schemes, str | type | Scheme | Choice)
    chosen = tuple(choose(scheme) for scheme in ((schemes,) if one else several(schemes, "schemes")))
    texts = [choice.text for choice in chosen]
    if not chosen:
        raise ValueError("schemes: at least one is needed")
    if len(set(texts)) < len(texts):
        raise ValueError(f"schemes: {', '.join(texts)}: one is named twice")
    return chosen


def make(scheme, file_rmap=None):
    """Scheme and file side for one machine: (Choice, scheme object, file side object, file side name).

    scheme: whatever `choose` takes.  file_rmap: a name with options for the file side; None for the scheme's usual one.
    UnknownName for a name that is not here, ValueError for an option that the scheme does not take, and for a file side
    that proposes nothing beside a scheme that does not sweep.
    """
    choice = choose(scheme)
    made = choice.make()
    if not made.name:
        raise ValueError(f"scheme {choice.text!r}: its objects need a name")
    side, _, text = (choice.spec.files if file_rmap is None else text_of(file_rmap, "file_rmap")).partition(":")
    one_of(side, "file_rmap", FILE_SIDES)
    # one kernel has one kind of chain: unless told otherwise the scheme's options go for its file pages too
    files = FILE_SIDES[side].load()(**(_options(text, side) or (choice.options if side == made.name else {})))
    if files.sweeps and not made.sweeps:
        raise ValueError(f"file_rmap {side} needs a scheme that sweeps page tables")
    return choice, made, files, side


def _named(text):
    """The Choice for text."""
    name, _, rest = text.partition(":")
    if name in SCHEMES:
        return Choice(text, SCHEMES[name], SCHEMES[name].load(), _options(rest, name), name)
    points = _entry_points()
    if name in points:
        cls = _announced(points[name])
        return Choice(text, _spec_of(cls, points[name].value), cls, _options(rest, name), name)
    where, _, rest = text.rpartition(":")
    if "=" not in rest:
        where, rest = text, ""
    if not all(where.rpartition(":")):
        if name.endswith(".py"):
            raise UnknownName(f"scheme {text!r} names a file and no class in it: {name}:CLASS")
        raise UnknownName(f"scheme {text!r} is unknown; {instead_of(name, [*SCHEMES, *points])}; or module:Class, "
                          "path/to/file.py:Class")
    cls = _class(where, text)
    return Choice(text, _spec_of(cls, where), cls, _options(rest, where))


def _options(text, name):
    """The options after a colon: "line=32,highpte=0" -> dict."""
    options = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"scheme {name!r}: option {part!r} is not KEY=VALUE")
        options[key] = value
    return options


def _class(where, text):
    """The class of module:Class or path:Class; UnknownName, with the text that was given and the reason."""
    place, _, name = where.rpartition(":")
    path = place if place.endswith(".py") or os.sep in place else None
    if path and not (os.path.isfile(path) and path.endswith(".py")):
        raise UnknownName(f"scheme {text!r}: there is no file {path}" if not os.path.isfile(path) else
                          f"scheme {text!r}: the name of {path} does not end in .py")
    try:
        module = _run(path) if path else import_module(place)
    except (Exception, SystemExit) as error:
        raise UnknownName(f"scheme {text!r}: {place} does not import: {type(error).__name__}: {error}") from error
    cls = _attribute(module, name)
    if cls is None:
        raise UnknownName(f"scheme {text!r}: {place} has no {name}")
    if not isinstance(cls, type) or not issubclass(cls, Scheme):
        raise UnknownName(f"scheme {text!r}: {name} is no class of Scheme")
    return cls


def _run(path):
    """A file as a module of its own, which stands in sys.modules as its classes expect."""
    name = os.path.abspath(path)
    spec = util.spec_from_file_location(name, name)
    module = sys.modules[name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _attribute(owner, name):
    """owner.a.b for "a.b"; None if there is none."""
    for part in name.split("."):
        owner = getattr(owner, part, None)
    return owner


def _alike(made, cls, options):
    """Whether class and options make an object like this one: what a constructor was given besides would be lost."""
    try:
        other = cls(**options)
        inner = [getattr(one, "inner", None) for one in (made, other)]
        kinds = [one and (type(one), one.options) for one in inner]
        return kinds[0] == kinds[1] and bool(getattr(other, "__dict__", {}) == getattr(made, "__dict__", {}))
    except Exception:
        return False
