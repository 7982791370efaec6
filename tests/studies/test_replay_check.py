"""replay --check: recorded faults against the emulated page table, right ones and wrong ones, and why."""
import json
from pathlib import Path

import pytest

from recordings import LIBC, PAGE, A, B, C, started
from rmapcore.cli import main
from rmapcore.studies.replaycheck import check_replay

DATA = Path(__file__).parent.parent / "data"
READ, WRITE, FETCH, READ_ONLY = 4, 6, 0x14, 7      # error codes of user mode; READ_ONLY: a write to a page that is there
FILE = {"start": A, "length": 32 * PAGE, **LIBC}


@pytest.fixture
def check(load):
    """(right and wrong faults in order as (kind, cause or None), the data) of a recording."""

    def check(recording, **options):
        data = check_replay(load(recording), **options).to_dict()
        return [(item["kind"], item["cause"]) for item in data["first_differences"]], data

    return check


def anonymous(pages=4):
    return started().mmap(100, A, pages * PAGE)


def mapped(flags, prot=3, path=LIBC["path"]):
    """32 pages of a file; flags: 1 shared, 2 private."""
    return started().mmap(100, A, 32 * PAGE, prot, flags, fd=3, mapped=FILE | {"path": path})


def shared_anonymous():
    return started().mmap(100, A, 32 * PAGE, flags=0x21, mapped=FILE | {"path": "/dev/zero (deleted)", "prot": "rw-s"})


def forked(recording, child=101):
    return recording.enter(100, "fork").fork(100, child).leave(100, "fork", child)


@pytest.mark.parametrize(("recording", "kind"), [
    (anonymous().fault(100, A, WRITE).fault(100, A + PAGE, WRITE), "anon"),
    (anonymous().fault(100, A, READ).fault(100, A, READ_ONLY), "anon"),                      # the zero page
    (forked(anonymous().fault(100, A, WRITE)).fault(101, A, READ_ONLY).fault(100, A, READ_ONLY), "anon"),
    (anonymous().fault(100, A, WRITE).call(100, "madvise", start=A, len_in=PAGE, behavior=4).fault(100, A, WRITE), "anon"),
    (mapped(2).fault(100, A, READ).fault(100, A, READ_ONLY), "file"),                        # a copy
    (mapped(2).fault(100, A, READ).fault(100, A + 15 * PAGE, READ_ONLY).fault(100, A + 16 * PAGE, WRITE), "file"),
    (mapped(1).fault(100, A, READ).fault(100, A, READ_ONLY).fault(100, A + PAGE, READ_ONLY), "file"),      # first writes
    (mapped(1).fault(100, A, READ).enter(100, "fork").fork(100, 101).fault(101, A, READ), "file"),
    (shared_anonymous().fault(100, A, READ).fault(100, A + PAGE, READ).fault(100, A + 2 * PAGE, WRITE), "shmem"),
    (mapped(2).fault(100, A, WRITE), "file"),
    (mapped(1).fault(100, A, WRITE), "file"),
    (mapped(2, prot=5).fault(100, A, FETCH).fault(100, A + 20 * PAGE, FETCH), "file"),
    (shared_anonymous().fault(100, A, WRITE).fault(100, A + 16 * PAGE, READ), "shmem"),
])
def test_right_faults(check, recording, kind):
    wrong, data = check(recording)
    assert wrong == [] and data["causes"] == [] and data["problems"] == []
    n = sum("page_fault" in line for line in recording.lines)
    assert data["faults"] == data["by_kind"][kind] == {"checked": n, "right": n}


def test_outside_of_all_areas_a_program_is_sent_a_signal(check):
    wrong, data = check(anonymous().fault(100, B, WRITE).fault(100, A, WRITE))
    assert wrong == [] and data["faults"] == {"checked": 2, "right": 2}
    assert data["by_kind"]["anon"] == {"checked": 1, "right": 1} and data["problems"] == []


KERNEL = 0                             # a read from kernel mode


def by_kernel(recording, thread=100, page=0):
    return recording.fault((100, thread), A + page * PAGE, KERNEL, kind="kernel")


def test_faults_that_the_kernel_did_not_handle(check, load):
    """Of a row of equal ones of one thread only the last is performed, whatever other threads do meanwhile."""
    recording = by_kernel(by_kernel(by_kernel(anonymous()).fault((100, 107), A + 2 * PAGE, WRITE)))
    assert [int(operation["prot"]) for operation in load(recording).operations[2:]] == [1, 0, 1, 0]
    wrong, data = check(recording)
    assert wrong == [] and data["faults"] == {"checked": 4, "right": 4} and data["counters"]["faults_zero"] == 2


