"""How much a machine reserves: little for small ones, all of it in one mapping, and never less than what can exist."""
import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

import rmapcore
from rmapcore.core.snapshot import held
from rmapcore.machine import MOST_ROOM
from rmapcore.schemes import SCHEMES

PAGE = 4096
AT = 0x40000000
SMALL = {"ram": "1MiB", "swap": "1MiB"}
SMALLEST = SMALL | {"max_ptes": 1 << 16, "max_file_pages": 1 << 12, "max_map_count": 4096}
COUNTED = """
import gc, json, resource, sys, time
import rmapcore
def now():
    fields = dict(line.split(":") for line in open("/proc/self/status") if line.startswith(("VmRSS", "VmSize")))
    sizes = [int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmSize")]
    return [sum(1 for _ in open("/proc/self/maps")), *sizes]
arguments, count, limit = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rmapcore.Machine(**arguments)
gc.collect()
gc.disable()
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (now()[2] + limit, now()[2] + limit))
before, began = now(), time.process_time()
machines = [rmapcore.Machine(**arguments) for _ in range(count)]
spent, after = time.process_time() - began, now()
for machine in machines[::count // 3]:
    process = machine.spawn()
    process.mmap(1 << 20, 8192, 3)
    process.write(1 << 20, 8192)
    machine.check()
print(json.dumps([spent / count, *((b - a) / count for a, b in zip(before, after))]))
"""


def counted(arguments, count, limit=0):
    """Of many machines in one process, each: seconds, kernel mappings, bytes touched, bytes of address space."""
    run = subprocess.run([sys.executable, "-P", "-c", COUNTED, json.dumps(arguments), str(count), str(limit)], check=True,
                         capture_output=True, text=True)
    return json.loads(run.stdout)


def test_ten_thousand_machines():
    seconds, mappings, touched, reserved = counted(SMALL, 10_000)
    assert mappings <= 1.01 and touched <= 40 << 10 and reserved < 1 << 30
    assert seconds < 1e-3              # 50 to 100 us on a quiet core; bench/bench_life.py has the figure


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_small(scheme):
    _, mappings, touched, reserved = counted(SMALL | {"scheme": scheme}, 100)
    assert mappings <= 1.1 and touched <= 64 << 10 and reserved < 3 << 30


def test_under_a_limit():
    """Where nothing may be reserved for schemes beforehand, what they ask for lies by itself."""
    _, mappings, touched, reserved = counted(SMALLEST, 100, limit=100 * (64 << 20))
    assert mappings <= 5 and touched <= 64 << 10 and reserved < 64 << 20


def test_a_machine_with_huge_pages_has_few_mappings_too():
    _, mappings, _, _ = counted({"ram": "64GiB", "swap": "64GiB"}, 10)
    assert mappings <= 35


def limited(limit, code):
    text = f"import resource, rmapcore; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n{code}"
    return subprocess.run([sys.executable, "-P", "-c", text], check=True, capture_output=True, text=True).stdout


def test_what_cannot_be_had_is_said_with_what_to_lower():
    said = limited(4 << 30, "try: rmapcore.Machine(max_ptes=1 << 32)\nexcept rmapcore.OutOfMemory as error: print(error)\n"
                            "rmapcore.Machine(ram='1MiB', swap='1MiB').spawn()")
    assert said.startswith("a machine of this size reserves about 3") and "(ulimit -v): 32.5 GiB for max_ptes, " in said
    assert "GiB for max_ptes and max_map_count, 1.305 GiB for max_file_pages, " in said
    assert "for ram and swap; lower these" in said
    assert said.count("\n") == 1


def test_a_scheme_that_cannot_be_had():
    """The machine's own arenas fit, those of the scheme do not."""
    code = ("machine = dict(ram='1MiB', swap=0, max_ptes=1 << 27, max_file_pages=1 << 12)\nrmapcore.Machine(**machine)\n"
            "try: rmapcore.Machine('anon_vma_chain', **machine)\nexcept rmapcore.OutOfMemory as error: print(error)")
    assert "for max_ptes and max_map_count, " in limited(5 << 30, code)


