"""The C interface does what Machine, Process and File do: same states, same numbers; and what it refuses, nothing changes."""
import json
import random
import threading

import numpy as np
import pytest

import rmapcore
from rmapcore.core.snapshot import held
from rmapcore.kernels import kernels
from rmapcore.schemes import registry

PAGE = 4096
FIXED = 0x32                                   # MAP_PRIVATE, FIXED, ANONYMOUS
ABSENT, SEGV, BUS, OOM, FULL = -1, -1001, -1002, -1003, -1004
BAD_HANDLE, BUSY, INSIDE, BAD_ARGUMENT, EXCEPTION, TOO_SMALL = range(-1101, -1107, -1)
ENOMEM, EBADF, EFAULT, EINVAL, ESRCH = -12, -9, -14, -22, -3
KINDS = {"zero": 1, "file": 2, "swapin": 3, "cow": 4, "spurious": 5}
EVICTED = 0x100
FACTS = ["ram", "ram_free", "swap", "swap_free", "user_end", "levels", "tables", "entry_bytes", "gone_lost"]
FACT = {name: number for number, name in enumerate(FACTS, 1)}


class Door:
    """A machine as C has it: every function of the interface as a method, arrays as the caller's."""

    def __init__(self, client, machine):
        self.client, self.machine = client, machine
        code, self.handle = client.adopt(machine)
        assert code == 0, client.message()

    def __getattr__(self, name):
        return lambda *arguments: self.client.call(name, self.handle, *arguments)


@pytest.fixture
def door(client):
    doors = []

    def make(*arguments, **options):
        doors.append(Door(client, rmapcore.Machine(*arguments, **{"ram": "1MiB", "swap": "4MiB", **options})))
        return doors[-1]
    yield make
    for one in doors:
        one.close()


def scene(door, pages=8, **options):
    """A door, a pid, and the address of so many written pages."""
    d = door(**options)
    pid = d.spawn()
    at = d.mmap(pid, 1 << 31, pages * PAGE, 3, FIXED, 0, 0)
    for n in range(pages):
        assert d.touch(pid, at + n * PAGE, 1, None) == KINDS["zero"]
    return d, pid, at


# --- the same as from Python ------------------------------------------------------------------------------------------


def steps(seed, n):
    """(name, arguments) of calls that both doors have; processes are numbers of those made so far."""
    draw = random.Random(seed)
    window = (1 << 31) - 8 * PAGE
    for _ in range(n):
        at, length = window + PAGE * draw.randrange(24), PAGE * draw.randrange(1, 8)
        who = draw.randrange(4)
        yield draw.choices(
            [("fork", who), ("mmap", who, at, length, draw.choice([3, 3, 3, 1, 7, 0]), draw.choice([0x32, 0x32, 0x31])),
             ("munmap", who, at, length), ("mprotect", who, at, length, draw.choice([0, 1, 3])),
             ("mremap", who, at, length, PAGE * draw.randrange(1, 8), 3, window + PAGE * draw.randrange(40, 60)),
             ("madvise", who, at, length, draw.choice([1, 4])), ("brk", who, 0), ("touch", who, at, draw.randrange(2)),
             ("reclaim", draw.randrange(8)), ("execve", who), ("exit", who), ("spawn",)],
            [4, 20, 6, 6, 6, 4, 1, 60, 2, 1, 2, 2])[0]


def by_python(machine, processes, step):
    name, *arguments = step
    try:
        if name == "spawn":
            processes.append(machine.spawn().pid)
            return processes[-1]
        if name == "reclaim":
            return machine.reclaim(*arguments).freed
        process = rmapcore.Process(machine, processes[arguments[0] % len(processes)])
        rest = arguments[1:]
        if name == "fork":
            processes.append(process.fork().pid)
            return processes[-1]
        if name == "touch":
            faults = process.touch([rest[0]], bool(rest[1]))
            return next((KINDS[kind] for kind, count in faults.items() if count), 0)
        return getattr(process, name)(*rest) or 0
    except OSError as error:
        return -error.errno
    except rmapcore.SegmentationFault:
        return SEGV
    except rmapcore.OutOfMemory:
        return OOM


