"""Runs one random program on several machines and compares what must be equal.

`observe` is all that a machine with its own twin must share: areas, page maps, who maps what (found through the scheme, in
order), counters, list orders, contents. `seen` is what programs see, and must be equal between schemes.
"""
import numpy as np
import pytest

import programs
import reference
import rmapcore
from rmapcore.schemes import registry

SCHEMES = registry()
PAGE = 4096
SIZES = ((40, 300), (64, 120), (28, 400))      # RAM and swap in pages, by seed
VM_SHARED, VM_GROWSDOWN, VM_LOCKED = 0x8, 0x100, 0x2000
SOUND = [name for name, spec in SCHEMES.items() if not spec.defects]     # schemes that never lose a page
KNOWN = [name for name in SCHEMES if reference.twin_of(name)]            # of which the tests say what each does


def twin_of(scheme, **options):
    """The slow machine of a scheme; a test of one that has no twin is skipped, and says so."""
    if reference.twin_of(scheme) is None:
        pytest.skip(f"{scheme} has no twin in tests/reference/schemes")
    return reference.Machine(scheme, **options)


def lru_lists(machine):
    """Both LRU lists, newest first, of either kind of machine."""
    if hasattr(machine, "active"):
        return list(machine.active), list(machine.inactive)
    head = machine._core.view("head")[0]
    following = machine.frames["next"].tolist()
    lists = []
    for name in ("active", "inactive"):
        at, found = int(head[name]), []
        while at:
            found.append(at)
            at = following[at]
        lists.append(found)
    return tuple(lists)


def areas(process):
    """maps() as plain tuples."""
    return [tuple(int(value) for value in row) for row in (
        process.maps() if not isinstance(process.maps(), np.ndarray)
        else process.maps()[["start", "end", "prot", "flags", "pgoff", "file"]].tolist())]


def pages(process, start, end):
    """pagemap() as plain tuples."""
    rows = process.pagemap(start, end - start)
    if isinstance(rows, np.ndarray):
        names = ["present", "swapped", "anon", "writable", "young", "dirty", "pfn", "mapcount", "slot", "guard"]
        rows = rows[names].tolist()
    return [tuple(int(value) for value in row) for row in rows]


def who(machine, pfns, method):
    """whomaps() or mappings() as lists of (pid, address)."""
    answer = getattr(machine, method)(pfns)
    if isinstance(answer, tuple):
        offsets, pids, addresses = answer
        places = list(zip(pids.tolist(), addresses.tolist(), strict=True))
        return [places[offsets[i]:offsets[i + 1]] for i in range(len(pfns))]
    return [[(int(pid), int(address)) for pid, address in places] for places in answer]


def observe(machine):
    """Everything that a machine and its twin have in common."""
    state = {"lru": lru_lists(machine)}
    used = sorted(set(state["lru"][0] + state["lru"][1]))
    state["whomaps"] = dict(zip(used, who(machine, used, "whomaps"), strict=True))
    state["mappings"] = dict(zip(used, who(machine, used, "mappings"), strict=True))
    for pid, process in machine.processes.items():
        mapped = areas(process)
        state[pid] = (mapped, process.rss, process.swapped, process.page_table_bytes,
                      [[int(x) for x in part] for part in process.tabled()],
                      [(start, pages(process, start, end), [int(x) for x in process.stamps(start, end - start)])
                       for start, end, *_ in mapped if end - start <= 4096 * PAGE])
    state["counters"] = dict(machine.counters)
    return state


def leaves(value, path=()):
    """All plain values inside an observation, with the path to each."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        yield path, value
        return
    yield (*path, "length"), len(value)
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def difference(one, other, most=8):
    """Where two observations differ: (path, value here, value there), the first few."""
    here, there = dict(leaves(one)), dict(leaves(other))
    found = [(path, here.get(path), there.get(path)) for path in {**here, **there}
             if here.get(path) != there.get(path)]
    return found[:most]


def seen(machine):
    """What programs see: areas coalesced by protection, flags that matter and object, and contents."""
    state = {}
    for pid, process in machine.processes.items():
        merged = []
        for start, end, prot, flags, pgoff, file in areas(process):
            flags &= VM_SHARED | VM_GROWSDOWN | VM_LOCKED
            last = merged[-1] if merged else None
            offset = pgoff - start // PAGE if file else 0
            if last and last[1] == start and last[2:] == [prot, flags, file, offset]:
                last[1] = end
            else:
                merged.append([start, end, prot, flags, file, offset])
        state[pid] = merged, [[int(x) for x in process.stamps(start, end - start)] for start, end, *_ in merged
                              if end - start <= 4096 * PAGE]
    return state


def check(machine):
    """Machine.check(). Under a scheme with known faults walks may miss pages, and all else must be right."""
    try:
        machine.check()
    except rmapcore.InconsistentState as error:
        if machine.scheme in SOUND or error.rule not in ("W1", "W2"):
            raise


def verdict(machine):
    """Whether check() of either kind of machine finds nothing. Both must say the same of a scheme with known faults."""
    try:
        machine.check()
    except (AssertionError, rmapcore.InconsistentState):
        return False
    return True


def call_of(step, outcome):
    """What of a step's outcome decides whether programs still run alike: errors, and addresses that calls chose.

    How many faults a touch took, and what a reclaim found, differs by scheme and does not show. None: out of memory, which
    leaves a batch half done, each scheme's at another place.
    """
    if isinstance(outcome, tuple) and outcome[:1] == ("error",):
        return None if outcome[1] == "OutOfMemory" else outcome
    return outcome if step[0] in ("mmap", "mremap", "brk") else "done"


def run(machines, steps, every, compare):
    """Executes steps on all machines; after every `every` steps calls compare(machines, number of steps done)."""
    states = [programs.State() for _ in machines]
    for number, step in enumerate(steps, 1):
        outcomes = [programs.run_step(machine, state, step)
                    for machine, state in zip(machines, states, strict=True)]
        assert all(outcome == outcomes[0] for outcome in outcomes), f"step {number} {step}: {outcomes}"
        if number % every == 0 or number == len(steps):
            compare(machines, number)


def sizes(seed):
    ram, swap = SIZES[seed % len(SIZES)]
    return {"ram": ram * PAGE, "swap": swap * PAGE}


def against_twin(make, scheme, file_rmap, arch, seed, n_ops, every, kernel="2.6.7"):
    """make: of the program, `programs.program` or `programs.recorded`."""
    options = {"arch": arch, "file_rmap": file_rmap, "kernel": kernel, **sizes(seed)}
    machines = [rmapcore.Machine(scheme, track_contents=True, **options), twin_of(scheme, **options)]

    def compare(machines, number):
        one, other = (observe(machine) for machine in machines)
        assert one == other, f"after {number} steps: {difference(one, other)}"
        if scheme in SOUND:
            machines[0].check()
            machines[1].check()
        else:
            assert verdict(machines[0]) == verdict(machines[1]), f"after {number} steps"

    run(machines, make(seed, n_ops, arch, kernel), every, compare)