@pytest.mark.parametrize(("between", "cause"), [
    (lambda recording: by_kernel(recording, page=1), "unmapped"),
    (lambda recording: recording.fault(100, A, READ_ONLY), "unmapped"),
    (lambda recording: recording.call(100, "munlock", start=A, len=PAGE), "again"),
])
def test_something_happened_between_two_faults_that_were_handled(check, between, cause):
    recording = by_kernel(between(by_kernel(anonymous())))
    assert check(recording)[0] == [("anon", cause)]


STACK = {"start": B, "length": 0x23000, "path": "[stack]"}


def test_the_pages_of_arguments_are_there_without_a_fault(check):
    """Three of them: the child's first write to one finds a page; below, nothing."""
    top = B + 0x23000
    recording = forked(started().exec(100, STACK))
    for page in (1, 3):
        recording.fault(101, top - page * PAGE, READ_ONLY)
    recording.fault(101, top - 4 * PAGE, WRITE)
    assert check(recording)[0] == []
    recording.fault(101, top - 5 * PAGE, READ_ONLY)
    assert check(recording)[0] == [("anon", "pinned")]


@pytest.mark.parametrize(("recording", "difference"), [
    (anonymous().call(100, "munmap", addr=B + 1, len=PAGE).fault(100, B, WRITE), ("none", "no_area")),
    (anonymous().fault(100, B, READ_ONLY), ("none", "no_area")),
    (anonymous().fault(100, A, READ_ONLY), ("anon", "pinned")),
    (anonymous().fault(100, A, WRITE).fault(100, A, WRITE), ("anon", "again")),
    (anonymous().fault(100, A, WRITE).fault(100, A + PAGE, WRITE).fault(100, A, WRITE), ("anon", "unmapped")),
    (anonymous().fault(100, A, WRITE).fault(100, A + PAGE, WRITE).fault(100, A, READ_ONLY), ("anon", "protected")),
    (forked(anonymous().fault(100, A, WRITE)).call(100, "mlock", start=A, len=PAGE).fault(100, A, READ_ONLY),
     ("anon", "stale")),
    (anonymous().fault(100, A, WRITE).fault(100, A + PAGE, WRITE).fault(100, A, READ_ONLY - 2), ("anon", "allowed")),
    (anonymous().fault((100, 100), A, WRITE).fault((100, 107), A, WRITE), ("anon", "threads")),
    (anonymous().fault((100, 100), A, READ_ONLY).fault((100, 107), A, WRITE), ("anon", "threads")),
    (forked(anonymous().fault(100, A, WRITE)).fault(101, A, READ), ("anon", "inherited")),
    (mapped(2).fault(100, A, READ_ONLY), ("file", "around")),
    (mapped(2).fault(100, A, READ).fault(100, A + 15 * PAGE, READ), ("file", "page_cache")),
    (mapped(2).fault(100, A, READ).fault(100, A + 16 * PAGE, READ_ONLY), ("file", "around")),
    (shared_anonymous().fault(100, A, READ).fault(100, A + PAGE, READ_ONLY), ("shmem", "around")),
    (mapped(1).fault(100, A, WRITE).fault(100, A + 16 * PAGE, WRITE).fault(100, A, READ_ONLY), ("file", "cleaned")),
    (mapped(1).fault(100, A, WRITE).fault(100, A + 16 * PAGE, WRITE).fault(100, A, WRITE), ("file", "unmapped")),
    (shared_anonymous().fault(100, A, WRITE).fault(100, A + 16 * PAGE, WRITE).fault(100, A, READ_ONLY), ("shmem", "protected")),
])
def test_wrong_faults_and_their_likely_causes(check, recording, difference):
    wrong, data = check(recording)
    assert wrong[0] == difference
    kind, cause = difference
    faults, told = data["faults"], data["causes"]
    assert faults["checked"] - faults["right"] == len(wrong) == sum(item["count"] for item in told)
    assert (cause, kind) in [(item["cause"], item["kind"]) for item in told]
    if kind != "none":
        counts = data["by_kind"][kind]
        assert (counts["checked"], counts["right"]) == (faults["checked"], faults["right"])
    assert data["problems"]


def test_a_difference_is_told_in_full(check):
    recording = mapped(2).fault((100, 107), A + PAGE + 8, READ_ONLY).exit(100)
    _, data = check(recording)
    assert data["first_differences"] == [{
        "operation": 2, "time": 3732.676787, "process": 100, "thread": 107, "address": A + PAGE + 8, "kind": "file",
        "area": {"start": A, "end": A + 32 * PAGE, "prot": "rw-", "shared": False, "file": LIBC["path"], "offset": 0},
        "recorded": {"error_code": 7, "present": True, "access": "write", "mode": "user"},
        "emulated": {"entry": "nothing", "writable": False},
        "cause": "around", "about": data["causes"][0]["about"],
    }]


