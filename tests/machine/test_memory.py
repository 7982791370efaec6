"""Kernel-exact bytes: the tables of docs/facts/structures.md, slab packing, zones, the budget of low memory, published sums."""
import math

import pytest

import rmapcore
from rmapcore.core.memory import pages_min, per_slab
from rmapcore.schemes import registry

PAGE = 4096
BASE = 0x10000000
ARCHES = ("i386", "i386-pae", "x86_64")

# beside those of the registry: (scheme, file side) -> page and area on i386, i386-pae, x86_64 (docs/facts/structures.md)
SIZES = {
    ("pte_chain", "prio_tree"): ((32, 72), (32, 76), (56, 144)),
    ("anonmm", "list"): ((32, 64), (32, 68), (56, 128)),
    ("anonmm", "interval_tree"): ((32, 72), (32, 76), (56, 144)),
}
OBJECTS = {                                    # docs/facts/structures.md: structure -> i386, x86_64
    "pte_chain": {"pte_chain": (32, 64)},
    "rmap_chain": {"rmap_chain": (32, 64), "anonmm": (24, 40)},
    "anonmm": {"anonmm": (24, 40)},
    "anon_vma": {"anon_vma": (12, 24)},
    "anon_vma_chain_2010": {"anon_vma": (16, 24), "anon_vma_chain": (24, 48)},
    "anon_vma_chain_degree": {"anon_vma": (44, 72), "anon_vma_chain": (32, 64)},
    "anon_vma_chain": {"anon_vma": (52, 104), "anon_vma_chain": (32, 64)},
}
IN_A_FILE = {"prio_tree": (16, 32), "interval_tree": (8, 16), "list": (16, 32), "pte_chain": (0, 0)}


def structures(scheme, **options):
    return rmapcore.Machine(scheme, ram="1MiB", swap="1MiB", **options).memory()["structures"]


def page_and_area(scheme, side=None):
    """Their sizes on each architecture."""
    found = [structures(scheme, arch=arch, file_rmap=side) for arch in ARCHES]
    return tuple((one["page"]["size"], one["vm_area_struct"]["size"]) for one in found)


@pytest.mark.parametrize("scheme", registry())
def test_pages_and_areas(scheme):
    sizes = registry()[scheme].sizes
    if not sizes:
        pytest.skip(f"{scheme}: no sizes are published")
    assert page_and_area(scheme) == sizes


@pytest.mark.parametrize(("scheme", "side"), SIZES)
def test_pages_and_areas_with_other_file_sides(scheme, side):
    assert page_and_area(scheme, side) == SIZES[scheme, side]


@pytest.mark.parametrize("scheme", OBJECTS)
def test_objects(scheme):
    for word, arch in enumerate(("i386", "x86_64")):
        found = structures(scheme, arch=arch)
        assert {name: found[name]["size"] for name in OBJECTS[scheme]} == {
            name: sizes[word] for name, sizes in OBJECTS[scheme].items()}


@pytest.mark.parametrize("line", [32, 64, 128])
def test_lines(line):
    assert structures(f"pte_chain:line={line}", arch="i386")["pte_chain"]["size"] == line


@pytest.mark.parametrize("side", IN_A_FILE)
def test_files(side):
    for word, arch in enumerate(("i386", "x86_64")):
        found = structures("anonmm", arch=arch, file_rmap=side)
        assert found.get("address_space (rmap part)", {"size": 0})["size"] == IN_A_FILE[side][word]


