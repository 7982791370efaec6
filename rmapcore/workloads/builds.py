"""Workloads of many short programs: what fork, exec and exit cost when most of what they map is files.

kernbench    make -j: make starts sh, sh forks gcc, gcc starts cc1, then as; published with -j 256 on 16 processors (2003)
sdet         scripts that run one small utility after another
lat_proc     lmbench's loop: fork and exit; fork and exec; fork, exec a shell, fork and exec
shell_forker Daniel Phillips', 2 August 2002: loops of a shell, in each turn a subshell that runs cat | wc

A *program* maps text and data of its binary (private), a C library's text and data, a heap and a stack; it reads its text
and writes half of its data, its heap and its stack. Sizes of binaries are assumed (BINARIES), no source gives them. make and
gcc start programs by vfork, which copies nothing: their children begin with exec. Shells fork. Jobs run in step, each a
stage behind the one before, so that at any time some have just forked and not yet called exec.
"""
from typing import NamedTuple

import numpy as np

from rmapcore.core.program import make
from rmapcore.linux.uapi import MAP_FIXED, MAP_GROWSDOWN, MAP_PRIVATE
from rmapcore.operations import Op
from rmapcore.units import DEFAULT_FLAGS, PAGE, PROTS
from rmapcore.workloads.bricks import (
    BASE_VPN,
    anonymous,
    exits,
    forks,
    mapped,
    phase,
    program,
    touches,
)
from rmapcore.workloads.parameters import Parameter, Workload


class Binary(NamedTuple):
    """Pages: text that is read, data that is mapped (half of it is written), heap and stack that are written."""

    name: str
    text: int
    data: int
    heap: int
    stack: int = 4


BINARIES = {
    binary.name: binary for binary in (
        Binary("make", 40, 6, 200), Binary("sh", 100, 10, 30), Binary("gcc", 50, 8, 40), Binary("cc1", 700, 60, 900),
        Binary("as", 120, 12, 150), Binary("hello", 4, 2, 2), Binary("ls", 25, 4, 20), Binary("cat", 8, 2, 8),
        Binary("grep", 30, 4, 25), Binary("ed", 20, 4, 30), Binary("spell", 45, 6, 60),
        Binary("wc", 10, 2, 8),
    )
}
LIBC = Binary("libc", 120, 8, 0)
TEXT_VPN, LIBC_VPN, STACK_VPN = BASE_VPN, BASE_VPN + 0x4000, BASE_VPN + 0x8000
UTILITIES = ("ls", "cat", "grep", "ed", "spell")


class Files:
    """Numbers of the files that the binaries of a workload are."""

    def __init__(self, *names):
        self.names = [*names, "libc"]

    @property
    def list(self):
        binaries = [LIBC if name == "libc" else BINARIES[name] for name in self.names]
        return [(binary.name, (binary.text + binary.data) * PAGE, "disk") for binary in binaries]

    def number(self, name):
        return self.names.index(name) + 1


def image(files, pids, binary, vpn):
    """Text and data of a binary in each of these processes, mapped and used."""
    n = len(pids)
    number = files.number(binary.name)
    written = (binary.data + 1) // 2
    return [
        mapped(pids, vpn, binary.text, number, 0, n, "rx", MAP_PRIVATE),
        mapped(pids, vpn + binary.text, binary.data, number, binary.text, n, "rw", MAP_PRIVATE),
        touches(pids, vpn, binary.text, n, write=False),
        touches(pids, vpn + binary.text, written, n),
    ]


def execs(files, pids, name, vfork=False):
    """Each of these processes becomes this program and runs; vfork: it had no address space of its own before."""
    n = len(pids)
    binary = BINARIES[name]
    heap = TEXT_VPN + binary.text + binary.data + 1
    return [
        make(Op.SPAWN if vfork else Op.EXECVE, n, process=pids),
        *image(files, pids, binary, TEXT_VPN),
        *image(files, pids, LIBC, LIBC_VPN),
        anonymous(pids, heap, binary.heap, n),
        touches(pids, heap, binary.heap, n),
        make(Op.MMAP, n, process=pids, addr=(STACK_VPN - binary.stack) * PAGE, length=binary.stack * PAGE, prot=PROTS["rw"],
             flags=DEFAULT_FLAGS | MAP_FIXED | MAP_GROWSDOWN),
        touches(pids, STACK_VPN - binary.stack, binary.stack, n),
    ]


