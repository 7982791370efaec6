"""Private mappings of /dev/zero (rules QE1, E1): an area with a file and anonymous pages; machine and twin."""
import pytest

import reference
import rmapcore
from recordings import PAGE, started

AT = 0x40000000
FIXED = 0x12
KERNELS = ["2.6.7", "6.18"]
MAKERS = pytest.mark.parametrize("make", [rmapcore.Machine, reference.Machine], ids=["machine", "twin"])


def rows(process):
    """[(start, end, pgoff, file)] of all areas."""
    areas = process.maps()
    if isinstance(areas, list):
        return [(area[0], area[1], area[4], area[5]) for area in areas]
    return list(zip(*(areas[name].tolist() for name in ("start", "end", "pgoff", "file")), strict=True))


@MAKERS
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scheme", ["anonmm", "anon_vma", "anon_vma_chain"])
def test_it_joins_its_like_by_offset(make, kernel, scheme):
    machine = make(scheme, kernel=kernel, ram=64 * PAGE, swap=64 * PAGE)
    process = machine.spawn()
    zero = machine.file("/dev/zero", 0, "zero")
    for page, offset in ((0, 0), (4, 4), (12, 0)):
        process.mmap(AT + page * PAGE, 4 * PAGE, 3, FIXED, zero, offset * PAGE)
    process.mmap(AT + 8 * PAGE, 4 * PAGE, 3, FIXED | 0x20)
    assert [row[:2] for row in rows(process)] == [(AT, AT + 8 * PAGE), (AT + 8 * PAGE, AT + 12 * PAGE),
                                                  (AT + 12 * PAGE, AT + 16 * PAGE)]
    assert [bool(row[3]) for row in rows(process)] == [True, False, True]
    process.write(AT, 14 * PAGE)
    process.read(AT + 14 * PAGE, 2 * PAGE)
    child = process.fork()
    child.write(AT, 2 * PAGE)
    machine.reclaim(10)
    child.write(AT, 8 * PAGE)
    process.mremap(AT, 4 * PAGE, 4 * PAGE, 3, AT + 32 * PAGE)
    process.mremap(AT + 12 * PAGE, 2 * PAGE, 2 * PAGE, 3, AT + 64 * PAGE)
    machine.check()
    process.exit()
    machine.check()


@MAKERS
def test_moved_before_its_first_page_it_begins_at_its_new_place(make):
    """Measured on Linux 6.18.44."""
    machine = make("anon_vma_chain", kernel="6.18", ram=64 * PAGE, swap=0)
    process = machine.spawn()
    process.mmap(AT, 4 * PAGE, 3, FIXED, machine.file("/dev/zero", 0, "zero"), 0)
    process.mremap(AT, 4 * PAGE, 4 * PAGE, 3, AT + 32 * PAGE)
    assert [row[2] for row in rows(process)] == [AT // PAGE + 32]
    machine.check()


def test_its_pages_are_counted_as_anonymous_ones():
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="1MiB", track_contents=True)
    process = machine.spawn()
    zero = machine.file("/dev/zero", 0, "zero")
    process.mmap(AT, 4 * PAGE, 3, FIXED, zero)
    assert process.write(AT, 2 * PAGE)["zero"] == 2 and process.pagemap(AT, PAGE)[0]["anon"]
    assert process.stamps(AT, 4 * PAGE).astype(bool).tolist() == [True, True, False, False]
    with pytest.raises(OSError, match="Invalid"):
        zero.truncate(PAGE)
    shared = process.mmap(AT + 8 * PAGE, 4 * PAGE, 3, 0x11, zero)
    assert int(process.maps()[-1]["file"]) != zero.number and shared == AT + 8 * PAGE
    machine.check()
    machine.copy().check()


def test_a_recording_keeps_it(load):
    device = {"start": AT, "length": 4 * PAGE, "path": "/dev/zero", "device": "00:06", "inode": 4}
    recording = started().mmap(100, AT, 4 * PAGE, flags=2, fd=3, mapped=device)
    recording.mmap(100, AT + 4 * PAGE, 4 * PAGE, flags=0x22)
    recording.mmap(100, AT + 8 * PAGE, 4 * PAGE, flags=1, fd=3,
                   mapped={"start": AT, "length": 4 * PAGE, "path": "/dev/zero (deleted)", "device": "00:01", "inode": 77})
    trace = load(recording)
    assert [file.kind for file in trace.files] == ["zero", "shmem"] and trace.files[0].size == 0
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="1MiB")
    assert trace.replay(machine)["failed"] == 0 and len(machine.process(100).maps()) == 3