def by_c(d, processes, step):
    name, *arguments = step
    if name in ("spawn", "reclaim"):
        answer = getattr(d, name)(*arguments)
    else:
        pid, rest = processes[arguments[0] % len(processes)], arguments[1:]
        if name == "mmap":
            rest = [*rest, 0, 0]
        answer = d.touch(pid, *rest, None) if name == "touch" else getattr(d, name)(pid, *rest)
    if name in ("spawn", "fork") and answer > 0:
        processes.append(answer)
    return answer & 0xFF if name == "touch" and answer > 0 else answer


@pytest.mark.parametrize("kernel", list(kernels()))
@pytest.mark.parametrize("scheme", registry())
def test_a_program_has_the_same_outcome(door, scheme, kernel):
    d = door(scheme, kernel=kernel, ram=48 * PAGE, swap=400 * PAGE, track_contents=True)
    machine = d.machine.copy()
    ours, theirs = [], []
    for number, step in enumerate([("spawn",), *steps(list(registry()).index(scheme), 250)]):
        one, other = by_c(d, ours, step), by_python(machine, theirs, step)
        assert one == other, f"{number} {step}: {one}, from Python {other}"
    assert held(d.machine) == held(machine)


def test_batches_are_single_accesses_in_order(door):
    d = door("anon_vma", ram=48 * PAGE, swap=400 * PAGE, track_contents=True, kernel="6.18")
    parent = d.spawn()
    at = d.mmap(parent, 1 << 31, 40 * PAGE, 3, FIXED, 0, 0)
    child = d.fork(parent)
    twin = Door(d.client, d.machine.copy())
    draw = random.Random(1)
    n = 1000
    who = np.array([draw.choice([parent, child]) for _ in range(n)], np.uint32)
    where = np.array([at + PAGE * draw.randrange(40) + draw.randrange(PAGE) for _ in range(n)], np.uint64)
    writes = np.array([draw.randrange(2) for _ in range(n)], np.uint8)
    physical, kinds, status = np.zeros(n, np.uint64), np.zeros(n, np.uint16), np.ones(1, np.int32)
    assert d.touch_many(n, who, where, writes, physical, kinds, status) == n and status[0] == 0
    for i in range(n):
        one = np.zeros(1, np.uint64)
        assert twin.touch(int(who[i]), int(where[i]), int(writes[i]), one) == kinds[i], i
        assert one[0] == physical[i] and one[0] % PAGE == where[i] % PAGE
    assert held(d.machine) == held(twin.machine) and set(kinds) > {0, 1 | EVICTED, 3, 4}
    twin.close()


def test_translate_is_what_an_access_would_reach(door):
    d, pid, at = scene(door, kernel="6.18")
    empty = d.mmap(pid, at + 64 * PAGE, 4 * PAGE, 3, FIXED, 0, 0)
    d.touch(pid, empty, 0, None)               # the zero page
    before = held(d.machine)
    pfns = d.machine.process(pid).pagemap(at, 8 * PAGE)["pfn"].tolist()
    assert [d.translate(pid, at + n * PAGE + 5, 1) for n in range(8)] == [pfn * PAGE + 5 for pfn in pfns]
    assert d.translate(pid, empty + 7, 0) == 7 and d.translate(pid, empty, 1) == ABSENT
    assert d.translate(pid, empty + PAGE, 0) == ABSENT and d.translate(pid, 1 << 63, 0) == ABSENT
    assert d.translate(77, at, 0) == ESRCH
    addresses = np.array([at, empty, empty + PAGE, at + 9, (1 << 64) - 1], np.uint64)
    found = np.zeros(5, np.int64)
    assert d.translate_many(pid, 5, addresses, found, 0) == 3
    assert found.tolist() == [pfns[0] * PAGE, 0, ABSENT, pfns[0] * PAGE + 9, ABSENT]
    assert held(d.machine) == before


def test_a_leaf_table_that_is_gone_is_not_looked_into(door):
    d, pid, at = scene(door, kernel="6.18")
    assert d.translate(pid, at, 1) > 0
    assert d.munmap(pid, at, 8 * PAGE) == 0 and d.translate(pid, at, 0) == ABSENT
    other = d.mmap(pid, 1 << 40, 8 * PAGE, 3, FIXED, 0, 0)         # takes the tables that are free now
    d.touch(pid, other, 1, None)
    assert d.translate(pid, at, 0) == ABSENT
    assert d.mremap(pid, other, 8 * PAGE, 8 * PAGE, 3, at) == at and d.translate(pid, at, 1) > 0
    assert d.translate(pid, other, 1) == ABSENT
    assert d.execve(pid) == 0 and d.translate(pid, at, 1) == ABSENT
    assert d.exit(pid) == 0 and d.translate(pid, at, 1) == ESRCH


