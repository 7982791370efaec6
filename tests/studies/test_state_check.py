"""replay --check and the states of a recording: what is equal, and each kind of difference by name."""
import pytest

from recordings import MIB, PAGE, Recording
from rmapcore import load_trace
from rmapcore.studies.replaycheck import check_replay
from rmapcore.traces.states import ANON, FILE, ZERO, AreaSeen, ProcessSeen, Run, State

VPN = MIB // PAGE
PRIVATE, SHARED, FLAGS = "rw-p", "rw-s", "ac,me,mr,mw,rd,wr"
AREA = AreaSeen(MIB, MIB + 8 * PAGE, PRIVATE, 0, "00:00", "0", FLAGS, "")
WRITTEN = Run(VPN, 2, ANON, 1, 0)


@pytest.fixture
def looked(tmp_path):
    """looked(recording, processes): the data of a check of a recording with these at its end."""
    def looked(recording, *processes):
        recording.lines += State(3_732_700_000_001, processes=list(processes)).lines()
        path = tmp_path / "r.txt"
        path.write_text("".join(f"{line}\n" for line in ("# rmapcore recording: 2", *recording.lines)))
        return check_replay(load_trace(path)).to_dict()

    return looked


def writes():
    """Process 10 with two written pages in an area of eight."""
    return Recording().exec(10).mmap(10, MIB, 8 * PAGE).fault(10, MIB).fault(10, MIB + PAGE)


def seen(pid=10, area=AREA, runs=(WRITTEN,), tables=3):
    return ProcessSeen(pid, tables, "prog", areas=[area], runs=list(runs))


def test_a_state_that_is_equal(looked):
    data = looked(writes(), seen())
    assert data["states"] == {"count": 1, "processes": {"checked": 1, "right": 1}, "wrong_pages": {}, "first_differences": []}
    assert data["areas"] == data["page_tables"] == {"checked": 1, "right": 1} and data["problems"] == []
    assert data["pages"]["anon"] == {"checked": 2, "right": 2} and data["pages"]["file"] == {"checked": 0, "right": 0}


@pytest.mark.parametrize(("process", "wrong"), [
    (seen(runs=[Run(VPN, 3, ANON, 1, 0)]), {"anon missing": 1}),
    (seen(runs=[Run(VPN, 1, ANON, 1, 0)]), {"anon not recorded": 1}),
    (seen(runs=[Run(VPN, 1, ANON, 1, 0), Run(VPN + 1, 1, ZERO, 0, 0)]), {"anon of another kind": 1}),
    (seen(runs=[Run(VPN, 1, ANON, 2, 0), Run(VPN + 1, 1, ANON, 1, 0)]), {"anon mapcount": 1}),
    (seen(runs=[Run(VPN, 2, ANON, 0, 0)]), {}),                # on a huge page: no mapcount is told
    (seen(runs=[Run(VPN, 1, ANON, 1, 7), Run(VPN + 1, 1, ANON, 1, 7)]), {"anon sharing": 2}),
])
def test_pages_that_differ(looked, process, wrong):
    data = looked(writes(), process)
    assert data["states"]["wrong_pages"] == wrong
    assert data["states"]["processes"]["right"] == (not wrong)
    assert sum(wrong.values()) == data["pages"]["checked"] - data["pages"]["right"]


@pytest.mark.parametrize(("change", "right"), [
    ({"end": MIB + 9 * PAGE}, 0), ({"perms": "r--p"}, 0), ({"flags": FLAGS + ",lo"}, 0),
    ({"flags": FLAGS + ",sd"}, 1),                             # dirty tracking is no flag of the machine
    ({"offset": 5 * PAGE}, 1),                                 # of memory without a file, not visible
])
def test_areas_that_differ(looked, change, right):
    data = looked(writes(), seen(area=AREA._replace(**change)))
    assert data["areas"] == {"checked": 2 - right, "right": right}
    told = [item["what"] for item in data["states"]["first_differences"]]
    assert sorted(told) == ([] if right else ["area missing", "area not recorded"])


def test_page_tables_that_differ_leave_a_process_equal(looked):
    data = looked(writes(), seen(tables=4))
    assert data["page_tables"] == {"checked": 1, "right": 0} and data["states"]["processes"]["right"] == 1


def test_what_a_fork_shares(looked):
    """A frame of both at the same addresses, and a mapcount of 2: right; two frames are not."""
    recording = writes().enter(10, "fork").fork(10, 20).leave(10, "fork", 20)
    both = [seen(pid, runs=[Run(VPN, 2, ANON, 2, 1)]) for pid in (10, 20)]
    assert looked(recording, *both)["states"]["wrong_pages"] == {}
    recording = writes().enter(10, "fork").fork(10, 20).leave(10, "fork", 20)
    both[1].runs = [Run(VPN, 2, ANON, 2, 3)]
    assert looked(recording, *both)["states"]["wrong_pages"] == {"anon sharing": 4}


def test_shared_memory_without_a_file_is_shmem(looked):
    recording = Recording().exec(10)
    recording.mmap(10, MIB, 8 * PAGE, flags=0x21, mapped={"start": MIB, "length": 8 * PAGE, "path": "/dev/zero (deleted)",
                                                          "prot": "rw-s", "inode": 5}).fault(10, MIB)
    area = AreaSeen(MIB, MIB + 8 * PAGE, SHARED, 0, "00:01", "5", "me,mr,ms,mw,rd,sh,wr", "/dev/zero (deleted)")
    data = looked(recording, seen(area=area, runs=[Run(VPN, 1, FILE, 0, 0)]))
    assert data["areas"] == {"checked": 1, "right": 1}
    assert data["pages"]["shmem"] == {"checked": 1, "right": 1} and data["pages"]["file"]["checked"] == 0


@pytest.mark.parametrize(("code", "mode", "right"), [(6, "user", False), (2, "kernel", True)])
def test_an_access_by_the_kernel_may_fail_without_a_signal(looked, code, mode, right):
    """Outside of all areas: a program is sent a signal, which the recording would hold; a call ends in EFAULT."""
    data = looked(writes().fault(10, 3 * MIB, code, mode), seen())
    assert data["statuses"]["wrong"] == ({} if right else {"FAULT": {"SIGSEGV": 1}})
