"""The stubs: every public name has a known type, and they say what is there when it runs. Half a minute: `pytest -m types`."""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rmapcore

ROOT = Path(__file__).parent.parent.parent
STUBS = {"__init__.pyi": "rmapcore/__init__.pyi", "py.typed": "rmapcore/py.typed",
         "pyx/prototype.pyi": "pyx/prototype.pyi", "pyx/scheme.pyi": "pyx/scheme.pyi"}

@pytest.fixture
def stubs(tmp_path):
    """A folder that has nothing but the stubs."""
    for name, source in STUBS.items():
        path = tmp_path / "stubs" / "rmapcore" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, path)
    (tmp_path / "stubs" / "rmapcore" / "pyx" / "__init__.pyi").touch()
    return tmp_path / "stubs"


def test_all_stubs_are_looked_at():
    found = {str(path.relative_to(ROOT)) for folder in ("rmapcore", "pyx") for path in (ROOT / folder).rglob("*.pyi")}
    assert found == {source for source in STUBS.values() if source.endswith(".pyi")}


def test_the_stub_names_what_the_package_names():
    names = re.search(r"__all__ = \[(.*?)\]", (ROOT / STUBS["__init__.pyi"]).read_text(), re.DOTALL).group(1)
    assert sorted(re.findall(r'"(\w+)"', names)) == sorted(rmapcore.__all__)


@pytest.mark.types
def test_every_public_name_has_a_known_type(stubs, tmp_path):
    checker = shutil.which("pyright") or shutil.which("basedpyright")
    if not checker:
        pytest.skip("pyright is missing: pip install 'rmapcore[lint]'")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    packages, = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    shutil.copytree(stubs / "rmapcore", packages / "rmapcore")
    (packages / "numpy").symlink_to(Path(importlib.util.find_spec("numpy").origin).parent)
    path = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run([checker, "--verifytypes", "rmapcore", "--ignoreexternal", "--outputjson"], check=False, text=True,
                         capture_output=True, cwd=tmp_path, env=os.environ | {"PATH": path})
    found = json.loads(run.stdout)["typeCompleteness"]
    unknown = [symbol["name"] for symbol in found["symbols"] if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]]
    assert unknown == [] and found["completenessScore"] == 1
    names = {symbol["name"] for symbol in found["symbols"]}
    assert {f"rmapcore.{name}" for name in rmapcore.__all__} <= names and len(names) > 200


@pytest.mark.types
def test_the_stubs_say_what_is_there(stubs, tmp_path):
    if not importlib.util.find_spec("mypy"):
        pytest.skip("mypy is missing: pip install 'rmapcore[lint]'")
    empty = tmp_path / "empty"             # no package lies there
    empty.mkdir()
    run = subprocess.run([sys.executable, "-m", "mypy.stubtest", "--concise", "rmapcore"], check=False, text=True,
                         capture_output=True, cwd=empty, env=os.environ | {"MYPYPATH": str(stubs)})
    said = [line for line in run.stdout.splitlines() if "failed to find stubs" not in line and not line.startswith("Found ")]
    assert said == [], run.stdout