def kernbench(parameters, seed, archs):
    """A job has four processes: sh, gcc, cc1 and as; job j begins at step j mod the number of stages."""
    jobs, compiles = parameters["jobs"], parameters["compiles"]
    files = Files("make", "sh", "gcc", "cc1", "as")
    number = np.arange(jobs)

    def pid(turn, member):
        return 2 + (turn * jobs + number) * 4 + member

    stages = [
        lambda sh, gcc, cc1, as_: execs(files, sh, "sh", vfork=True),
        lambda sh, gcc, cc1, as_: [forks(sh, gcc)],
        lambda sh, gcc, cc1, as_: execs(files, gcc, "gcc"),
        lambda sh, gcc, cc1, as_: execs(files, cc1, "cc1", vfork=True),
        lambda sh, gcc, cc1, as_: [exits(cc1), *execs(files, as_, "as", vfork=True)],
        lambda sh, gcc, cc1, as_: [exits(as_), exits(gcc)],
        lambda sh, gcc, cc1, as_: [exits(sh)],
    ]
    steps = []
    for step in range(len(stages) * (compiles + 1) - 1):
        for stage, operations in enumerate(stages):
            # jobs that began `stage` steps ago, in this turn of theirs
            late = (step - stage) % len(stages)
            turn = (step - stage) // len(stages)
            chosen = number[number % len(stages) == late]
            if 0 <= turn < compiles and len(chosen):
                steps += operations(*(pid(turn, member)[chosen] for member in range(4)))
    phases = [
        phase("start", "faults", make(Op.SPAWN, process=1), *execs(files, np.array([1]), "make")),
        phase("build", "faults", *steps),
        phase("exit", "entries", exits([1])),
    ]
    return program("kernbench", parameters, seed, phases, files.list)


def sdet(parameters, seed, archs):
    scripts, commands = parameters["scripts"], parameters["commands"]
    files = Files("sh", *UTILITIES)
    shells = np.arange(1, 1 + scripts)
    choice = np.random.default_rng(seed).integers(0, len(UTILITIES), (commands, scripts))
    steps = []
    for turn in range(commands):
        children = 1 + scripts + turn * scripts + np.arange(scripts)
        steps.append(forks(shells, children))
        for which, name in enumerate(UTILITIES):
            chosen = children[choice[turn] == which]
            if len(chosen):
                steps += execs(files, chosen, name)
        steps.append(exits(children))
    phases = [
        phase("start", "faults", make(Op.SPAWN, scripts, process=shells), *execs(files, shells, "sh")),
        phase("scripts", "faults", *steps),
        phase("exit", "entries", exits(shells)),
    ]
    return program("sdet", parameters, seed, phases, files.list)


def lat_proc(parameters, seed, archs):
    mode, iterations = parameters["mode"], parameters["iterations"]
    files = Files("sh", "hello")
    vpn = STACK_VPN + 0x1000
    steps = []
    for turn in range(iterations):
        child = np.array([2 + 2 * turn])
        steps.append(forks(1, child))
        if mode == "exec":
            steps += execs(files, child, "hello")
        elif mode == "shell":
            steps += [*execs(files, child, "sh"), forks(child, child + 1), *execs(files, child + 1, "hello"),
                      exits(child + 1)]
        steps.append(exits(child))
    phases = [
        phase("start", "faults", make(Op.SPAWN, process=1), *execs(files, np.array([1]), "hello"),
              anonymous(1, vpn, parameters["pages"]), touches(1, vpn, parameters["pages"])),
        phase(mode, iterations, *steps),
        phase("exit", "entries", exits([1])),
    ]
    return program("lat_proc", parameters, seed, phases, files.list)


def shell_forker(parameters, seed, archs):
    """Loops are subshells too. All are in step: cat and wc of every loop run at once, then they and their shell exit."""
    n = parameters["loops"]
    files = Files("sh", "cat", "wc")
    loops = np.arange(2, 2 + n)
    steps = []
    for turn in range(parameters["iterations"]):
        shells, cats, wcs = (2 + n + (3 * turn + member) * n + np.arange(n) for member in range(3))
        steps += [forks(loops, shells), forks(shells, cats), forks(shells, wcs), *execs(files, cats, "cat"),
                  *execs(files, wcs, "wc"), exits(cats), exits(wcs), exits(shells)]
    phases = [
        phase("start", "faults", make(Op.SPAWN, process=1), *execs(files, np.array([1]), "sh"), forks(1, loops)),
        phase("loops", n * parameters["iterations"], *steps),
        phase("exit", "entries", exits(np.append(loops, 1))),
    ]
    return program("shell_forker", parameters, seed, phases, files.list)


WORKLOADS = {
    "kernbench": Workload(
        kernbench, "make -j: make, sh, gcc, cc1 and as, whose text all share (published with 256 jobs, 2003)",
        {
            "jobs": Parameter(64, int, "at a time", 1, 10_000),
            "compiles": Parameter(2, int, "that each job slot runs, one after another", 1, 1000),
        },
    ),
    "sdet": Workload(
        sdet, "scripts of small utilities: fork, exec, exit (published with 1 to 128 scripts, 2003 and 2004)",
        {
            "scripts": Parameter(16, int, "at a time", 1, 10_000),
            "commands": Parameter(50, int, "of each script, drawn at random", 1, 10_000),
        },
    ),
    "lat_proc": Workload(
        lat_proc, "lmbench's process latencies: fork, fork and exec, fork and a shell",
        {
            "mode": Parameter("fork", ("fork", "exec", "shell"), "what a child does before it exits"),
            "iterations": Parameter(200, int, "one after another", 1, 100_000),
            "pages": Parameter(300, int, "of its own that the parent has written", 1, 0x40000),
        },
    ),
    "shell_forker": Workload(
        shell_forker, "loops of a shell that run cat | wc in a subshell (Phillips, August 2002)",
        {
            "loops": Parameter(10, int, "at a time", 1, 10_000),
            "iterations": Parameter(500, int, "of each loop", 1, 100_000),
        },
    ),
}
