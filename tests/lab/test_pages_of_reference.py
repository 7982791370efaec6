"""docs/reference says what the code says: each page is made from it, by `python tests/lab/test_pages_of_reference.py`."""
import re
from pathlib import Path

import pytest

import rmapcore
from recordings import MIB, PAGE, started
from rmapcore.core.counting import ABOUT, COUNTERS
from rmapcore.core.profile import MEASURES
from rmapcore.lab.legend import TERMS

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)])


def terms():
    return f"""# Terms

What the columns of `compare` and `replay` mean, as `--legend` prints it.

{table(("column", "means"), TERMS.items())}
"""


def counters():
    return f"""# Counters

`machine.counters`, and `counters` in the JSON of `compare` and `replay`; `counters_per_page` and `counters_per_walk` there
are the same divided by the pages freed and by `rmap_walks`. Counted exactly, the same on every machine and in every run. Each
`…_held` belongs to the lock before it.

{table(("counter", "counts"), ((f"`{name}`", ABOUT[name]) for name in COUNTERS))}
"""


PAGES = {"terms": terms, "counters": counters}


def test_every_counter_is_told():
    assert list(ABOUT) == list(COUNTERS)


def keys_of(data, before=""):
    """Paths of all keys of JSON; what stands under names of phases, calls, counters and structures is written once."""
    for key, value in data.items():
        path = f"{before}{key}"
        yield path
        while path in MANY and value is not None:
            value = next(iter(value.values()), None)
            path += ".NAME"
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from keys_of(one, f"{path}.")


MANY = {f"results.{name}" for name in ("seconds", "phase_pages", "ns_per_page", "counters", "counters_per_page",
                                       "counters_per_walk", "calls.by_kind", "memory.structures", "forks.made",
                                       "calls.by_kind.NAME.errors", "profile.walks", "profile.walks.NAME",
                                       "profile.walks.NAME.NAME", "profile.by")}
MEASURED = tuple(f"results.profile.longest.{measure}" for measure in MEASURES)
MEMBERS = ("held", "calls", "costs", "scaling", "classes", "objects", "pairs", "longest")      # of locks: told with their list
FREE = ("workload.parameters.", *(f"results.locks.{name}." for name in MEMBERS),
        "results.profile.by.NAME.", "results.profile.series.objects.", *MEASURED,
        *(f"workload.recording.{name}." for name in ("recorded", "chosen", "left_out", "assumed")))


def test_every_key_of_the_json_is_told(tmp_path):
    (tmp_path / "r").write_bytes(b"# kernel: 6.18.44\n" + started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6).text())
    told = set(re.findall(r"^\| `([^`]+)` \|", (FOLDER / "json.md").read_text(), re.M))
    for workload, more in ((str(tmp_path / "r"), {"cpus": 2}), ("swapout", {"pages": 64, "arch": "i386"})):
        found = set(keys_of(rmapcore.compare(workload, profile=True, **more).to_dict()))
        assert {key for key in found if not key.startswith(FREE)} - told == set()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_as_the_code_says(name):
    assert (FOLDER / f"{name}.md").read_text() == PAGES[name]()


if __name__ == "__main__":
    for name, make in PAGES.items():
        (FOLDER / f"{name}.md").write_text(make())
