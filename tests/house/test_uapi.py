"""Linux's numbers stand in the kernels (pyx/base/uapi.pxd) and on the Python side (rmapcore/linux/uapi.py): the same ones."""
import re
from pathlib import Path

from rmapcore.linux import uapi

SOURCE = Path(__file__).resolve().parents[2] / "pyx" / "base" / "uapi.pxd"
TABLES = {"MADV": uapi.ADVICE, "MCL": uapi.MCL}


def test_both_sides_have_the_same_numbers():
    numbers = {name: int(value, 0) for name, value in
               re.findall(r"^    ([A-Z]\w+) = (\w+)", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)}
    compared = 0
    for name, value in numbers.items():
        group, _, rest = name.partition("_")
        other = TABLES[group].get(rest.lower()) if group in TABLES else getattr(uapi, name, None)
        if other is not None:
            assert other == value, name
            compared += 1
    assert compared >= 34 and numbers["POLICIES"] == len(uapi.MPOL)
