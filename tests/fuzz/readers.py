"""Recordings of every format, saved traces and cases, with other bytes, numbers, words and lines: refused by an error of their
own that says where, or what was read can be run.
"""
import gzip
import json
import re
import struct
from collections import Counter
from pathlib import Path

import zstandard

import rmapcore
from fuzz import given_back
from recordings import GOOD, LIBC, MIB, PAGE, A, damaged, started
from rmapcore.errors import CaseError, TraceError
from rmapcore.studies.replaycheck import check_replay
from rmapcore.traces import load_trace
from rmapcore.traces.trace import _header_digest
from rmapcore.verify import case as cases
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.run import run

DATA = Path(__file__).parent.parent / "data"
MOST_LINES = 400                       # of a recording: a piece of a long one will do
NUMBER = re.compile(rb"(?:0x)?[0-9a-f]*[0-9][0-9a-f]*")
WORD = re.compile(rb"[A-Za-z_]{3,}")
NUMBERS = (b"0", b"1", b"-1", b"4096", b"0x1000", b"0xfff", b"ffffffffffffffff", b"0xffffffffffffffff", b"18446744073709551615",
           b"18446744073709551616", b"9" * 30, b"0x" + b"f" * 17, b"4294967295", b"4294967296", b"2147483648",
           b"0x7ffffffff000", b"7fffffffffff", b"1e9", b"", b"0x", b"1073741824", b"123456789012")
WORDS = (b"mmap", b"munmap", b"mremap", b"madvise", b"clone", b"execve", b"exit_group", b"brk", b"PERF_RECORD_MMAP2",
         b"PERF_RECORD_FORK", b"PERF_RECORD_COMM", b"PERF_RECORD_EXIT", b"sys_enter_mmap", b"sys_exit_mmap", b"page_fault_user",
         b"MAP_GROWSDOWN|MAP_FIXED", b"NULL", b"state", b"area", b"pages", b"process", b"\xff\xfe", b"[red]")
JSON_VALUES = (None, True, -1, 0, 1, 7, 1 << 31, 1 << 63, 1 << 64, 2.5, "x", "p0", "p9", "", "L0+1", "H+3", [], {}, [[]],
               [0, 1])


def texts():
    """Recordings as text: of all formats, of `capture` with states, made by hand."""
    unpacked = zstandard.ZstdDecompressor()
    for path in sorted(DATA.glob("formats/*.zst")) + [DATA / "redis-bgsave.perf.txt.zst"]:
        with path.open("rb") as stream:
            yield unpacked.stream_reader(stream).read(1 << 20)
    yield GOOD.text()
    recording = started().mmap(100, A, 4 * MIB).fault(100, A).fault(100, A + MIB).call(100, "madvise", start=A, len_in=MIB,
                                                                                       behavior=4)
    recording.mmap(100, A + 8 * MIB, 4 * PAGE, mapped={"start": A + 8 * MIB, "length": 4 * PAGE, **LIBC}, fd=3, flags=2)
    recording.fork(100, 101).fault(101, A, 7).exit(101).fault(100, A + PAGE, 6)
    state = [f"# {line}" for line in (
        "rmapcore recording: 2", "kernel: 6.18.0", "max_map_count: 65530", "stack limit: 8388608",
        f"state {recording.time:.9f}", "process 100 1 prog", f"area {A:x}-{A + 4 * MIB:x} rw-p 0 00:00 0 rd,wr,mr,mw,me,ac ",
        f"pages {A // PAGE:x} 1 anon 1 0", "special 0 1")]
    yield recording.text() + "".join(f"{line}\n" for line in state).encode()
    yield "".join(f"{line}\n" for line in state[:4]).encode() + recording.text()


def case_lines():
    for name in ("cases", "more", "place"):
        yield from (DATA / "cases" / f"{name}.jsonl").read_bytes().splitlines()


