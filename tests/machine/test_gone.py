"""What is gone (Machine.gone): every removed or changed translation is told, and no other.

The oracle is brute force: all present entries of all page tables before and after each step of a random program.
"""
import contextlib
import itertools

import numpy as np
import pytest

import programs
import rmapcore
from rmapcore import OPERATION, Op, Why
from rmapcore.kernels import kernels
from rmapcore.schemes import registry

PAGE = 4096
PRESENT, PROTNONE, YOUNG_DIRTY = 0x1, 0x80, 0x60
MAYMOVE, FIXED, DONTUNMAP = 1, 2, 4
# steps that fault pages in, which may reclaim others, and these come back in the same step
FAULTING = {"read", "write", "touch", "pin", "mmap", "mlock", "mlockall", "brk", "madvise", "mremap", "remap_file_pages"}
SIZES = ((40, 300), (28, 400), (64, 120))      # RAM and swap in pages, by seed


def translations(machine):
    """{(pid, address): entry without its young and dirty bits} of all present entries."""
    tables, mms = machine._core.view("tables"), machine._core.view("mms")
    entries = machine._core.view("entries").reshape(len(tables), -1)
    found = {}
    for number in np.flatnonzero(tables["level"] == 0)[1:].tolist():       # table 0 is none
        table = tables[number]
        pid = int(mms["pid"][table["mm"]])
        for index in np.flatnonzero(entries[number] & (PRESENT | PROTNONE)).tolist():
            found[pid, (int(table["first_vpn"]) + index) * PAGE] = int(entries[number][index]) & ~YOUNG_DIRTY
    return found


def frame(entry):
    return (entry & ~(1 << 63)) >> 12


def taken(machine):
    """[(pid, address, frame, why)] of what is in the ring."""
    return [(int(row["process"]), int(row["address"]), int(row["pfn"]), Why(row["why"])) for row in machine.gone()]


def complaints(step, before, after, told):
    """What the ring tells too little, too much or wrong of a step. A step that faults pages in may tell of a page that went and
    came back, but one access can bring no other page back than its own."""
    name, _, *arguments = step
    touched = arguments[0] if name in ("read", "write", "touch") else None
    differ = {place for place, entry in before.items() if after.get(place) != entry}
    by_place = {}
    for pid, address, pfn, why in told:
        by_place.setdefault((pid, address), []).append((pfn, why))
    for place in differ - by_place.keys():
        yield f"not told: {place}"
    for place, changes in by_place.items():
        came_back = name in FAULTING and (touched is None or place[1] in places(touched))
        if place in before and changes[0][0] != frame(before[place]):
            yield f"{place} led to frame {frame(before[place])}, told is {changes}"
        if place not in differ and not came_back:
            yield f"told, and is as it was: {place} {changes}"
        # mprotect writes to locked memory that it makes writable
        if len(changes) > 1 and not came_back and not (name == "mprotect" and changes[1][1] == Why.COPY):
            yield f"told more than once: {place} {changes}"


