"""Scheme virtual_scan (rules G11, K9, K10): its ring, its sweeps, what they cost, its bytes, and its own check."""
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import rmapcore
from rmapcore.schemes import walking

PAGE = 4096
READ_WRITE, SHARED, PRIVATE = 3, 0x01, 0x02
BASE, UP = 0x40000000, 0x80000000
ACTIVE = 1 << 6
SOURCE = Path(__file__).resolve().parent.parent.parent / "pyx" / "schemes" / "virtual_scan.pyx"


def ring(machine):
    """Pids in the order of the ring, anchor left out."""
    links, mms = machine._core.view("scan_mms"), machine._core.view("mms")
    at, pids = int(links["next"][0]), []
    while at:
        pids.append(int(mms["pid"][at]))
        at = int(links["next"][at])
    return pids


def mm_of(machine, process):
    return int(machine._core.view("pid_mm")[process.pid])


def cursor(machine, process):
    return int(machine._core.view("scan_mms")["cursor"][mm_of(machine, process)])


def swap_mm(machine):
    """Pid of the address space where the next sweep begins; None: the anchor."""
    mm = int(machine._core.view("scan_head")["swap_mm"][0])
    return int(machine._core.view("mms")["pid"][mm]) if mm else None


def young(process, addr, pages):
    return int(np.count_nonzero(process.pagemap(addr, pages * PAGE)["young"]))


def test_order_of_the_ring():
    """exec: right behind the anchor; fork: right behind the parent."""
    machine = rmapcore.Machine("virtual_scan", ram="1MiB", swap=0)
    a, b = machine.spawn("a"), machine.spawn("b")
    assert ring(machine) == [b.pid, a.pid]
    c, d = a.fork(), a.fork()
    assert ring(machine) == [b.pid, a.pid, d.pid, c.pid]
    a.execve()
    assert ring(machine) == [a.pid, b.pid, d.pid, c.pid]
    d.exit()
    assert ring(machine) == [a.pid, b.pid, c.pid]
    machine.check()


@pytest.fixture
def three():
    """Three processes a, b, c, in this order on the ring, with 20 file pages each at BASE and at UP, all young, on the
    inactive list. RAM is so large that nothing is ever active for want of it.
    """
    machine = rmapcore.Machine("virtual_scan", ram=4096 * PAGE, swap=4096 * PAGE)
    processes = [machine.spawn(name) for name in "cba"][::-1]
    for number, process in enumerate(processes):
        for at in (BASE, UP):
            process.mmap(at, 20 * PAGE, READ_WRITE, SHARED, machine.file(f"{number} {at}", 20 * PAGE))
            process.read(at, 20 * PAGE)
    return machine, processes


def test_a_sweep_that_finds_nothing_begins_each_mm_and_the_first_again(three):
    """M + 1 address spaces: the last is the first once more, from its beginning; areas and tables are counted as read."""
    machine, processes = three
    for process in processes:
        process.mlock(BASE, 20 * PAGE)
        process.mlock(UP, 20 * PAGE)
    before = machine.counters
    result = machine.reclaim(1)
    done = machine.counters.since(before)
    assert result.freed == result.unmapped == 0
    sweeps, rest = divmod(done["mms_tried"], 4)
    assert rest == 0 and sweeps > 0
    assert done["vmas_tried"] == 8 * sweeps
    assert done["scanned_ptes"] == done["lock_page_table_held"] == result.scanned_ptes == 160 * sweeps
    assert done["lock_page_table"] == done["mms_tried"]
    assert done["rmap_walks"] == done["ptes_tried"] == done["ptes_found"] == done["vma_lookups"] == 0
    assert [young(process, BASE, 20) for process in processes] == [20] * 3       # locked: left young


def test_a_sweep_stops_at_32_and_the_next_goes_on_there():
    """One process, 100 old pages: each sweep unmaps the next 32 in address order and leaves the cursor behind them."""
    machine = rmapcore.Machine("virtual_scan", ram=256 * PAGE, swap=256 * PAGE)
    process = machine.spawn()
    process.mmap(BASE, 100 * PAGE, READ_WRITE, SHARED, machine.file("f", 100 * PAGE))
    process.read(BASE, 100 * PAGE)
    while process.rss == 100:
        unmapped = machine.reclaim(1).unmapped
    pages = process.pagemap(BASE, 100 * PAGE)
    gone = np.flatnonzero(pages["present"] == 0)
    assert unmapped == len(gone) and unmapped % 32 == 0
    active = machine.frames["flags"][pages["pfn"][:gone[-1]]] & ACTIVE != 0     # these stay
    assert (active == (pages["present"][:gone[-1]] != 0)).all()
    assert cursor(machine, process) == BASE // PAGE + gone[-1] + 1 and swap_mm(machine) == process.pid
    machine.check()


