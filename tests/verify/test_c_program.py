"""The C programs that cases become: the template by itself. What they show, beside the live kernel: test_verify_live."""
import shutil
import subprocess
from importlib.resources import files

import pytest

from rmapcore.verify.c_program import PLACE, source
from rmapcore.verify.programs import PROFILES, program

TEMPLATE = files("rmapcore.verify").joinpath("program.c").read_text()


def complaints(path):
    """What a compiler says of a C file."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    command = [compiler, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", path]
    return subprocess.run(command, capture_output=True, text=True).stderr


def test_the_template_is_a_program(tmp_path):
    path = tmp_path / "program.c"
    path.write_text(TEMPLATE)
    assert complaints(path) == ""


def test_the_template_has_its_places_once():
    assert [place[1] for place in PLACE.finditer(TEMPLATE)] == ["about", "numbers", "steps"]


@pytest.mark.parametrize("profile", ["all", "reclaim"])
def test_a_case_takes_the_places_of_the_template(tmp_path, profile):
    path = tmp_path / "case.c"
    path.write_text(source(program(1, profile, 60)))
    assert complaints(path) == ""
    kept = PLACE.split(TEMPLATE)[::2]              # what lies between the places
    text, at = path.read_text(), 0
    for part in kept:
        at = text.index(part, at) + len(part)
    assert PROFILES[profile].needs == [] or "Needs" in text.partition("*/")[0]
