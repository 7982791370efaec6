"""examples/outside_scheme in an empty environment: the wheel of rmapcore, and the example built and run against nothing else.

Takes minutes, most of them for the wheel: `pytest -m empty_env`.
"""
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "outside_scheme"
TOOLS = ("setuptools>=77", "Cython>=3.2,<4")
PROGRAM = """
import sys
import rmapcore
from outside_scheme.in_cython import LastSeen
from outside_scheme.in_python import FirstOwner

assert rmapcore.__file__.startswith(sys.prefix) and rmapcore.pyx.__file__.startswith(sys.prefix), rmapcore.__file__
assert {"first_owner", "last_seen"} <= rmapcore.schemes().keys(), rmapcore.schemes()
for scheme in ("first_owner", "last_seen", FirstOwner, LastSeen, "outside_scheme.in_cython:LastSeen"):
    found = rmapcore.check_scheme(scheme, programs=20)
    print(found)
    assert found.ok and found.programs == 20, found.problems
result = rmapcore.compare("swapout", schemes=["first_owner", "last_seen", "anon_vma"], pages=2000, processes=4)
assert result.ok and len({row["final"]["digest"] for row in result.to_dict()["results"]}) == 1, result.problems
"""


@pytest.mark.empty_env
def test_the_example_keeps_the_contract_in_an_empty_environment(tmp_path):
    def run(*command, cwd=tmp_path):
        done = subprocess.run(list(map(str, command)), cwd=cwd, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT)
    wheel, = tmp_path.glob("rmapcore-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    bin = tmp_path / "venv" / "bin"
    run(bin / "pip", "install", "-q", wheel, *TOOLS)
    example = shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("build", "*.c", "*.so"))
    run(bin / "pip", "install", "-q", "--no-build-isolation", example)
    assert run(bin / "python", "-I", "-c", PROGRAM).count("0 problems") == 5
    assert "last_seen" in run(bin / "rmapcore", "schemes")
    run(bin / "rmapcore", "compare", "swapout", "--pages", "2000", "--scheme", "last_seen", "--scheme", "anonmm")