def test_exit_moves_swap_mm_on():
    machine = rmapcore.Machine("virtual_scan", ram=256 * PAGE, swap=256 * PAGE)
    last, first = machine.spawn("last"), machine.spawn("first")
    for process in (last, first):
        process.mmap(BASE, 64 * PAGE)
        process.write(BASE, 64 * PAGE)
    assert swap_mm(machine) is None
    machine.reclaim(1)
    at = swap_mm(machine)
    assert at in (first.pid, last.pid)
    order = ring(machine)
    machine.processes[at].exit()
    assert swap_mm(machine) == (order[1] if at == order[0] else None)
    machine.check()


def test_a_shared_page_is_freed_only_after_all_its_visits():
    """Ten address spaces share 32 pages: 320 entries are read, and those 32 again that were young, the parent's."""
    machine = rmapcore.Machine("virtual_scan", ram=256 * PAGE, swap=256 * PAGE)
    parent = machine.spawn()
    parent.mmap(BASE, 32 * PAGE)
    parent.write(BASE, 32 * PAGE)
    family = [parent, *(parent.fork() for _ in range(9))]
    result = machine.reclaim(32)
    assert result.freed == result.unmapped == 32
    assert result.scanned_ptes == 320 + 32
    assert [process.swapped for process in family] == [32] * 10
    machine.check()


@pytest.mark.parametrize("file_rmap", ["none", "list", "prio_tree", "interval_tree", "pte_chain"])
def test_every_file_side_goes_with_it(file_rmap):
    """Sweeps unmap file pages too, and a file side that keeps something of them hears it."""
    machine = rmapcore.Machine("virtual_scan", file_rmap=file_rmap, ram=256 * PAGE, swap=256 * PAGE)
    parent = machine.spawn()
    file = machine.file("f", 60 * PAGE)
    parent.mmap(BASE, 60 * PAGE, READ_WRITE, SHARED, file)
    parent.mmap(UP, 60 * PAGE, READ_WRITE, PRIVATE, file)
    parent.write(BASE, 60 * PAGE)
    parent.read(UP, 60 * PAGE)
    parent.write(UP, 10 * PAGE)
    child = parent.fork()
    machine.check()
    assert machine.reclaim(70).freed == 70
    machine.check()
    assert parent.rss == child.rss == 0
    assert parent.swapped == child.swapped == 10


@pytest.mark.parametrize("scheme", walking())
def test_without_a_file_side_only_sweeps_work(scheme):
    with pytest.raises(ValueError, match=r"^file_rmap none needs a scheme that sweeps page tables$"):
        rmapcore.Machine(scheme, file_rmap="none", ram="1MiB")
    with pytest.raises(ValueError, match="file_rmap none needs"):
        rmapcore.compare("swapout", schemes=[scheme], file_rmap="none", pages=10)


def test_whomaps_is_a_counted_scan():
    machine = rmapcore.Machine("virtual_scan", ram="1MiB", swap=0)
    parent = machine.spawn()
    parent.mmap(BASE, 4 * PAGE)
    parent.write(BASE, 4 * PAGE)
    child = parent.fork()
    pfns = parent.pagemap(BASE, 4 * PAGE)["pfn"]
    before = machine.counters
    offsets, pids, addresses = machine.whomaps(pfns)
    done = machine.counters.since(before)
    assert np.diff(offsets).tolist() == [2] * 4 and pids.tolist() == [parent.pid, child.pid] * 4
    assert addresses.tolist() == [BASE + n * PAGE for n in range(4) for _ in range(2)]
    assert done["scanned_ptes"] == 2 * 512 and done["rmap_walks"] == 0


@pytest.mark.parametrize(("arch", "word"), [("i386", 4), ("i386-pae", 4), ("x86_64", 8)])
def test_bytes(arch, word):
    """docs/facts/structures.md, "Bytes of each scheme": 12 / 24 in the mm, nothing for pages and entries."""
    machine = rmapcore.Machine("virtual_scan", arch=arch, ram="16MiB", swap=0)
    parent = machine.spawn()
    parent.mmap(BASE, 2000 * PAGE)
    parent.write(BASE, 2000 * PAGE)
    for _ in range(9):
        parent.fork()
    memory = machine.memory()
    assert memory["structures"]["mm_struct (rmap part)"]["size"] == 3 * word
    assert memory["rmap_bytes"] == 10 * 3 * word
    assert set(memory["structures"]) <= {"page", "vm_area_struct", "mm_struct (rmap part)", "page_table", "upper_table",
                                         "pgd", "swap_map"}


