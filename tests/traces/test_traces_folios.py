"""Where files lie in large folios: what a recording says at its end of files that were in the page cache before."""
import pytest

from recordings import MIB, PAGE, Recording
from rmapcore import Machine, TraceError, load_trace
from rmapcore.operations import NOT_CACHED, Op
from rmapcore.traces.folios import Folios
from rmapcore.traces.pagecache import absent_at_first

FILE = {"start": MIB, "length": 64 * PAGE, "path": "/x", "inode": 0xAB, "device": "fe:01", "prot": "r--s"}


def recorded(tmp_path, *lines, events=()):
    recording = Recording().exec(10).mmap(10, MIB, 64 * PAGE, 1, 1, 3, 0, FILE).fault(10, MIB + 3 * PAGE, 4)
    for first, order in events:
        recording.event(10, "filemap:mm_filemap_add_to_page_cache",
                        f"dev 254:1 ino ab pfn=0x1000 ofs={first * PAGE} order={order}")
    (tmp_path / "r").write_text("\n".join([*recording.lines, *lines]) + "\n")
    return load_trace(tmp_path / "r")


def told(trace):
    return [(int(one["arg"]), int(one["addr"]) // PAGE, int(one["length"]) // PAGE)
            for one in trace.operations if one["op"] == Op.READAHEAD]


def test_a_fault_maps_the_folios_that_were_told_of(tmp_path):
    trace = recorded(tmp_path, f"# folios: 5:0+64,0:64+36 {0xAB} {100 * PAGE} /x")
    assert told(trace) == [(5, 0, 64)] and trace.files[0][1] == 100 * PAGE
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    files = [machine.file(*file, warm=True) for file in trace.files]
    assert not machine.run(trace.operations, files).any()
    assert machine.processes[10].pagemap(MIB, 64 * PAGE)["present"].sum() == 32
    assert machine.totals["frames_peak"] == 32             # what is told of is read in by those who map it
    machine.check()


@pytest.mark.parametrize("line", ["# folios: 5:0+64 172 409600 /x", "# folios: 5:0+64 171 409600 /y",
                                  "# folio 5:0+64 171 9 /x"])
def test_lines_of_other_files_tell_nothing(tmp_path, line):
    assert told(recorded(tmp_path, line)) == []


def test_pages_that_came_later_are_no_part_of_what_was_there(tmp_path):
    """Of a file whose pages 16 to 31 came meanwhile, as one folio: 0 to 15 and 32 to 51 were there, 52 to 63 never."""
    trace = recorded(tmp_path, f"# folios: 4:0+48,2:48+4 {0xAB} {64 * PAGE} /x", events=[(16, 4)])
    assert told(trace) == [(4, 0, 48), (2, 48, 4), (NOT_CACHED, 16, 16), (NOT_CACHED, 52, 12), (4, 16, 16)]
    machine = Machine("anon_vma", kernel="6.18", ram=MIB, swap=0)
    assert trace.replay(machine)["failed"] == 0
    assert machine.processes[10].pagemap(MIB, 64 * PAGE)["present"].nonzero()[0].tolist() == list(range(16))
    machine.processes[10].read(MIB + 50 * PAGE)
    machine.processes[10].read(MIB + 20 * PAGE)
    assert machine.processes[10].pagemap(MIB, 64 * PAGE)["present"].nonzero()[0].tolist() == [*range(32), *range(48, 52)]
    machine.check()


def test_single_pages_are_told_of_where_others_are_missing(tmp_path):
    trace = recorded(tmp_path, f"# folios: 0:0+5,0:9+3 {0xAB} {40 * PAGE} /x")
    assert told(trace) == [(NOT_CACHED, 5, 4), (NOT_CACHED, 12, 52)]


def test_many_lines_of_one_file_follow_one_another():
    folios = Folios()
    folios.tell("# folios: 4:0+16 1 65536 /a b")
    folios.tell("# folios: 1:16+2,4:32+16 1 65536 /a b")
    assert folios.told == {("1", "/a b"): (65536, [(4, 0, 16), (1, 16, 2), (4, 32, 16)])}


@pytest.mark.parametrize("line", [
    "# folios:", "# folios: 4:0+16 1 /a", "# folios: 4:0+16 1 2 a", "# folios: 4:0 1 2 /a", "# folios: 4:8+16 1 2 /a",
    "# folios: 4:0+8 1 2 /a", "# folios: 0:0+0 1 2 /a", "# folios: 10:0+1024 1 2 /a", "# folios: 4:16+16,4:0+16 1 2 /a",
    "# folios: 4:0+16,4:0+16 1 2 /a", "# folios: 4:0+0 1 2 /a", "# folios: 4:0+16 1 9000000000000000000 /a",
    "# folios: 4:0+1125899906842624 1 2 /a", "# folios: x 1 2 /a", "# folios: 4:0+16,, 1 2 /a",
])
def test_damaged_lines_are_refused(tmp_path, line):
    with pytest.raises(TraceError, match="folios"):
        recorded(tmp_path, line)


@pytest.mark.parametrize(("events", "runs", "absent"), [
    ([], None, []), ([], [(0, 0, 64)], []), ([], [], [(0, 64)]), ([], [(4, 0, 16), (0, 20, 100)], [(16, 20)]),
    ([(4, 4, True)], None, [(4, 8)]), ([(4, 4, False), (0, 8, True)], None, [(0, 4)]),
    ([(4, 4, True), (60, 9, True)], [(0, 0, 50)], [(4, 8), (50, 64)]), ([(50, 9, False)], [(0, 0, 50)], [(59, 64)]),
    ([(90, 4, True)], [(0, 0, 64), (0, 80, 20)], []), ([(2, 1, True), (2, 1, False)], None, [(2, 3)]),
])
def test_what_was_not_cached_at_first(events, runs, absent):
    assert absent_at_first(events, runs, 64) == absent
