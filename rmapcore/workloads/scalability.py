"""Workloads after vm-scalability's cases, under the names of its scripts.

anon_cow_seq, anon_cow_rand            children rewrite what their parent has filled, in order or at random
anon_w_seq                             tasks that write memory of their own
fork, fork_sleep                       children of an all but empty parent, gone at once or alive together
shm_xread, shm_pread                   tasks read one file of shared memory, mapped before the fork or after it
lru_file_mmap_read, ..._rand, lru_shm  tasks read files that together are many times as large as memory
truncate                               files that tasks have read are cut to nothing while they are mapped
small_allocs                           many small mappings one behind the other

`pages` is the memory of the machine and `tasks` the number of its processors, from which the scripts take all sizes. The
lru cases ask for a RAM of `pages` frames (--ram overrides), so that reclaim happens by itself. Departures: truncate's
script reads its files without mapping them, small_allocs' only reads; here both map and touch, for there is no read(2), and
the zero page has no mappers. `migrate` is left out: no operation moves a page to another node.
"""
import numpy as np

from rmapcore.core.program import make
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads.bricks import (
    BASE_VPN,
    anonymous,
    exits,
    forks,
    interleaved,
    mapped,
    need_room,
    phase,
    program,
    reclaim,
    small_parent,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload

CHUNK = 32                             # pages that a task reads before the next one has its turn


def sizes(parameters, parts=1):
    """(tasks, pages of each share if memory is cut into tasks x parts). ValueError if that is none."""
    tasks, pages = parameters["tasks"], parameters["pages"]
    if pages < tasks * parts:
        raise ValueError(f"pages: {pages:,} are too few for {tasks:,} tasks: at least {tasks * parts:,}")
    return tasks, pages // (tasks * parts)


def in_turns(parts):
    """Arrays of equal length, one for each task: the first operation of every task, then the second."""
    return interleaved(*parts)


def chunks(vpn, pages):
    """Where the chunks of a range begin, and how many pages each has."""
    starts = np.arange(0, pages, CHUNK)
    return vpn + starts, np.minimum(CHUNK, pages - starts)


def anon_cow(name, parameters, seed, archs):
    tasks, pages = sizes(parameters, 2)
    need_room(archs, "pages", pages)
    children = np.arange(2, 2 + tasks)
    if name == "anon_cow_rand":
        rng = np.random.default_rng(seed)
        rewrite = in_turns([touches(child, BASE_VPN + rng.integers(0, pages, pages), 1, pages) for child in children])
    else:
        starts, lengths = chunks(BASE_VPN, pages)
        rewrite = in_turns([touches(child, starts, lengths, len(starts)) for child in children])
    phases = [
        phase("fill", "faults", make(Op.SPAWN, process=1), anonymous(1, BASE_VPN, pages), touches(1, BASE_VPN, pages)),
        phase("fork", "copies", forks(1, children)),
        phase("rewrite", "faults", rewrite),
        reclaim(pages * (tasks + 1)),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program(name, parameters, seed, phases)


def anon_cow_seq(parameters, seed, archs):
    return anon_cow("anon_cow_seq", parameters, seed, archs)


def anon_cow_rand(parameters, seed, archs):
    return anon_cow("anon_cow_rand", parameters, seed, archs)


def anon_w_seq(parameters, seed, archs):
    tasks, pages = sizes(parameters)
    need_room(archs, "pages", pages)
    pids = np.arange(2, 2 + tasks)
    starts, lengths = chunks(BASE_VPN, pages)
    phases = [
        phase("fork", tasks, make(Op.SPAWN, process=1), forks(1, pids)),
        phase("write", "faults", anonymous(pids, BASE_VPN, pages, tasks),
              in_turns([touches(pid, starts, lengths, len(starts)) for pid in pids])),
        reclaim(pages * tasks),
        phase("exit", "entries", exits(np.append(pids, 1))),
    ]
    return program("anon_w_seq", parameters, seed, phases)


def fork(parameters, seed, archs):
    children = np.arange(2, 2 + parameters["children"])
    phases = [
        phase("fill", "faults", *small_parent()),
        phase("fork", len(children), interleaved(forks(1, children), exits(children))),
        phase("exit", "entries", exits([1])),
    ]
    return program("fork", parameters, seed, phases)


def fork_sleep(parameters, seed, archs):
    children = np.arange(2, 2 + parameters["children"])
    phases = [
        phase("fill", "faults", *small_parent()),
        phase("fork", len(children), forks(1, children)),
        phase("exit", "entries", exits(np.append(children, 1))),
    ]
    return program("fork_sleep", parameters, seed, phases)


def shm_read(name, parameters, seed, archs):
    tasks, pages = parameters["tasks"], parameters["pages"] // 2
    need_room(archs, "pages", pages)
    pids = np.arange(2, 2 + tasks)
    starts, lengths = chunks(BASE_VPN, pages)
    steps = [forks(1, pids), mapped(1, BASE_VPN, pages, 1, 0, prot="r")] if name == "shm_xread" else \
        [mapped(pids, BASE_VPN, pages, 1, 0, tasks, prot="r"), forks(1, pids)]
    phases = [
        phase("map", tasks, make(Op.SPAWN, process=1), *steps[::-1]),
        phase("read", "faults", in_turns([touches(pid, starts, lengths, len(starts), write=False) for pid in pids])),
        reclaim(pages),
        phase("exit", "entries", exits(np.append(pids, 1))),
    ]
    return program(name, parameters, seed, phases, [("shm", pages * PAGE, "shmem")])


def shm_xread(parameters, seed, archs):
    return shm_read("shm_xread", parameters, seed, archs)


def shm_pread(parameters, seed, archs):
    return shm_read("shm_pread", parameters, seed, archs)


def lru(name, parameters, seed, archs):
    """Each task reads a file of its own from end to end, or as many pages of it at random."""
    tasks, pages = sizes(parameters)
    pages = round(pages * parameters["times"])
    need_room(archs, "pages and times", pages)
    pids = np.arange(2, 2 + tasks)
    if name == "lru_file_mmap_read_rand":
        rng = np.random.default_rng(seed)
        reads = [touches(pid, BASE_VPN + rng.integers(0, pages, pages), 1, pages, write=False) for pid in pids]
    else:
        starts, lengths = chunks(BASE_VPN, pages)
        reads = [touches(pid, starts, lengths, len(starts), write=False) for pid in pids]
    phases = [
        phase("map", tasks, make(Op.SPAWN, process=1), forks(1, pids),
              mapped(pids, BASE_VPN, pages, np.arange(1, 1 + tasks), 0, tasks, prot="r")),
        phase("read", "faults", in_turns(reads)),
        phase("exit", "entries", exits(np.append(pids, 1))),
    ]
    kind = "shmem" if name == "lru_shm" else "disk"
    made = program(name, parameters, seed, phases, [(f"sparse{number}", pages * PAGE, kind) for number in range(tasks)])
    made.ram_pages = parameters["pages"]
    return made


def lru_file_mmap_read(parameters, seed, archs):
    return lru("lru_file_mmap_read", parameters, seed, archs)


def lru_file_mmap_read_rand(parameters, seed, archs):
    return lru("lru_file_mmap_read_rand", parameters, seed, archs)


def lru_shm(parameters, seed, archs):
    return lru("lru_shm", parameters, seed, archs)


def truncate(parameters, seed, archs):
    tasks, pages = sizes(parameters)
    need_room(archs, "pages", pages)
    pids = np.arange(2, 2 + tasks)
    numbers = np.arange(1, 1 + tasks)
    phases = [
        phase("read", "faults", make(Op.SPAWN, process=1), forks(1, pids),
              mapped(pids, BASE_VPN, pages, numbers, 0, tasks, prot="r"),
              touches(pids, BASE_VPN, pages, tasks, write=False)),
        phase("truncate", "entries", make(Op.TRUNCATE, tasks, other=numbers, arg=0)),
        phase("exit", tasks, exits(np.append(pids, 1))),
    ]
    return program("truncate", parameters, seed, phases, [(f"sparse{number}", pages * PAGE, "disk") for number in numbers])


def small_allocs(parameters, seed, archs):
    unit = parameters["unit"]
    tasks, pages = sizes(parameters, unit)
    need_room(archs, "pages", pages * unit)
    pids = np.arange(2, 2 + tasks)
    vpns = BASE_VPN + np.arange(pages) * unit
    phases = [
        phase("allocate", "faults", make(Op.SPAWN, process=1), forks(1, pids), in_turns(
            [interleaved(anonymous(pid, vpns, unit, pages), touches(pid, vpns, unit, pages)) for pid in pids])),
        phase("exit", "entries", exits(np.append(pids, 1))),
    ]
    return program("small_allocs", parameters, seed, phases)


def memory(pages, tasks=16):
    """Parameters of all cases that take their sizes from the machine."""
    return {
        "pages": Parameter(pages, int, "of the machine's memory", 2),
        "tasks": Parameter(tasks, int, "processes, one for each processor", 1, 30_000),
    }


def beyond_memory():
    """Parameters of the lru cases."""
    return {**memory(16_384), "times": Parameter(10.0, float, "size of all files together, in memories", 0.01, 10_000)}


CHILDREN = {"children": Parameter(20_000, int, "of one parent that has four pages", 1, 30_000)}
WORKLOADS = {
    "anon_cow_seq": Workload(anon_cow_seq, "vm-scalability: children rewrite half of memory that their parent has filled",
                             memory(262_144)),
    "anon_cow_rand": Workload(anon_cow_rand, "vm-scalability: the same, each child as many pages drawn at random",
                              memory(262_144)),
    "anon_w_seq": Workload(anon_w_seq, "vm-scalability: tasks write memory of their own", memory(262_144)),
    "fork": Workload(fork, "vm-scalability: an all but empty parent forks children that exit at once", CHILDREN),
    "fork_sleep": Workload(fork_sleep, "vm-scalability: the same, but all children are alive before the first exits", CHILDREN),
    "shm_xread": Workload(shm_xread, "vm-scalability: children read shared memory that their parent has mapped",
                          memory(131_072)),
    "shm_pread": Workload(shm_pread, "vm-scalability: children read shared memory that each has mapped for itself",
                          memory(131_072)),
    "lru_file_mmap_read": Workload(lru_file_mmap_read, "vm-scalability: tasks read files many times as large as memory",
                                   beyond_memory()),
    "lru_file_mmap_read_rand": Workload(lru_file_mmap_read_rand, "vm-scalability: the same at random", beyond_memory()),
    "lru_shm": Workload(lru_shm, "vm-scalability: tasks read shared memory many times as large as memory", beyond_memory()),
    "truncate": Workload(truncate, "vm-scalability: files are cut to nothing while tasks map them", memory(262_144)),
    "small_allocs": Workload(
        small_allocs, "vm-scalability: many small mappings one behind the other",
        {**memory(262_144), "unit": Parameter(10, int, "pages of a mapping", 1, 100_000)},
    ),
}
