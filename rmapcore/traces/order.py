"""Recordings that stand newest first, as tac leaves them: put in order.

Times that go back a little are usual, since processors are merged; so only what goes back at nearly every step is turned
round. That takes as much memory as the text.
"""
import re
from itertools import pairwise

# "3743.696761: " of perf, "1795524740.341682 " and "13:48:06.927003 " of strace, not what -r prints
_TIME = re.compile(rb"(?:^|\s)(?:(\d+\.\d+):\s|(\d{9,}\.\d+) |(\d\d:\d\d:\d\d(?:\.\d+)?) )")
SHOWN = 400                                    # lines that show the order
LEAST = 5                                      # steps that must go back
TO_ONE = 9                                     # of them to one that goes forward
PART = 1 << 14                                 # lines given at a time


def newest_first(lines):
    """Whether the times of these lines (bytes) go back. Time 0 is that of what perf found, wherever it stands."""
    times = [next(filter(None, match.groups())) for match in map(_TIME.search, lines) if match]
    times = [time.rjust(32, b"0") if b":" not in time else time for time in times if time.strip(b"0.")][:SHOWN]
    back = sum(second < first for first, second in pairwise(times))
    forward = sum(second > first for first, second in pairwise(times))
    return back >= LEAST and back >= TO_ONE * forward


def oldest_first(blocks):
    """The text of Blocks the other way round, line by line."""
    lines = [line for block in blocks for line in block.split(b"\n")]
    for end in range(len(lines), 0, -PART):
        yield b"\n".join(reversed(lines[max(0, end - PART):end])) + b"\n"
