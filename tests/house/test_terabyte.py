"""The example of a large machine, at a small size."""
import json
import subprocess
import sys

import pytest

import rmapcore
import terabyte
from rmapcore.schemes import walking


@pytest.mark.parametrize("scheme", rmapcore.schemes())
def test_one_scheme(scheme):
    row = terabyte.run(scheme, "64MiB")
    assert row["pages"] == 16384 - 1024 and row["shared"] == row["pages"] // 16
    assert row["reclaim"]["freed"] == row["reclaim"]["swapped"] == row["pages"]
    walks = 2 * row["pages"] if scheme in walking() else 0
    assert row["rmap_walks"] >= walks and row["ptes_tried"] >= row["rmap_walks"]
    assert set(row["seconds"]) == {"fill", "fork", "reclaim", "exit"} and row["peak_bytes"] > 0
    assert row["kernel_rmap_bytes"] > 0
    text = terabyte.table([row])
    assert scheme in text and len({len(line.rstrip()) for line in text.splitlines()}) == 1


def test_as_a_command(tmp_path):
    path = tmp_path / "out.json"
    done = subprocess.run([sys.executable, terabyte.__file__, "--ram", "16MiB", "--scheme", "anonmm", "--json", path],
                          cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "anonmm" in done.stdout and "3,072 pages" in done.stdout
    assert [row["scheme"] for row in json.loads(path.read_text())] == ["anonmm"]
