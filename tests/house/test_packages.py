"""What is shipped: one version in one place, and, with `pytest -m empty_env`, sdist and wheel as the field checks them."""
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import rmapcore
from rmapcore.version import VERSION

ROOT = Path(__file__).parent.parent.parent


def test_the_version_is_one():
    assert rmapcore.__version__ == VERSION
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "rmapcore.version.VERSION"}
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE).group(1) == VERSION
    assert VERSION in re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def run(*command, cwd):
    done = subprocess.run(list(map(str, command)), cwd=cwd, text=True, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.empty_env
def test_sdist_and_wheel(tmp_path):
    """The sdist is built from a clean tree, unpacked elsewhere, and the wheel built of that; each source is translated once."""
    tree = tmp_path / "tree"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).split()
    for name in listed:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    tools = pytest.importorskip("build", reason="pip install 'rmapcore[package]'") and [sys.executable, "-m"]
    said = run(*tools, "build", "--sdist", "-o", tmp_path / "dist", cwd=tree)
    assert "Cythonizing" not in said
    sdist, = (tmp_path / "dist").iterdir()
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    source, = (tmp_path / "unpacked").iterdir()
    said = run(*tools, "build", "--wheel", "-o", tmp_path / "dist", cwd=source)
    sources = sorted(str(path.relative_to(source)) for path in (source / "pyx").rglob("*.pyx"))
    assert sorted(re.findall(r"Cythonizing (\S+?\.pyx)", said)) == sources
    wheel, = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"rmapcore/py.typed", "rmapcore/__init__.pyi", "rmapcore/pyx/seam/scheme.pxd", "rmapcore/pyx/scheme.pyi"} <= names
    assert len([name for name in names if name.endswith(".so")]) == len(sources) + 1
    assert not [name for name in names if name.startswith(("tests", "bench", "docs", "build")) or (name.endswith(".c")
                and name != "rmapcore/verify/program.c")]
    assert "PASSED" in run(*tools, "twine", "check", "--strict", sdist, wheel, cwd=tmp_path)
    assert "OK" in run(*tools, "check_wheel_contents", wheel, cwd=tmp_path)
    assert "manylinux" in run(*tools, "auditwheel", "show", wheel, cwd=tmp_path)
