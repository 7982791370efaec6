"""The sanitizer build: it reports what is done outside of what arenas hold, and the fuzzers find nothing. -m sanitizer."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import FUZZERS
from rmapcore.kernels import kernels

pytestmark = pytest.mark.sanitizer
LIVE = {"growing"}                     # compares with the live kernel: nothing there is for a sanitizer
SECONDS = 60                           # of each fuzzer here
START = """
import rmapcore
machine = rmapcore.Machine("anon_vma", ram="1MiB", swap="1MiB")
process = machine.spawn()
process.write(process.mmap(0x40000000, 4096, 3, 0x32), 4096)
core = machine._core
"""
CALLS = 1_000_000                      # random ones of the C interface
FROM_C = """
import pathlib, sys, tempfile
import compiled
from embed.test_capi_fuzz import SEEN, SPECIFICATION
source = pathlib.Path(compiled.__file__).parent / "embed" / "fuzz.c"
with tempfile.TemporaryDirectory() as folder:
    fuzz = compiled.module(pathlib.Path(folder), source, "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    counts = fuzz.run(SPECIFICATION.format(scheme=sys.argv[1], kernel=sys.argv[2]), 3, int(sys.argv[3]), 1000)
assert sum(counts.values()) == int(sys.argv[3]) and counts.keys() >= SEEN, counts
"""
REPORTED = {
    # the bump says more than the fence heard of: a record behind those in use, one far behind, and one that was given back
    "the next record": ("core.writable('pools')['bump'][7] = 9\nmachine.process(5)", "use-after-poison"),
    "a record far behind": ("core.writable('pools')['bump'][7] = 1 << 22\nmachine.process((1 << 22) - 1)", "SEGV"),
    "a record given back": ("process.munmap(0x40000000, 4096)\ncore.writable('mms')['root'][1] = 1\n"
                            "process.read(0x40000000)", "use-after-poison"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of the build; RMAPCORE_SANITIZED names one that may be kept."""
    return os.environ.get("RMAPCORE_SANITIZED") or tmp_path_factory.mktemp("sanitized")


def run(folder, *arguments):
    return subprocess.run([sys.executable, Path(__file__).with_name("run.py"), folder, *arguments], capture_output=True,
                          text=True, check=False)


def test_it_runs(folder):
    done = run(folder, "-c", START + "machine.copy().check()\nmachine.locks()\nprocess.touch([0x40000000], write=True)")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", REPORTED)
def test_what_is_reported(folder, name):
    program, report = REPORTED[name]
    done = run(folder, "-c", START + program)
    assert done.returncode and f"AddressSanitizer: {report}" in done.stderr


@pytest.mark.parametrize("kernel", list(kernels()))
def test_a_million_calls_from_c(folder, kernel):
    done = run(folder, "-c", FROM_C, "anon_vma_chain", kernel, str(CALLS))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [name for name in FUZZERS if name not in LIVE])
def test_fuzzers_find_nothing(folder, name):
    done = run(folder, "-m", "fuzz", name, "--seconds", str(SECONDS))
    assert done.returncode == 0, done.stderr
