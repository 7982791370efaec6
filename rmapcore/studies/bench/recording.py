"""A recording: how fast its text is parsed, and how fast its operations run.

   parse     the text, decompressed on the way, to operations: seconds a byte of text; `pages` counts bytes
   load      the parsed form from a file of Trace.save, checked and mapped: `pages` counts events
   replay    the parsed form, repeated until it has a million events, on a machine with memory to spare: `pages` counts
             events. Untouched arenas are part of it
"""
import gzip
import os
import tempfile
from contextlib import ExitStack

import zstandard

from rmapcore.studies.bench.samples import Sample, timed
from rmapcore.studies.bench.scenes import machine_of
from rmapcore.traces import load_trace
from rmapcore.traces.lines import GZIP_MAGIC, ZSTD_MAGIC
from rmapcore.traces.streams import place_of
from rmapcore.traces.trace import MAGIC

EVENTS = 1_000_000
RAM = "16GiB"
BLOCK = 1 << 20


class Recording:
    """The recording in a file; a context, for its files stay while it is measured. Raises TraceError, as load_trace does."""

    def __init__(self, path, max_text=None):
        with ExitStack() as stack:
            self.path, self.max_text = stack.enter_context(place_of(path)), max_text
            trace = load_trace(self.path, max_text)
            if not len(trace):
                raise ValueError(f"{path}: a recording without operations cannot be measured")
            self.n_operations = len(trace)
            self.events = trace.repeated(-(-EVENTS // len(trace)))
            with open(self.path, "rb") as stream:
                self.is_text = stream.read(len(MAGIC)) != MAGIC
            self.n_bytes = text_bytes(self.path) if self.is_text else 0
            self.saved = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(prefix="rmapcore-")), "events")
            self.events.save(self.saved)
            self.files = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.files.close()

    def measure_parse(self, scheme, pages, seed):
        """Of the text, if the file holds any; no scheme has a part in it."""
        if self.is_text:
            seconds, trace = timed(load_trace, self.path, self.max_text)
            yield Sample("parse", "sequential", self.n_bytes, self.n_bytes * (len(trace) == self.n_operations), seconds)

    def measure_load(self, scheme, pages, seed):
        """Of all events; no scheme has a part in it."""
        seconds, trace = timed(load_trace, self.saved)
        yield Sample("load", "sequential", len(self.events), len(trace), seconds)

    def measure_replay(self, scheme, pages, seed):
        """Of all events; calls that failed count as done, as in the recorded programs."""
        seconds, result = timed(self.events.replay, machine_of(scheme, ram=RAM, swap=0))
        yield Sample("replay", "sequential", len(self.events), result["done"] + result["failed"], seconds)


def text_bytes(path):
    """Bytes of the decompressed text."""
    with open(path, "rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        if magic == ZSTD_MAGIC:
            reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        elif magic.startswith(GZIP_MAGIC):
            reader = gzip.GzipFile(fileobj=stream)
        else:
            return os.fstat(stream.fileno()).st_size
        with reader:
            return sum(len(block) for block in iter(lambda: reader.read(BLOCK), b""))
