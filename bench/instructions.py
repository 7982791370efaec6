"""Instructions per page of the kernels, counted by callgrind: a gate against slower code that repeats where seconds do not.

    python bench/instructions.py              prints them
    python bench/instructions.py --check      compares with instructions.json; exit 1 if anything got dearer
    python bench/instructions.py --update     writes instructions.json
    python bench/instructions.py --counters   what counting the work costs; builds the checkout twice, some minutes

The jobs stand in instructions_jobs.py; every scheme of the registry does all of them, the newest under 6.18
too; those through the C interface are done by that one only. A page is what a job has many of:
entries in walks of shared pages, operations in the replay. What counts are the instructions of the compiled modules
between a job's two marks, and of what these call in the C library (they copy and clear memory by it). Python and numpy,
which run there too, are left out: so the figures are those of the loops, and repeat. What they cannot show are caches,
prefetching and branches; for those there is `rmapcore bench`.

A baseline of another compiler, C library, Cython, numpy, Python or AVX2 says nothing here: --check is skipped then, exit 0.
"""
import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, product
from pathlib import Path

import numpy as np
from instructions_jobs import AROUND, JOBS, START, STOP, WALKS

import rmapcore
from rmapcore.pyx.look import probe
from rmapcore.schemes import walking
from rmapcore.studies.bench import subjects

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "instructions.json"
RECORDING = HERE.parent / "tests" / "data" / "redis-bgsave.perf.txt.zst"
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "pyx", "rmapcore")
PAGES = 1 << 14                        # 32 leaf tables; what a call costs once is then below 0.2 instructions a page
MOST_WORKERS = 4                       # each starts Python under callgrind: 10 s and 200 MiB
# Counts repeat within 0.02 % (what the first call of a kind in a process costs), so this is room for changes of no account:
# a register spilt elsewhere, three instructions in a walk of 150. One area looked up too many is 5 % of the walk that does it.
TOLERANCE = 0.02
COUNTERS_TARGET = 10                   # percent


class Failed(Exception):
    """Nothing could be counted; one line says why."""


# --- counting ---------------------------------------------------------------------------------------------------------


def costs(profile, kernels):
    """The instructions of each part of a callgrind profile that ended at STOP.

    profile: lines of a file with uncompressed strings and positions.  kernels: folder of the shared objects that count.
    A line of costs below fn= is the function's own; the one after calls= is what the called function cost in all.
    """
    parts = []
    inside = called = None
    ours = False
    for line in profile:
        if line[0].isdigit():
            if inside and (ours if called is None else ours and called):
                parts[-1] += int(line.split()[1])
            called = None
            continue
        key, _, value = line.rstrip("\n").partition("=")
        if line.startswith("desc: Trigger:"):
            inside = line.rstrip().endswith(f"--dump-before={STOP}")
            parts += [0] * inside
        elif key == "ob":
            ours = value.startswith(f"{kernels}/")
        elif key == "cfn":             # cob= stands before it, and only if it is another object
            called = called or False
        elif key == "cob":
            called = os.path.basename(value).startswith(("libc.", "libc-"))
    return parts


def run(pairs, trace, pages, library=None):
    """{(job, scheme): instructions per page} of these pairs, done in one process under callgrind. Raises Failed.

    trace: file in the parsed form.  library: folder with the package to measure, the installed one if None.
    """
    kernels = (Path(library) / "rmapcore" / "pyx" if library else Path(probe.__file__).parent.parent).resolve()
    environment = {**os.environ, "PYTHONHASHSEED": "0", "LD_BIND_NOW": "1", "OPENBLAS_NUM_THREADS": "1"}
    if library:
        environment["PYTHONPATH"] = str(library)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile")
        done = subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={profile}", "--combine-dumps=yes",
             "--compress-strings=no", "--compress-pos=no", f"--zero-before={START}", f"--dump-before={STOP}",
             sys.executable, HERE / "instructions_jobs.py", trace, str(pages), *chain(*((s, j) for j, s in pairs))],
            env=environment, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"the run under callgrind failed: {last_line(done.stderr)}")
        with open(profile, encoding="utf-8", errors="replace") as lines:
            counted = costs(lines, kernels)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if [tuple(row[:2]) for row in rows] != list(pairs) or len(counted) != len(rows):
        raise Failed(f"callgrind gave {len(counted)} counts for {len(rows)} of {len(pairs)} jobs")
    if not all(counted):
        raise Failed(f"no instruction was spent in {kernels}")
    return {(job, scheme): round(cost / n, 3) for (job, scheme, n), cost in zip(rows, counted, strict=True)}


