"""Compiles embed_client.c, the client in C of the benchmarks, and gives it as a module; and what it works on."""
import importlib.util
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import rmapcore

PAGE = 4096
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


class Scene:
    """A process with so many written pages, held by C; and where these are, in order and shuffled."""

    def __init__(self, client, pages, kernel, ram=None, watch=0):
        self.machine = rmapcore.Machine("anon_vma_chain", kernel=kernel, ram=(ram or pages + 1024) * PAGE,
                                        swap=(2 * pages + 1024) * PAGE, watch=watch)
        self.process = self.machine.spawn()
        self.address = self.process.mmap(1 << 30, pages * PAGE, "rw", 0x32)
        self.process.write(self.address, pages * PAGE)
        self.sorted = np.arange(self.address, self.address + pages * PAGE, PAGE, dtype=np.uint64)
        self.random = np.random.default_rng(0).permutation(self.sorted)
        self.client = client
        self.handle = client.adopt(self.machine)
        client.hold(self.handle)

    def frames(self):
        return self.process.pagemap(self.address, len(self.sorted) * PAGE)["pfn"].astype(np.uint64)

    def do(self, name, array):
        return getattr(self.client, name)(self.handle, self.process.pid, array)

    def anew(self):
        """The same pages again, those that were there in the ring."""
        self.machine.gone()
        self.process.munmap(self.address, len(self.sorted) * PAGE)
        self.process.mmap(self.address, len(self.sorted) * PAGE, "rw", 0x32)
        self.process.write(self.address, len(self.sorted) * PAGE)

    def close(self):
        self.client.release(self.handle)
        self.client.close(self.handle)
