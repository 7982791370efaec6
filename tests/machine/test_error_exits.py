"""Error exits that nothing else takes: each is reached, and says what is wrong."""
import errno
import io
import json
import zipfile

import pytest

import rmapcore
from recordings import started
from rmapcore.cli import main
from rmapcore.embedding import Side
from rmapcore.lab.diff import Difference
from rmapcore.traces import load_trace
from rmapcore.verify import case as cases

PAGE = 4096
AT = 0x40000000


def machine(**options):
    return rmapcore.Machine(**{"ram": "1MiB", "swap": "1MiB"} | options)


def released_twice():
    process = machine(track_contents=True).spawn()
    pin = process.pin(process.mmap(AT, PAGE, 3, 0x32))
    pin.release()
    pin.stamp()


def too_many_names():
    one = machine(kernel="6.18")
    process = one.spawn()
    process.mmap(AT, PAGE, 3, 0x32)
    one._area_names = {f"n{i}": i for i in range(1, 1 << 16)}
    process.name_area(AT, PAGE, "one more")


def gone():
    process = machine().spawn()
    process.exit()
    process.maps()


def compared(**options):
    return rmapcore.compare("swapout", "anon_vma", pages=256, **options)


CALLS = {                                      # name: what is called, the exception, a part of its text
    "pin": (released_twice, ValueError, "this pin has been released"),
    "names": (too_many_names, rmapcore.ArenaFull, "a machine has numbers for"),
    "gone": (gone, ProcessLookupError, "process 1 has exited"),
    "stamps": (lambda: machine().spawn().stamps(AT, PAGE), ValueError, "stamps need Machine(track_contents=True)"),
    "stamped_pages": (lambda: machine().spawn().stamped_pages(), ValueError, "stamps need Machine(track_contents=True)"),
    "file": (lambda: machine().spawn().mmap(length=PAGE, flags=1, file=machine().file("f", PAGE)), ValueError,
             "belongs to another machine"),
    "no machine": (lambda: Side.engine(7), TypeError, "7 is no rmapcore.Machine"),
    "no call": (lambda: Side.open("rmapcore"), ValueError, "it is no call of Machine"),
    "no values": (lambda: Side.open("Machine(ram=x)"), ValueError, "is not Machine(...) with plain values"),
    "stars": (lambda: Side.open("Machine(**{})"), ValueError, "** is no argument"),
    "kind": (lambda: Side.file(machine(), b"f", PAGE, 3), ValueError, "file kind 3 is none of 0 to 2"),
    "no profile": (lambda: compared().flame("flame"), ValueError, "there is no profile: compare with profile=True"),
    "no profile of events": (lambda: compared().trace_events("events"), ValueError, "there is no profile"),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    call, exception, said = CALLS[name]
    with pytest.raises(exception) as caught:
        call()
    assert said in str(caught.value)


def test_a_mapping_without_a_file():
    with pytest.raises(OSError) as caught:
        machine().spawn().mmap(length=PAGE, flags=1)
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize(("arguments", "said"), [
    (["-o", "r", "--pid", "1", "--plain"], "--pid takes no command, --tool, --plain or --buffer"),
    (["-o", "r.zst", "--pid", "1"], "r.zst: a snapshot is not compressed, name it without .zst"),
    (["-o", "r", "--pid", "x"], "--pid 'x' is not the number of a process"),
])
def test_snapshots(arguments, said, capsys):
    assert main(["capture", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_runs_that_have_nothing_in_common(tmp_path):
    compared().save(tmp_path / "a")
    rmapcore.compare("swapout", "anonmm", pages=256).save(tmp_path / "b")
    with pytest.raises(ValueError, match="have no row in common"):
        Difference(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(("change", "said"), [
    (lambda name, data: None if name == "frames.npy" else data, "it has no array 'frames'"),
    (lambda name, data: data[:6] + b"\x07" + data[7:] if name == "frames.npy" else data, "array 'frames' has format (7, 0)"),
    (lambda name, data: data + b"\0" if name == "frames.npy" else data, "array 'frames' is followed by more"),
])
def test_arrays_of_saved_machines(change, said, tmp_path):
    one = machine()
    process = one.spawn()
    process.write(process.mmap(AT, PAGE, 3, 0x32))
    stream = io.BytesIO()
    one.save(tmp_path / "good")
    with zipfile.ZipFile(tmp_path / "good") as good, zipfile.ZipFile(stream, "w") as bad:
        for name in good.namelist():
            data = change(name, good.read(name))
            if data is not None:
                bad.writestr(name, data)
    (tmp_path / "bad").write_bytes(stream.getvalue())
    with pytest.raises(rmapcore.RmapcoreError) as caught:
        rmapcore.Machine.load(tmp_path / "bad")
    assert said in str(caught.value) and str(tmp_path / "bad") in str(caught.value)


@pytest.mark.parametrize(("event", "said"), [
    ("task:task_newtask: pid=x", "the fields of task_newtask cannot be read"),
    ("signal:signal_generate: sig=x", "the fields of signal_generate cannot be read"),
    ("kmem:rss_stat: mm_id=1 curr=1 type=MM_OTHER size=4096B", "the fields of rss_stat cannot be read"),
    ("exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x100000000", "error_code has more than 32 bits"),
    ("filemap:mm_filemap_add_to_page_cache: dev 8:1 ino 5 pfn=0x1 ofs=9223372036854775808 order=0",
     "a page at byte 9223372036854775808 of a file"),
])
def test_lines_of_recordings(event, said, tmp_path):
    recording = started().line(100, event)
    (tmp_path / "r").write_bytes(recording.text())
    with pytest.raises(rmapcore.TraceError) as caught:
        load_trace(tmp_path / "r")
    assert str(caught.value).startswith(f"{tmp_path / 'r'}:{len(recording.lines)}: ") and said in str(caught.value)


MAP = {"op": "mmap", "proc": "p0", "at": 0, "len": 1, "prot": "rw"}
STATE = {"p0": {"vmas": [], "pages": []}}


@pytest.mark.parametrize(("ending", "value", "said"), [
    (".json", {"steps": [MAP], "snaps": 7}, "'snaps' is 7, which is not a list"),
    (".json", {"steps": [MAP], "snaps": [{"after": 1, "state": STATE}] * 2}, "snap 2: 'after' is 1, as in an earlier one"),
    (".json", {"steps": [MAP], "snaps": [{"after": 1, "state": {"p0": {"vmas": 7, "pages": []}}}]},
     "snap 1: p0: 'vmas' is 7, which is not a list"),
    (".jsonl", {"files": {"shm": 1}}, "'files': a file cannot be named 'shm'"),
    (".jsonl", {"steps": [MAP, {"op": "fork", "proc": "p0", "child": "p1"}, {"op": "limit", "proc": "p0", "stack": 9}]},
     "step 3 (limit): there are other processes"),
    (".jsonl", {"expect": {"pages": {"p0": 7}}}, "of p0 is 7, which is not a list"),
    (".jsonl", {"expect": {"pages": {"p0": [[0]]}}}, "of p0: [0] is not a list of"),
    (".jsonl", {"expect": {"same": [7]}}, "'same' is [7], which is not a list of groups of pages"),
    (".jsonl", {"expect": {"frames": 7}}, "'frames' is 7, which is not a list"),
    (".jsonl", '{"id": ' + "[" * 100_000, "is nested too deeply"),
])
def test_cases(ending, value, said, tmp_path):
    path = (tmp_path / "c").with_suffix(ending)
    case = {} if ending == ".json" else {"id": "one", "steps": [MAP]}
    text = value if isinstance(value, str) else json.dumps(case | value)
    path.write_text(text)
    with pytest.raises(rmapcore.errors.CaseError) as caught:
        cases.load(path)
    assert said in str(caught.value) and str(caught.value).startswith(str(path))
