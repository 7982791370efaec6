"""The clients of the C interface in examples/, built by their own build files as their READMEs say, and run at a small size."""
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIZES = ("2048", "512", "20000")               # pages, frames, accesses


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def copy(tmp_path):
    """A copy of an example with what it shares, without what was built there."""
    def make(name):
        for folder in (name, "shared"):
            shutil.copytree(EXAMPLES / folder, tmp_path / folder,
                            ignore=shutil.ignore_patterns("build", "*.c", "*.so", "replay", "__pycache__"))
        return tmp_path / name
    return make


@pytest.mark.parametrize(("name", "says"), [
    ("champsim_vmem", "none of its pages was gone"),
    ("gem5_pagetable", "map, unmap, remap, translate, serialise: as they should be"),
])
def test_clients_in_cxx(copy, name, says):
    if shutil.which("make") is None or shutil.which("g++") is None:
        pytest.skip("it needs make and g++")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip("this Python has no shared library")
    folder = copy(name)
    run(folder, "make", f"PYTHON={sys.executable}")
    out = run(folder, "./replay", *SIZES)
    assert says in out and "std::map with an LRU list" in out and " 0.0000 faults" not in out


def test_the_client_in_cython(copy):
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    folder = copy("cython_cache")
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    out = run(folder, sys.executable, "replay.py", *SIZES)
    counts = dict(part.rsplit(" ", 1) for part in out.splitlines()[0].split("  "))
    assert counts["accesses"] == "20,000" and counts["shootdowns"] != "0" and counts["major_faults"] != "0"
