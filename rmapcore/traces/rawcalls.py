"""Calls as raw_syscalls records them: all by two events, by number, the arguments as six registers.

    sys_enter: NR 9 (0, 2000, 3, 22, ffffffff, 0)
    sys_exit: NR 9 = 140733193388032
"""
import re

from rmapcore.linux.calls import CALLS
from rmapcore.traces.lines import BadLine, whole

NAMES = {number: name for name, (number, _) in CALLS.items()}
WORD = (1 << 64) - 1
_CALL = re.compile(r"NR (-?\d+) (?:\(([0-9a-f, ]*)\)|= (-?\d+))")


def parse_raw(text):
    """(event that records this half of the call alone, values); the event is None for calls that no recording holds."""
    match = _CALL.match(text)
    if not match:
        raise BadLine("the fields of raw_syscalls cannot be read")
    name = NAMES.get(int(match[1]))
    if name is None:
        return None, ()
    if match[3]:
        return f"syscalls:sys_exit_{name}:", (whole(match[3]) & WORD,)
    return f"syscalls:sys_enter_{name}:", tuple(whole(word, 16) for word in match[2].split(", "))
