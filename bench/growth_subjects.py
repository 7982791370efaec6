"""What growth.py measures: a subject is a context manager of a size that prepares an input of it and gives the work.

Of the calls each is asked about its pages, its areas, or the processes, whichever its cost hangs on.
"""
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import rmapcore
from rmapcore.cli import main
from rmapcore.schemes import registry
from rmapcore.traces import load_trace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from recordings import MIB, A, started

PAGE = 4096
SUBJECTS = {}                                  # name -> (subject, size of the small input)
OWN = {                                        # name -> why it grows faster by what the scheme did
    "exit, oldest first, processes, pte_chain": "a chain is searched from its newest block (docs/facts/pte-chain.md)",
}


def subject(name, n):
    def noted(function):
        assert name not in SUBJECTS
        SUBJECTS[name] = contextlib.contextmanager(function), n
        return function
    return noted


def machine(pages, scheme="anon_vma_chain", kernel="6.18", **options):
    """One with room for so many pages, twice."""
    return rmapcore.Machine(scheme, kernel=kernel, ram=2 * pages * PAGE + 64 * MIB, swap=2 * pages * PAGE + 64 * MIB, **options)


def one_area(n, **options):
    """(machine, process, address) of an area of n pages, all written."""
    m = machine(n, **options)
    process = m.spawn()
    address = process.mmap(length=n * PAGE)
    process.write(address, n * PAGE)
    return m, process, address


def many_areas(n, **options):
    """(machine, process, addresses) of n areas of a page, with holes between them, all written."""
    m = machine(4 * n, **options)
    process = m.spawn()
    first = process.mmap(length=2 * n * PAGE, prot=0)
    addresses = [first + 2 * i * PAGE for i in range(n)]
    process.munmap(first, 2 * n * PAGE)
    for address in addresses:
        process.mmap(address, PAGE, 3, 0x32)
        process.write(address)
    return m, process, addresses


def family(n, scheme="anon_vma_chain", kernel="6.18", pages=2, **options):
    """(machine, parent, address, children) of n children that share the pages."""
    m = machine(n, scheme, kernel, **options)
    parent = m.spawn()
    address = parent.mmap(length=pages * PAGE)
    parent.write(address, pages * PAGE)
    return m, parent, address, [parent.fork() for _ in range(n)]


def each(function, items):
    def work():
        for item in items:
            function(item)
    return work


# --- calls on pages ----------------------------------------------------------------------------------------------------