def last_line(text):
    return (text.strip().splitlines() or ["nothing was said"])[-1]


def measure(library=None):
    """{job: {scheme: instructions per page}} of all; library as for `run`. Raises Failed."""
    schemes = subjects()
    walkers = walking()
    pairs = [(job, scheme) for job, scheme in product(JOBS, schemes)
             if (scheme.partition("@")[0] in walkers or job not in WALKS) and (scheme == schemes[-1] or job not in AROUND)]
    n_workers = min(MOST_WORKERS, len(os.sched_getaffinity(0)), len(pairs))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(n_workers) as pool:
        trace = Path(folder, "trace")
        rmapcore.load_trace(RECORDING).save(trace)
        shares = [pairs[start::n_workers] for start in range(n_workers)]
        found = dict(chain(*(part.items() for part in pool.map(lambda share: run(share, trace, PAGES, library), shares))))
    return {job: {scheme: found[job, scheme] for scheme in schemes if (job, scheme) in found} for job in JOBS}


# --- the gate ---------------------------------------------------------------------------------------------------------


def environment():
    """What the figures depend on: texts "compiler", "flags", "machine", "vectors", "libc", "cython", "numpy" and "python"."""
    binary = Path(probe.__file__).read_bytes()             # says what it was made by
    made_by = [f"{name} {match[1].decode()}" for name, pattern in
               (("clang", rb"clang version (\d[\d.]*)"), ("gcc", rb"GCC: \([^)]*\) (\d[\d.]*)"))
               if (match := re.search(pattern, binary))]
    cython = re.search(rb"_ImportType_(\d+)_(\d+)", binary)
    flags = re.findall(r"(?<!\S)-(?:[Om]|f(?!\w+-prefix-map))\S*", sysconfig.get_config_var("CFLAGS") or "")
    return {
        "compiler": made_by[0] if made_by else "unknown", "flags": " ".join(dict.fromkeys(flags)),
        "machine": platform.machine(), "vectors": vectors(), "libc": os.confstr("CS_GNU_LIBC_VERSION") or "unknown",
        "cython": b".".join(cython.groups()).decode() if cython else "unknown",
        "numpy": ".".join(np.__version__.split(".")[:2]), "python": ".".join(platform.python_version_tuple()[:2]),
    }


