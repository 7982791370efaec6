"""docs/reference says what the code says: each page is made from it, by `python tests/lab/test_reference.py`."""
from pathlib import Path

import pytest

from rmapcore.lab.legend import TERMS

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)])


def terms():
    return f"""# Terms

What the columns of `compare` and `replay` mean, as `--legend` prints it.

{table(("column", "means"), TERMS.items())}
"""


PAGES = {"terms": terms}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_as_the_code_says(name):
    assert (FOLDER / f"{name}.md").read_text() == PAGES[name]()


if __name__ == "__main__":
    for name, make in PAGES.items():
        (FOLDER / f"{name}.md").write_text(make())
