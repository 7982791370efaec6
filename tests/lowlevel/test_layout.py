"""A module that was compiled against other declarations of the seam is refused at its import; private ones are not there."""
import importlib.util
import re
from pathlib import Path

import pytest

from rmapcore.pyx.base import layout

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setup():
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("setup_of_rmapcore", ROOT / "setup.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_digest_is_that_of_the_declarations(setup):
    assert setup.layout() == (ROOT / "pyx" / "base" / "layout.pxd").read_text(encoding="utf-8")
    assert layout.DIGEST in setup.layout()


@pytest.mark.parametrize(("old", "new", "other"), [
    ("    uint32_t mapcount ", "    uint64_t mapcount ", True),      # a field of a record
    ("    HIT_FAIL = 3", "    HIT_FAIL = 4", True),                  # a number
    ("    cdef void mm_exit(self, mm_id mm)", "    cdef void mm_exits(self, mm_id mm)", True),     # the table of methods
    ("# present page-table entries naming this frame", "# how often it is mapped", False),           # words
])
def test_what_changes_it(setup, old, new, other, tmp_path, monkeypatch):
    before, found = setup.layout(), 0
    for path in setup.public_declarations():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        found += text.count(old)
        copy.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    assert found == 1 and (setup.layout() != before) == other


def test_another_layout_is_an_import_error():
    assert getattr(layout, f"layout_{layout.DIGEST}") is object
    with pytest.raises(ImportError, match=f"layout 0123abcd, and this one has {layout.DIGEST}: compile it again"):
        _ = layout.layout_0123abcd
    with pytest.raises(AttributeError):
        _ = layout.other


def test_compiled_modules_ask():
    """Every module with public declarations in it, as one from outside would have."""
    from rmapcore.pyx.seam import scheme
    assert f"layout_{layout.DIGEST}".encode() in Path(scheme.__file__).read_bytes()


def test_whatever_a_module_uses_it_asks(setup):
    """All public declarations lead to the type that is asked for: whoever uses records only has their layout too."""
    uses = {f"rmapcore.pyx.{'.'.join(path.relative_to(ROOT / 'pyx').with_suffix('').parts)}":
            set(re.findall(r"^from (rmapcore\.\S+) cimport", path.read_text(encoding="utf-8"), re.MULTILINE))
            for path in setup.public_declarations()}
    asking, found = {"rmapcore.pyx.base.layout"}, 0
    while len(asking) > found:
        found = len(asking)
        asking |= {name for name, used in uses.items() if used & asking}
    assert asking == uses.keys() | {"rmapcore.pyx.base.layout"}


@pytest.mark.parametrize("name", ["base.ids", "base.state"])
def test_a_module_that_uses_little_asks_too(setup, name, tmp_path):
    """Its C imports the type when the module is imported: with another digest in layout.pxd that import would fail."""
    compiler = pytest.importorskip("Cython.Compiler.Main")
    (tmp_path / "one.pyx").write_text(f"from rmapcore.pyx.{name} cimport *\n")
    options = compiler.CompilationOptions(include_path=[str(setup.cimport_tree())], output_file=str(tmp_path / "one.c"))
    compiler.compile(str(tmp_path / "one.pyx"), options)
    assert f"layout_{layout.DIGEST}" in (tmp_path / "one.c").read_text()


def test_private_declarations_are_not_installed(setup):
    """Public .pxd files need no other: what is not public is not there to be used."""
    public = {".".join(path.relative_to(ROOT / "pyx").with_suffix("").parts) for path in setup.public_declarations()}
    used = set()
    for path in setup.public_declarations():
        used |= set(re.findall(r"^from rmapcore\.pyx\.(\S+) cimport", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert used <= public | {"base.layout"}
    data = setup.installed_declarations()
    assert {f"{folder}.{Path(name).stem}".removeprefix("rmapcore.pyx").removeprefix(".") for folder, names in data.items()
            for name in names if not name.startswith("__init__")} == public | {"base.layout"}
