"""What importing rmapcore, and asking the command for help, brings in: nothing before it is asked for."""
import subprocess
import sys

import pytest

import rmapcore

NAMESAKES = ("kernels", "schemes", "workloads")        # functions in modules of the same names


def modules_after(code):
    """The names of all modules that a fresh interpreter has after it ran this."""
    done = subprocess.run([sys.executable, "-P", "-c", f"import sys\n{code}\nprint(*sys.modules, sep='\\n', file=sys.stderr)"],
                          capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_import_brings_neither_kernels_nor_numpy():
    before, after = modules_after(""), modules_after("import rmapcore")
    assert {name for name in after - before if name.split(".")[0] == "rmapcore"} == {
        "rmapcore", "rmapcore.start", "rmapcore.version"}
    assert "numpy" not in after


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compare", "--help"], ["bench", "--help"]])
def test_help_needs_no_numpy(arguments):
    after = modules_after("from rmapcore.cli import main\n"
                          f"try: main({arguments!r})\nexcept SystemExit as end: assert end.code == 0")
    assert "rmapcore.cli" in after and "numpy" not in after
    assert not [name for name in after if name.startswith("rmapcore.pyx")]


def test_everything_exported_is_there():
    assert {*rmapcore.__all__} <= {*dir(rmapcore)} and all(hasattr(rmapcore, name) for name in rmapcore.__all__)
    assert {*rmapcore._MODULES} == {*rmapcore.__all__, "_C_API"}
    with pytest.raises(AttributeError, match="module 'rmapcore' has no attribute 'nothing'"):
        _ = rmapcore.nothing
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from rmapcore import nothing")


@pytest.mark.parametrize("name", NAMESAKES)
def test_modules_do_not_take_the_places_of_functions(name):
    code = (f"import rmapcore.{name}, rmapcore\nassert callable(rmapcore.{name}), rmapcore.{name}\n"
            f"from rmapcore import {name} as one\nassert one is rmapcore.{name} and rmapcore.{name}()")
    assert f"rmapcore.{name}" in modules_after(code)
