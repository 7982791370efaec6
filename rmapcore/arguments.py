"""Arguments of public calls: what is none is told with the argument's name, before anything has changed.

TypeError: of another type.  ValueError: of the right type, and wrong.
"""
import os
from difflib import get_close_matches
from operator import index
from reprlib import Repr

from rmapcore.errors import UnknownName

MOST_LISTED = 24                       # names in a message
LONG = 1 << 10                         # bits of a number that is not shown digit by digit
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 120


def shown(value):
    """A value as messages show it, however large it is."""
    if isinstance(value, int) and value.bit_length() > LONG:
        return f"a number of {value.bit_length():,} bits"
    return _SHORT.repr(value)


def whole(value, what, least=None, most=None):
    """The int of a whole number, of Python or numpy, from `least` to `most` if they are given. True and False are none."""
    if isinstance(value, bool):
        raise TypeError(f"{what}: {value!r} is not a whole number")
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{what}: {shown(value)} is not a whole number") from None
    if (least is not None and number < least) or (most is not None and number > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{what}: {shown(value)} is not a whole number {bounds}")
    return number


def seed_of(value):
    """The int that a seed is."""
    return whole(value, "seed", 0, (1 << 128) - 1)


def text_of(value, what):
    """The value, if it is a str."""
    if not isinstance(value, str):
        raise TypeError(f"{what}: {shown(value)} is not text")
    return value


def one_of(value, what, known, lists=None):
    """The value, if it is one of the known names; UnknownName says which are near, or lists them. lists: as for instead_of."""
    if text_of(value, what) not in known:
        raise UnknownName(f"{what} {shown(value)} is unknown; {instead_of(value, known, lists)}")
    return value


def instead_of(value, known, lists=None):
    """What somebody may have meant who wrote a name that there is not. lists: who tells many names, if none of them is near."""
    if near := get_close_matches(value, known, 3):
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}" if lists is None or len(known) <= MOST_LISTED else lists


def path_of(value, what="path"):
    """A path as str or bytes, given so or as os.PathLike."""
    try:
        path = os.fspath(value)
        zero = "\0" if isinstance(path, str) else b"\0"
    except TypeError:
        raise TypeError(f"{what}: {shown(value)} is not a path") from None
    if zero in path:
        raise ValueError(f"{what}: {shown(value)} has a zero in it")
    return path


def several(value, what):
    """The value as a list, if it can be gone through; text is one thing, not several."""
    try:
        if not isinstance(value, str | bytes | bytearray):
            return list(value)
    except TypeError:
        pass
    raise TypeError(f"{what}: {shown(value)} is not a list")
