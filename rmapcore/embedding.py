"""The Python side of the C interface (docs/embedding.md): where its header lies, and what it has Python do."""
import ast
import json
import os
from pathlib import Path

import numpy as np

from rmapcore.machine import Machine
from rmapcore.pyx.embed import table

FILE_KINDS = ("disk", "shmem", "zero")         # by rmapcore_file_kind of rmapcore.h


def get_include():
    """The folder of rmapcore.h, for a compiler's include path."""
    return str(Path(__file__).parent / "include")


class Side:
    """What the table of the C interface asks of Python. Every failure is an exception, which C gets as a text."""

    @staticmethod
    def engine(machine):
        """The Kernel of a machine."""
        if not isinstance(machine, Machine):
            raise TypeError(f"{machine!r} is no rmapcore.Machine")
        return machine._engine

    @staticmethod
    def open(specification):
        """The machine of "Machine(...)" with literal arguments."""
        try:
            call = ast.parse(specification.strip(), mode="eval").body
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "Machine":
                raise ValueError("it is no call of Machine")
            arguments = [ast.literal_eval(value) for value in call.args]
            options = {option.arg: ast.literal_eval(option.value) for option in call.keywords}
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise ValueError(f"{specification!r} is not Machine(...) with plain values: {error}") from None
        if None in options:
            raise ValueError(f"{specification!r}: ** is no argument")
        return Machine(*arguments, **options)

    @staticmethod
    def load(path):
        return Machine.load(os.fsdecode(path))

    @staticmethod
    def file(machine, name, size, kind):
        """The number of a new file."""
        if kind >= len(FILE_KINDS):
            raise ValueError(f"file kind {kind} is none of 0 to {len(FILE_KINDS) - 1}")
        return machine.file(os.fsdecode(name), size, FILE_KINDS[kind]).number

    @staticmethod
    def watch(machine, records):
        machine._watch_gone(records)

    @staticmethod
    def memory(machine):
        return json.dumps(machine.memory(), default=np.generic.item).encode()

    @staticmethod
    def check(machine):
        machine.check()

    @staticmethod
    def save(machine, path):
        machine.save(os.fsdecode(path))


_C_API = table.capsule(Side)
