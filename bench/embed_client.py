"""Compiles embed_client.c, the client in C of the benchmarks, and gives it as a module."""
import importlib.util
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import rmapcore

SOURCE = Path(__file__).with_suffix(".c")


def compiled(folder):
    """The shared object, made in a folder. RuntimeError with what the compiler says."""
    target = Path(folder, "embed_client.so")
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise RuntimeError("there is no C compiler")
    done = subprocess.run(
        [compiler, "-O2", "-std=c99", "-fPIC", "-shared", f"-I{rmapcore.get_include()}", f"-I{sysconfig.get_path('include')}",
         str(SOURCE), "-o", str(target)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return target


def load():
    """The module."""
    with tempfile.TemporaryDirectory() as folder:
        spec = importlib.util.spec_from_file_location("embed_client", compiled(folder))
        client = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(client)
        return client
