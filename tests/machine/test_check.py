"""check(): healthy machines pass, every rule fires on a machine in which one thing was damaged (package damage), and
nothing is touched.
"""
import re
from pathlib import Path

import pytest

import rmapcore
from damage import ANON, ARCHES, CACHED, EXTENTS, HEAP, MOVED, PAGE, READ, READ_WRITE, SWAPCACHE, Parts, build, cases
from rmapcore.core.check import RULES
from rmapcore.pyx.seam.prototype import Prototype
from rmapcore.schemes import registry

SCHEMES = [name for name in registry() if name != "cow_context_2026_05"]      # which loses pages of any machine
ROOT = Path(__file__).resolve().parent.parent.parent
# kernels whose rules have a test file of their own: test_list.py, test_virtual_scan.py
COMPARED = {"W1", "W2", "K1"}          # what Python finds: below, and of locks in test_locks.py
ELSEWHERE = {"pyx/filemap/list.pyx": {"FL3"}, "pyx/schemes/virtual_scan.pyx": set()}     # but for these


def rules_of_the_sources():
    """Every rule that a kernel or the comparison can report; kernels whose rules are tested elsewhere aside."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pyx").rglob("*.p[xy][dx]")
                   if path.relative_to(ROOT).as_posix() not in ELSEWHERE)
    return set(re.findall(r'"([A-Z]{1,2}[0-9]{1,2})"', text)).union(COMPARED, *ELSEWHERE.values())


def snapshot(machine):
    return {name: machine._core.view(name).tobytes() for name in machine._core.arenas}


@pytest.fixture(scope="module")
def healthy():
    """scheme, or (scheme, file side) -> a machine as built; tests that damage it take a copy."""
    sides = {(scheme, side) for _, scheme, side, _ in cases() if side}
    return {scheme: build(scheme) for scheme in SCHEMES} | {pair: build(pair[0], file_rmap=pair[1]) for pair in sides}


@pytest.mark.parametrize("file_rmap", ["interval_tree", "list", "prio_tree", "pte_chain"])
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_healthy_machines_pass_untouched(scheme, arch, file_rmap):
    machine = build(scheme, arch, file_rmap)
    before = snapshot(machine)
    machine.check()
    assert snapshot(machine) == before


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_empty_machine_passes(scheme):
    rmapcore.Machine(scheme, ram=2 * PAGE, swap=0).check()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_machine_has_something_of_everything(healthy, scheme):
    p = Parts(healthy[scheme]._core)
    parent = next(iter(healthy[scheme].processes.values()))
    assert parent.swapped and len(p.living()) == 4
    assert p.frame(has=SWAPCACHE, mapcount=0) and p.frame(has=CACHED, mapcount=0)
    assert p.frame(has=CACHED, mapcount=lambda n: n > 1) and p.anonymous() and p.swapped_entry()
    assert p.files["n_swapped"][2] and p.files["n_cached"][2] and p.files["n_cached"][1]
    assert p.top["n_active"] > 1 and p.top["n_inactive"] > 1 and p.top["slot_free"] and p.used_slot()
    assert all(p.pools["free"][[1, 2, 3, 4]]) and p.top["extent_free"][4] and p.pools["live"][EXTENTS] == 0


@pytest.mark.parametrize(("rule", "machine", "damage"), [
    pytest.param(rule, (scheme, side) if side else scheme, damage, id=f"{rule}-{damage.__name__}-{side or scheme}")
    for rule, only, side, damage in cases() for scheme in ([only] if only else SCHEMES)
])
def test_damage_is_found(healthy, rule, machine, damage):
    machine = healthy[machine].copy()
    machine.check()
    damage(Parts(machine._core))
    before = snapshot(machine)
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    assert caught.value.rule == rule, caught.value
    if re.match("[CFPS][0-9]", rule):          # of files, frames, pools, slots
        assert caught.value.process is None, caught.value
    assert snapshot(machine) == before


def test_a_use_count_that_reached_its_most_says_nothing(healthy):
    machine = healthy["anon_vma"].copy()
    p = Parts(machine._core)
    p.swap_map[p.used_slot()] = 0x7FFF
    machine.check()


class Forgetful(Prototype):
    """A scheme that leaves the last place of every page out."""

    def walk(self, pfn, purpose):
        for mm, vpn in everyone(self.core, pfn)[:-1]:
            yield mm, 0, vpn


class Repetitive(Prototype):
    """A scheme that reports the first place of every page twice."""

    def walk(self, pfn, purpose):
        for mm, vpn in everyone(self.core, pfn)[:1] * 2:
            yield mm, 0, vpn


def everyone(core, pfn):
    """(mm, vpn) of who maps a frame, from the heap of every process."""
    p = Parts(core)
    return [(mm, address // PAGE) for mm in p.living() for address in range(HEAP, HEAP + 4 * PAGE, PAGE)
            if int(p.entries[p.slot(address, mm)]) >> 12 & 0xFFFFFFFF == pfn]


@pytest.mark.parametrize(("scheme", "rule"), [(Forgetful, "W1"), (Repetitive, "W2")])
def test_a_scheme_that_is_wrong(scheme, rule):
    machine = rmapcore.Machine(scheme(), ram=32 * PAGE, swap=0)
    parent = machine.spawn()
    parent.write(parent.mmap(HEAP, 4 * PAGE, READ_WRITE, ANON), 4 * PAGE)
    child = parent.fork()
    pfn = int(parent.pagemap(HEAP, PAGE)["pfn"][0])
    before = snapshot(machine)
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    error = caught.value
    process = child if rule == "W1" else parent
    assert (error.rule, error.frame, error.process, error.address) == (rule, pfn, process.pid, HEAP)
    assert snapshot(machine) == before


def test_a_hole_that_is_remembered_as_taken():
    """By 6.18, whose searches begin at the top; 2.6.7 goes on where the last ended, and may pass any hole."""
    machine = rmapcore.Machine("anonmm", kernel="6.18", ram=32 * PAGE, swap=0)
    process = machine.spawn()
    at = [process.mmap(0, 4 * PAGE, prot) for prot in (READ_WRITE, READ, READ_WRITE)]
    process.munmap(at[1], 4 * PAGE)
    machine.check()
    record = machine._core.writable("mms")[int(machine._core.view("head")["mm_first"][0])]
    record["hole_vpn"], record["hole_pages"] = at[2] // PAGE, 4
    with pytest.raises(rmapcore.InconsistentState, match="V7"):
        machine.check()


def test_the_message_names_everything():
    machine = build("anon_vma")
    p = Parts(machine._core)
    p.frames["index"][p.pfn(MOVED)] += 1
    with pytest.raises(rmapcore.InconsistentState) as caught:
        machine.check()
    error = caught.value
    parent = next(iter(machine.processes))
    assert (error.rule, error.frame, error.process, error.address) == ("AV5", p.pfn(MOVED), parent, MOVED)
    assert str(error).startswith(f"AV5 (frame {p.pfn(MOVED)}, process {parent}, address {MOVED:#x}): ")


def test_every_rule_is_shown_to_fire():
    rules = rules_of_the_sources()
    tried = {rule for rule, *_ in cases()} | COMPARED
    assert rules == tried
    assert set(RULES) == {rule for rule in rules if len(rule.rstrip("0123456789")) == 1}