def fill(act, pool, machine):
    """Calls act until the machine says that the pool is full; how often it did."""
    with pytest.raises(rmapcore.ArenaFull, match=f"'{pool}' is full"):
        for done in range(1 << 20):  # noqa: B007
            act()
    machine.check()
    return done


def test_bounds_that_nobody_reaches_before_the_one_that_is_given():
    """Processes end at their page tables, files at their pages."""
    machine = rmapcore.Machine("anonmm", **SMALL, max_ptes=4096, max_file_pages=64)
    assert fill(machine.spawn, "tables", machine) == 8
    assert fill(lambda: machine.file("x", 0), "file pages", machine) == 4


def test_a_process_has_all_its_areas_in_the_smallest_machine():
    for most in (None, 100):
        machine = rmapcore.Machine("anon_vma_chain", "6.18", **SMALL, max_ptes=4096, max_map_count=most)
        process = machine.spawn()
        with pytest.raises(OSError, match="Cannot allocate memory"):
            for number in range(1 << 17):
                process.mmap(AT + 2 * number * PAGE, PAGE, 3, 0x32)
        assert len(process.maps()) >= machine.max_map_count


@pytest.mark.parametrize("scheme", ["pte_chain", "rmap_chain", "anonmm", "anon_vma_chain"])
def test_entries_end_before_records_of_entries(scheme):
    """Every page table full of entries: the scheme has a record for each."""
    machine = rmapcore.Machine(scheme, ram="1MiB", swap=0, max_ptes=16384, track_contents=True)
    parent = machine.spawn()
    parent.mmap(AT, 200 * PAGE, 3, 0x32)
    parent.write(AT, 200 * PAGE)
    assert fill(parent.fork, "tables", machine) == 7


def test_limits_make_it_larger():
    small = rmapcore.Machine(**SMALL)
    assert small._core.most_entries == (1 << 24) + 512 and small._core.pool(1)[2] == (1 << 20) + 1
    with pytest.raises(rmapcore.ArenaFull, match=r"'file pages' is full with 67,108,879 records; a machine with a larger "
                                                 "max_file_pages has more room"):
        small.file("long", PAGE << 27)
    large = rmapcore.Machine(**SMALL, max_file_pages=1 << 27)
    assert large.file("long", PAGE << 27).size == PAGE << 27
    for name, pool in (("areas", 1 << 25), ("mms", 1 << 22), ("files", 1 << 20), ("pids", 1 << 23)):
        most = rmapcore.Machine(**SMALL, **MOST_ROOM)
        assert pool == next(most._core.pool(number)[2] for number, called in most._core.pool_names.items() if called == name)


def test_a_wrong_limit():
    for limit in (15, -1):
        with pytest.raises(ValueError, match=f"max_file_pages: {limit!r} is not a whole number of at least 16"):
            rmapcore.Machine(max_file_pages=limit)
    for limit in (1.5, "many"):
        with pytest.raises(TypeError, match=f"max_file_pages: {limit!r} is not a whole number"):
            rmapcore.Machine(max_file_pages=limit)


def test_limits_are_saved(tmp_path):
    machine = rmapcore.Machine(**SMALLEST)
    process = machine.spawn()
    process.mmap(AT, 8 * PAGE, 3, 0x32)
    process.write(AT, 8 * PAGE)
    machine.save(tmp_path / "machine")
    for again in (rmapcore.Machine.load(tmp_path / "machine"), machine.copy()):
        assert held(again) == held(machine)
        assert [again._core.pool(number) for number in range(16)] == [machine._core.pool(number) for number in range(16)]


def test_arenas_are_apart_and_aligned():
    """No two share a byte; large ones begin where a huge page does."""
    for scheme in SCHEMES:
        machine = rmapcore.Machine(scheme, **SMALL, track_contents=True)
        arenas = sorted(machine._core.arenas.values(), key=lambda arena: arena.address)
        for one, other in pairwise(arenas):
            assert one.address + one.size <= other.address
        assert all(arena.address % (2 << 20) == 0 for arena in arenas if arena.size >= 2 << 20)
        assert all(not np.any(arena.array[:64].view(np.uint8)) for arena in arenas
                   if arena.name not in ("pools", "head", "list_nonlinear", "scan_head"))
