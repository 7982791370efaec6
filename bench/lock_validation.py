"""The model of locks beside the live kernel: six programs at four rates on two processors, and the rank correlation.

    python bench/lock_validation.py [--rounds N]

Needs root, perf, two processors, gcc and the tracepoints lock:contention_begin and _end; says so where one is missing. Nothing
of the model is fitted to it; the last three programs were written when the model was as it is. What is compared, for each
program, rate and class of lock, is how often and for how long somebody waited for locks that the model has (by the function
that waits). lock:contention_begin tells of an rwsem only once spinning for it has failed [6.18 kernel/locking/rwsem.c,
rwsem_down_write_slowpath], so the model's waits in which somebody slept stand beside all of them.

The programs are no real-time tasks: such a task stops spinning as soon as it sees no writer [rwsem_optimistic_spin], which two
who take one lock by turns see now and then while it changes hands, and each time is an event. With SCHED_FIFO the first three
programs had ten to a hundred times as many at low rates.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

import rmapcore
from rmapcore.core.program import make
from rmapcore.operations import Op

PAGE = 4096
WORKERS, AREAS, PIECES = 2, 120, 6
PERIODS = 400, 800, 1600, 3200         # us between the beginnings of two rounds,
SETUP = 10**8                          # ns that the model gives it before the first round
JITTER = 300                           # and up to so many more, by a formula: else the model's two workers go in step
CLASSES = {                            # by the function that waits, as far as it is inlined nowhere else [6.18 mm/]
    "anon_vma": ("anon_vma_clone", "anon_vma_fork", "unlink_anon_vmas", "__anon_vma_prepare", "folio_lock_anon_vma_read"),
    "i_mmap": ("unlink_file_vma", "unlink_file_vma_batch", "unlink_file_vma_batch_process", "unlink_file_vma_batch_final",
               "dup_mmap", "vma_link_file", "vma_link", "__mmap_new_vma", "__mmap_region", "mmap_region", "vma_prepare"),
    "mmap": ("do_user_addr_fault", "lock_mm_and_find_vma", "vm_mmap_pgoff", "__vm_munmap", "do_mprotect_pkey", "dup_mm",
             "exit_mmap", "exit_mm", "do_madvise", "__do_sys_brk"),
    "page_table": ("__pte_offset_map_lock", "copy_pte_range", "zap_pte_range", "__pte_alloc", "finish_fault"),
}
HEAD = re.compile(r"lockvalid +(\d+) +([\d.]+): +lock:contention_(begin|end): +(0x[0-9a-f]+) (.*)")
INSIDE = re.compile(r"_*(_raw|pv_queued|queued|native|rwsem|down|mutex|trace|bpf|perf|lock_)")        # of locks themselves
SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int file;

static void library(int pieces, int keep)
{
    char *at[64];
    for (int i = 0; i < pieces; i++) {
        at[i] = mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, i * 4096L);
        *(volatile char *) at[i];
    }
    for (int i = 0; !keep && i < pieces; i++)
        munmap(at[i], 4096);
}

static const char *program;
static char *start;
static int areas, pieces, rounds;
static long period;
static struct timespec begin;

static void heap(int w)
{
    for (int i = 0; i < 8; i++) {
        char *at = mmap((char *) 0x100000000L + w * 0x40000000L, 4 * 4096L, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        *(volatile char *) at = 1;
        munmap(at, 4 * 4096L);
    }
}

static void *work(void *number)
{
    long w = (long) number;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(w, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    for (int r = 0; r < rounds; r++) {
        uint64_t at = begin.tv_sec * 1000000000ULL + begin.tv_nsec + 20000000ULL + (uint64_t) r * period
                      + (r * 7919ULL + w * 104729ULL) % JITTER * 1000;
        struct timespec when = {at / 1000000000, at % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, 0);
        if (*program == 'f' && !fork())
            _exit(0);
        if (*program == 'l')
            for (int i = 0; i < 8; i++)
                library(pieces, 0);
        if (*program == 's') {
            mprotect(start + 4096L * (1 + 2 * (r % (areas / 2 - 1))), 4096, r & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
            if (!fork()) {
                library(pieces, 1);
                _exit(0);
            }
        }
        if (*program == 'g' && !fork()) {
            fork();
            _exit(0);
        }
        if (*program == 't')
            heap(w);
        if (*program == 'c') {
            for (int i = 0; i < 4; i++)
                library(pieces, 0);
            if (ftruncate(file, 2 * 4096L) || ftruncate(file, 64 * 4096L))
                abort();
        }
    }
    return 0;
}

int main(int n, char **args)
{
    pthread_t threads[64];
    int workers = atoi(args[6]);
    program = args[1], areas = atoi(args[2]), pieces = atoi(args[3]), rounds = atoi(args[4]), period = atol(args[5]) * 1000;
    prctl(PR_SET_NAME, "lockvalid");
    file = fileno(tmpfile());
    if (ftruncate(file, 64 * 4096))
        return 1;
    start = mmap(0, areas * 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(start, 1, areas * 4096L);
    for (int i = 0; i < areas; i += 2)
        mprotect(start + i * 4096L, 4096, PROT_READ);
    signal(SIGCHLD, SIG_IGN);
    setpriority(PRIO_PROCESS, 0, -20);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long w = 0; w < workers; w++)
        if (*program == 't')
            pthread_create(&threads[w], 0, work, (void *) w);
        else if (!fork()) {
            work((void *) w);
            _exit(0);
        }
    usleep(rounds * period / 1000 + 300000);
    return 0;
}
"""
PROGRAMS = {"forks": "two relatives fork children that end", "library": "two relatives map and unmap pieces of a file",
            "server": "two relatives change areas and fork children that map a file's pieces",
            "grandchildren": "two relatives fork children that fork", "threads": "two threads map, write and unmap",
            "cut": "two relatives map and unmap pieces of a file, which they cut and lengthen"}
