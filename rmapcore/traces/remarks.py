"""What the lines of a recording say that begin with #: under what it was made, and states of its processes (states.py).

    # rmapcore recording: 2         version of the form; 2 and later hold signals, exact counts of pages and what clone was told
    # kernel: 6.18.44               and so on: KEY: VALUE, before the first event
    # stack limit: 8388608

perf script itself begins with such lines if it is asked for (--header); theirs have other keys, and are kept likewise.
"""
from rmapcore.traces.lines import BadLine
from rmapcore.traces.states import StateReader
from rmapcore.units import PAGE, UNLIMITED

FORM = 2                                       # version that `capture` writes
FORM_KEY, STACK_LIMIT, MAX_MAP_COUNT = "rmapcore recording", "stack limit", "max_map_count"
MLOCK_LIMIT = "mlock limit"                    # bytes or "unlimited"
LARGEST = {STACK_LIMIT: (1 << 64) - 1, MAX_MAP_COUNT: (1 << 31) - 1}
KEYS_MOST, KEY_MOST, VALUE_MOST = 100, 60, 4000


class Remarks:
    """header: {key: text}.  states: list of traces.states.State."""

    def __init__(self):
        self.header = {}
        self.reader = StateReader()

    @property
    def states(self):
        return self.reader.states

    def take(self, line, begun):
        """A line that begins with #; ValueError if it is one of a state and cannot be read. begun: events were before it.

        The new State if the line began one, else None.
        """
        word, _, rest = line[1:].lstrip().partition(" ")               # a path may end with a blank
        if self.reader.take(word, rest):
            return self.reader.now if word == "state" else None
        key, colon, value = line[1:].partition(":")
        key, value = key.strip(), value.strip()
        if colon and not begun and 0 < len(key) <= KEY_MOST and len(value) <= VALUE_MOST and len(self.header) < KEYS_MOST:
            if (most := LARGEST.get(key)) and value.isdecimal() and not (len(value) <= 20 and 0 < int(value) <= most):
                raise BadLine(f"{key} is not a number from 1 to {most}")
            self.header.setdefault(key, value)
        return None

    @property
    def stack_limit(self):
        """Bytes or "unlimited", None if it does not say."""
        text = self.header.get(STACK_LIMIT, "")
        if text == UNLIMITED:
            return text
        return int(text) // PAGE * PAGE or None if text.isdecimal() and text.isascii() and len(text) <= 20 else None
