"""One mutant's trial: built in a copy of the tree, tests run there, by children of this process, which has read nothing of the
product. Only the modules that hold the changed text are compiled, and for speed of compiling, not of running.
"""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

FLAGS = ["-O0", "-g0", "-w", "-pipe", "-fno-strict-aliasing"]
BUILD_SECONDS = 300                            # of the processor, for each module
MOST_MEMORY = 3 << 30                          # bytes of a run of tests; a mutant may ask for more
MOST_BUILT = 8                                 # modules; what more of them hold inline would take minutes to build each time
FUNCTION = re.compile(r"^cdef (?:inline )?[^=\n]*?(\w+)\([^\n]*", re.MULTILINE)
KILLED, SURVIVED, INVALID = "killed", "survived", "invalid"


class Tree:
    """A copy, in `home`, of what git knows and of the compiled modules. sources: {path: text} of the product."""

    def __init__(self, root, home):
        self.root, self.home = root, home
        self.compiled = [path.relative_to(root) for path in (root / "pyx").rglob("*.so")]
        if not self.compiled:
            raise SystemExit("nothing is compiled: python setup.py build_ext --inplace")
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True,
                                check=True).stdout.splitlines()
        names = [Path(name) for name in listed if (root / name).is_file()]
        self.sources = {str(name): (root / name).read_text() for name in names if name.parts[0] in ("pyx", "rmapcore")
                        and name.suffix in (".py", ".pyx", ".pxi", ".pxd")}
        for name in (*names, *self.compiled):
            self.restore(name)
        with suppress(FileExistsError):        # where setup.py says that the kernels are
            (home / "rmapcore" / "pyx").symlink_to("../pyx", target_is_directory=True)

    def restore(self, name):
        """The file as it is in the tree. A process that has the other one loaded keeps it."""
        here, there = self.root / name, self.home / name
        if not there.exists() or (there.stat().st_size, there.stat().st_mtime_ns) != (
                here.stat().st_size, here.stat().st_mtime_ns):
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            shutil.copy2(here, there)

    def users(self, mutant):
        """Modules that must be compiled for a mutant: those whose text it is, or that hold its inline function."""
        if not mutant.path.startswith("pyx/") or mutant.path.endswith(".py"):
            return []
        if mutant.path.endswith(".pyx"):
            return [mutant.path]
        modules = {name: self.with_included(name) for name in self.sources if name.endswith(".pyx")}
        if mutant.path.endswith(".pxi"):       # one of the kernels that are made of it will do
            return [name for name, text in modules.items() if self.sources[mutant.path] in text][:1]
        head = "\n".join(self.sources[mutant.path].split("\n")[:mutant.line])
        inline = [part for name, text in self.sources.items() if name.endswith(".pxd")
                  for part in re.split(r"^(?=cdef )", text, flags=re.MULTILINE) if part.startswith("cdef inline")]
        names, before = {FUNCTION.findall(head)[-1]}, set()
        while names != before:                 # inline functions that use it are compiled with it inside
            before = set(names)
            names |= {FUNCTION.match(part)[1] for part in inline if mentions(part, names)}
        own = mutant.path.removesuffix(".pxd") + ".pyx"
        return [name for name, text in modules.items() if name == own or mentions(text, names)]

    def with_included(self, name):
        """The text of a module with all that it includes."""
        text = self.sources[name]
        return text + "".join(self.with_included(os.path.normpath(Path(name).parent / included))
                              for included in re.findall(r'^include "([^"]+)"', text, re.MULTILINE))

    def try_mutant(self, mutant, tests, seconds):
        """(KILLED, SURVIVED or INVALID, what says so); seconds: of the processor, for the tests."""
        users, path = self.users(mutant), self.home / mutant.path
        if len(users) > MOST_BUILT:
            return INVALID, f"{len(users)} modules hold it"
        path.unlink()
        path.write_text(mutant.applied(self.sources[mutant.path]))
        try:
            if users and in_child(lambda: build(users), self.home, BUILD_SECONDS * len(users))[0] != 0:
                return INVALID, "cannot be compiled"
            status, output = in_child(lambda: run_tests(tests), self.home, seconds)
        finally:
            for name in (mutant.path, *self.compiled):
                self.restore(name)
        if status == 0:
            return SURVIVED, ""
        if status in (4, 5):                   # of pytest: wrong usage, no test
            raise SystemExit(output)
        failed = re.findall(r"^(?:FAILED|ERROR) (.*)", output, re.MULTILINE)
        return KILLED, failed[0][:200] if failed else f"the run ended with {status}"


def mentions(text, names):
    return not names.isdisjoint(re.findall(r"\w+", text))


def build(modules):
    """Compiles modules of the folder that this process stands in."""
    from setuptools import Distribution, Extension

    import setup
    setup.JOBS = 0                             # one after the other, here
    made = [Extension("rmapcore." + module.removesuffix(".pyx").replace("/", "."), [module], extra_compile_args=FLAGS)
            for module in modules]
    command = Distribution({"name": "rmapcore", "ext_modules": made, "package_dir": {"rmapcore.pyx": "pyx"},
                            "cmdclass": {"build_ext": setup.ParallelBuild}}).get_command_obj("build_ext")
    command.inplace = command.force = True
    command.ensure_finalized()
    command.parallel = None
    command.run()
    return 0


def run_tests(tests):
    import pytest
    os.environ["PYTHONPATH"] = os.getcwd()
    return int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=line", "--hypothesis-seed=0", *tests]))


def in_child(work, home, seconds):
    """(what work gave or minus the signal, what it printed), done in `home` by a child with limits."""
    printed = home / "build" / "printed"
    printed.parent.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setpgrp()
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            fd = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            os.chdir(home)
            sys.path[:] = [str(home), *(entry for entry in sys.path if "site-packages" in entry or "lib/python" in entry)]
            status = work()
        finally:
            sys.stdout.flush()
            os._exit(status)
    deadline = time.monotonic() + 30 * seconds
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline or resident(child) > MOST_MEMORY:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)       # what it started and left
    return os.waitstatus_to_exitcode(done[1]), printed.read_text(errors="replace")


def resident(process):
    """Bytes of memory it has; 0 when it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0