@pytest.mark.parametrize(("arch", "levels", "width"), [("x86_64", 4, 8), ("i386-pae", 3, 8), ("i386", 2, 4)])
def test_walk_gives_every_level(door, arch, levels, width):
    d, pid, at = scene(door, arch=arch)
    assert d.fact(FACT["levels"]) == levels and d.fact(FACT["entry_bytes"]) == width
    entries = np.zeros(8, np.uint64)
    assert d.walk(pid, at, entries, 8) == levels
    tables = d.fact(FACT["tables"])
    assert (entries[:levels] >= tables).all() and tables >= d.fact(FACT["ram"]) and tables % (2 << 20) == 0
    bits = 10 if arch == "i386" else 9
    assert int(entries[levels - 1]) % PAGE == (at // PAGE & (1 << bits) - 1) * width
    near = entries.copy()
    assert d.walk(pid, at + PAGE, near, 8) == levels
    assert (near - entries).tolist()[:levels] == [0] * (levels - 1) + [width]
    assert d.walk(pid, at, entries, 1) == 1 and d.walk(pid, 0, entries, 8) < levels
    assert d.walk(pid, d.fact(FACT["user_end"]), entries, 8) == 0


@pytest.mark.parametrize("scheme", registry())
def test_whomaps_is_the_scan(door, scheme):
    d, pid, at = scene(door, scheme=scheme)
    child = d.fork(pid)
    d.touch(child, at, 1, None)
    frames = [pfn for pfn, row in enumerate(d.machine.frames[1:20], 1) if row["mapcount"]]
    offsets, pids, addresses = d.machine.mappings(frames)
    for number, frame in enumerate(frames):
        for how in (0, 1):
            who, where = np.zeros(4, np.uint32), np.zeros(4, np.uint64)
            counters = d.machine.counters
            n = d.whomaps(frame, how, 4, who, where)
            part = slice(offsets[number], offsets[number + 1])
            assert sorted(zip(who[:n], where[:n], strict=True)) == sorted(zip(pids[part], addresses[part], strict=True))
            assert how == 0 or dict(counters) == dict(d.machine.counters)
        assert d.whomaps(frame, 1, 0, who, where) == TOO_SMALL
    places, who, where = np.zeros(len(frames) + 1, np.int64), np.zeros(64, np.uint32), np.zeros(64, np.uint64)
    n = d.whomaps_many(len(frames), np.array(frames, np.uint32), places, 64, who, where)
    assert n == len(pids) and places.tolist() == offsets.tolist()
    assert sorted(zip(who[:n], where[:n], strict=True)) == sorted(zip(pids, addresses, strict=True))
    assert d.whomaps_many(len(frames), np.array(frames, np.uint32), places, n - 1, who, where) == TOO_SMALL


def test_what_is_gone(door):
    d, pid, at = scene(door)
    assert d.gone(8, bytearray(8 * 24)) == 0 and d.watch(8) == 0
    pfns = d.machine.process(pid).pagemap(at, 8 * PAGE)["pfn"].tolist()
    assert d.munmap(pid, at, 3 * PAGE) == 0
    records = np.zeros(8, [("address", "u8"), ("process", "u4"), ("frame", "u4"), ("why", "u4"), ("reserved", "u4")])
    assert d.gone(0, None) == 0 and d.gone(2, records) == 2 and d.gone(8, records[2:]) == 1
    assert records[:3].tolist() == [(at + n * PAGE, pid, pfns[n], 2, 0) for n in range(3)]
    for _ in range(4):
        child = d.fork(pid)
        d.exit(child)
    assert d.fact(FACT["gone_lost"]) == d.machine.gone_lost == 5 + 4 * 5 - 8
    assert d.watch(0) == 0 and d.gone(8, records) == 0 and d.watch(3) == EXCEPTION and "watch: 3" in d.client.message()


# --- machines ---------------------------------------------------------------------------------------------------------


def test_open_from_a_specification(client, tmp_path):
    code, handle = client.open("open", "Machine('anonmm', kernel='2.6.7', ram='2MiB', swap=0, watch=64)")
    assert code == 0, client.message()
    machine = client.object(handle)
    assert (machine.scheme, machine.kernel, machine.ram, machine.swap) == ("anonmm", "2.6.7", 2 << 20, 0)
    pid = client.call("spawn", handle)
    assert list(machine.processes) == [pid]
    size = client.call("memory", handle, 0, None)
    text = bytearray(size + 1)
    assert client.call("memory", handle, size + 1, text) == size and text[-1] == 0
    assert json.loads(text[:-1]) == json.loads(json.dumps(machine.memory(), default=int))
    short = bytearray(b"x" * 11)
    assert client.call("memory", handle, 10, short) == size and short == text[:9] + b"\0x"
    assert client.save(handle, str(tmp_path / "m")) == 0 and client.call("check", handle) == 0
    assert client.call("close", handle) == 0 and client.call("check", handle) == BAD_HANDLE
    code, handle = client.open("load", str(tmp_path / "m"))
    assert code == 0 and list(client.object(handle).processes) == [pid] and client.call("close", handle) == 0


@pytest.mark.parametrize("text", [
    "", "Machine", "Machine(", "Machine(ram=open('x'))", "Process()", "Machine(**{'ram': '1MiB'})", "__import__('os')",
    "Machine('none_such')", "Machine(ram='1 byte')", "Machine(nothing=1)", "Machine(); Machine()", None,
])
def test_what_is_no_specification(client, text):
    code, handle = client.open("open", text)
    assert code in (EXCEPTION, BAD_ARGUMENT) and handle == 0 and client.message()


def test_a_machine_of_both(client, door):
    d, pid, at = scene(door)
    process = d.machine.process(pid)
    assert process.write(at, PAGE)["zero"] == 0 and d.touch(pid, at, 1, None) == 0
    child = process.fork()
    assert d.touch(child.pid, at, 1, None) == KINDS["cow"]
    again = Door(client, d.machine)
    assert again.handle == d.handle and again.close() == 0 and d.spawn() > 0      # opened twice, closed once
    number = client.file(d.handle, "f", 3 * PAGE, 0)
    where = d.mmap(pid, 0, 3 * PAGE, 1, 1, number, 0)
    assert process.maps()[process.maps()["start"] == where]["file"].tolist() == [number]
    assert d.truncate(number, PAGE) == 0 and d.touch(pid, where + 2 * PAGE, 0, None) == BUS
    assert f"{where + 2 * PAGE:#x}" in client.message()


def test_counters_and_facts(client, door):
    d, _, _ = scene(door)
    n = d.counters(0, None)
    row = np.zeros(n, np.uint64)
    assert d.counters(n, row) == n
    assert {client.counter_name(i): int(count) for i, count in enumerate(row)} == dict(d.machine.counters)
    assert client.counter_name(n) is None and client.counter_name(-1) is None
    assert d.fact(FACT["ram"]) == 1 << 20 and d.fact(FACT["ram_free"]) == (1 << 20) - 9 * PAGE
    assert d.fact(FACT["swap"]) == 4 << 20 and d.fact(FACT["swap_free"]) == (4 << 20) - PAGE


# --- errors -----------------------------------------------------------------------------------------------------------


def test_what_is_refused_changes_nothing(client, door):
    d, pid, at = scene(door, kernel="6.18")
    words, places = np.zeros(8, np.uint32), np.zeros(8, np.uint64)
    refused = {
        lambda: d.munmap(pid, at + 1, PAGE): EINVAL, lambda: d.mmap(pid, 0, 1 << 63, 3, 0x22, 0, 0): ENOMEM,
        lambda: d.mmap(pid, 0, PAGE, 3, 2, 0, 0): EBADF, lambda: d.mmap(pid, 0, PAGE, 3, 2, 99, 0): EBADF,
        lambda: d.mprotect(pid, at + 64 * PAGE, PAGE, 1): ENOMEM, lambda: d.mremap(pid, at, PAGE, 0, 0, 0): EINVAL,
        lambda: d.madvise(pid, at, PAGE, 77): EINVAL, lambda: d.truncate(99, 0): EBADF, lambda: d.exit(9): ESRCH,
        lambda: d.fork(9): ESRCH, lambda: d.touch(9, at, 0, None): ESRCH, lambda: d.touch(pid, 0, 1, None): SEGV,
        lambda: d.touch(pid, 1 << 60, 1, None): SEGV, lambda: d.walk(9, at, places, 8): ESRCH,
        lambda: d.walk(pid, at, None, 8): EINVAL, lambda: d.walk(pid, at, places, -1): EINVAL,
        lambda: d.whomaps(1 << 30, 0, 8, words, places): EINVAL, lambda: d.whomaps(1 << 30, 1, 8, words, places): EINVAL,
        lambda: d.whomaps(1, 1, 8, None, places): EFAULT, lambda: d.gone(8, None): EFAULT, lambda: d.fact(99): EINVAL,
        lambda: d.touch_many(4, None, places, None, None, None, None): EFAULT, lambda: d.counters(4, None): EINVAL,
        lambda: d.translate_many(pid, 4, None, places, 0): EFAULT, lambda: d.release(): BAD_ARGUMENT,
        lambda: client.file(d.handle, "f", 1 << 63, 0): EXCEPTION, lambda: client.file(d.handle, "f", 1, 7): EXCEPTION,
        lambda: client.file(d.handle, None, 1, 0): BAD_ARGUMENT, lambda: client.save(d.handle, "/"): EXCEPTION,
        lambda: client.save(d.handle, None): BAD_ARGUMENT, lambda: d.memory(8, None): BAD_ARGUMENT,
    }
    before = held(d.machine)
    head = before.pop("head")
    for number, (act, code) in enumerate(refused.items()):
        assert act() == code, number
        assert client.message(), number
        after = held(d.machine)
        assert after.pop("head")[8:] == head[8:] and after == before, number     # operations are counted, failed ones too
    d.machine.check()


@pytest.mark.parametrize("kernel", rmapcore.kernels())
def test_an_address_that_looks_like_a_code_is_none(door, kernel):
    """2.6.7's mremap gives back whatever address it is given where it has nothing to do."""
    d, pid, at = scene(door, kernel=kernel)
    for far in (1 << 63, (1 << 64) - PAGE):
        assert d.mremap(pid, far, PAGE, PAGE, 0, 0) in ({EINVAL} if kernel == "2.6.7" else {EINVAL, EFAULT})
    assert d.munmap(pid, at, PAGE) == 0
    d.machine.check()


def test_a_page_twice_in_a_batch_is_fresh_once(client, door):
    d, pid, at = scene(door)
    fresh = d.mmap(pid, at + 64 * PAGE, 4 * PAGE, 3, FIXED, 0, 0)
    where = np.array([fresh, fresh + PAGE, fresh, fresh + 2 * PAGE], np.uint64)
    who, writes = np.full(4, pid, np.uint32), np.ones(4, np.uint8)
    status, kinds = np.zeros(1, np.int32), np.full(4, 99, np.uint16)
    assert d.touch_many(4, who, where, writes, None, kinds, status) == 4 and status[0] == 0
    assert kinds.tolist() == [KINDS["zero"], KINDS["zero"], 0, KINDS["zero"]]


def test_a_batch_says_how_far_it_came(client, door):
    d, pid, at = scene(door)
    where = np.array([at, at + PAGE, 64, at], np.uint64)
    who, status, kinds = np.full(4, pid, np.uint32), np.zeros(1, np.int32), np.full(4, 99, np.uint16)
    assert d.touch_many(4, who, where, None, None, kinds, status) == 2
    assert status[0] == SEGV and "0x0" in client.message() + "0x0" and kinds.tolist() == [0, 0, 99, 99]
    who[1] = 77
    assert d.touch_many(4, who, where, None, None, None, status) == 1 and status[0] == ESRCH
    assert d.touch_many(0, None, None, None, None, None, status) == 0 and status[0] == 0


def test_memory_that_runs_out(client, door):
    d = door(ram=16 * PAGE, swap=0)
    pid = d.spawn()
    at = d.mmap(pid, 1 << 31, 32 * PAGE, 3, FIXED, 0, 0)
    answers = [d.touch(pid, at + n * PAGE, 1, None) for n in range(20)]
    assert answers == [1] * 15 + [OOM] * 5 and "out of memory" in client.message()
    small = door(max_ptes=4096)
    pid = small.spawn()
    at = small.mmap(pid, 1 << 31, 1 << 30, 3, FIXED, 0, 0)
    answers = [small.touch(pid, at + n * (2 << 20), 1, None) for n in range(12)]
    assert answers[-1] == FULL and "tables" in client.message()


@pytest.mark.parametrize("handle", [0, 1, 1 << 16, 0xFFFF, (1 << 64) - 1, 0xDEADBEEF])
def test_wrong_handles(client, door, handle):
    _, _, at = scene(door)
    for name in ("close", "hold", "release", "spawn", "check", "reclaim"):
        assert client.call(name, handle, 0) == BAD_HANDLE and f"{handle:#x}" in client.message()
    assert client.call("touch", handle, 1, at, 1, None) == BAD_HANDLE
    with pytest.raises(ValueError, match="no open machine"):
        client.object(handle)
    assert client.adopt("no machine")[0] == EXCEPTION and "no rmapcore.Machine" in client.message()


def test_handles_are_not_used_again(client):
    seen = set()
    for _ in range(50):
        _, handle = client.open("open", "Machine(ram='1MiB', swap=0)")
        assert handle not in seen and client.call("close", handle) == 0
        seen.add(handle)
    assert all(client.call("spawn", handle) == BAD_HANDLE for handle in seen)


# --- threads and hooks ------------------------------------------------------------------------------------------------


def test_another_thread_is_refused_while_one_holds(client, door):
    d, pid, at = scene(door)
    assert client.elsewhere(d.handle) in (ABSENT, *range(1 << 20))
    assert d.hold() == 0 and d.hold() == 0
    assert client.elsewhere(d.handle) == BUSY
    d.machine.process(pid).write(at, PAGE)     # the own thread goes on, in Python too
    outcome = []

    def use():
        try:
            d.machine.process(pid).write(at, PAGE)
        except rmapcore.MachineBusy as error:
            outcome.append(error)
        outcome.append(d.close())
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert isinstance(outcome[0], rmapcore.MachineBusy) and outcome[1] == BUSY
    assert d.release() == 0 and client.elsewhere(d.handle) == BUSY
    assert d.release() == 0 and client.elsewhere(d.handle) >= ABSENT and d.release() == BAD_ARGUMENT


def test_closing_gives_the_machine_back_to_python(client):
    machine = rmapcore.Machine(ram="1MiB", swap=0)
    d = Door(client, machine)
    assert d.hold() == 0 and d.close() == 0 and d.spawn() == BAD_HANDLE
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(machine.spawn().pid))
    thread.start()
    thread.join()
    assert outcome == [1]