def test_highpte():
    """Eight-byte entries make the page larger; leaf tables leave low memory."""
    sizes = {}
    for options in ("", ":highpte=1"):
        machine = rmapcore.Machine(f"pte_chain{options}", arch="i386-pae", ram="1MiB")
        process = machine.spawn()
        process.write(process.mmap(length=4 * PAGE))
        memory = machine.memory()
        found = memory["structures"]
        sizes[options] = found["page"]["size"], found["page_table"]["zone"], memory["lowmem_bytes"]
        assert (found["page_table"]["live"], found["upper_table"]["live"], found["pgd"]["bytes"]) == (1, 1, 32)
        assert memory["page_table_bytes"] == 2 * PAGE + 32
        machine.check()
        process.exit()
        assert machine.memory()["page_table_bytes"] == 0
        machine.check()
    assert sizes[""][:2] == (32, "normal") and sizes[":highpte=1"][:2] == (36, "highmem")
    assert sizes[""][2] - sizes[":highpte=1"][2] == PAGE - 4 * 256


def test_zones():
    found = structures("anon_vma", arch="i386")
    assert {name: item["zone"] for name, item in found.items() if item["zone"] != "normal"} == {"swap_map": "vmalloc"}
    assert found["swap_map"]["bytes"] == 512


@pytest.mark.parametrize(("size", "arch", "objects"), [
    (32, "i386", 119), (64, "i386", 61), (128, "i386", 31), (84, "i386", 47), (12, "i386", 290), (64, "x86_64", 61),
    (24, "x86_64", 156), (168, "x86_64", 23),
])
def test_slabs(size, arch, objects):
    """119, 61 and 31 are what slabinfo of 2.6 kernels shows for caches of 32, 64 and 128 bytes."""
    assert per_slab(size, arch) == objects


def test_slab_bytes():
    machine = rmapcore.Machine("anon_vma", arch="i386", ram="1MiB")
    process = machine.spawn()
    for number in range(48):
        process.mmap(BASE + 2 * number * PAGE, PAGE, 3, 0x32)
    area = machine.memory()["structures"]["vm_area_struct"]
    assert (area["bytes"], area["per_slab"], area["slab_bytes"]) == (48 * 84, 47, 2 * PAGE)


# --- published sums ---------------------------------------------------------------------------------------------------


def processes_with_areas(scheme, processes, areas, forked):
    """A machine with so many processes of so many anonymous areas, faulted by a parent before it forks, or by each."""
    machine = rmapcore.Machine(scheme, arch="i386", ram="2GiB", swap=0)
    parent = machine.spawn()
    everyone = [parent]
    if not forked:
        everyone += [machine.spawn() for _ in range(processes - 1)]
    for process in everyone:
        for number in range(areas):
            process.mmap(BASE + 2 * number * PAGE, PAGE, 3, 0x32)
            process.write(BASE + 2 * number * PAGE)
    if forked:
        for _ in range(processes - 1):
            parent.fork()
    return machine.memory()


@pytest.mark.parametrize(("scheme", "forked", "formula"), [
    ("anonmm", True, lambda p, v: 8 * p * v + 28 * p),
    ("anonmm", False, lambda p, v: 8 * p * v + 28 * p),
    ("anon_vma", True, lambda p, v: 20 * p * v + 12 * v),
    ("anon_vma", False, lambda p, v: 32 * p * v),
])
@pytest.mark.parametrize(("processes", "areas"), [(1, 1), (7, 30), (60, 5)])
def test_bytes_of_the_debate(scheme, forked, formula, processes, areas):
    """What the mails of 2004 count over a vma of 64 with its list (docs/facts/structures.md, "The sums of 2004")."""
    assert processes_with_areas(scheme, processes, areas, forked)["added_bytes"] == formula(processes, areas)


def test_a_thousand_processes_of_a_hundred_areas():
    assert processes_with_areas("anonmm", 1000, 100, True)["added_bytes"] == 828_000
    assert processes_with_areas("anon_vma", 1000, 100, True)["added_bytes"] == 2_001_200
    assert processes_with_areas("anon_vma", 1000, 100, False)["added_bytes"] == 3_200_000


