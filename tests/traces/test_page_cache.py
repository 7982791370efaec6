"""What the page cache held while a recording was made: which pages came and went, and what was there before."""
import pytest

from recordings import MIB, PAGE, Recording
from rmapcore import Machine, TraceError, load_trace
from rmapcore.operations import Op

FILE = {"start": MIB, "length": 40 * PAGE, "path": "/x", "inode": 0xAB, "device": "fe:01", "prot": "r--s"}


def event(recording, came, first, order=0, inode=0xAB):
    name = "add_to" if came else "delete_from"
    return recording.event(10, f"filemap:mm_filemap_{name}_page_cache",
                           f"dev 254:1 ino {inode:x} pfn=0x1000 ofs={first * PAGE} order={order}")


def loaded(tmp_path, recording):
    (tmp_path / "r").write_text("\n".join(recording.lines) + "\n")
    return load_trace(tmp_path / "r")


def of_files(trace):
    return [(Op(one["op"]).name, int(one["other"]), int(one["addr"]) // PAGE, int(one["length"]) // PAGE)
            for one in trace.operations if one["op"] in (Op.READAHEAD, Op.PUNCH_HOLE)]


def present(machine):
    return [page for page, found in enumerate(machine.processes[10].pagemap(MIB, 40 * PAGE)["present"]) if found]


def test_pages_that_were_read_in_the_meantime_were_not_there_before(tmp_path):
    """Pages 4 to 7 come by one event, 8 by another; 20 goes and comes again, so it was there; nobody maps the other file."""
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB, 4)
    event(event(recording, True, 4, 2), True, 8)
    event(event(event(recording, False, 20), True, 20), True, 3, inode=0xCD).fault(10, MIB + 5 * PAGE, 4)
    trace = loaded(tmp_path, recording)
    assert trace.cold == {1}
    assert of_files(trace) == [("READAHEAD", 1, 0, 4), ("READAHEAD", 1, 9, 31), ("READAHEAD", 1, 4, 5),
                               ("PUNCH_HOLE", 1, 20, 1), ("READAHEAD", 1, 20, 1)]
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["failed"] == 0
    assert present(machine) == list(range(16)) and machine.counters["faults_file"] == 2
    trace.save(tmp_path / "saved")
    assert load_trace(tmp_path / "saved").cold == {1}


def test_a_file_that_grows_is_there_as_it_is_written(tmp_path):
    recording = event(Recording().exec(10), True, 0).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB, 4)
    event(event(recording, True, 1), True, 2).fault(10, MIB + PAGE, 4)
    trace = loaded(tmp_path, recording)
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    first = [number for number, one in enumerate(trace.operations) if one["op"] == Op.FAULT][1]
    assert len(of_files(trace)) == 3 and trace.replay(machine)["failed"] == 0
    assert of_files(trace)[0] == ("READAHEAD", 1, 3, 37) and first == len(trace) - 1
    assert present(machine) == list(range(16))


@pytest.mark.parametrize("text", ["dev 254:1", "dev 254:1 ino 5 pfn=0x1 ofs=0 order=99",
                                  "dev 1:1 ino 5 pfn=0x1 ofs=" + "9" * 30])
def test_events_that_cannot_be_read(tmp_path, text):
    recording = Recording().exec(10).event(10, "filemap:mm_filemap_add_to_page_cache", text)
    with pytest.raises(TraceError, match="an event of the page cache cannot be read"):
        loaded(tmp_path, recording)