def places(value, above=()):
    """The way to everything in lists and dicts, themselves aside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from places(inner, (*above, key))


def other_fields(rng, value):
    """A value of JSON some of whose parts are others, gone, or twice there."""
    for _ in range(rng.choice((1, 1, 1, 1, 2, 4))):
        found = list(places(value))
        if not found:
            return value
        *above, last = rng.choice(found)
        holder = value
        for key in above:
            holder = holder[key]
        kind = rng.random()
        if kind < 0.2:
            del holder[last]
        elif kind < 0.3 and isinstance(holder, list):
            holder.insert(last, holder[last])
        elif kind < 0.5 and type(holder[last]) is int:
            holder[last] += rng.choice((-1, 1, 1000, 1 << 40, -(1 << 33)))
        else:
            holder[last] = json.loads(json.dumps(rng.choice(JSON_VALUES)))
    return value


def other_text(rng, text):
    """Text in which some numbers, words, bytes or lines are others."""
    lines = text.splitlines(keepends=True)
    start = rng.randrange(max(len(lines) - MOST_LINES, 1)) if rng.random() < 0.2 else 0
    lines = lines[start:start + rng.choice((20, MOST_LINES))]
    kind = rng.random()
    if kind < 0.15:
        return damaged(lines, rng, 6)
    for _ in range(rng.choice((1, 1, 2, 5, 20)) if lines else 0):
        at = rng.randrange(len(lines))
        spots, new = (NUMBER, NUMBERS) if rng.random() < 0.6 else (WORD, WORDS)
        found = list(spots.finditer(lines[at]))
        if kind > 0.9:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif kind > 0.8:
            del lines[at]
            if not lines:
                break
        elif found:
            match = rng.choice(found)
            lines[at] = lines[at][:match.start()] + rng.choice(new) + lines[at][match.end():]
    text = b"".join(lines)
    return text[:rng.randrange(len(text) + 1)] if rng.random() < 0.05 else text


def other_trace(rng, content):
    """A saved trace with another header, which says the right digests, or other bytes."""
    (length,) = struct.unpack("<Q", content[8:16])
    header, records = json.loads(content[16:16 + length]), bytearray(content[-(-(16 + length) // 64) * 64:])
    if rng.random() < 0.6:
        header = other_fields(rng, header)
    for _ in range(rng.choice((0, 1, 8)) if records else 0):
        records[rng.randrange(len(records))] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
    header.pop("header_digest", None)
    header["header_digest"] = _header_digest(header)
    text = json.dumps(header).encode()
    start = -(-(16 + len(text)) // 64) * 64
    made = bytearray((content[:8] + struct.pack("<Q", len(text)) + text).ljust(start, b"\0") + records)
    if rng.random() < 0.1:
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
        del made[rng.randrange(len(made)) if rng.random() < 0.5 else len(made):]
    return bytes(made)


class Fuzzer:
    def __init__(self, folder):
        self.seen = Counter()
        self.folder, self.path = folder, folder / "input"
        self.texts = list(texts())
        self.traces = {None: (DATA / "machines/c6b4a4c.trace").read_bytes()}       # number of a text: saved trace of it
        self.cases = list(case_lines())

    def counts(self):
        return dict(self.seen)

    def one(self, rng):
        kind = rng.choices(("text", "trace", "case"), (60, 20, 20))[0]
        self.seen[kind] += 1
        getattr(self, kind)(rng)

    def text(self, rng):
        content = other_text(rng, rng.choice(self.texts))
        pack = rng.choice((None, None, gzip.compress, zstandard.compress))
        if pack:
            content = bytearray(pack(content))
            for _ in range(rng.choice((0, 0, 1, 3))):
                content[rng.randrange(len(content))] = rng.randrange(256)
        self.path.write_bytes(content)
        self.recording(rng)

    def trace(self, rng):
        self.path.write_bytes(other_trace(rng, self.saved(rng.choice((None, *range(len(self.texts)))))))
        self.recording(rng)

    def saved(self, number):
        """Bytes of a saved trace of that text; of another, if it cannot be read."""
        if number not in self.traces:
            (self.folder / "text").write_bytes(self.texts[number])
            try:
                load_trace(self.folder / "text").save(self.folder / "trace")
                self.traces[number] = (self.folder / "trace").read_bytes()
            except TraceError:
                self.traces[number] = self.traces[None]
        return self.traces[number]

    def recording(self, rng):
        try:
            trace = load_trace(self.path)
        except TraceError as error:
            assert str(error).startswith(str(self.path)) and len(str(error)) < 600, error
            self.seen["refused"] += 1
            return
        self.seen["read"] += 1
        if rng.random() < 0.3 and 0 < len(trace) < 20_000:
            self.replayed(rng, trace)

    def replayed(self, rng, trace):
        machine = rmapcore.Machine("anon_vma_chain", "6.18", ram="16MiB", swap="16MiB")
        try:
            trace.replay(machine)
        except (rmapcore.OutOfMemory, rmapcore.ArenaFull):
            self.seen["full"] += 1
        with given_back():
            machine.check()
            if rng.random() < 0.2:
                try:
                    if trace.summary.get("faults"):
                        check_replay(trace).table()
                    rmapcore.compare(trace, "anon_vma", ram="1MiB", swap="1MiB").table()
                except ValueError as error:
                    assert re.search("no page faults to check|beyond the 128 TiB of user space of x86_64$|"
                                     "more than a machine has room for$|no machine has room for all of it", str(error)), error

    def case(self, rng):
        line = rng.choice(self.cases)
        if rng.random() < 0.7:
            line = json.dumps(other_fields(rng, json.loads(line))).encode()
        else:
            line = other_text(rng, line)
        path = self.folder / "cases.jsonl"
        path.write_bytes(line)
        try:
            found = cases.load(path)
        except CaseError as error:
            assert str(error).startswith(str(path)) and len(str(error)) < 600, error
            self.seen["refused"] += 1
            return
        for case in found:
            with given_back():
                verdict = run(case, Emulator)
            self.seen[verdict.outcome] += 1
            if re.search(r"Traceback|InconsistentState|\b(Key|Index|Attribute|Type|Name)Error", verdict.reason):
                raise AssertionError(verdict.reason)
