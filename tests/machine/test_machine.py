"""The Machine as users meet it: arguments, views, snapshots, sizes, running out of memory."""
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from rmapcore.linux.uapi import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE

PAGE = 4096
SCHEMES = list(rmapcore.schemes())


def busy(scheme="anon_vma", **options):
    """A machine with a family, files, swap and shared memory."""
    machine = rmapcore.Machine(scheme, **{"ram": "256KiB", "swap": "1MiB", "track_contents": True, **options})
    parent = machine.spawn("parent")
    heap = parent.mmap(length=40 * PAGE)
    parent.write(heap, 40 * PAGE)
    file = machine.file("data", 10 * PAGE)
    shared = parent.mmap(0, 10 * PAGE, 3, 0x01, file)
    parent.write(shared, 3 * PAGE)
    anonymous = parent.mmap(0, 4 * PAGE, 3, 0x21)
    child = parent.fork()
    child.write(heap, 10 * PAGE)
    child.write(anonymous, 4 * PAGE)
    machine.reclaim(20)
    return machine, parent, child, heap


@pytest.mark.parametrize(("arguments", "error", "says"), [
    ({"scheme": "objrmap"}, rmapcore.UnknownName, "'objrmap' is unknown; known: virtual_scan, pte_chain, "),
    ({"scheme": "pte_chain:line=48"}, ValueError, "48"),
    ({"scheme": "pte_chain:lines=32"}, ValueError, "lines"),
    ({"scheme": "anonmm:x=1"}, ValueError, "'x'"),
    ({"scheme": "anonmm:x"}, ValueError, "KEY=VALUE"),
    ({"file_rmap": "hash"}, rmapcore.UnknownName, "hash"),
    ({"arch": "arm"}, rmapcore.UnknownName, "'arm'"),
    ({"kernel": "5.0"}, rmapcore.UnknownName, "5.0"),
    ({"ram": 0}, ValueError, "ram"),
    ({"ram": 5000}, ValueError, "ram: 5000 is not a multiple"),
    ({"ram": -4096}, ValueError, "ram"),
    ({"ram": "12XB"}, ValueError, "'12XB'"),
    ({"ram": "8GiB", "arch": "i386"}, ValueError, "4 GiB"),
    ({"swap": 1}, ValueError, "swap: 1"),
    ({"swap": "3TiB", "arch": "i386"}, ValueError, "swap: '3TiB' is more than 2 TiB"),
    ({"file_rmap": "pte_chain:line=1"}, ValueError, "line"),
    ({"swap": True}, TypeError, "swap: True"),
    ({"max_ptes": 3}, ValueError, "max_ptes"),
    ({"scheme": "anonmm", "file_rmap": "none"}, ValueError, "file_rmap none needs a scheme that sweeps page tables"),
    ({"scheme": "virtual_scan:x=1"}, ValueError, "'x'"),
    ({"scheme": "virtual_scan", "file_rmap": "none:x=1"}, ValueError, "'x'"),
    ({"file_rmap": "list:x=1"}, ValueError, "'x'"),
])
def test_bad_arguments(arguments, error, says):
    with pytest.raises(error, match=says.replace("(", r"\(")):
        rmapcore.Machine(**arguments)


def test_frames_are_a_read_only_view_of_the_live_table():
    machine, parent, _, heap = busy()
    frames = machine.frames
    assert frames.dtype.names == ("flags", "mapcount", "rmap", "owner", "index", "next", "prev")
    assert frames.itemsize == 32
    assert len(frames) == machine.ram // PAGE
    with pytest.raises(ValueError, match="read-only"):
        frames["flags"][1] = 0
    parent.read(heap, 10 * PAGE)
    pfn = parent.pagemap(heap, PAGE)["pfn"][0]
    assert frames["mapcount"][pfn] == 1        # the same memory, no new call to frames


