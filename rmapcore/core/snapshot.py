"""A whole machine in a file, and copies of it.

The file is a zip of .npy arrays (numpy's .npz): `machine` (UTF-8 JSON: version, constructor arguments, files, and
names of processes and areas) and one array per arena, cut off at the highest record ever used. Loading makes a machine
from the arguments, puts the arrays back and checks every invariant, so a saved machine goes on exactly where it stood.

The scheme stands there as text: a name, module:Class, or path:Class with the whole path; `again` says whether that makes the
same object. Of a scheme written in Python the arrays that it declares are kept. What else it keeps must be what a new object
has, or be made again by its `restored`.
"""
import json
import os

import numpy as np

from rmapcore.core.files import written
from rmapcore.core.saved import DAMAGE, SavedArrays, check_hints, check_nobody, checked_pools
from rmapcore.errors import InconsistentState, RmapcoreError, UnknownName
from rmapcore.pyx.base.records import AREA, FILE
from rmapcore.pyx.machine.core import FULL_SIZE
from rmapcore.pyx.seam.prototype import Prototype
from rmapcore.pyx.seam.scheme import Scheme

VERSION = 6
# 1: use counts of slots in 16 bits, no pages beside them; 1, 2: areas without names; 1 to 3: the same capacities everywhere;
# 1 to 4: no anon_shifts, which are what the areas' offsets say, where these mean anything; 1 to 5: no folios of several pages
READABLE = (1, 2, 3, 4, 5, VERSION)
ADDED = {"swap_pages": 2, "anon_shifts": 5, "folio_orders": 6}    # arrays that not every version has, and since when
ARGUMENTS = ("scheme", "kernel", "arch", "ram", "swap", "file_rmap", "track_contents", "max_ptes", "max_map_count",
             "stack_limit", "max_file_pages")
# areas of versions 1 and 2: `alive`, 0 or 1, had the two bytes that are the name's now, which are 0 there
UNNAMED = np.dtype([(name, "<u4" if name == "alive" else AREA[name]) for name in AREA.names if name != "name"])
# files of versions 1 to 5: `warm`, 0 or 1, had the two bytes that are the folios' now
IN_PAGES = np.dtype([(name, "<u4" if name == "warm" else FILE[name]) for name in FILE.names if name != "folios"])
OLDER = {"areas": UNNAMED, "files": IN_PAGES}


def _arguments(machine, scheme):
    return dict(zip(ARGUMENTS, (scheme, machine.kernel, machine.arch, machine.ram, machine.swap, machine.file_rmap,
                                machine.track_contents, machine._max_ptes, machine.max_map_count, machine.stack_limit,
                                machine._max_file_pages), strict=True))


def _nothing_else(machine):
    """RmapcoreError if the scheme keeps what no array holds and nobody makes again."""
    scheme, choice = machine._engine.anon, machine._choice
    scheme = getattr(scheme, "watched", scheme)            # a profile stands before it
    kept = getattr(scheme, "__dict__", None)
    if not kept or not choice.again or type(scheme).restored not in (Scheme.restored, Prototype.restored):
        return
    fresh = vars(choice.make())
    declared = getattr(scheme, "arrays", ())
    for name, value in kept.items():
        if name not in declared and not (name in fresh and _equal(value, fresh[name])):
            raise RmapcoreError(f"scheme {choice.text} keeps {name!r} outside of its declared arrays: it cannot be saved or "
                                "copied without a method `restored` that makes it again")


def _equal(one, other):
    try:
        return bool(one == other)
    except ValueError:                         # arrays
        return np.array_equal(one, other)


def _put_back(machine, arrays, files, names, area_names):
    """Fills a fresh machine of the same arguments. arrays: name -> array."""
    machine._core.fill(arrays)
    for scheme in (machine._engine.anon, machine._engine.side):
        scheme.restored()
    for number, name, kind in files:
        machine._file(number, name, kind)
    for pid, name in names:
        machine._process(pid, name)
    machine._area_names.update((name, number) for number, name in enumerate(area_names, 1))


