"""A whole machine in a file, and copies of it.

The file is a zip of .npy arrays (numpy's .npz): `machine` (UTF-8 JSON: version, constructor arguments, files and
process names) and one array per arena, cut off at the highest record ever used. Loading makes a machine from the
arguments, puts the arrays back and checks every invariant, so a saved machine goes on exactly where it stood.
"""
import json
import os
import zipfile

import numpy as np

from rmapcore.errors import InconsistentState, RmapcoreError

VERSION = 1
ARGUMENTS = ("scheme", "kernel", "arch", "ram", "swap", "file_rmap", "track_contents", "max_ptes")


def _arguments(machine):
    if machine._spec is None:
        raise RmapcoreError(f"a machine with a Scheme object ({machine.scheme}) cannot be saved or copied: "
                            "only named schemes can be made again")
    return dict(zip(ARGUMENTS, (machine._spec, machine.kernel, machine.arch, machine.ram, machine.swap,
                                machine.file_rmap, machine.track_contents, machine._max_ptes), strict=True))


def _put_back(machine, arrays, files, names):
    """Fills a fresh machine of the same arguments."""
    for name, arena in machine._core.arenas.items():
        array = arrays[name]
        if array.dtype != arena.array.dtype or array.ndim != 1 or len(array) > len(arena.array):
            raise ValueError(f"array {name!r} does not fit")
        arena.array[:len(array)] = array
    for scheme in (machine._engine.anon, machine._engine.side):
        scheme.restored()
    for number, name, kind in files:
        machine._file(number, name, kind)
    for pid, name in names:
        machine._process(pid, name)


def _notes(machine):
    return ([(number, file.name, file.kind) for number, file in machine._files.items()],
            [(pid, process.name) for pid, process in machine._processes.items() if process.alive])


def save(machine, path):
    """Writes the machine; the file appears whole or not at all."""
    files, names = _notes(machine)
    header = json.dumps({"version": VERSION, "arguments": _arguments(machine), "files": files, "names": names})
    arrays = {name: machine._core.view(name) for name in machine._core.arenas}
    temporary = f"{os.fspath(path)}.tmp{os.getpid()}"
    try:
        with open(temporary, "wb") as out:
            np.savez(out, machine=np.frombuffer(header.encode(), np.uint8), **arrays)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def load(cls, path):
    """The machine in a file; RmapcoreError if it is none."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            header = json.loads(arrays["machine"].tobytes())
            if header["version"] != VERSION:
                raise ValueError(f"version {header['version']} is not {VERSION}")
            machine = cls(**header["arguments"])
            _put_back(machine, arrays, header["files"], header["names"])
            machine.check()                    # a damaged file must not become a machine that runs on
            return machine
    except InconsistentState as error:
        raise RmapcoreError(f"{os.fspath(path)}: a damaged machine: {error}") from error
    except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise RmapcoreError(f"{os.fspath(path)}: not a saved machine: {error}") from error


def copy(machine):
    """An independent machine in the same state."""
    twin = type(machine)(**_arguments(machine))
    _put_back(twin, {name: machine._core.view(name) for name in machine._core.arenas}, *_notes(machine))
    return twin