def test_saved_and_copied(tmp_path):
    """They sweep on where they stood."""
    machine = half_swept()
    machine.save(tmp_path / "machine")
    machines = [machine, machine.copy(), rmapcore.Machine.load(tmp_path / "machine")]
    results = [(one.reclaim(40), dict(one.counters), ring(one), swap_mm(one)) for one in machines]
    assert results[0] == results[1] == results[2]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_cost_grows_with_the_page_tables_not_with_the_pages_to_free():
    """The same 4096 cold pages are freed beside hot page tables of 1, 4, 16 and 64 times the size (private: mapcount 1).

    Schemes with a reverse map pay for the ageing of hot pages, at most four for each cold one (rule K2).
    """
    walking = ["pte_chain", "anonmm", "anon_vma"]
    swept, tried = [], {name: [] for name in walking}
    for times in (1, 4, 16, 64):
        result = rmapcore.compare("cold_beside_hot", schemes=["virtual_scan", *walking], hot=1024 * times)
        assert result.ok and "swept" in result.table()
        rows = {row["scheme"]: row for row in result.to_dict()["results"]}
        assert all(row["reclaim"]["freed"] == 4096 for row in rows.values())
        swept.append(rows["virtual_scan"]["reclaim"]["scanned_ptes"] / 4096)
        for name in walking:
            assert rows[name]["reclaim"]["scanned_ptes"] == 0
            tried[name].append(rows[name]["counters_per_page"]["ptes_tried"])
    assert all(two > 1.5 * one for one, two in pairwise(swept))
    assert swept[-1] > 10 * swept[0] and swept[-1] > 64  # 4 * 65536 hot entries lie between the cold ones
    assert all(counts[-1] < 3 * counts[0] and counts[-1] < 13 for counts in tried.values())


def test_reclaim_of_everything_is_not_quadratic():
    """A round has 13 passes. Each looks at no more than 32 << 4 to 32 << 9 mapped frames (rule K9), and if it sweeps makes 32
    others freeable: some 200 looks for a page, however many pages there are.
    """
    row, = rmapcore.compare("swapout", schemes=["virtual_scan"], pages=500_000).to_dict()["results"]
    assert row["reclaim"]["freed"] == 500_000
    assert row["reclaim"]["scanned"] < 100 * 500_000 and row["reclaim"]["scanned_ptes"] < 20 * 500_000


# --- its own check ----------------------------------------------------------------------------------------------------


def half_swept():
    machine = rmapcore.Machine("virtual_scan", ram=256 * PAGE, swap=256 * PAGE)
    parent = machine.spawn()
    parent.mmap(BASE, 80 * PAGE)
    parent.write(BASE, 80 * PAGE)
    child = parent.fork()
    child.write(BASE, 10 * PAGE)
    machine.spawn("other")
    child.fork().exit()
    machine.reclaim(1)
    return machine


def lost(links, head):
    first = links["next"][0]
    links["next"][0] = links["next"][first]
    links["prev"][links["next"][first]] = 0


def dead_one(links, head):
    links["next"][links["prev"][0]] = 4                  # the grandchild's


def circle(links, head):
    links["next"][links["prev"][0]] = links["next"][0]


def beyond(links, head):
    links["next"][0] = 1 << 20


def backwards(links, head):
    links["prev"][links["next"][0]] = links["prev"][0]


def wrong_end(links, head):
    links["prev"][0] = links["next"][0]


def cursor_beyond_user_space(links, head):
    links["cursor"][links["next"][0]] = 1 << 35


def swap_mm_is_dead(links, head):
    head["swap_mm"][0] = 4


DAMAGE = [("VS1", lost), ("VS1", dead_one), ("VS1", circle), ("VS1", beyond), ("VS2", backwards), ("VS2", wrong_end),
          ("VS3", cursor_beyond_user_space), ("VS3", swap_mm_is_dead)]


@pytest.mark.parametrize(("rule", "damage"), DAMAGE, ids=lambda value: getattr(value, "__name__", value))
def test_damage_is_found(rule, damage):
    machine = half_swept()
    machine.check()
    damage(machine._core.writable("scan_mms"), machine._core.writable("scan_head"))
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    assert caught.value.rule == rule, caught.value


def test_every_rule_is_shown_to_fire():
    assert set(re.findall(r'"([A-Z]{1,2}\d{1,2})"', SOURCE.read_text(encoding="utf-8"))) == {rule for rule, _ in DAMAGE}


def test_a_cursor_may_stand_at_the_end_of_user_space_and_no_further():
    machine = half_swept()
    ring, end = machine._core.writable("scan_mms"), machine._core.geometry["task_vpn"]
    first = ring["next"][0]
    ring["cursor"][first] = end
    machine.check()
    ring["cursor"][first] = end + 1
    with pytest.raises(rmapcore.InconsistentState, match="VS3"):
        machine.check()
