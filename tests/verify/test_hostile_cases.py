"""Cases that ask for more than a machine has: refused with file, line and value, before any memory is taken."""
import gzip
import json
import time
import tracemalloc

import pytest

from rmapcore import cli
from rmapcore.errors import CaseError
from rmapcore.verify import case as cases
from rmapcore.verify.emulator import Emulator
from rmapcore.verify.run import run

BIG = 1 << 40


def step(op, **fields):
    return {"op": op, "proc": "p0", "at": 0, "len": 1} | fields


def loop(count, *steps):
    return {"op": "loop", "count": count, "stride": 1, "steps": list(steps)}


def nested(depth):
    return loop(2, nested(depth - 1)) if depth else step("write", value=1)


@pytest.mark.parametrize(("case", "said"), [
    ({"steps": [step("write", len=BIG)]}, "step 1 (write) is about 1,099,511,627,776 pages, more than 262,144"),
    ({"steps": [step("read", len_bytes=1 << 60)]}, "step 1 (read) is about"),
    ({"steps": [step("remember", **{"as": "x", "len": BIG})]}, "step 1 (remember) is about"),
    ({"steps": [loop(2, step("fill", len=BIG, value=1))]}, "step 1 (loop), step 1 (fill) is about"),
    ({"steps": [nested(5)]}, "is a loop in 4 others"),
    ({"steps": [loop(1 << 24, loop(1 << 24, step("write", value=1)))]}, "'steps' come to 562,949,953,421,312 with all rounds"),
    ({"steps": [step("mmap", len=1 << 35, prot="rw")]}, "'steps' come to 2,147,483,649"),
    ({"steps": [step("write", value=1)], "repeat": {"count": [1, 1 << 40], "stride": 1}}, "'steps' come to"),
    ({"steps": [], "files": {"M": 1 << 24}}, "'files': 'M' is 16777216"),
    ({"steps": [], "expect": {"pages": {"p0": [[0, BIG, "none"]]}}}, "0 to 1099511627776 is more than 262,144 pages"),
])
def test_cases_have_limits(case, said, tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": "one"} | case))
    tracemalloc.start()
    try:
        with pytest.raises(CaseError) as caught:
            cases.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}:1: ") and said in str(caught.value)


@pytest.mark.parametrize("steps", [
    [step("mmap", len=1 << 29, prot="rw", flags=["noreserve"]), step("write", at=(1 << 29) - 1, value=1)],
    [{"op": "brk", "proc": "p0", "to": (1 << 29) - 1}, {"op": "write", "proc": "p0", "at": "H+399", "value": 1}],
])
@pytest.mark.parametrize(("scheme", "last"), [("anon_vma_chain", "check"), ("virtual_scan", "reclaim")])
def test_an_area_of_terabytes_takes_the_time_of_its_pages(steps, scheme, last, tmp_path):
    """Found by the fuzzer of readers: it looked at every page of a heap, of 16 TiB there, which took hours."""
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": "one", "steps": [*steps, {"op": last} | ({"expect": {}} if last == "check" else {})]}))
    (case,) = cases.load(path)
    before = time.process_time()
    assert run(case, lambda files: Emulator(files, scheme=scheme)).outcome == "pass"
    assert time.process_time() - before < 5


@pytest.mark.parametrize(("case", "most"), [
    (lambda n: {"steps": [step("write", len=n)]}, 1 << 18), (lambda n: {"steps": [], "files": {"M": n}}, 1 << 18),
    (lambda n: {"steps": [step("read", len_bytes=(n << 12) - 1)]}, 1 << 18), (lambda n: {"steps": [nested(n)]}, 4),
    (lambda n: {"steps": [loop(n, loop(1 << 6, step("write", value=1, len=(1 << 12) - 1)))]}, 1 << 8),
    (lambda n: {"steps": [step("munmap")], "repeat": {"count": [1, n], "stride": 1}}, 1 << 26),
    (lambda n: {"steps": [], "expect": {"pages": {"p0": [[0, n, "none"]]}}}, 1 << 18),
    (lambda n: {"steps": [step("munmap", len=n)]}, (1 << 51) - 1),
])
def test_limits_are_where_they_are_said_to_be(case, most, tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": "one"} | case(most)))
    assert len(cases.load(path)) == 1
    path.write_text(json.dumps({"id": "one"} | case(most + 1)))
    with pytest.raises(CaseError):
        cases.load(path)


def test_compressed_cases_have_a_limit(tmp_path):
    path = tmp_path / "c.json.gz"
    path.write_bytes(gzip.compress(b" " * 5000))
    with pytest.raises(CaseError, match="the compressed text is longer than 4,999 bytes"):
        cases.load(path, limits=cases.Limits(text=4999))
    with pytest.raises(CaseError, match="is not JSON"):
        cases.load(path, limits=cases.Limits(text=5000))


def test_limits_are_options_of_verify(tmp_path, capsys):
    path = tmp_path / "c.jsonl"
    many = {"op": "loop", "count": 1 << 24, "stride": 0, "steps": [step("read", value=0)] * 5}
    path.write_text(json.dumps({"id": "one", "steps": [many]}))
    assert cli.main(["verify", str(path)]) == 2
    assert "more than 67,108,864 (max_work allows more)" in capsys.readouterr().out
    path.write_text(json.dumps({"id": "one", "steps": [{"op": "mmap", "proc": "p0", "at": 0, "len": 9, "prot": "rw"},
                                                       {"op": "write", "proc": "p0", "at": 0, "len": 9, "value": 1}]}))
    assert cli.main(["verify", str(path), "--max-work", "5"]) == 2
    assert "more than 5 (max_work allows more)" in capsys.readouterr().out
    assert cli.main(["verify", str(path), "--max-work", "50"]) == 0
    capsys.readouterr()
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(path.read_bytes() + b" " * 5000))
    assert cli.main(["verify", str(tmp_path / "c.jsonl.gz"), "--max-text", "4KiB"]) == 2
    assert "longer than 4,096 bytes (max_text allows more)" in capsys.readouterr().out
    assert cli.main(["verify", str(tmp_path / "c.jsonl.gz"), "--max-text", "8KiB"]) == 0


def test_large_areas_are_looked_at_in_little_memory(tmp_path):
    """Of 2^24 pages and two of them written; a page of a file far beyond its end punched out."""
    path = tmp_path / "c.jsonl"
    steps = [step("mmap", len=1 << 24, prot="rw"), step("write", at=5, value=1), step("write", at=(1 << 24) - 1, value=1),
             step("mmap", at=1 << 25, len=1 << 23, prot="rw", share="shared", file="M"),
             step("madvise", at=1 << 25, len=1 << 23, advice="remove")]
    expect = {"pages": {"p0": [[5, 6, "anon"], [(1 << 24) - 1, 1 << 24, "anon"], [6, 900, "none"]]}}
    path.write_text(json.dumps({"id": "one", "steps": steps, "files": {"M": 4}, "expect": expect}))
    (case,) = cases.load(path)
    tracemalloc.start()
    try:
        verdict = run(case, lambda files: Emulator(files))
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    assert (verdict.outcome, verdict.reason) == ("pass", "")
