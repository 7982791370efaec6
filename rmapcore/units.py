"""Sizes, protections and advice as users write them, names that anybody wrote as they are shown, ranges of addresses."""
import re
from functools import lru_cache

from rmapcore.arguments import one_of, shown, whole
from rmapcore.linux.uapi import ADVICE, MAP_ANONYMOUS, MAP_PRIVATE

PAGE = 4096
_UNITS = {"": 1, "B": 1, **{f"{letter}{ending}": (1000 if ending == "B" else 1024) ** power
                           for power, letter in enumerate("KMGT", 1) for ending in ("", "B", "iB")}}
_SIZE = re.compile(rf"\s*(\d{{1,30}})(\.\d{{1,30}})?\s*({'|'.join(_UNITS)})\s*")
UNLIMITED = "unlimited"
PROTS = {"none": 0, "r": 1, "w": 2, "rw": 3, "x": 4, "rx": 5, "rwx": 7}
DEFAULT_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS


def parse_size(value, what):
    """Bytes from an int or a string: bytes, or a number with KiB, MiB, GiB, TiB, short K, M, G, T; KB, MB, GB, TB of 1000.

    Must be a multiple of a page; fractions and powers of 1000 are rounded down to one. TypeError, ValueError name `what`.
    """
    size = _read(value, what) if isinstance(value, str) else whole(value, what)
    if size < 0 or size % PAGE:
        raise ValueError(f"{what}: {shown(value)} is not a multiple of the page size, {PAGE} bytes")
    return size


@lru_cache(256)
def _read(text, what):
    """The bytes of a text. Machines are made by thousands, of the same few."""
    match = _SIZE.fullmatch(text)
    if not match or (match[2] and match[3] in ("", "B")):
        raise ValueError(f"{what}: {shown(text)} is not a size; write bytes or a number with KiB, MiB, GiB or TiB")
    unit = _UNITS[match[3]]
    digits = (match[2] or ".0")[1:]
    size = int(match[1]) * unit + int(digits) * unit // 10 ** len(digits)
    if (match[2] or unit % 1024) and size > PAGE:
        size -= size % PAGE
    return size


def parse_limit(value, what):
    """Bytes as parse_size has them, less than 2^64, or "unlimited"."""
    if isinstance(value, str) and value == UNLIMITED:
        return value
    size = parse_size(value, what)
    if size >= 1 << 64:
        raise ValueError(f"{what}: {shown(value)} has more than 64 bits; there is {UNLIMITED!r}")
    return size


def format_size(size):
    """Bytes as a short string with a binary unit."""
    if size >> 100:
        return f"2^{size.bit_length() - 1} B"
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.4g} {unit}"
    return f"{size} B"


def parse_prot(prot):
    """Linux's integer for a protection given as integer or as "r", "rw", "rx", "rwx", "none"."""
    return PROTS[one_of(prot, "prot", PROTS)] if isinstance(prot, str) else prot


def parse_advice(advice):
    """Linux's integer for an advice given as integer or lower-case name without MADV_."""
    return ADVICE[one_of(advice, "advice", ADVICE)] if isinstance(advice, str) else advice


def visible(text):
    """Text of one line that changes nothing on a terminal: what is not printable as \\xNN or \\uNNNN."""
    return text if text.isprintable() else "".join(one if one.isprintable() else escaped(ord(one)) for one in text)


def escaped(code):
    """Bytes of a name that are no UTF-8 are surrogates from 0xDC80 on."""
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def within(ranges, start, end):
    """What of ascending ranges, as Process.tabled() gives them, lies in [start, end): [[start, end]…]."""
    first, last = ranges[:, 1].searchsorted(start, "right"), ranges[:, 0].searchsorted(end)
    return ranges[first:last].clip(start, end).tolist()