PAGES = 40_000
OF_PAGES = {                                   # name -> (machine, process, address, bytes) -> None
    "read": lambda m, p, at, length: p.read(at, length),
    "write": lambda m, p, at, length: p.write(at, length),
    "touch": lambda m, p, at, length: p.touch(np.arange(at, at + length, PAGE), True),
    "translate": lambda m, p, at, length: p.translate(np.arange(at, at + length, PAGE)),
    "pagemap": lambda m, p, at, length: p.pagemap(at, length),
    "stamps": lambda m, p, at, length: p.stamps(at, length),
    "stamped_pages": lambda m, p, at, length: p.stamped_pages(),
    "tabled": lambda m, p, at, length: p.tabled(),
    "rss": lambda m, p, at, length: (p.rss, p.swapped, p.page_table_bytes, p.alive),
    "mprotect": lambda m, p, at, length: p.mprotect(at, length, "r"),
    "mremap": lambda m, p, at, length: p.mremap(at, length, length, 3, at - (1 << 33)),
    "madvise": lambda m, p, at, length: p.madvise(at, length, "dontneed"),
    "mlock": lambda m, p, at, length: p.mlock(at, length),
    "munlock": lambda m, p, at, length: p.munlock(at, length),
    "munmap": lambda m, p, at, length: p.munmap(at, length),
    "mbind": lambda m, p, at, length: p.mbind(at, length, 1),
    "mseal": lambda m, p, at, length: p.mseal(at, length),
    "name_area": lambda m, p, at, length: p.name_area(at, length, "a"),
    "fork": lambda m, p, at, length: p.fork(),
    "execve": lambda m, p, at, length: p.execve(),
    "exit": lambda m, p, at, length: p.exit(),
    "reclaim": lambda m, p, at, length: m.reclaim(length // PAGE),
    "whomaps": lambda m, p, at, length: m.whomaps(np.arange(1, length // PAGE)),
    "mappings": lambda m, p, at, length: m.mappings(np.arange(1, length // PAGE)),
    "crosscheck": lambda m, p, at, length: m.crosscheck(),
    "check": lambda m, p, at, length: m.check(),
    "copy": lambda m, p, at, length: m.copy(),
    "memory": lambda m, p, at, length: m.memory(),
    "frames": lambda m, p, at, length: (m.frames, m.counters, m.totals, m.reclaimed, m.names, m.area_names, m.processes),
    "files_in_swap": lambda m, p, at, length: m.files_in_swap(),
}
for name, call in OF_PAGES.items():
    @subject(f"{name}, pages", PAGES)
    def of_pages(n, call=call):
        m, process, address = one_area(n, track_contents=True)
        yield lambda: call(m, process, address, n * PAGE)


@subject("brk, pages", PAGES)
def brk(n):
    process = machine(n).spawn()
    first = process.brk()
    yield lambda: (process.brk(first + n * PAGE), process.write(first, n * PAGE), process.brk(first))


@subject("structure, pages", 2000)
def structure(n):
    m, *_ = one_area(n)
    yield m.structure


@subject("walk, processes", 2000)
def walk(n):
    m, parent, address, _ = family(n)
    yield lambda: m.walk(int(parent.pagemap(address, PAGE)["pfn"][0]))


@subject("swapped in, pages", PAGES)
def swapped_in(n):
    m, process, address = one_area(n)
    m.reclaim(n)
    yield lambda: process.read(address, n * PAGE)


@subject("truncate, pages of a file", PAGES)
def truncate(n):
    m = machine(n)
    process, file = m.spawn(), m.file("f", n * PAGE, kind="shmem")
    address = process.mmap(length=n * PAGE, flags=1, file=file)
    process.write(address, n * PAGE)
    yield lambda: (file.size, file.truncate(0))


@subject("remap_file_pages, areas", 600)
def remap_file_pages(n):
    m = machine(n, kernel="2.6.7")
    process, file = m.spawn(), m.file("f", n * PAGE, kind="shmem")
    address = process.mmap(length=n * PAGE, flags=1, file=file)
    yield each(lambda i: process.remap_file_pages(address + i * PAGE, PAGE, 0, n - 1 - i), range(n))


@subject("pin, pages", 2000)
def pin(n):
    _, process, address = one_area(n)
    yield each(lambda i: process.pin(address + i * PAGE).release(), range(n))


@subject("run, operations", PAGES)
def run(n):
    m, process, address = one_area(n)
    operations = np.zeros(n, rmapcore.OPERATION)
    operations["op"], operations["process"], operations["length"] = rmapcore.Op.WRITE, process.pid, 1
    operations["addr"] = address + PAGE * np.arange(n)
    yield lambda: m.run(operations)


@subject("gone, entries", PAGES)
def gone(n):
    m, process, address = one_area(n, watch=1 << 20)
    process.munmap(address, n * PAGE)
    yield lambda: (m.gone_lost, m.gone())


@subject("save and load, pages", PAGES)
def save_and_load(n):
    m, *_ = one_area(n, track_contents=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "machine.npz"
        yield lambda: (m.save(path), rmapcore.Machine.load(path))


# --- calls on areas, and on processes, under every scheme -----------------------------------------------------------------

AREAS = 400
OF_AREAS = {                                   # name -> (machine, process, addresses) -> work
    "mprotect": lambda m, p, at: each(lambda a: p.mprotect(a, PAGE, "r"), at),
    "mremap": lambda m, p, at: each(lambda a: p.mremap(a, PAGE, PAGE, 3, a - (1 << 33)), at),
    "munmap": lambda m, p, at: each(lambda a: p.munmap(a, PAGE), at),
    "munmap of all": lambda m, p, at: lambda: p.munmap(at[0], at[-1] - at[0] + PAGE),
    "mlockall": lambda m, p, at: lambda: (p.mlockall(1), p.munlockall()),
    "fork": lambda m, p, at: p.fork,
    "exit": lambda m, p, at: p.exit,
    "write after fork": lambda m, p, at: each(p.fork().write, at),
    "reclaim": lambda m, p, at: lambda: m.reclaim(len(at)),
    "maps": lambda m, p, at: p.maps,
    "check": lambda m, p, at: m.check,
    "structure": lambda m, p, at: m.structure,
}
PROCESSES = 300
OF_PROCESSES = {                               # name -> (machine, parent, address, children) -> work
    "fork": lambda m, p, at, children: each(lambda _: p.fork(), children),
    "write": lambda m, p, at, children: each(lambda child: child.write(at), children),
    "exit, newest first": lambda m, p, at, children: each(lambda child: child.exit(), children[::-1]),
    "exit, oldest first": lambda m, p, at, children: each(lambda child: child.exit(), children),
    "reclaim": lambda m, p, at, children: lambda: m.reclaim(2),
    "check": lambda m, p, at, children: m.check,
    "structure": lambda m, p, at, children: m.structure,
}


def kernel_of(scheme):
    return "6.18" if scheme.startswith(("anon_vma_chain", "anon_vma_lazy", "cow_context")) else "2.6.7"


for scheme in registry():
    for name, call in OF_AREAS.items():
        @subject(f"{name}, areas, {scheme}", AREAS)
        def of_areas(n, call=call, scheme=scheme):
            yield call(*many_areas(n, scheme=scheme, kernel=kernel_of(scheme)))
    for name, call in OF_PROCESSES.items():
        @subject(f"{name}, processes, {scheme}", PROCESSES)
        def of_processes(n, call=call, scheme=scheme):
            yield call(*family(n, scheme=scheme, kernel=kernel_of(scheme)))


@subject("mmap, areas", 2000)
def mmap(n):
    process = machine(n).spawn()
    yield each(lambda i: process.mmap(length=PAGE, prot=1 + 2 * (i % 2)), range(n))


@subject("spawn, processes", 1000)
def spawn(n):
    m = machine(n)
    yield each(m.spawn, ["a"] * n)


@subject("file, files", 1000)
def files(n):
    m = machine(n)
    yield each(lambda i: m.file(f"f{i}", PAGE), range(n))


@subject("splits of one area", 1000)
def splits(n):
    _, process, address = one_area(2 * n)
    yield each(lambda i: process.mprotect(address + 2 * i * PAGE, PAGE, "r"), range(n))


@subject("shared file, processes", PROCESSES)
def shared_file(n):
    m = machine(n, kernel="2.6.7", scheme="anon_vma")
    file, processes = m.file("f", PAGE, kind="shmem"), [m.spawn() for _ in range(n)]
    yield each(lambda process: process.write(process.mmap(length=PAGE, flags=1, file=file)), processes)


@subject("profile, walks", 2000)
def profile(n):
    m, *_ = one_area(n)
    m.profile()
    m.reclaim(n)
    yield lambda: (m.profile().distributions(), m.profile().by("area"), m.profile().longest, m.profile().series)


@subject("locks, operations", 1000)
def locks(n):
    m, process, addresses = many_areas(n)
    held = m.locks()
    each(lambda address: process.munmap(address, PAGE), addresses)()
    yield lambda: (held.simulate(4), held.by("lock"), held.by("object"), held.by("call"), held.breach())


# --- readers ---------------------------------------------------------------------------------------------------------------

def faults(n):
    recording = started().mmap(100, A, 2 * n * PAGE)
    for i in range(n):
        recording.fault(100, A + i * PAGE)
    return recording.text()


def mappings(n):
    recording = started()
    for i in range(n):
        recording.mmap(100, A + 2 * i * PAGE, PAGE)
    for i in range(n):
        recording.call(100, "munmap", addr=A + 2 * i * PAGE, len=PAGE)
    return recording.text()


def file_mappings(n):
    recording = started()
    for i in range(n):
        at = A + 2 * i * PAGE
        recording.mmap(100, at, PAGE, flags=2, fd=3, prot=1,
                       mapped={"start": at, "length": PAGE, "prot": "r--p", "inode": i + 7, "path": f"/f{i}"})
    return recording.text()


def forks(n):
    recording = started().mmap(100, A, PAGE).fault(100, A)
    for i in range(n):
        recording.fork(100, 101 + i).fault(101 + i, A, 7)
    for i in range(n):
        recording.exit(101 + i)
    return recording.text()


def threads(n):
    recording = started().mmap(100, A, n * PAGE)
    for i in range(n):
        recording.fork(100, (100, 101 + i)).fault((100, 101 + i), A + i * PAGE)
    return recording.text()


def execs(n):
    recording = started()
    for _ in range(n):
        recording.enter(100, "execve", filename=1, argv=2, envp=3)
        recording.exec(100, {"start": A, "length": PAGE, "path": "/bin/prog", "inode": 9, "prot": "r-xp"})
    return recording.text()


def generations(n):
    recording = started().mmap(100, A, PAGE).fault(100, A)
    for i in range(n):
        recording.fork(100 + i, 101 + i).fault(101 + i, A, 7).exit(100 + i)
    return recording.text()


def states(n):
    recording = started().mmap(100, A, 2 * n * PAGE)
    head = ["# rmapcore recording: 2", "# kernel: 6.18.0", "# max_map_count: 65530", "# stack limit: 8388608"]
    lines = [f"# state {recording.time:.9f}", "# process 100 1 prog"]
    for i in range(n):
        start = A + 2 * i * PAGE
        lines += [f"# area {start:x}-{start + PAGE:x} rw-p 0 00:00 0 rd,wr,mr,mw,me,ac ",
                  f"# pages {start // PAGE:x} 1 anon {i + 1} 0"]
    return "\n".join([*head, recording.text().decode().rstrip("\n"), *lines, ""]).encode()


def strace(n):
    lines = ['7 execve("./a", ["./a"], 0x7ffc /* 9 vars */) = 0']
    for i in range(n):
        at = A + 2 * i * PAGE
        lines += [f'7 openat(AT_FDCWD, "/lib/{i}", O_RDONLY|O_CLOEXEC) = 3',
                  f"7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = {at:#x}", "7 close(3) = 0"]
    return "\n".join([*lines, ""]).encode()


def strace_forks(n):
    lines = ['7 execve("./a", ["./a"], 0x7ffc /* 9 vars */) = 0']
    for i in range(n):
        lines += [f"7 clone(child_stack=NULL, flags=SIGCHLD, child_tidptr=0x7f10) = {8 + i}"]
    lines += ["7 brk(NULL) = 0x5600000"] + [f"{8 + i} exit_group(0) = ?\n{8 + i} +++ exited with 0 +++" for i in range(n)]
    return "\n".join([*lines, ""]).encode()


def unfinished(n):
    """Threads each of which is in a call while the others begin theirs."""
    lines = ['7 execve("./a", ["./a"], 0x7ffc /* 9 vars */) = 0']
    lines += [f"7 clone(child_stack=0x7f10, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD) = {8 + i}"
              for i in range(n)]
    lines += [f"{8 + i} munmap({A + i * PAGE:#x}, 4096 <unfinished ...>" for i in range(n)]
    lines += [f"{8 + i} <... munmap resumed>) = 0" for i in range(n)]
    return "\n".join([*lines, ""]).encode()


RECORDINGS = {
    "faults": (faults, 2000), "mappings": (mappings, 500), "mappings of files": (file_mappings, 500), "forks": (forks, 400),
    "threads": (threads, 500), "execs": (execs, 400), "generations": (generations, 300), "states": (states, 500),
    "strace": (strace, 500), "strace of forks": (strace_forks, 500), "strace of unfinished calls": (unfinished, 500),
}
CHECKED = (faults, forks, threads, generations)                        # of the others no page is touched


@contextlib.contextmanager
def recorded(make, n):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.txt"
        path.write_bytes(make(n))
        yield path


def commanded(*arguments, status=(0, 1)):
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(printed):
        done = main([*map(str, arguments)])
    assert done in status, printed.getvalue()


for name, (make, size) in RECORDINGS.items():
    @subject(f"reader, {name}", size)
    def reader(n, make=make):
        with recorded(make, n) as path:
            yield lambda: load_trace(path)

    @subject(f"replay, {name}", size)
    def replay(n, make=make):
        with recorded(make, n) as path:
            yield lambda: commanded("replay", path, "--scheme", "anon_vma_chain", *["--check"][:make in CHECKED])


@subject("reader, saved trace", 2000)
def saved_trace(n):
    with recorded(faults, n) as path:
        trace = load_trace(path)
        yield lambda: (trace.save(path.with_suffix(".trace")), load_trace(path.with_suffix(".trace")))


@subject("repeated, operations", 2000)
def repeated(n):
    with recorded(faults, 10) as path:
        trace = load_trace(path)
        yield lambda: trace.repeated(n)


# --- commands --------------------------------------------------------------------------------------------------------------

@subject("compare, pages", 4000)
def compare(n):
    yield lambda: commanded("compare", "swapout", "--pages", n)


@subject("compare --report, recording", 1000)
def report(n):
    with recorded(mappings, n) as path:
        yield lambda: commanded("compare", path, "--scheme", "anon_vma", "--report", path.with_suffix(".html"))


@subject("compare --profile, recording", 1000)
def profiled(n):
    with recorded(faults, n) as path:
        yield lambda: commanded("compare", path, "--scheme", "anon_vma", "--profile", "--flame", path.with_suffix(".flame"),
                                "--trace-events", path.with_suffix(".events"))


@subject("compare --cpus, recording", 1000)
def contended(n):
    with recorded(faults, n) as path:
        yield lambda: commanded("compare", path, "--scheme", "anon_vma", "--cpus", 16)


@subject("diff, rows", 20)
def diff(n):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        commanded("compare", "swapout", "--pages", 1024, "--json", path)
        document = json.loads(path.read_text())
        document["results"] = [row | {"scheme": f"{row['scheme']}{i}"} for i in range(n) for row in document["results"]]
        path.write_text(json.dumps(document))
        yield lambda: commanded("diff", path, path)


CASE = {"id": "growth", "steps": [{"op": "mmap", "proc": "p0", "at": 0, "len": 2, "prot": "rw"}], "live": "pass"}


@subject("verify, cases", 40)
def verify_cases(n):
    with recorded(lambda n: "".join(json.dumps(CASE | {"id": f"c{i}"}) + "\n" for i in range(n)).encode(), n) as path:
        path = path.rename(path.with_suffix(".jsonl"))
        yield lambda: commanded("verify", path)


@subject("verify, steps of a case", 200)
def verify_steps(n):
    steps = CASE["steps"] + [{"op": "write", "proc": "p0", "at": 0, "len": 2, "value": i % 200} for i in range(n)]
    with recorded(lambda n: json.dumps(CASE | {"steps": steps}).encode() + b"\n", n) as path:
        path = path.rename(path.with_suffix(".jsonl"))
        yield lambda: commanded("verify", path)
