"""Compiling clients of the C interface, as somebody outside would: against rmapcore.get_include() and nothing else."""
import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import rmapcore

WARNINGS = ["-Wall", "-Wextra", "-Werror"]
C99 = ["-std=c99", "-D_GNU_SOURCE", "-x", "c"]
CXX17 = ["-std=c++17", "-x", "c++"]


def compiler(language):
    """The command for "c" or "c++"; the test is skipped where there is none."""
    for name in {"c": ("cc", "gcc", "clang"), "c++": ("c++", "g++", "clang++")}[language]:
        if shutil.which(name):
            return name
    return pytest.skip(f"no compiler for {language}")


def compile_to(target, source, *flags, include=None, language="c"):
    """Compiles a source to a shared object or object file; fails with what the compiler says."""
    includes = [f"-I{include or rmapcore.get_include()}", f"-I{sysconfig.get_path('include')}"]
    command = [compiler(language), *includes, *WARNINGS, *flags, str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def module(folder, source, *flags, include=None):
    """The extension module of a C file, whose name is the file's."""
    name = Path(source).stem
    target = folder / f"{name}.so"
    compile_to(target, source, "-O1", "-fPIC", "-shared", *C99, *flags, include=include)
    return imported(name, target)


def imported(name, target):
    spec = importlib.util.spec_from_file_location(name, target)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
