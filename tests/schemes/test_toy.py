"""A scheme that nobody has described passes the tests, and they say what they left out.

A package announces `toy` to an interpreter of its own, which runs the tests that are about every scheme. To run all of them
so, put a folder as `announced` makes one on PYTHONPATH and call pytest: `-k toy` runs what is about the toy alone.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

import rmapcore

TESTS = Path(__file__).parent.parent
TOY = '''
from rmapcore.schemes import SCHEMES


class Toy(SCHEMES["anonmm"].load()):
    """No twin, no published sizes."""
'''
ABOUT = ["engine/test_differential.py", "house/test_terabyte.py", "lowlevel/test_sweeps.py", "machine/test_check.py",
         "machine/test_memory.py", "schemes/test_seam.py", "verify/test_verify.py"]
SKIPPED = {
    "toy has no twin in tests/reference/schemes", "toy has no twin: nothing says how much it looks at",
    "toy: no sizes are published", "toy: nothing says what it must hear, so no defects are seeded in its hooks",
    "toy: its hooks are not in a file of pyx/",
}


def announced(folder):
    """Makes of a folder an installed package that announces `toy`."""
    info = folder / "toy-1.0.dist-info"
    info.mkdir()
    (folder / "toy.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rmapcore.schemes]\ntoy = toy:Toy\n")


def test_a_scheme_without_twin_and_sizes_passes_and_is_told(tmp_path):
    announced(tmp_path)
    path = os.pathsep.join([str(tmp_path), str(Path(rmapcore.__file__).parent.parent)])
    command = [sys.executable, "-P", "-m", "pytest", "-rs", "-n0", "-p", "no:cacheprovider", "-k", "toy"]
    done = subprocess.run([*command, *(TESTS / name for name in ABOUT)], text=True, cwd=TESTS.parent, capture_output=True,
                          env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = re.findall(r"^SKIPPED .*?: (toy.*)", done.stdout, re.MULTILINE)
    assert set(skipped) == SKIPPED