@pytest.mark.parametrize("entry", [4, 8])
@pytest.mark.parametrize("line", [32, 64, 128])
def test_bytes_of_a_chain(line, entry):
    """ceil(m / NRPTE) lines for a page with m > 1 mappings, none for one."""
    arch, option = ("i386-pae", ",highpte=1") if entry == 8 else ("i386", "")
    machine = rmapcore.Machine(f"pte_chain:line={line}{option}", arch=arch, ram="1MiB", swap=0)
    parent = machine.spawn()
    at = parent.mmap(length=PAGE)
    parent.write(at)
    nrpte = (line - 4) // entry
    for m in range(2, 70):
        assert machine.memory()["structures"]["pte_chain"]["bytes"] == (0 if m == 2 else math.ceil((m - 1) / nrpte) * line)
        parent.fork()


def sharing(scheme, tasks, pages, arch="i386", ram="4GiB"):
    """Tasks of 32-bit machines that have touched all of one segment."""
    machine = rmapcore.Machine(scheme, arch=arch, ram=ram, swap=0)
    segment = machine.file("sga", pages * PAGE, "shmem")
    for _ in range(tasks):
        task = machine.spawn()
        task.read(task.mmap(BASE, pages * PAGE, 3, 1, segment), pages * PAGE)
    return machine.memory()


@pytest.mark.parametrize(("scheme", "chains"), [("pte_chain:line=32", 60), ("pte_chain:line=128", 64), ("anonmm", 0)])
def test_a_hundred_processes_share_512_mib(scheme, chains):
    """docs/facts/reclaim.md, "Low memory", in MiB: chains, and 50 of page tables; by object 100 areas."""
    memory = sharing(scheme, 100, 131_072)
    found = memory["structures"]
    assert found.get("pte_chain", {"bytes": 0})["bytes"] == chains << 20
    assert found["page_table"]["bytes"] == 50 << 20
    assert found["vm_area_struct"]["live"] == 100


# --- low memory -------------------------------------------------------------------------------------------------------


def test_the_reserve():
    """int_sqrt of low memory in kB, from 128 to 16,384 kB: 949 for 880 MiB."""
    assert pages_min(880 << 8) == 949 >> 2
    assert pages_min(256) == 128 >> 2 and pages_min(1 << 30) == 16384 >> 2


def test_the_budget_runs_out_where_it_says():
    """The mix at its peak, scaled up to the number it names, fills what is left but for less than one process more."""
    memory = sharing("pte_chain", 20, 20_000)
    low = memory["lowmem"]
    assert low["size"] == 896 << 20 and low["reserve"] == pages_min(229_376) * PAGE
    assert low["mem_map"] == (4 << 30) // PAGE * 32
    assert low["left"] == low["size"] - low["reserve"] - low["used"] and low["used"] == memory["lowmem_bytes"]
    most = low["runs_out_at"]
    assert low["left"] > 0 and most["processes"] > 20
    objects = low["used_peak"] - low["mem_map"]
    room = low["size"] - low["reserve"] - low["mem_map"]
    assert objects * most["processes"] <= room * 20 < objects * (most["processes"] + 1)
    assert most["areas"] == most["processes"] and most["pages"] == room * 20_000 // objects


def test_a_budget_that_is_exhausted():
    """48 GiB on PAE, 100 tasks that share 1.9 GiB: mem_map 384 MiB, tables 391, chains 229. By object there is room left."""
    low = sharing("pte_chain", 100, 500_000, "i386-pae", "48GiB")["lowmem"]
    assert low["mem_map"] == 384 << 20 and low["left"] == low["left_at_peak"] < 0
    assert 50 < low["runs_out_at"]["processes"] < 100
    low = sharing("anon_vma", 100, 500_000, "i386-pae", "48GiB")["lowmem"]
    assert low["left"] > 0 and low["runs_out_at"]["processes"] > 100


def test_no_budget_where_all_memory_is_low():
    assert rmapcore.Machine("anonmm", ram="1MiB").memory()["lowmem"] is None


def test_an_empty_machine():
    low = rmapcore.Machine("anonmm", arch="i386", ram="1MiB", swap=0).memory()["lowmem"]
    assert set(low["runs_out_at"].values()) == {None} and low["used"] == 256 * 32
