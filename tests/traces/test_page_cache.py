"""What the page cache held while a recording was made: which pages came and went, and what was there before."""
import pytest

from recordings import MIB, PAGE, Recording
from rmapcore import Machine, TraceError, load_trace
from rmapcore.operations import NOT_CACHED, Op

FILE = {"start": MIB, "length": 40 * PAGE, "path": "/x", "inode": 0xAB, "device": "fe:01", "prot": "r--s"}


def event(recording, came, first, order=0, inode=0xAB):
    name = "add_to" if came else "delete_from"
    return recording.event(10, f"filemap:mm_filemap_{name}_page_cache",
                           f"dev 254:1 ino {inode:x} pfn=0x1000 ofs={first * PAGE} order={order}")


def loaded(tmp_path, recording):
    (tmp_path / "r").write_text("\n".join(recording.lines) + "\n")
    return load_trace(tmp_path / "r")


def of_files(trace):
    return [("MISSING" if one["arg"] == NOT_CACHED else Op(one["op"]).name, int(one["other"]), int(one["addr"]) // PAGE,
             int(one["length"]) // PAGE) for one in trace.operations if one["op"] in (Op.READAHEAD, Op.PUNCH_HOLE)]


def present(machine):
    return [page for page, found in enumerate(machine.processes[10].pagemap(MIB, 40 * PAGE)["present"]) if found]


def test_pages_that_were_read_in_the_meantime_were_not_there_before(tmp_path):
    """Pages 4 to 7 come by one event, 8 by another; 20 goes and comes again, so it was there; nobody maps the other file."""
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB, 4)
    event(event(event(recording, True, 3, inode=0xCD), True, 4, 2), True, 8)
    event(event(recording, False, 20), True, 20).fault(10, MIB + 5 * PAGE, 4)
    trace = loaded(tmp_path, recording)
    assert of_files(trace) == [("MISSING", 1, 4, 5), ("READAHEAD", 1, 4, 4), ("READAHEAD", 1, 8, 1),
                               ("PUNCH_HOLE", 1, 20, 1), ("READAHEAD", 1, 20, 1)]
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["failed"] == 0
    assert present(machine) == list(range(16)) and machine.counters["faults_file"] == 2


def test_a_file_that_grows_is_there_as_it_is_written(tmp_path):
    recording = event(Recording().exec(10), True, 0).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB, 4)
    event(event(recording, True, 1), True, 2).fault(10, MIB + PAGE, 4)
    trace = loaded(tmp_path, recording)
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    first = [number for number, one in enumerate(trace.operations) if one["op"] == Op.FAULT][1]
    assert len(of_files(trace)) == 4 and trace.replay(machine)["failed"] == 0
    assert of_files(trace)[0] == ("MISSING", 1, 0, 3) and first == len(trace) - 1
    assert present(machine) == list(range(16))


def missed(recording, first):
    return recording.event(10, "filemap:mm_filemap_fault", f"dev=254:1 ino=ab ofs={first * PAGE}")


def file_pages(recording, pages):
    return recording.event(10, "kmem:rss_stat", f"mm_id=7 curr=1 type=MM_FILEPAGES size={pages * PAGE}B")


def replayed(tmp_path, recording):
    trace = loaded(tmp_path, recording)
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["failed"] == 0
    return trace, machine


def test_a_read_fault_that_misses_begins_again_when_the_page_is_there(tmp_path):
    """Fault-around maps then what came by that very fault: pages 8 to 15 of its window, not 16 to 31."""
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE)
    file_pages(recording.fault(10, MIB + 37 * PAGE, 4), 8)
    event(missed(recording.fault(10, MIB + 13 * PAGE, 4), 13), True, 8, 2)
    event(event(recording, True, 12, 2), True, 16, 4)
    assert present(replayed(tmp_path, recording)[1]) == [*range(8), 13, *range(32, 40)]         # as far as is told
    trace, machine = replayed(tmp_path, file_pages(recording, 24))
    assert present(machine) == [*range(16), *range(32, 40)] and machine.counters["faults_file"] == 2
    assert trace.summary["faults"] == 2


def test_a_fault_that_maps_more_than_fault_around_does_maps_a_folio(tmp_path):
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE)
    file_pages(recording.fault(10, MIB + 37 * PAGE, 4), 8)
    trace, machine = replayed(tmp_path, file_pages(missed(recording.fault(10, MIB + 13 * PAGE, 4), 13), 40))
    assert present(machine) == list(range(40))
    assert trace.summary["assumed"]["faults that mapped a large folio of a file"] == 1


def test_a_page_with_the_mark_of_readahead_is_passed_over_until_a_fault_misses_it(tmp_path):
    """Pages 0 to 3 came before; page 2 is not mapped by the fault at 0, but by its own, which is told twice; 3 is. So is 21, of
    which nothing was told."""
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE)
    for page in range(4):
        event(recording, True, page)
    file_pages(recording.fault(10, MIB, 4), 15)
    _, machine = replayed(tmp_path, recording)
    assert present(machine) == list(range(16))
    file_pages(missed(missed(recording.fault(10, MIB + 2 * PAGE, 4), 2), 2), 16)
    file_pages(recording.fault(10, MIB + 17 * PAGE, 4), 31)
    before = len(recording.lines)
    file_pages(missed(recording.fault(10, MIB + 21 * PAGE, 4), 21), 32)
    _, machine = replayed(tmp_path, recording)
    assert present(machine) == list(range(32)) and machine.counters["faults_file"] == 4
    recording.lines[before:] = []
    del recording.lines[-2:]                   # the fault at 17 too
    assert replayed(tmp_path, recording)[1].counters["faults_file"] == 2


def test_a_write_fault_that_misses_says_nothing_of_the_page_cache(tmp_path):
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 3, 2, 3, 0, FILE | {"prot": "rw-p"})
    missed(recording.fault(10, MIB + 3 * PAGE, 6), 3)
    file_pages(recording.fault(10, MIB, 4), 15)
    trace, machine = replayed(tmp_path, recording)
    assert of_files(trace) == [] and present(machine) == list(range(16))


def test_what_was_missed_long_ago_is_not_mistaken(tmp_path):
    """The counts of another fault, of another thread or after many, are not those of the one that missed."""
    recording = missed(Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB + 3 * PAGE, 4), 3)
    file_pages(recording.fault(10, MIB + 20 * PAGE, 4), 9)
    trace, _ = replayed(tmp_path, recording)
    assert "faults that mapped a large folio of a file" not in trace.summary["assumed"]
    assert missed(Recording().exec(10), 0) and of_files(loaded(tmp_path, missed(Recording().exec(10), 0))) == []


@pytest.mark.parametrize("text", ["dev=254:1", "dev=1:1 ino=5 ofs=" + "9" * 30])
def test_misses_that_cannot_be_read(tmp_path, text):
    recording = Recording().exec(10).mmap(10, MIB, 40 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB, 4)
    with pytest.raises(TraceError, match="an event of the page cache cannot be read"):
        loaded(tmp_path, recording.event(10, "filemap:mm_filemap_fault", text))


@pytest.mark.parametrize("text", ["dev 254:1", "dev 254:1 ino 5 pfn=0x1 ofs=0 order=99",
                                  "dev 1:1 ino 5 pfn=0x1 ofs=" + "9" * 30])
def test_events_that_cannot_be_read(tmp_path, text):
    recording = Recording().exec(10).event(10, "filemap:mm_filemap_add_to_page_cache", text)
    with pytest.raises(TraceError, match="an event of the page cache cannot be read"):
        loaded(tmp_path, recording)