def places(touched):
    """The page of a single access; all of a range that is longer."""
    if isinstance(touched, list):
        return {address // PAGE * PAGE for address in touched} if not isinstance(touched[0], tuple) else ANYWHERE
    return {touched // PAGE * PAGE} if isinstance(touched, int) else ANYWHERE


class Everywhere:
    """Has every address: of an access whose address only the program's state knows."""

    def __contains__(self, address):
        return True


ANYWHERE = Everywhere()


def single(step):
    """A step as steps that touch one page each."""
    name, index, *arguments = step
    if name in ("read", "write") and not isinstance(arguments[0], tuple):
        addr, length = arguments
        if 0 < length <= 64 * PAGE:
            last = (addr + length - 1) // PAGE * PAGE
            return [(name, index, addr, 1)] + [(name, index, at, 1) for at in range(addr // PAGE * PAGE + PAGE, last + 1, PAGE)]
    if name == "touch":
        return [(name, index, [address], arguments[1]) for address in arguments[0]]
    return [step]


def against_scan(scheme, kernel, arch, seed, n_ops):
    """Runs a program; how many translations were told, by why."""
    ram, swap = SIZES[seed % len(SIZES)]
    machine = rmapcore.Machine(scheme, kernel=kernel, arch=arch, ram=ram * PAGE, swap=swap * PAGE, watch=1 << 16)
    state = programs.State()
    counts = dict.fromkeys(Why, 0)
    before = translations(machine)
    for number, whole in enumerate(programs.program(seed, n_ops, arch, kernel)):
        for step in single(whole):
            with contextlib.suppress(ValueError):            # stamps are not tracked
                programs.run_step(machine, state, step)
            after, told = translations(machine), taken(machine)
            wrong = list(complaints(step, before, after, told))
            assert not wrong, f"step {number} {step}: {wrong}"
            for *_, why in told:
                counts[why] += 1
            before = after
    assert machine.gone_lost == 0
    return counts


@pytest.mark.parametrize("kernel", list(kernels()))
@pytest.mark.parametrize("scheme", registry())
def test_every_difference_is_told(scheme, kernel):
    arch = "x86_64" if kernel == "6.18" else ("i386", "i386-pae", "x86_64")[list(registry()).index(scheme) % 3]
    counts = against_scan(scheme, kernel, arch, list(registry()).index(scheme), 150)
    assert sum(counts.values()) > 20


@pytest.mark.long
@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("arch", ["i386", "i386-pae", "x86_64"])
@pytest.mark.parametrize("kernel", list(kernels()))
@pytest.mark.parametrize("scheme", registry())
def test_every_difference_is_told_in_many_programs(scheme, kernel, arch, seed):
    against_scan(scheme, kernel, arch, seed, 400)


def test_a_wrong_ring_is_seen():
    before = {(1, 0): 1 << 12 | 1, (1, PAGE): 2 << 12 | 3}
    after = {(1, PAGE): 2 << 12 | 3}
    gone = [(1, 0, 1, Why.UNMAP)]
    unmap, write = ("munmap", 0, 0, PAGE), ("write", 0, PAGE, 1)
    assert not list(complaints(unmap, before, after, gone))
    assert list(complaints(unmap, before, {}, gone))                                         # one is missing
    assert list(complaints(unmap, before, before, gone))                                     # nothing has happened
    assert list(complaints(unmap, before, after, [(1, 0, 7, Why.UNMAP)]))                    # another frame
    assert list(complaints(unmap, before, after, gone * 2))
    assert list(complaints(write, before, {(1, 0): 1 << 12 | 1, (1, PAGE): 2 << 12 | 1}, []))      # lost a permission
    assert list(complaints(write, before, before, gone))                                     # not the page that is written


# --- by hand ----------------------------------------------------------------------------------------------------------


def scene(kernel="6.18", scheme="anon_vma_chain", pages=4, watch=64, **options):
    machine = rmapcore.Machine(scheme, kernel=kernel, ram="1MiB", swap="4MiB", watch=watch, **options)
    process = machine.spawn()
    at = process.mmap(length=pages * PAGE, prot="rw")
    process.write(at, pages * PAGE)
    assert len(machine.gone()) == 0            # what comes is no news
    return machine, process, at


def whys(machine):
    return [why for *_, why in taken(machine)]


@pytest.mark.parametrize("kernel", list(kernels()))
def test_each_why(kernel):
    machine, process, at = scene(kernel)
    pfns = process.pagemap(at, 4 * PAGE)["pfn"].tolist()
    process.mprotect(at, PAGE, "r")
    assert taken(machine) == [(process.pid, at, pfns[0], Why.PROTECT)]
    child = process.fork()
    assert taken(machine) == [(process.pid, at + n * PAGE, pfns[n], Why.PROTECT) for n in (1, 2, 3)]
    child.write(at + PAGE, 1)
    assert taken(machine) == [(child.pid, at + PAGE, pfns[1], Why.COPY)]
    process.write(at + PAGE, 1)                # nobody else has it any more
    assert taken(machine) == [(process.pid, at + PAGE, pfns[1], Why.PROTECT)]
    there = process.mremap(at + 2 * PAGE, PAGE, PAGE, MAYMOVE | FIXED, at + 64 * PAGE)
    assert taken(machine)[0] == (process.pid, at + 2 * PAGE, pfns[2], Why.MOVE)
    process.munmap(there, PAGE)
    assert whys(machine) == [Why.UNMAP]
    process.madvise(at + 3 * PAGE, PAGE, "dontneed")
    assert taken(machine) == [(process.pid, at + 3 * PAGE, pfns[3], Why.UNMAP)]
    child.exit()
    assert set(whys(machine)) == {Why.EXIT}
    process.execve()
    assert whys(machine) == [Why.EXIT, Why.EXIT] and machine.gone_lost == 0


def test_the_zero_page_is_replaced():
    machine, process, _ = scene()
    at = process.mmap(length=PAGE, prot="rw")
    process.read(at, 1)
    process.write(at, 1)
    assert taken(machine) == [(process.pid, at, 0, Why.COPY)]


@pytest.mark.parametrize("scheme", registry())
def test_reclaim_tells_of_every_mapping(scheme):
    machine, process, _ = scene("2.6.7", scheme, 40, watch=128)
    process.fork()
    machine.gone()
    before = translations(machine)
    machine.reclaim(40)
    machine.reclaim(40)
    told = taken(machine)
    lost = {place: frame(entry) for place, entry in before.items() if place not in translations(machine)}
    assert {(pid, address): pfn for pid, address, pfn, _ in told} == lost and len(told) == len(lost) > 0
    assert {why for *_, why in told} == {Why.RECLAIM}


def test_young_bits_are_no_news():
    machine, process, at = scene()
    process.read(at, 4 * PAGE)
    process.madvise(at, 4 * PAGE, "cold")
    process.madvise(at, 4 * PAGE, "free")
    assert len(machine.gone()) == 0


def test_pages_that_are_written_back_cannot_be_written_without_a_fault():
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="1MiB", watch=16)
    file = machine.file("f", 4 * PAGE)
    process = machine.spawn()
    at = process.mmap(length=4 * PAGE, prot="rw", flags=1, file=file)
    process.write(at, 2 * PAGE)
    machine.gone()
    operations = np.zeros(1, OPERATION)
    operations["op"], operations["other"] = Op.WRITEBACK, 1
    machine.run(operations, [file])
    assert whys(machine) == [Why.PROTECT, Why.PROTECT]
    process.write(at, 1)
    assert whys(machine) == [Why.PROTECT]


def test_whole_tables_that_move():
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="16MiB", watch=1 << 11)
    process = machine.spawn()
    pages = 1024
    at = process.mmap(1 << 30, pages * PAGE, "rw", 0x32)
    process.write(at, pages * PAGE)
    pfns = process.pagemap(at, pages * PAGE)["pfn"].tolist()
    process.mremap(at, pages * PAGE, pages * PAGE, MAYMOVE | FIXED, 2 << 30)
    assert taken(machine) == [(process.pid, at + n * PAGE, pfn, Why.MOVE) for n, pfn in enumerate(pfns)]


# --- the ring ---------------------------------------------------------------------------------------------------------


def test_a_full_ring_loses_the_newest_and_counts_them():
    machine, process, at = scene(pages=20, watch=8)
    pfns = process.pagemap(at, 20 * PAGE)["pfn"].tolist()
    process.munmap(at, 20 * PAGE)
    assert [pfn for _, _, pfn, _ in taken(machine)] == pfns[:8] and machine.gone_lost == 12
    for _ in range(5):                         # round and round
        at = process.mmap(length=3 * PAGE, prot="rw")
        process.write(at, 3 * PAGE)
        process.munmap(at, 3 * PAGE)
        assert [address for _, address, _, _ in taken(machine)] == [at, at + PAGE, at + 2 * PAGE]
    assert machine.gone_lost == 12


def test_nobody_watches_unless_asked():
    machine, process, at = scene(watch=0)
    process.munmap(at, PAGE)
    assert len(machine.gone()) == 0 and machine.gone_lost == 0
    assert machine.gone().dtype.names == ("address", "process", "pfn", "why")


@pytest.mark.parametrize("watch", [-1, 3, 1.0, True, "8", 1 << 31, None])
def test_a_ring_has_a_power_of_2_of_records(watch):
    with pytest.raises(ValueError if type(watch) is int else TypeError, match="watch"):
        rmapcore.Machine(ram="1MiB", watch=watch)


def test_copies_and_saved_machines(tmp_path):
    machine, process, at = scene()
    process.munmap(at, PAGE)
    twin = machine.copy()
    assert len(twin.gone()) == 0
    twin.process(process.pid).munmap(at + PAGE, PAGE)
    assert whys(twin) == [Why.UNMAP] and len(machine.gone()) == 1
    machine.save(tmp_path / "machine")
    loaded = rmapcore.Machine.load(tmp_path / "machine")
    loaded.process(process.pid).munmap(at + PAGE, PAGE)
    assert len(loaded.gone()) == 0


def test_watching_changes_nothing_else():
    """Counters and contents of a machine that is watched are those of one that is not."""
    states = []
    for watch in (0, 1 << 12):
        machine = rmapcore.Machine("anonmm", ram=40 * PAGE, swap=300 * PAGE, watch=watch, track_contents=True)
        state = programs.State()
        for step in itertools.islice(programs.program(3, 150), 150):
            programs.run_step(machine, state, step)
        states.append({name: machine._core.view(name).tobytes() for name in machine._core.arenas})
    assert states[0] == states[1]