def _arrays(machine, saved, version):
    """The arrays of a file of that version which a fresh machine of its arguments can take."""
    added = [name for name, since in ADDED.items() if version < since]
    arenas, fresh = machine._core.arenas, machine._core.view("pools")
    missing = [name for name in arenas if name not in saved.names and name not in added]
    if missing:
        raise ValueError(f"it has no array {missing[0]!r}, which scheme {machine.scheme} keeps")
    pools = checked_pools(fresh, saved.take("pools", fresh.dtype, len(fresh)), version < 4)
    arrays = {"pools": pools}
    for name, arena in arenas.items():
        if name != "pools" and name in saved.names:
            records = arena.array if arena.pool < 0 else arena.used(int(pools[arena.pool]["bump"]))
            arrays[name] = saved.take(name, arena.array.dtype, len(records), OLDER.get(name))
    if "anon_shifts" in added:
        areas, linear = arrays["areas"], machine._engine.anon.linear
        arrays["anon_shifts"] = np.where(areas["file"].astype(bool) | linear, areas["start"] - areas["pgoff"], np.uint64(0))
    if "folio_orders" in added:
        arrays["folio_orders"] = np.zeros(len(arrays["cache"]), np.uint8)
    check_hints(arrays)
    check_nobody(arenas, arrays)
    return arrays


def _notes(machine):
    return ([(number, file.name, file.kind) for number, file in machine._files.items()],
            [(pid, process.name) for pid, process in machine._processes.items() if process.name or process.alive],
            list(machine._area_names))


def held(machine):
    """All that a machine is, to compare it with another: {name of an array: its bytes in use}."""
    return {name: machine._core.view(name).tobytes() for name in machine._core.arenas}


def save(machine, path):
    """Writes the machine; the file appears whole or not at all."""
    _nothing_else(machine)
    files, names, area_names = _notes(machine)
    header = json.dumps({"version": VERSION, "arguments": _arguments(machine, machine._choice.found_anywhere()),
                         "again": machine._choice.again, "files": files, "names": names, "area_names": area_names})
    arrays = {name: machine._core.view(name) for name in machine._core.arenas}
    with written(path) as out:
        try:
            np.savez(out, machine=np.frombuffer(header.encode(), np.uint8), **arrays)
        except ValueError as error:            # of an archive that was interrupted, when it closes itself
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            raise


def load(cls, path, scheme=None):
    """The machine in a file; RmapcoreError if it is none. scheme: in place of the file's own."""
    with open(path, "rb") as file:
        try:
            saved = SavedArrays(file)
            header = json.loads(saved.text())
            if header["version"] not in READABLE:
                raise ValueError(f"version {header['version']} is not {VERSION}")
            machine = _machine(cls, header, path, scheme)
            arrays = _arrays(machine, saved, header["version"])
            _put_back(machine, arrays, header["files"], header["names"], header.get("area_names", ()))
            machine.check()                    # a damaged file must not become a machine that runs on
            return machine
        except InconsistentState as error:
            raise RmapcoreError(f"{os.fspath(path)}: a damaged machine: {error}") from error
        except DAMAGE as error:
            if isinstance(error, UnknownName):
                raise
            raise RmapcoreError(f"{os.fspath(path)}: not a saved machine: {error}") from error


def _machine(cls, header, path, scheme):
    """A fresh machine with the arguments of the header."""
    text = header["arguments"]["scheme"]
    advice = f"pass its class: Machine.load({os.fspath(path)!r}, scheme=CLASS)"
    if scheme is None and not header.get("again", True):
        raise RmapcoreError(f"{os.fspath(path)}: its scheme {text} was an object that nothing makes again; {advice}")
    arguments = dict(header["arguments"])
    if header["version"] < 4:
        arguments |= {limit: most for limit, most in FULL_SIZE.items() if arguments.get(limit) is None}
    if scheme is not None:
        arguments["scheme"] = scheme
    try:
        return cls(**arguments)
    except UnknownName as error:
        if scheme is not None:
            raise
        raise RmapcoreError(f"{os.fspath(path)}: its scheme is not found: {error}; {advice}") from error


def copy(machine):
    """An independent machine in the same state."""
    choice = machine._choice
    if not choice.again:
        raise RmapcoreError(f"a machine cannot be copied whose scheme is an object that nothing makes again ({choice.text}): "
                            "pass a class instead")
    _nothing_else(machine)
    twin = type(machine)(**_arguments(machine, choice))
    _put_back(twin, {name: machine._core.view(name) for name in machine._core.arenas}, *_notes(machine))
    twin._watch_gone(machine._watch)
    return twin
