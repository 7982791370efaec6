"""Whether others were at work on the processors while a run measured, and which of its ratios then say little.

Work in one thread that waits for nothing has a processor all the time, or another program had it. Medians bear some of that,
and both sides of most ratios meet it alike. Not so two threads, which need both processors at one moment, and ratios to an
ideal pass that is over in a few nanoseconds a page: it lies in a cache that others empty.
"""
import os
import time

MUCH = 0.05                            # part of the time that others had, or processors at work on other things, from which on
SHORT_NS = 10.0                        # an ideal pass that takes less is disturbed more than what stands beside it


class Busy:
    """Times single-threaded work. load: processors at work on other things when the run began."""

    def __init__(self):
        self.load = os.getloadavg()[0]
        self.wall = self.own = 0.0

    def begin(self):
        """Work begins."""
        self._from = time.perf_counter(), time.process_time()

    def end(self):
        """And ends, which took processor time of this process only."""
        self.wall += time.perf_counter() - self._from[0]
        self.own += time.process_time() - self._from[1]

    @property
    def lost(self):
        """Part of the time in which others had the processor."""
        return max(0.0, 1 - self.own / self.wall) if self.wall else 0.0

    @property
    def much(self):
        """Whether that was too much."""
        return self.lost > MUCH

    def judge(self, records):
        """Says of each record that has a ratio whether it is to be trusted."""
        for record in records:
            shaky = record["speed_up"] is not None or (record["ideal_ns"] is not None and record["ideal_ns"] < SHORT_NS)
            record["trusted"] = not (self.much and shaky)

    @property
    def text(self):
        """In a line, or three."""
        said = (f"{os.cpu_count()} processors, {self.load:.1f} at work on other things when it began; others had "
                f"{self.lost:.0%} of the time of work in one thread")
        if self.much:
            said += ("\nTHE CORES WERE BUSY: not to be trusted are figures with a ?, what two threads do and ratios to an\n"
                     f"ideal pass of less than {SHORT_NS:g} ns. Both sides of the other ratios met others alike.")
        return said