NEW = "grandchildren", "threads", "cut"        # written when the model was as it is


def why_not():
    """What is missing, or None."""
    if os.geteuid():
        return "needs root"
    if (os.cpu_count() or 1) < WORKERS:
        return f"needs {WORKERS} processors"
    for tool in ("perf", "gcc"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    with Tracing():
        if not list(Path("/sys/kernel/tracing/events").glob("lock/contention_begin")):
            return "this kernel has no tracepoint lock:contention_begin"
    return None


class Tracing:
    """tracefs is mounted meanwhile."""

    def __enter__(self):
        self.mounted = not Path("/sys/kernel/tracing/events").exists()
        if self.mounted:
            subprocess.run(["mount", "-t", "tracefs", "none", "/sys/kernel/tracing"], check=True)

    def __exit__(self, *error):
        if self.mounted:
            subprocess.run(["umount", "/sys/kernel/tracing"], check=False)


# --- the live kernel --------------------------------------------------------------------------------------------------


def live(program, period, rounds, folder):
    """({class: waits}, {class: us waited}, waits for what the model has no class of)."""
    binary, recorded = folder / "program", folder / "perf.data"
    if not binary.exists():
        (folder / "program.c").write_text(SOURCE)
        subprocess.run(["gcc", "-O1", "-w", "-pthread", f"-DJITTER={JITTER}", "-o", binary, folder / "program.c"], check=True)
    with Tracing():
        events = ["-e", "lock:contention_begin", "-e", "lock:contention_end"]
        numbers = [str(number) for number in (AREAS, PIECES, rounds, period, WORKERS)]
        command = ["perf", "record", "-q", "-a", "-g", "-c", "1", *events, "-o", recorded, "--", binary, program, *numbers]
        subprocess.run(command, check=True, capture_output=True)
        text = subprocess.run(["perf", "script", "-i", recorded, "-F", "comm,tid,time,event,trace,ip,sym"], check=True,
                              capture_output=True, text=True).stdout
    return waits_of(text)


def waits_of(text):
    """What `live` gives, of perf script's text: a block a sample, its head and then who called, from the inside out."""
    known, waited, other, begun = Counter(), Counter(), Counter(), {}
    for block in text.split("\n\n"):
        lines = [line.strip() for line in block.strip().splitlines()]
        head = HEAD.match(lines[0]) if lines else None
        if head is None:
            continue
        tid, time, event, address, more = head.groups()
        if event == "end":
            name, start = begun.pop((tid, address), (None, 0))
            if name:
                waited[name] += (float(time) - start) * 1e6
            continue
        functions = [re.sub(r"\.(isra|constprop|part|cold).*", "", line.split()[-1]) for line in lines[1:]]
        if "rwsem_wake" in functions:          # the spinlock inside of a lock that has been counted
            continue
        sleeps = "flags=SPIN" not in more
        found = [name for function in functions for name, those in CLASSES.items()
                 if function in those and sleeps == (name != "page_table")]
        if found:
            known[found[0]] += 1
            begun[tid, address] = found[0], float(time)
        else:
            other[next((name for name in functions if not INSIDE.match(name)), "?")] += 1
    return known, waited, other


# --- the model --------------------------------------------------------------------------------------------------------


def library(pids, keep):
    """Operations of the library's pieces by one process after the other; addresses are fixed."""
    steps = []
    for pid in pids:
        for piece in range(PIECES):
            at = (0x70000 + 2 * piece) * PAGE
            steps += [make(Op.MMAP, process=pid, addr=at, length=PAGE, prot=1, flags=0x12, other=1, arg=piece * PAGE),
                      make(Op.READ, process=pid, addr=at, length=1)]
        if not keep:
            steps += [make(Op.MUNMAP, process=pid, addr=(0x70000 + 2 * piece) * PAGE, length=PAGE) for piece in range(PIECES)]
    return steps


def model(program, period, rounds):
    """{class: (waits, waits in which somebody slept, us waited)}."""
    start = 0x40000 * PAGE
    setup = [make(Op.SPAWN, process=1), make(Op.MMAP, process=1, addr=start, length=AREAS * PAGE, prot=3, flags=0x32),
             make(Op.WRITE, process=1, addr=start, length=AREAS * PAGE)]
    setup += [make(Op.MPROTECT, process=1, addr=start + number * PAGE, length=PAGE, prot=1) for number in range(0, AREAS, 2)]
    setup += [make(Op.FORK, process=1, other=2 + worker) for worker in range(WORKERS)]
    steps, begins, threads = [], [], []
    child = 2 + WORKERS
    for number in range(rounds):
        for worker in range(WORKERS):
            pid, before = 2 + worker, len(steps)
            if program == "forks":
                steps += [make(Op.FORK, process=pid, other=child), make(Op.EXIT, process=child)]
            elif program == "library":
                steps += library([pid] * 8, False)
            elif program == "grandchildren":
                steps += [make(Op.FORK, process=pid, other=child), make(Op.FORK, process=child, other=child + 1),
                          make(Op.EXIT, process=child), make(Op.EXIT, process=child + 1)]
                child += 1
            elif program == "threads":
                at = 0x100000000 + worker * 0x40000000
                steps += [make(Op.MMAP, process=1, addr=at, length=4 * PAGE, prot=3, flags=0x32),
                          make(Op.WRITE, process=1, addr=at, length=1),
                          make(Op.MUNMAP, process=1, addr=at, length=4 * PAGE)] * 8
            elif program == "cut":
                steps += library([pid] * 4, False)
                steps += [make(Op.TRUNCATE, process=pid, other=1, arg=pages * PAGE) for pages in (2, 64)]
            else:
                at = start + PAGE * (1 + 2 * (number % (AREAS // 2 - 1)))
                steps += [make(Op.MPROTECT, process=pid, addr=at, length=PAGE, prot=1 if number & 1 else 3),
                          make(Op.FORK, process=pid, other=child), *library([child], True), make(Op.EXIT, process=child)]
            child += 1
            begin = number * period + (number * 7919 + worker * 104729) % JITTER
            begins += [begin * 1000] * (len(steps) - before)
            threads += [worker if program == "threads" else 0] * (len(steps) - before)
    operations = np.concatenate([*setup, *steps])
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="64MiB", swap="64MiB")
    locks = machine.locks()
    file = machine.file("library", 64 * PAGE)
    statuses = machine.run(operations, [file])
    assert not statuses.any(), statuses
    phase = np.repeat([0, 1], [len(setup), len(steps)])
    found = locks.simulate(WORKERS, phase=phase, begins=np.concatenate([np.zeros(len(setup), np.int64),
                                                                        np.array(begins) + SETUP]),
                           thread=np.array([0] * len(setup) + threads))
    return {str(row["lock"]): (int(row["waits"]), int(row["slept"]), int(row["wait"]) / 1000) for row in found.by_class()}


def ranks(values):
    """Ranks from 1, equal values sharing their mean."""
    values = np.asarray(values, float)
    return np.array([(values < one).sum() + ((values == one).sum() + 1) / 2 for one in values])


def correlation(one, other):
    """Spearman's; nan where one side is all alike."""
    a, b = ranks(one), ranks(other)
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400, help="of each worker at each rate (400)")
    rounds = parser.parse_args().rounds
    missing = why_not()
    if missing:
        print(f"skipped: {missing}")
        return 0
    cells, others = {}, Counter()
    with tempfile.TemporaryDirectory() as folder:
        for program in PROGRAMS:
            for period in PERIODS:
                known, waited, other = live(program, period, rounds, Path(folder))
                modelled = model(program, period, rounds)
                others += other
                for name in CLASSES:
                    cells[program, period, name] = (*modelled.get(name, (0, 0, 0)), known[name], waited[name])
    show(cells, others, rounds)
    return 0


WHAT = {"waits": (0, 3), "waits slept in": (1, 3), "us waited": (2, 4)}        # places in a cell: the model's, the kernel's


def show(cells, others, rounds):
    """cells: by (program, period, class), as `main` makes them."""
    for what, sides in WHAT.items():
        print(f"{what + ', model / live':30}" + "".join(f"{name:>20}" for name in CLASSES))
        for program in PROGRAMS:
            for period in PERIODS:
                found = [cells[program, period, name] for name in CLASSES]
                shown = (f"{cell[sides[0]]:,.0f} / {cell[sides[1]]:,.0f}" for cell in found)
                print(f"{program:14}every {period:5} us" + "".join(f"{cell:>20}" for cell in shown))
        for which, programs in (("all", PROGRAMS), ("the new ones'", NEW)):
            pairs = [[cell[side] for (program, _, _), cell in cells.items() if program in programs] for side in sides]
            print(f"rank correlation of {which} {len(pairs[0])} cells: {correlation(*pairs):.2f}")
        for program in PROGRAMS:
            classes = [[sum(cells[program, period, name][side] for period in PERIODS) for name in CLASSES] for side in sides]
            rates = [[sum(cells[program, period, name][side] for name in CLASSES) / (rounds * period) * 1e6
                      for period in PERIODS] for side in sides]
            for name, values in zip(("model", "live"), rates, strict=True):
                print(f"{program:14}{name:6}{what} a second: " + ", ".join(f"{value:,.0f}" for value in values))
            print(f"{program}: of classes {correlation(*classes):.2f}, of rates (a second) {correlation(*rates):.2f}")
    print(f"{rounds} rounds by {WORKERS} workers; waits for locks that the model does not have: {sum(others.values()):,}, most "
          f"in {', '.join(f'{name} {count:,}' for name, count in others.most_common(4))}")


if __name__ == "__main__":
    sys.exit(main())