def test_page_tables_in_areas_of_terabytes():
    """A table is for 512 pages; ranges end where areas do, and two in a row are one."""
    process = rmapcore.Machine(ram="4 MiB", track_contents=False).spawn()
    assert process.tabled().tolist() == []
    at, table, length = 1 << 44, 512 * PAGE, 1 << 40
    process.mmap(at + PAGE, length, "rw", MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    for page in (3, 512, 5 * 512, (length >> 12)):
        process.write(at + page * PAGE)
    assert process.tabled().tolist() == [[at + PAGE, at + 2 * table], [at + 5 * table, at + 6 * table],
                                         [at + length, at + length + PAGE]]
    process.munmap(at + PAGE, length)
    assert process.tabled().tolist() == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whomaps_is_mappings(scheme):
    machine, *_ = busy(scheme)
    pfns = np.arange(machine.ram // PAGE)
    offsets, pids, addresses = machine.whomaps(pfns)
    assert offsets.tolist() == machine.mappings(pfns)[0].tolist()
    assert offsets[1] == 0                     # the zero page is nobody's
    for pfn in pfns:
        part = slice(offsets[pfn], offsets[pfn + 1])
        assert sorted(zip(pids[part].tolist(), addresses[part].tolist(), strict=True)) == sorted(
            zip(*(array.tolist() for array in machine.mappings([pfn])[1:]), strict=True))
    twice = machine.mappings([pfns[5], pfns[5], pfns[3]])
    assert twice[0][1] * 2 == twice[0][2]
    with pytest.raises(ValueError, match="frame numbers"):
        machine.whomaps([machine.ram // PAGE])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_copies_and_snapshots_go_on_alike(scheme, tmp_path):
    machine, parent, child, heap = busy(scheme)
    machine.save(tmp_path / "machine")
    others = [machine.copy(), rmapcore.Machine.load(tmp_path / "machine")]
    results = []
    for one in (machine, *others):
        one.check()
        assert list(one.processes) == [parent.pid, child.pid]
        assert one.processes[parent.pid].name == "parent"
        mine = one.processes[child.pid]
        mine.write(heap + 5 * PAGE, 30 * PAGE)
        grandchild = mine.fork()
        grandchild.mremap(heap, 8 * PAGE, 8 * PAGE, 3, 0x70000000)
        one.processes[parent.pid].exit()
        one.reclaim(30)
        one.check()
        results.append([np.array(one._core.view(name)).tobytes() for name in one._core.arenas])
    assert results[0] == results[1] == results[2]


def test_a_copy_is_independent():
    machine, parent, _, heap = busy()
    before = parent.stamps(heap, 40 * PAGE).tolist()
    copy = machine.copy()
    copy.processes[parent.pid].write(heap, 40 * PAGE)
    copy.processes[parent.pid].exit()
    assert parent.stamps(heap, 40 * PAGE).tolist() == before
    machine.check()


def test_same_operations_same_bytes():
    states = [{name: np.array(machine._core.view(name)).tobytes() for name in machine._core.arenas}
              for machine in (busy("anon_vma")[0], busy("anon_vma")[0])]
    assert states[0] == states[1]


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"PK\x03\x04 cut off"])
def test_loading_what_is_no_machine(tmp_path, damage):
    path = tmp_path / "machine"
    path.write_bytes(damage)
    with pytest.raises(rmapcore.RmapcoreError, match="not a saved machine"):
        rmapcore.Machine.load(path)


def test_loading_a_damaged_machine(tmp_path):
    machine, *_ = busy()
    machine.save(tmp_path / "machine")
    with np.load(tmp_path / "machine") as saved:
        arrays = dict(saved)
    arrays["frames"]["mapcount"][1] += 1
    with open(tmp_path / "machine", "wb") as out:
        np.savez(out, **arrays)
    with pytest.raises(rmapcore.RmapcoreError, match="a damaged machine: F"):
        rmapcore.Machine.load(tmp_path / "machine")


def test_loading_a_truncated_machine(tmp_path):
    machine, *_ = busy()
    machine.save(tmp_path / "machine")
    whole = (tmp_path / "machine").read_bytes()
    (tmp_path / "machine").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(rmapcore.RmapcoreError, match="not a saved machine"):
        rmapcore.Machine.load(tmp_path / "machine")
    with pytest.raises(FileNotFoundError):
        rmapcore.Machine.load(tmp_path / "missing")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_out_of_memory_loses_nothing(scheme):
    machine = rmapcore.Machine(scheme, ram=16 * PAGE, swap=9 * PAGE, track_contents=True)
    process = machine.spawn()
    at = process.mmap(length=100 * PAGE)
    with pytest.raises(rmapcore.OutOfMemory, match="out of memory"):
        process.write(at, 100 * PAGE)
    machine.check()
    stamps = process.stamps(at, 100 * PAGE)
    written = int((stamps > 0).sum())
    assert written == 15 + 8                   # all frames but the zero page, all slots but the header
    assert len(np.unique(stamps[:written])) == written
    assert isinstance(rmapcore.OutOfMemory(), MemoryError)
    process.munmap(at, 50 * PAGE)
    process.write(at + 50 * PAGE, 5 * PAGE)
    machine.check()


def test_a_full_arena_is_named_and_changes_nothing():
    machine = rmapcore.Machine("anonmm", ram="1MiB", swap=0, max_ptes=8 * 512)
    process = machine.spawn()
    at = process.mmap(length=1 << 30)
    with pytest.raises(rmapcore.ArenaFull, match="tables"):
        process.touch(at + np.arange(16) * (2 << 20), True)
    machine.check()
    with pytest.raises(rmapcore.ArenaFull, match="tables"):
        process.fork()
    machine.check()
    process.exit()
    machine.check()


def test_counters_are_a_mapping_of_differences():
    machine, parent, _, heap = busy()
    before = machine.counters
    parent.read(heap, 40 * PAGE)
    work = machine.counters.since(before)
    assert work["faults_swapin"] == sum(work[name] for name in work if name.startswith("faults_"))
    with pytest.raises(KeyError):
        work["faults"]


def test_reclaim_adds_up():
    machine, *_ = busy()
    result = machine.reclaim(10)
    assert result.freed >= 10
    assert result["scanned"] == result.referenced + result.failed + result.freed
    assert result.swapped <= result.freed


@pytest.mark.parametrize("line", [32, 64, 128])
def test_chain_blocks_for_m_mappers(line):
    """A page with m mappers costs nothing for m = 1, else ceil(m / NRPTE) blocks."""
    machine = rmapcore.Machine(f"pte_chain:line={line}", arch="i386", ram="1MiB", swap=0)
    process = machine.spawn()
    at = process.mmap(length=PAGE)
    process.write(at)
    entries = (line - 4) // 4
    for mappers in range(1, 70):
        blocks = machine.memory()["structures"].get("pte_chain", {"live": 0, "bytes": 0})
        assert blocks["live"] == (0 if mappers == 1 else -(-mappers // entries))
        assert blocks["bytes"] == blocks["live"] * line
        process.fork()


def test_truncating_takes_pages_from_every_page_table():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap="1MiB", track_contents=True)
    file = machine.file("f", 8 * PAGE)
    process = machine.spawn()
    shared = process.mmap(0, 8 * PAGE, 3, 0x01, file)
    private = process.mmap(0, 8 * PAGE, 3, 0x02, file)
    process.write(shared, 8 * PAGE)
    process.write(private, 8 * PAGE)
    file.truncate(3 * PAGE - 1)
    assert file.size == 3 * PAGE - 1
    assert process.rss == 6
    machine.check()
    with pytest.raises(rmapcore.BusError):
        process.read(shared + 3 * PAGE)
    file.truncate(20 * PAGE)
    assert process.stamps(shared, 8 * PAGE).tolist()[3:] == [0] * 5
    process.read(shared + 3 * PAGE)
    machine.check()


def test_contents_survive_swap_files_and_forks():
    machine = rmapcore.Machine("anonmm", ram=32 * PAGE, swap="1MiB", track_contents=True)
    file, memory = machine.file("f", 20 * PAGE), machine.file("m", 20 * PAGE, "shmem")
    process = machine.spawn()
    places = [process.mmap(length=20 * PAGE), process.mmap(0, 20 * PAGE, 3, 0x01, file),
              process.mmap(0, 20 * PAGE, 3, 0x01, memory), process.mmap(0, 20 * PAGE, 3, 0x02, file)]
    for place in places:                       # four times the RAM: all go to swap, disk and back
        process.write(place, 20 * PAGE)
    seen = [process.stamps(place, 20 * PAGE).tolist() for place in places]
    assert all(0 not in stamps for stamps in seen)
    assert len({stamp for stamps in seen for stamp in stamps}) == 80
    child = process.fork()
    for place in reversed(places):
        child.read(place, 20 * PAGE)
    assert [child.stamps(place, 20 * PAGE).tolist() for place in places] == seen
    child.write(places[0], 20 * PAGE)
    assert [process.stamps(place, 20 * PAGE).tolist() for place in places] == seen
    machine.check()


@pytest.mark.parametrize(("arch", "kernel", "most"), [
    ("i386", "2.6.7", 32 << 24), ("i386", "6.18", 16 << 24), ("i386-pae", "6.18", 16 << 24), ("x86_64", "6.18", (1 << 31) - 1)])
def test_swap_that_entries_cannot_name(arch, kernel, most):
    with pytest.raises(ValueError, match="what an entry of"):
        rmapcore.Machine("anonmm", kernel=kernel, arch=arch, ram="1MiB", swap=(most + 1) * 4096)
    assert rmapcore.Machine("anonmm", kernel=kernel, arch=arch, ram="1MiB", swap=most * 4096).swap == most * 4096


def test_names_outlive_processes(tmp_path):
    machine = rmapcore.Machine("anon_vma", ram="1MiB")
    shell = machine.spawn("shell")
    child = shell.fork()
    child.name = "ls"
    child.exit()
    machine.spawn()
    assert machine.names == {1: "shell", 2: "ls"}
    machine.name({9: "later", 3: "cat"})
    assert machine.names == {1: "shell", 2: "ls", 9: "later", 3: "cat"} and machine.process(3).name == "cat"
    machine.save(tmp_path / "m")
    assert rmapcore.Machine.load(tmp_path / "m").names == machine.copy().names == machine.names
    for wrong in ({"1": "a"}, {1: 2}, {-1: "a"}, 3):
        with pytest.raises((TypeError, ValueError)):
            machine.name(wrong)
    assert len(machine.names) == 4


def test_a_replay_leaves_the_names_of_all_its_processes():
    trace = rmapcore.load_trace(Path(__file__).parents[1] / "data" / "redis-bgsave.perf.txt.zst")
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18")
    trace.replay(machine)
    assert trace.names and machine.names == trace.names
