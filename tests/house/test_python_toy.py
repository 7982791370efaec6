"""examples/python_toy as its README runs it, on small sizes."""
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "python_toy"


def test_the_toy_beats_a_table_in_python():
    sizes = "--pages", "8192", "--frames", "2048", "--accesses", "65536"
    run = subprocess.run([sys.executable, "-P", EXAMPLE / "toy.py", *sizes], check=True, capture_output=True, text=True)
    rows = {name.strip(): (float(hit), float(fault), int(faults.replace(",", ""))) for name, hit, fault, faults in re.findall(
        r"^(\S.*?)\s{2,}([\d.]+)\s+(-?[\d.]+)\s+([\d,]+)$", run.stdout, re.MULTILINE)}
    assert list(rows) == ["rmapcore, all in one call", "rmapcore, batches of 4,096", "rmapcore, batches of 64", "dict",
                          "OrderedDict, LRU"]
    ours, table = rows["rmapcore, all in one call"], rows["OrderedDict, LRU"]
    assert ours[0] < table[0] / 2
    assert all(faults > 1000 for _, _, faults in rows.values())
    assert len({faults for name, (_, _, faults) in rows.items() if name.startswith("rmapcore")}) == 1


def test_the_readme_shows_what_it_prints():
    text = (EXAMPLE / "README.md").read_text()
    assert "python toy.py" in text and "OrderedDict, LRU" in text
