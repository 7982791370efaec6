"""The costs in docs/embedding.md are those that bench/embed_costs.py prints, with the same targets."""
import re
import subprocess
import sys
from pathlib import Path

import compiled

ROOT = Path(__file__).parents[2]
PRINTED = re.compile(r"^(\S.*?) {2,}([\d,.]+) +([\d,.]+) *([\d,]*)$", re.MULTILINE)     # what, median, least, target
TOLD = re.compile(r"^\| ((?:C|Python|a machine).*?) \| [\d,.-]+ \| ?([\d,]*) ?\|$", re.MULTILINE)


def test_the_page_has_the_rows_that_are_printed():
    compiled.compiler("c")
    run = subprocess.run([sys.executable, ROOT / "bench" / "embed_costs.py", "--pages", "2048", "--rounds", "1"], check=True,
                         capture_output=True, text=True)
    printed = PRINTED.findall(run.stdout)
    told = TOLD.findall((ROOT / "docs" / "embedding.md").read_text())
    assert [(what, target) for what, _, _, target in printed] == told and len(told) > 15
    assert all(0 < float(least.replace(",", "")) <= float(median.replace(",", "")) for _, median, least, _ in printed)
