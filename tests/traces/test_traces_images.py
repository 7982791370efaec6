"""Holes in the images that execve loads: the first PERF_RECORD_MMAP2 line of a PIE spans all of it."""
import pytest

import rmapcore
from recordings import MIB, PAGE, A, B, Recording, operations, started

PROG = {"path": "/bin/prog", "inode": 9}
BASE = A & -(2 * MIB)


def segments(base, *parts):
    """Mappings of one file: (start, length, offset, prot), relative to the base."""
    return [{"start": base + start, "length": length, "offset": offset, "prot": prot, **PROG}
            for start, length, offset, prot in parts]


def areas(trace):
    """[(start, end)] of the process at the end, relative to the base, of the image alone."""
    machine = rmapcore.Machine(kernel="6.18")
    assert not trace.replay(machine)["failed"]
    return [(int(area["start"]) - BASE, int(area["end"]) - BASE) for area in machine.process(100).maps()
            if BASE <= area["start"] < BASE + 64 * MIB]


def test_a_hole_between_later_segments_is_unmapped(load):
    """/usr/bin/make of Debian 12: its last segment begins a page above the end of the one before."""
    recording = Recording().exec(100, *segments(BASE, (0, 0x3F000, 0, "r--p"), (0x9000, 0x24000, 0x9000, "r-xp"),
                                                (0x2D000, 0xB000, 0x2D000, "r--p"), (0x39000, 0x3000, 0x38000, "rw-p")),
                                 {"start": BASE + 0x3C000, "length": 3 * PAGE, "offset": BASE + 0x3C000})
    trace = load(recording)
    assert ("MUNMAP", 100, BASE + 0x38000, PAGE) in operations(trace, "addr", "length")
    assert areas(trace) == [(0, 0x9000), (0x9000, 0x2D000), (0x2D000, 0x38000), (0x39000, 0x3C000), (0x3C000, 0x3F000)]


def test_segments_without_holes_are_mapped_only(load):
    """Of ld.so, and of a program at a fixed place, where every line shows its own segment; what is behind is no segment."""
    fixed = segments(BASE + 32 * MIB, (0, PAGE, 0, "r--p"), (2 * MIB, PAGE, 2 * MIB, "r-xp"))
    loader = segments(BASE, (0, 4 * PAGE, 0, "r--p"), (PAGE, PAGE, PAGE, "r-xp"), (2 * PAGE, 2 * PAGE, PAGE, "rw-p"))
    trace = load(Recording().exec(100, *fixed, *loader))
    assert [name for name, *_ in operations(trace)] == ["SPAWN"] + ["MMAP"] * 5


@pytest.mark.parametrize(("offset", "end"), [(0x800000, 0x800000 + PAGE), (0x3FF000, 0x400000), (0x9FF000, 0xA00000)])
def test_the_first_segment_ends_before_the_next_one_in_the_file(load, offset, end):
    first, second = (0, 0xB00000, 0, "r--p"), (0xA00000, 0x100000, offset, "rw-p")
    assert areas(load(Recording().exec(100, *segments(BASE, first, second)))) == [(0, end), (0xA00000, 0xB00000)]


def aligned():
    return segments(BASE, (0, 0x808000, 0, "r--p"), (0x200000, PAGE, 0x200000, "r-xp"), (0x400000, PAGE, 0x400000, "r--p"),
                    (0x7FF000, 0x4000, 0x5FF000, "rw-p"))


@pytest.mark.parametrize(("faults", "end"), [((), PAGE), ((0x10, 0x2FFF, 0x1000), 3 * PAGE), ((0x1FFFFF,), 0x200000)])
def test_segments_2_mib_apart_in_the_file_too_end_where_they_were_touched(load, faults, end):
    recording = Recording().exec(100, *aligned())
    for address in (*faults, 0x200000, 0x400000):
        recording.fault(100, BASE + address, 4)
    recording.enter(100, "execve", filename=1, argv=2, envp=3).exec(100, *aligned()).fault(100, BASE + 0x8000, 4)
    trace = load(recording)
    holes = [(address - BASE, length) for name, _, address, length in operations(trace, "addr", "length") if name == "MUNMAP"]
    first = [] if end == 0x200000 else [(end, 0x200000 - end)]
    later = [(0x201000, 0x1FF000), (0x401000, 0x3FE000)]
    assert holes == first + later + [(0x9000, 0x200000 - 0x9000)] + later


def test_capture_tells_where_the_first_segment_ends(load):
    recording = Recording().exec(100, *aligned()).fault(100, BASE + 0x1000, 4)
    recording.lines.insert(0, "# image: 0x5000 9 /bin/prog")
    recording.lines.insert(0, "# image: 0x6000 8 /bin/prog")
    assert areas(load(recording))[:2] == [(0, 5 * PAGE), (0x200000, 0x201000)]


def test_a_mapping_into_an_image_after_execve_cuts_nothing(load):
    recording = Recording().exec(100, *aligned()[:1])
    recording.mmap(100, BASE + 0x400000, PAGE, 1, 2, 3, 0x400000, mapped=aligned()[2])
    assert "MUNMAP" not in [name for name, *_ in operations(load(recording))]
    assert [name for name, *_ in operations(load(started().exec(100, *aligned()[1:3])))] == ["SPAWN", "EXECVE", "MMAP", "MMAP"]


@pytest.mark.parametrize("top", [1 << 47, 1 << 56])
def test_the_stack_where_execve_began_it_is_no_area(load, top):
    """Told of if it becomes executable there (gcc -z execstack) or the personality changes it (setarch -X); then it moves."""
    began = {"start": top - 2 * PAGE, "length": PAGE, "offset": top - 2 * PAGE, "prot": "rwxp"}
    stack = {"start": B, "length": 0x21000, "path": "[stack]", "offset": 0x7FFFFFFDE000, "prot": "rwxp"}
    trace = load(Recording().exec(100, began, stack, *aligned()[:1]))
    assert operations(trace, "addr", "prot")[1:] == [
        ("MMAP", 100, B, 7), ("WRITE", 100, B + 0x20000, 0), ("MMAP", 100, BASE, 1)]
    fixed = {**stack, "start": top - PAGE - 0x21000}                # setarch -R
    assert [name for name, *_ in operations(load(Recording().exec(100, fixed)))] == ["SPAWN", "MMAP", "WRITE"]


def test_shared_memory_that_is_executed_was_written(load):
    """fexecve of a memfd (containers do it): its pages are there to be mapped around a fault, as those of a file on disk."""
    image = {"path": "/memfd:prog (deleted)", "inode": 7}
    other = {"start": B, "length": PAGE, "path": "/memfd:data (deleted)", "inode": 8, "prot": "rw-s"}
    recording = Recording().exec(100, {"start": BASE, "length": 4 * PAGE, "prot": "r--p", **image})
    trace = load(recording.mmap(100, B, PAGE, 3, 1, 3, mapped=other))
    assert [(file.name, file.kind) for file in trace.files] == [("/memfd:prog", "disk"), ("/memfd:data", "shmem")]
