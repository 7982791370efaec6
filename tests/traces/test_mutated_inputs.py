"""Inputs of every reader, each changed in a few places: a recording or cases come out, or the one declared exception.

Memory stays in proportion to the input. The same every time: all follows from the numbers of the inputs.
"""
import gzip
import itertools
import json
import random
import resource
from pathlib import Path

import pytest
import zstandard

import rmapcore
from recordings import MIB, PAGE, started
from rmapcore.errors import CaseError
from rmapcore.verify import case as cases

DATA = Path(__file__).parents[1] / "data"
FORMATS = sorted((DATA / "formats").glob("*.zst"))
LONGEST = 2 << 10                      # of a text: the first lines of a file that has more
MOST_BYTES = 96 << 20                  # blocks that readers take, whatever the input is
KINDS = len(FORMATS) + 6
PIECES = (b"\0", b"\xff", b"-1", b"99999999999999999999999", b"0x", b" ", b"\n", b'"', b"[", b"{", b":", b"=",
          b"7fffffffffffffff", b"18446744073709551615", b"1e400", b"null", b"(", b")", b"<unfinished ...>", b"execve", b"fork")


def mutated(data, rng):
    """A few bytes changed, taken out, put in, doubled or cut off."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 9))):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 8, 60))
        match rng.randrange(6):
            case 0:
                data[at:at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at:at + length]
            case 2:
                data[at:at] = rng.choice(PIECES)
            case 3:
                data[at:at + length] = rng.choice(PIECES)
            case 4:
                data[at:at] = data[max(at - length, 0):at]
            case 5 if len(data) > 40:
                del data[rng.randrange(len(data)):]
    return bytes(data)


def texts():
    """(name of the file, text) of each format."""
    for path in FORMATS:
        text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read(LONGEST)
        yield path.name.removesuffix(".zst"), text[:text.rfind(b"\n") + 1] or text


def saved(tmp_path):
    """A saved trace, whose header has a digest: most of what is changed there is told by it."""
    (tmp_path / "recording").write_bytes(started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6).text())
    rmapcore.load_trace(tmp_path / "recording").save(tmp_path / "saved")
    return (tmp_path / "saved").read_bytes()


def inputs(tmp_path):
    """(suffix, reader, content) of all kinds; the whole contents, from which the changed ones are made."""
    for name, text in texts():
        yield name, rmapcore.load_trace, text
    text = dict(texts())["usual.txt"]
    yield "a.gz", rmapcore.load_trace, gzip.compress(text, mtime=0)
    yield "a.zst", rmapcore.load_trace, zstandard.compress(text)
    yield "a.trace", rmapcore.load_trace, saved(tmp_path)
    lines = (DATA / "cases" / "cases.jsonl").read_bytes().split(b"\n")
    yield "a.jsonl", cases.load, b"\n".join(lines[:6])
    yield "b.jsonl", cases.load, b"\n".join(lines[40:44])
    state = {"p0": {"vmas": [[0, 2, "rw-p", "anon", 0]], "pages": [[0, 1, "a", 1, 0]]}}
    steps = [{"op": "mmap", "proc": "p0", "at": 0, "len": 2, "prot": "rw"}, {"op": "write", "proc": "p0", "at": 0, "value": 1}]
    run = {"files": {"f": 2}, "steps": steps, "snaps": [{"after": 2, "state": state}]}
    yield "a.json", cases.load, json.dumps(run).encode()


@pytest.mark.parametrize("count", [750, pytest.param(20_000, marks=pytest.mark.long)])
def test_readers_take_or_refuse_whatever_comes(count, tmp_path):
    read, refused, n = 0, 0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for (name, load, content), number in itertools.product(inputs(tmp_path), range(count // KINDS)):
        path = tmp_path / f"changed-{name}"
        path.write_bytes(mutated(content, random.Random(f"{name} {number}")))
        try:
            load(path)
            read += 1
        except (rmapcore.TraceError, CaseError) as error:
            refused += 1
            assert str(path) in str(error), (name, number, error)
        except Exception as error:
            pytest.fail(f"{name} {number}: {type(error).__name__}: {error}")
        n += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_BYTES >> 10
    assert n > count - KINDS and read > n // 10 and refused > n // 10, (n, read, refused)