def test_only_the_first_differences_are_told_and_all_counted(check):
    recording = anonymous(64)
    for page in range(64):
        recording.fault(100, A + page * PAGE, READ_ONLY)
    wrong, data = check(recording)
    assert len(wrong) == 20 and data["faults"] == {"checked": 64, "right": 0}
    assert [(item["cause"], item["count"]) for item in data["causes"]] == [("pinned", 64)]
    assert [item["operation"] for item in data["first_differences"]] == list(range(2, 22))


def test_faults_that_are_left_out_are_not_checked(check):
    vdso = {"start": C, "length": 2 * PAGE, "path": "[vdso]", "prot": "r-xp"}
    recording = started().exec(100, vdso).mmap(100, A, PAGE).fault(100, C, READ).fault(100, A)
    _, data = check(recording)
    assert data["faults"] == {"checked": 1, "right": 1}
    assert data["not_checked"] == {"fault in vdso or vvar": 1}


def test_checking_changes_nothing_of_the_replay(load):
    trace = load(forked(mapped(2).fault(100, A, WRITE).fault(100, A + PAGE, READ_ONLY)).fault(101, A, READ_ONLY).exit(101))
    import rmapcore

    plain = rmapcore.compare(trace, "anonmm", kernel="6.18", ram="1MiB", swap=0).to_dict()["results"][0]
    checked = check_replay(trace, "anonmm", ram="1MiB", swap=0).to_dict()
    for key in ("counters", "calls", "final", "memory", "check"):
        assert checked[key] == plain[key], key


@pytest.mark.parametrize("paged_out", [False, True])
def test_whether_the_recorded_machine_had_swap_is_taken_as_it_fits(check, paged_out):
    recording = anonymous().fault(100, A, WRITE).call(100, "madvise", start=A, len_in=PAGE, behavior=21)
    recording.fault(100, A + PAGE, WRITE)
    if paged_out:
        recording.fault(100, A, WRITE)
    else:
        forked(recording).fault(101, A, READ_ONLY)
    wrong, data = check(recording)
    assert wrong == [] and (data["machine"]["swap"] > 0) == paged_out
    wrong, data = check(recording, swap=0 if paged_out else "1MiB")
    assert wrong == [("anon", "unmapped" if paged_out else "pinned")]


def test_a_real_recording():
    """Targets that must hold: 99.5 % of the faults on anonymous memory, 98 % of all."""
    result = check_replay(DATA / "redis-bgsave.perf.txt.zst")
    data = result.to_dict()
    assert result.ok, data["problems"]
    anon, faults = data["by_kind"]["anon"], data["faults"]
    assert anon["checked"] == 10500 and anon["right"] >= 0.999 * anon["checked"]
    assert faults["checked"] == 14686 and faults["right"] >= 0.995 * faults["checked"]
    assert sum(item["count"] for item in data["causes"]) == faults["checked"] - faults["right"]
    assert data["machine"]["kernel"] == "6.18" and data["check"]["missed"] == data["check"]["extra"] == 0
    assert data["not_checked"] == {"fault in vdso or vvar": 27}


def test_the_command(tmp_path, capsys):
    good, bad = anonymous().fault(100, A), anonymous().fault(100, A, READ_ONLY)
    for name, recording, status in (("good", good, 0), ("bad", bad, 1)):
        (tmp_path / name).write_bytes(recording.text())
        output = tmp_path / f"{name}.json"
        assert main(["replay", str(tmp_path / name), "--check", "--json", str(output)]) == status
        printed = capsys.readouterr()
        assert "Recorded faults against the emulated page table" in printed.out
        assert ("Wrong ones by likely cause" in printed.out) == ("PROBLEM" in printed.out) == bool(printed.err) == bool(status)
        data = json.loads(output.read_text())
        assert data["faults"] == {"checked": 1, "right": 1 - status}
        assert set(data["by_kind"]) == {"anon", "file", "shmem"} and data["scheme"] and data["counters"] and data["check"]
    (tmp_path / "calls").write_bytes(anonymous().text())
    assert main(["replay", str(tmp_path / "calls"), "--check"]) == 2
    assert "no page faults to check" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "good")]) == 2
    assert "--scheme is needed, or --check" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "good"), "--scheme", "anonmm"]) == 0
