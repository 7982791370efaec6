"""A recording replayed from its parsed form, and the parsing of its text.

RMAPCORE_BENCH_PAGES=1000000 repeats the recording to a million events.
"""
from pathlib import Path

import pytest

import rmapcore

RECORDING = Path(__file__).parent.parent / "tests" / "data" / "redis-bgsave.perf.txt.zst"


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """The recording as `Trace.save` wrote it: nothing is parsed."""
    path = tmp_path_factory.mktemp("bench") / "trace"
    rmapcore.load_trace(RECORDING).save(path)
    return rmapcore.load_trace(path)


def test_replay(measure, scheme, trace, pages):
    """All operations, as often as gives an event for each of `pages`; memory unlimited, no digest."""
    events = trace.repeated(-(-pages // len(trace)))
    done = measure("replay", len(events), events.replay, lambda: (rmapcore.Machine(scheme, ram="16GiB", swap=0),))
    assert done["done"] + done["failed"] == len(events)
    assert done["done"] > done["failed"]


def test_load(measure, trace):
    """The text, decompressed and parsed."""
    loaded = measure("parsing of perf text", len(trace), lambda: rmapcore.load_trace(RECORDING))
    assert loaded.digest == trace.digest
