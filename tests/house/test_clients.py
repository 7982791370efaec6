"""The clients of the C interface in examples/, built by their own build files as their READMEs say, and run at a small size.

RMAPCORE_CHAMPSIM names a checkout of ChampSim after its config.sh, for the test that compiles against its headers, and
RMAPCORE_CHAMPSIM_FLAGS what finds fmt and the .csconfig.
"""
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
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
            shutil.copytree(EXAMPLES / folder, tmp_path / folder, dirs_exist_ok=True,
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


@pytest.mark.parametrize("name", ["champsim_vmem", "gem5_pagetable"])
def test_clang_has_nothing_to_say(copy, name):
    if shutil.which("make") is None or shutil.which("clang++") is None:
        pytest.skip("it needs make and clang++")
    flags = "CXXFLAGS=-fsyntax-only -Wall -Wextra -Werror"
    run(copy(name), "make", f"PYTHON={sys.executable}", "CXX=clang++", flags, "LDLIBS=")


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_drop_in_fits_the_headers_of_champsim(copy, compiler):
    checkout = os.environ.get("RMAPCORE_CHAMPSIM")
    if not checkout or shutil.which(compiler) is None:
        pytest.skip(f"it needs {compiler}, and in RMAPCORE_CHAMPSIM a checkout of ChampSim")
    run(copy("champsim_vmem"), "make", "vmem.o", f"PYTHON={sys.executable}", f"CXX={compiler}", f"CHAMPSIM={checkout}",
        f"CHAMPSIMFLAGS=-I{checkout}/.csconfig {os.environ.get('RMAPCORE_CHAMPSIM_FLAGS', '')}")


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


# --- by a stranger ----------------------------------------------------------------------------------------------------


def python_of(version):
    """That interpreter, or the test is skipped."""
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")]
    for command in filter(None, found):
        if subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0:
            return command
    return pytest.skip(f"there is no Python {version}")


def commands(readme):
    """The block of commands of a README, at small sizes."""
    block = re.search(r"^```sh\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL).group(1)
    block = re.sub(r"(\./replay|python replay\.py)$", rf"\1 {' '.join(SIZES)}", block, flags=re.MULTILINE)
    return re.sub(r"toy\.py$", "toy.py --pages {} --frames {} --accesses {}".format(*SIZES), block, flags=re.MULTILINE)


HERE = "{}.{}".format(*sys.version_info)
VERSIONS = [pytest.param(version, marks=pytest.mark.empty_env if version == HERE else pytest.mark.long)     # each takes minutes
            for version in ("3.11", "3.12", "3.13", "3.14")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stranger_builds_them_by_their_readmes(version, copy, tmp_path):
    """From the installed wheel, in an environment that has nothing else."""
    python = python_of(version)
    run(tmp_path, python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path / "wheels"), str(ROOT))
    run(tmp_path, python, "-m", "venv", str(tmp_path / "venv"))
    environment = {**os.environ, "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": "",
                   "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    names = ["cython_cache", "python_toy"]
    if shutil.which("make") and shutil.which("g++"):
        names += ["champsim_vmem", "gem5_pagetable"]
    for name in names:
        folder = copy(name)
        done = subprocess.run(["sh", "-ec", commands(folder / "README.md")], cwd=folder, env=environment, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        assert "ns a" in done.stdout or "x ours" in done.stdout
