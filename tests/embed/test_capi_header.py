"""rmapcore.h: it compiles everywhere, says the same as capi.pxd and the enums of Python, and fits older and newer tables."""
import ctypes
import importlib.resources
import re
import shutil
from pathlib import Path

import pytest

import compiled
import rmapcore
from rmapcore import Status, Why

HEADER = Path(rmapcore.get_include(), "rmapcore.h")
TEXT = HEADER.read_text(encoding="utf-8")
FUNCTIONS = re.findall(r"^static inline [\w *]*?\b(rmapcore_\w+)\(", TEXT, re.MULTILINE)
ENTRIES = re.findall(r"^    [\w ]+\*?\(\*(\w+)\)\(", TEXT, re.MULTILINE)
NUMBERS = {name: int(number, 0) for name, number in re.findall(r"^ +(RMAPCORE_\w+) = (-?\w+)", TEXT, re.MULTILINE)}
TINY = """
#include "rmapcore.h"
static PyObject *spawn(PyObject *self, PyObject *text)
{
    rmapcore_machine m;
    int64_t pid;
    (void)self;
    if (rmapcore_open(PyUnicode_AsUTF8(text), &m) < 0)
        return NULL;
    pid = rmapcore_spawn(m);
    rmapcore_close(m);
    return PyLong_FromLongLong(pid);
}
static PyMethodDef methods[] = {{"spawn", spawn, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "tiny", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_tiny(void) { return rmapcore_import() < 0 ? NULL : PyModule_Create(&module); }
"""


def test_every_entry_has_its_function_and_its_line_for_cython():
    assert len(ENTRIES) == len(set(ENTRIES)) > 30
    named = {f"rmapcore_{name}" for name in ENTRIES} - {"rmapcore_gone"}
    assert named | {"rmapcore_gone_take", "rmapcore_import"} == set(FUNCTIONS)
    declared = (importlib.resources.files(rmapcore) / "capi.pxd").read_text(encoding="utf-8")
    assert set(re.findall(r"\b(rmapcore_\w+)\(", declared.split('"""')[2])) == set(FUNCTIONS)
    assert set(re.findall(r"^ +(RMAPCORE_\w+)$", declared, re.MULTILINE)) == set(NUMBERS)


def test_numbers_are_those_of_python():
    assert {name.removeprefix("RMAPCORE_GONE_"): number for name, number in NUMBERS.items()
            if name.startswith("RMAPCORE_GONE_") and name != "RMAPCORE_GONE_LOST"} == dict(Why.__members__)
    assert {name: -NUMBERS[f"RMAPCORE_{name}"] for name in ("SEGV", "BUS", "OOM", "FULL")} == {
        name: Status[name] for name in ("SEGV", "BUS", "OOM", "FULL")}
    assert (NUMBERS["RMAPCORE_DISK"], NUMBERS["RMAPCORE_SHMEM"], NUMBERS["RMAPCORE_ZERO"]) == (0, 1, 2)


@pytest.mark.parametrize("name", ["gcc", "g++", "clang", "clang++"])
def test_compilers_take_it_without_a_warning(tmp_path, name, monkeypatch):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.setattr(compiled, "compiler", lambda language: name)
    calls = "\n".join(f"    (void)&{function};" for function in FUNCTIONS)
    source = tmp_path / "all.c"
    source.write_text(f'#include "rmapcore.h"\nint all(void);\nint all(void)\n{{\n{calls}\n    return 0;\n}}\n')
    language = compiled.CXX17 if name.endswith("++") else compiled.C99
    compiled.compile_to(tmp_path / "all.o", source, "-c", "-O2", "-pedantic", "-Wshadow", "-Wconversion", *language)


# --- versions ---------------------------------------------------------------------------------------------------------


def table(change):
    """A capsule with a copy of the table, changed, and what keeps it alive. change: given the three numbers; new ones."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    at = pointer(rmapcore._C_API, b"rmapcore._C_API")
    head = (ctypes.c_uint32 * 3).from_address(at)
    copy = ctypes.create_string_buffer(ctypes.string_at(at, head[2]), head[2] + 64)
    new = (ctypes.c_uint32 * 3).from_buffer(copy)
    new[:] = change(*head)
    return make(ctypes.addressof(copy), b"rmapcore._C_API", None), copy


def later_header(folder):
    """A header with one entry more."""
    text = TEXT.replace("#define RMAPCORE_VERSION 1u", "#define RMAPCORE_VERSION 2u")
    text = re.sub(r"(int \(\*save\)[^;]*;\n)\};", r"\1    int (*appended)(rmapcore_machine m);\n};", text)
    assert text.count("appended") == 1 and text.count("2u") == 1
    folder.mkdir()
    (folder / "rmapcore.h").write_text(text)
    return folder


def tiny(folder, include=None):
    folder.mkdir()
    (folder / "tiny.c").write_text(TINY)
    compiled.compile_to(folder / "tiny.so", folder / "tiny.c", "-O1", "-fPIC", "-shared", *compiled.C99, include=include)
    return lambda: compiled.imported("tiny", folder / "tiny.so")


def test_a_client_runs_with_a_later_table(tmp_path, monkeypatch):
    load = tiny(tmp_path / "now")
    capsule, keep = table(lambda abi, version, size: (abi, version + 1, size + 8))
    monkeypatch.setattr(rmapcore, "_C_API", capsule)
    assert load().spawn("Machine(ram='1MiB', swap=0)") == 1 and keep


@pytest.mark.parametrize(("change", "advice"), [
    (None, "install a later rmapcore"), (lambda abi, version, size: (abi, version + 1, size), "install a later rmapcore"),
    (lambda abi, version, size: (abi + 1, version + 9, size + 64), "compile it again"),
])
def test_a_client_refuses_an_older_table_and_another_interface(tmp_path, monkeypatch, change, advice):
    load = tiny(tmp_path / "later", later_header(tmp_path / "include"))
    if change:
        capsule, keep = table(change)
        monkeypatch.setattr(rmapcore, "_C_API", capsule)
        assert keep
    with pytest.raises(ImportError, match=f"compiled for version 1.2 .*{advice}"):
        load()


def test_a_client_without_rmapcore_says_so(tmp_path, monkeypatch):
    load = tiny(tmp_path / "now")
    monkeypatch.delattr(rmapcore, "_C_API", raising=False)
    monkeypatch.delitem(rmapcore._MODULES, "_C_API")
    with pytest.raises(AttributeError, match="_C_API"):
        load()
