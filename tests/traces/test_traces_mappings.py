"""What the importer knows of the files that are mapped, which is how long they must be."""
import random

from recordings import LIBC, PAGE, A, B, C, operations, started
from rmapcore.traces.mappings import Mappings

DATA = {"path": "/srv/data", "inode": 8, "prot": "r--s"}
BOTH = [("/usr/lib/libc.so.6", 2), ("/srv/data", 19)]


def lengths(trace):
    return [(file.name, file.size // PAGE) for file in trace.files]


def both(where):
    """One file at A, of 2 pages, that mremap has moved away to B; and another one."""
    recording = started().mmap(100, A, 2 * PAGE, 1, 1, 3, mapped=dict(start=A, length=2 * PAGE, **LIBC))
    recording.call(100, "mremap", B, addr=A, old_len=2 * PAGE, new_len=2 * PAGE, flags=3, new_addr=B)
    return recording.mmap(100, where, PAGE, 1, 1, 4, mapped=dict(start=where, length=PAGE, **DATA))


def grown(recording, where, to=C, length=PAGE):
    return recording.call(100, "mremap", to, addr=where, old_len=length, new_len=18 * PAGE + 0x800, flags=1, new_addr=0)


def test_where_a_file_was_before_mremap_is_none_of_it(load):
    """chromium: a file that had been moved away was made longer, and the one there now was not; then a fault was refused."""
    assert lengths(load(grown(both(A + PAGE), A + PAGE))) == BOTH


def test_what_is_left_of_a_mapping(load):
    for call, fields in (("munmap", {"addr": B, "len": 2 * PAGE}), ("munmap", {"addr": B - PAGE, "len": 2 * PAGE + 1})):
        recording = both(B + PAGE).call(100, call, **fields).mmap(100, B, 2 * PAGE)
        assert lengths(load(grown(recording, B, length=2 * PAGE))) == [BOTH[0], ("/srv/data", 1)]
    assert lengths(load(grown(both(B + PAGE), B + PAGE))) == BOTH
    assert lengths(load(grown(both(B + PAGE), B))) == [("/usr/lib/libc.so.6", 19), ("/srv/data", 1)]


def test_mremap_of_several_areas_makes_none_longer(load):
    recording = both(B + PAGE).call(100, "mremap", C, addr=B, old_len=2 * PAGE, new_len=2 * PAGE, flags=3, new_addr=C)
    assert lengths(load(recording)) == [BOTH[0], ("/srv/data", 1)]
    assert lengths(load(grown(recording, C + PAGE, B))) == BOTH


def test_the_old_range_may_be_another_threads_before_mremap_is_over(load):
    recording = both(B + PAGE).enter(100, "clone3", uargs=1, size=88).fork(100, (100, 101)).leave(100, "clone3", 101)
    recording.enter(100, "mremap", addr=B + PAGE, old_len=PAGE, new_len=19 * PAGE, flags=1, new_addr=0)
    recording.mmap((100, 101), B + PAGE, PAGE).leave(100, "mremap", C)
    trace = load(recording)
    assert [name for name, *_ in operations(trace)][-2:] == ["MREMAP", "MMAP"] and lengths(trace) == BOTH


def test_a_fork_has_the_mappings_of_its_parent(load):
    recording = both(B + PAGE).enter(100, "fork").fork(100, 101).call(100, "munmap", addr=B, len=2 * PAGE)
    recording.call(101, "mremap", C, addr=B + PAGE, old_len=PAGE, new_len=19 * PAGE, flags=1, new_addr=0)
    assert lengths(load(recording)) == BOTH


def test_like_a_table_of_pages():
    """Random calls, against a dictionary page -> (file, page of the file)."""
    pick = random.Random(5)
    for _ in range(200):
        mappings, pages = Mappings(), {}
        for file in range(1, 40):
            start, length, offset = pick.randrange(40), pick.randint(1, 12), pick.randrange(99)
            kind = pick.choice(("add", "add", "cut", "move"))
            if kind == "add":
                mappings.add(start * PAGE, length * PAGE - pick.randrange(PAGE), file, offset * PAGE)
                pages |= {start + at: (file, offset + at) for at in range(length)}
            elif kind == "cut":
                mappings.cut(start * PAGE, length * PAGE)
                pages = {at: page for at, page in pages.items() if not start <= at < start + length}
            else:
                new = start + 60
                parts = mappings.shown(start * PAGE, length * PAGE)
                mappings.cut(start * PAGE, length * PAGE)
                made = mappings.lay(parts, start * PAGE, new * PAGE, length * PAGE) if len(parts) > 1 else []
                moved = {at: pages.pop(at) for at in range(start, start + length) if at in pages}
                pages = {at: page for at, page in pages.items() if not new <= at < new + length or not made}
                pages |= {at + 60: page for at, page in moved.items() if made}
            found = {start // PAGE + at: (part.file, part.offset // PAGE + at) for start, part in mappings.parts.items()
                     for at in range((part.end - part.start) // PAGE)}
            assert found == pages and mappings.starts == sorted(mappings.parts)
            assert (mappings.at(start * PAGE) is None) == (start not in pages)