def vectors():
    """"avx2" where the processor has it, which the profile's rows are paid with (pyx/profile/wide.pxd), else "none"."""
    with contextlib.suppress(OSError):
        return "avx2" if re.search(r"^flags\s*:.*\bavx2\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE) else "none"
    return "none"


def obstacle(baseline):
    """Why there is nothing to compare with here and what to do, or None."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed (apt-get install valgrind)"
    here = environment()
    other = [f"{name} is {here[name]!r} here, {baseline.get(name)!r} in the baseline"
             for name in here if here[name] != baseline.get(name)]
    return f"{'; '.join(other)} (compare there, or make a baseline of your own by --update)" if other else None


def compare(before, now):
    """Rows (job, scheme, before, now, change, verdict) of two results of `measure`; None where there is no figure.

    verdict: "" within TOLERANCE, "dearer" or "new", which fail, "cheaper" or "gone", which do not.
    """
    rows = []
    for job in dict.fromkeys([*now, *before]):
        for scheme in dict.fromkeys([*now.get(job, ()), *before.get(job, ())]):
            old, new = before.get(job, {}).get(scheme), now.get(job, {}).get(scheme)
            change = None if old is None or new is None else new / old - 1
            if change is None:
                verdict = "new" if old is None else "gone"
            else:
                verdict = "" if abs(change) <= TOLERANCE else "dearer" if change > 0 else "cheaper"
            rows.append((job, scheme, old, new, change, verdict))
    return rows


def table(heads, rows):
    """Lines of text; the first two columns left, figures right."""
    cells = [heads, *([f"{cell:,.2f}" if isinstance(cell, float) else cell for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) if at < 2 else cell.rjust(width)
                               for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
                     for row in cells)


def check():
    """Prints the comparison; 1 if the gate is closed."""
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    reason = obstacle(baseline)
    if reason:
        print(f"instructions: SKIPPED, {reason}")
        return 0
    rows = compare(baseline["jobs"], measure())
    print(table(["job", "scheme", "baseline", "now", "change", ""],
                [(job, scheme, "-" if old is None else old, "-" if new is None else new,
                  "-" if change is None else f"{change:+.1%}", verdict)
                 for job, scheme, old, new, change, verdict in rows]))
    by_verdict = {}
    for job, scheme, *_, verdict in rows:
        by_verdict.setdefault(verdict, []).append(f"{job} of {scheme}")
    for verdict, advice in (("cheaper", "--update keeps the gain"), ("gone", "--update drops them"),
                            ("new", "no baseline, run --update")):
        if verdict in by_verdict:
            print(f"{verdict} ({advice}): {', '.join(by_verdict[verdict])}")
    for job, scheme, old, new, change, verdict in rows:
        if verdict == "dearer":
            print(f"DEARER: {job} of {scheme}: {old:,.2f} -> {new:,.2f} instructions a page, {change:+.1%}")
    n_wrong = sum(len(by_verdict.get(verdict, ())) for verdict in ("dearer", "new"))
    print(f"instructions: {len(rows)} compared, {n_wrong} failed, tolerance {TOLERANCE:.0%}")
    return 1 if n_wrong else 0


def update():
    """Writes the baseline."""
    BASELINE.write_text(json.dumps({**environment(), "jobs": measure()}, indent=1) + "\n", encoding="utf-8")
    return show(json.loads(BASELINE.read_text(encoding="utf-8"))["jobs"])


def show(result):
    print(table(["job", "scheme", "instructions"], [(job, scheme, cost) for job, row in result.items()
                                                    for scheme, cost in row.items()]))
    return 0


# --- what counting costs ----------------------------------------------------------------------------------------------


def build(folder):
    """Builds the checkout with and without counters below a folder; where the two packages are."""
    source = Path(folder, "source")
    source.mkdir()
    for name in SOURCES:
        path = HERE.parent / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(path, source)
    libraries = {"0": Path(folder, "counted"), "1": Path(folder, "uncounted")}
    for uncounted, library in libraries.items():
        done = subprocess.run(
            [sys.executable, "setup.py", "-q", "build", "--force", "--build-lib", library,
             "--build-temp", Path(folder, f"objects{uncounted}")],
            cwd=source, env={**os.environ, "RMAPCORE_UNCOUNTED": uncounted, "RMAPCORE_DEBUG": "0"},
            capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"the build failed (it needs Cython and setuptools): {last_line(done.stderr)}")
    return libraries.values()


def counters():
    """Prints by how many percent counting makes each job longer; 1 if more than the target anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        with_them, without = (measure(library=library) for library in build(folder))
    rows = [(job, scheme, without[job][scheme], cost, 100 * (cost / without[job][scheme] - 1))
            for job, row in with_them.items() for scheme, cost in row.items()]
    print(table(["job", "scheme", "uncounted", "counted", "percent", ""],
                [(*row, "MORE" if row[-1] > COUNTERS_TARGET else "") for row in rows]))
    n_more = sum(row[-1] > COUNTERS_TARGET for row in rows)
    print(f"counting: {n_more} of {len(rows)} jobs pay more than {COUNTERS_TARGET} percent")
    return 1 if n_more else 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_mutually_exclusive_group()
    for mode, about in ((check, "compare with the baseline"), (update, "write the baseline"),
                        (counters, "what counting the work costs")):
        modes.add_argument(f"--{mode.__name__}", dest="mode", action="store_const", const=mode, help=about)
    mode = parser.parse_args(arguments).mode or (lambda: show(measure()))
    try:
        if mode is not check and shutil.which("valgrind") is None:
            raise Failed("valgrind is not installed (apt-get install valgrind)")
        return mode()
    except (OSError, ValueError, KeyError, Failed) as error:
        print(f"instructions: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
