"""Known faults of history: Hypothesis finds them from nothing, check() names the lost page, compare says so and exits 1.

And what the sharing of anon_vmas between neighbours is good for, which came with one of them.
"""
import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st

import rmapcore
from differential import KNOWN, SOUND
from recordings import PAGE, A, started
from rmapcore.cli import main
from rmapcore.schemes import registry

SCHEMES = registry()
FIXED = 0x32
FAULTY = [name for name in SCHEMES if name not in SOUND]
BORDERS = ["anon_vma_2_6_7"]                   # what test_anon_vma_chain.py finds takes families
BASE = 0x10000

PAGES = st.integers(0, 7).map(lambda n: BASE + n * PAGE)
LENGTHS = st.integers(1, 8).map(lambda n: n * PAGE)
PROTS = st.sampled_from([3, 1, 7, 0])
CALLS = st.one_of(
    st.tuples(st.just("mmap"), PAGES, LENGTHS, PROTS),
    st.tuples(st.just("munmap"), PAGES, LENGTHS),
    st.tuples(st.just("mprotect"), PAGES, LENGTHS, PROTS),
    st.tuples(st.just("write"), PAGES, LENGTHS),
    st.tuples(st.just("mremap"), PAGES, LENGTHS, LENGTHS, st.just(3), PAGES),
    st.tuples(st.just("fork")),
    st.tuples(st.just("reclaim"), st.integers(1, 8)),
)
SEARCH = settings(max_examples=3000, derandomize=True, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
                  suppress_health_check=list(HealthCheck))


def first_violation(scheme, calls):
    """What check() says after these calls of one process, or its newest child; None if it finds nothing."""
    machine = rmapcore.Machine(scheme, ram=64 * PAGE, swap=64 * PAGE)
    process = machine.spawn()
    for name, *arguments in calls:
        try:
            if name == "fork":
                process = process.fork()
            elif name == "reclaim":
                machine.reclaim(*arguments)
            elif name == "mmap":
                process.mmap(*arguments, FIXED)
            else:
                getattr(process, name)(*arguments)
        except (OSError, rmapcore.SegmentationFault):
            continue
    try:
        machine.check()
    except rmapcore.InconsistentState as error:
        return error
    return None


@pytest.mark.parametrize("scheme", BORDERS)
def test_a_known_fault_is_found_and_shrunk_to_a_few_calls(scheme):
    calls = find(st.lists(CALLS, max_size=30), lambda calls: first_violation(scheme, calls) is not None, settings=SEARCH)
    assert len(calls) <= 4, calls                        # two areas, one faulted, and a border that moves
    error = first_violation(scheme, calls)
    assert error.frame and error.process and error.address in range(BASE, BASE + 16 * PAGE, PAGE)
    text = str(error)
    assert f"frame {error.frame}" in text and f"process {error.process}" in text and f"address {error.address:#x}" in text
    for other in SOUND:                                  # it is this scheme's fault alone
        assert first_violation(other, calls) is None


def test_every_fault_is_described():
    assert FAULTY and all(SCHEMES[name].defects and all(SCHEMES[name].defects) for name in FAULTY)


def lost_pages(pages):
    """A program that moves a border so that an area takes over faulted pages of its neighbour, all but one."""
    recording = started().mmap(100, A, 2 * pages * PAGE)
    recording.call(100, "mprotect", start=A, len=pages * PAGE, prot=1)
    for page in range(pages, 2 * pages):
        recording.fault(100, A + page * PAGE)
    return recording.call(100, "mprotect", start=A + pages * PAGE, len=(pages - 1) * PAGE, prot=1)


@pytest.mark.parametrize("scheme", BORDERS)
def test_compare_shows_what_is_missed_and_fails(scheme, tmp_path, capsys):
    path = tmp_path / "border.txt"
    path.write_bytes(lost_pages(6).text())
    assert main(["compare", str(path), "--scheme", "anon_vma", "--scheme", scheme]) == 1
    printed = capsys.readouterr()
    assert f"{scheme} on x86_64: the reverse map missed" in printed.err
    assert main(["compare", str(path), "--scheme", "anon_vma"]) == 0


def areas_and_anon_vmas(scheme, n):
    """After n times {map a page beside the last, write it, make it read-only}."""
    machine = rmapcore.Machine(scheme, ram="1MiB", swap="1MiB")
    process = machine.spawn()
    for i in range(n):
        process.mmap(BASE + i * PAGE, PAGE, 3, FIXED)
        process.write(BASE + i * PAGE)
        process.mprotect(BASE + i * PAGE, PAGE, 1)
    machine.check()
    return len(process.maps()), machine.memory()["structures"].get("anon_vma", {"live": 0})["live"]


@pytest.mark.parametrize("n", [1, 2, 40])
def test_the_mprotect_loop(n):
    """Hugh Dickins' loop of 29 March 2004: without a neighbour's anon_vma nothing merges."""
    found = {scheme: areas_and_anon_vmas(scheme, n) for scheme in KNOWN}
    assert found.pop("anon_vma_unshared") == (n, n) and found.pop("anon_vma_lazy") == (1, 0)
    assert {found.pop(scheme) for scheme in list(found) if scheme.startswith("anon_vma")} == {(1, 1)}
    assert set(found.values()) == {(1, 0)}


def test_adoption_without_the_lock():
    """Fault B: the counters are all that one thread can show of it."""
    locks = {}
    for scheme in ("anon_vma", "anon_vma_2_6_7"):
        machine = rmapcore.Machine(scheme, ram="1MiB", swap=0)
        process = machine.spawn()
        process.mmap(BASE, 8 * PAGE, 3, FIXED)
        process.mprotect(BASE + 4 * PAGE, 4 * PAGE, 7)
        process.write(BASE)
        before = machine.counters
        process.write(BASE + 4 * PAGE)                   # adopts
        locks[scheme] = machine.counters.since(before)["lock_anon_vma"]
        assert machine.memory()["structures"]["anon_vma"]["live"] == 1
        machine.check()
    assert locks == {"anon_vma": 1, "anon_vma_2_6_7": 0}


def test_a_page_of_a_freed_anon_vma_and_of_its_next_life():
    """The giver goes and its anon_vma with it; another area's new one has its number. Nothing breaks, the page stays lost."""
    machine = rmapcore.Machine("anon_vma_2_6_7", ram=64 * PAGE, swap=64 * PAGE, track_contents=True)
    process = machine.spawn()
    process.mmap(BASE, 8 * PAGE, 3, FIXED)
    process.mprotect(BASE, 4 * PAGE, 1)
    process.write(BASE + 4 * PAGE, 4 * PAGE)
    process.mprotect(BASE + 4 * PAGE, 2 * PAGE, 1)
    process.munmap(BASE + 6 * PAGE, 2 * PAGE)
    assert machine.memory()["structures"]["anon_vma"]["live"] == 0
    lost = process.pagemap(BASE + 4 * PAGE, 2 * PAGE)["pfn"]
    assert machine.whomaps(lost)[1].tolist() == []
    stranger = machine.spawn()
    stranger.mmap(BASE, 8 * PAGE, 3, FIXED)
    stranger.write(BASE, 8 * PAGE)
    assert machine.memory()["structures"]["anon_vma"]["live"] == 1
    before = machine.counters
    assert machine.whomaps(lost)[1].tolist() == []
    assert machine.counters.since(before)["ptes_tried"] == 2      # the stranger's, where the pages would be
    machine.reclaim(60)
    assert process.rss == 2 and stranger.rss == 0
    process.exit()
    stranger.exit()
    machine.check()