class Calls(rmapcore.Prototype):
    """Looks at and changes the machine in a hook, through C."""

    door, answers, raises = None, (), False

    def walk(self, pfn, purpose):
        if self.door:
            self.answers += (self.door.translate(1, 1 << 31, 0), self.door.touch(1, 1 << 31, 1, None), self.door.spawn())
        if self.raises:
            raise KeyError("the hook's own")
        yield from ()

    def restored(self):
        pass


def test_a_hook_may_look_and_not_change(client, door):
    d, _, _ = scene(door, scheme=Calls)
    scheme = d.machine._engine.anon
    scheme.door = d
    who, where = np.zeros(8, np.uint32), np.zeros(8, np.uint64)
    assert d.whomaps(1, 0, 8, who, where) == 0
    assert scheme.answers[0] >= 0 and scheme.answers[1:] == (INSIDE, INSIDE)
    scheme.raises, scheme.door = True, None
    assert d.whomaps(1, 0, 8, who, where) == EXCEPTION and "the hook's own" in client.message()
    scheme.raises = False
    assert d.whomaps(1, 0, 8, who, where) == 0


def test_a_profile_knows_whose_calls_of_c_they_are(door):
    d = door("anon_vma_chain", kernel="6.18")
    profile = d.machine.profile()
    parent = d.spawn()
    at = d.mmap(parent, 1 << 31, 64 * PAGE, 3, FIXED, 0, 0)
    for number in range(64):
        d.touch(parent, at + number * PAGE, 1, None)
    child = d.fork(parent)
    d.touch(child, at, 1, None)
    d.reclaim(40)
    rows = {(int(row["process"]), row["call"]): row for row in profile.by("process_call")}
    assert rows[parent, "write"]["faults_zero"] == 64 and rows[child, "write"]["faults_cow"] == 1
    assert rows[parent, "fork"]["rmap_dups"] == 64 and rows[child, "fork"]["objects"]["anon_vma_chain"] == 2
    assert rows[parent, "reclaim"]["rmap_walks"] > 0
    assert not any("unknown" in key for key in rows)
    calls = {row["call"]: int(row["operations"]) for row in profile.by("call")}
    assert calls == {"spawn": 1, "mmap": 1, "write": 65, "fork": 1, "reclaim": 1}
