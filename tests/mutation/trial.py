"""One mutant's trial, in a copy of the tree, by children of this process, which has read nothing of the product. All mutants of
the kernels are compiled at once (switch.py), and for speed of compiling, not of running; one in Python is put into its file.
"""
import ctypes
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path

from mutation import switch

FLAGS = ["-O0", "-g0", "-w", "-pipe", "-fno-strict-aliasing", "-include", str(Path(__file__).with_name("chosen.h"))]
BUILD_SECONDS = 3600                           # of the processor
SERVING, FIRST = 36000, 3600                   # of the processor: for collecting tests, for a run of them without a mutant
MOST_MEMORY = 3 << 30                          # bytes of a run of tests; a mutant may ask for more
LAYOUT = "pyx/base/layout.pxd"                 # the build writes it
ERROR = re.compile(r"^(?:rmapcore/)?(pyx/[\w/.]+):(\d+):\d+: (?!performance hint)", re.MULTILINE)
ENVIRONMENT = "RMAPCORE_MUTANT"                # as chosen.h has it
NUMBER = re.compile(rf"{switch.NAME} == (\d+)")
KILLED, SURVIVED, INVALID = "killed", "survived", "invalid"


class Tree:
    """A copy, in `home`, of what git knows. sources: {path: text} of the product. numbers: {name of a mutant of the kernels: by
    which number a process runs it}.
    """

    def __init__(self, root, home):
        self.root, self.home, self.numbers = root, home, {}
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True,
                                check=True).stdout.splitlines()
        self.names = [name for name in listed if (root / name).is_file()]
        self.sources = {name: (root / name).read_text() for name in self.names if name.startswith(("pyx/", "rmapcore/"))
                        and name.endswith((".py", ".pyx", ".pxi", ".pxd"))}

    def build(self, numbered):
        """Brings the copy up to date and compiles it with {number: mutant}, but for those that the compilers refuse."""
        numbered, numbers, status = dict(numbered), None, 1
        while status:
            texts, numbers = self.switched(numbered)
            for name in self.names:
                if name != LAYOUT or not (self.home / name).exists():
                    put(self.home / name, texts.get(name) or (self.root / name).read_bytes())
            built = self.home / "build" / "built"
            put(self.home / "rmapcore" / "pyx", None)                  # where setup.py says that the kernels are
            digest = hashlib.sha256("".join(texts.values()).encode()).hexdigest()
            if built.exists() and built.read_text() == digest:
                break
            status, printed = in_child(build, self.home, BUILD_SECONDS)
            errors = {(os.path.normpath(path), int(line) - 1) for path, line in ERROR.findall(printed)}
            wrong = {number for path, line in errors if path in texts for number in numbers_at(texts[path], line)}
            if status and not wrong:
                raise SystemExit(printed)
            wrong = {number for number in wrong if numbered[number].operator == "swap"} or wrong      # most often that
            for number in wrong:
                del numbered[number]
            if not status:
                built.write_text(digest)
        self.numbers = {numbered[number].name: number for number in numbers}

    def switched(self, numbered):
        """({path: text} of the kernels, the numbers of the mutants that are in them)"""
        of_path, texts, held = defaultdict(dict), {}, set()
        for number, mutant in numbered.items():
            of_path[mutant.path][number] = mutant
        for path, text in self.sources.items():
            if path.startswith("pyx/") and not path.endswith(".py"):
                texts[path], numbers = switch.switched(text, of_path[path])
                held |= numbers
        knows = [path for path in texts if path.endswith(".pxd") and of_path[path]]
        knows += [path for path in texts if path.endswith(".pyx") and path.replace(".pyx", ".pxd") not in knows]
        return texts | {path: switch.declared(texts[path]) for path in knows}, held

    def try_python(self, mutant, tests, seconds):
        """(KILLED or SURVIVED, what says so) of a mutant in Python; seconds: of the processor, for the tests."""
        put(self.home / mutant.path, mutant.applied(self.sources[mutant.path]))
        try:
            return verdict(*in_child(lambda: run_tests(tests), self.home, seconds))
        finally:
            put(self.home / mutant.path, self.sources[mutant.path])

    def try_kernels(self, mutants, tests):
        """Yields (mutant, KILLED or SURVIVED, what says so) of mutants of the kernels: the tests are collected once, by a child
        that each mutant gets a child of.
        """
        verdicts = self.home / "build" / f"verdicts of {os.getpid()}"
        verdicts.write_text("")
        numbers = [self.numbers[mutant.name] for mutant in mutants]
        status, printed = in_child(lambda: run_tests(tests, Served(self.home, numbers, verdicts)), self.home, SERVING)
        told = dict(map(json.loads, verdicts.read_text().splitlines()))
        if status or len(told) < len(mutants):
            raise SystemExit(f"the unchanged tree fails ({status}):\n{printed}")
        for mutant in mutants:
            yield mutant, *told[self.numbers[mutant.name]]


class Served:
    """A plugin of pytest: once the tests are collected, children run them, the first one without a mutant, to see how long it
    takes, then one for each number.
    """

    def __init__(self, home, numbers, verdicts):
        self.home, self.numbers, self.verdicts = home, numbers, verdicts
        self.modules = [ctypes.CDLL(str(path)) for path in sorted(home.glob("pyx/**/*.so"))]
        self.child = False

    def pytest_runtestloop(self, session):
        before, limit = used(), FIRST
        for number in (0, *self.numbers):
            told = verdict(*in_child(lambda: self.run(session, number), self.home, limit))  # noqa: B023
            if number:
                with self.verdicts.open("a") as file:
                    file.write(json.dumps([number, told]) + "\n")
            elif told[0] == KILLED:
                print(*told)
                session.testsfailed = 1
                return True
            else:
                limit = allowed(used() - before)
        return True

    def run(self, session, number):
        self.child = True
        os.environ[ENVIRONMENT] = str(number)
        for module in self.modules:
            ctypes.c_int.in_dll(module, switch.NAME).value = number
        for item, following in zip_longest(session.items, session.items[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return 0

    def pytest_runtest_logreport(self, report):
        if self.child and report.failed:
            with printed_by(self.home, os.getpid()).open("a") as file:           # what is printed is captured
                file.write(f"\nFAILED {report.nodeid}\n")
            os._exit(1)


def verdict(status, output):
    """(KILLED or SURVIVED, what says so) of a run of pytest."""
    if status == 0:
        return SURVIVED, ""
    if status in (4, 5):                       # wrong usage, no test
        raise SystemExit(output)
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)", output, re.MULTILINE)
    return KILLED, failed[0][:200] if failed else f"the run ended with {status}"


def used():
    """Seconds of the processor that children have taken."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def allowed(seconds):
    """Seconds that a mutant may take for what takes so many without it."""
    return int(5 + 3 * seconds)


def put(path, content):
    """Writes a file where it is not the same already, for its time says what must be compiled; None: a link to the kernels."""
    if content is None:
        with suppress(FileExistsError):
            path.symlink_to("../pyx", target_is_directory=True)
        return
    content = content.encode() if isinstance(content, str) else content
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)           # who has the other one open keeps it
        path.write_bytes(content)


def numbers_at(text, line):
    """Of the mutants that a compiler means by a line: those in its statement, or of the branch that this stands in."""
    numbers = []
    for first, behind in switch.statements(text):
        numbers = NUMBER.findall("\n".join(text.split("\n")[first:behind])) or numbers
        if first <= line < behind:
            break
    return set(map(int, numbers))


def build():
    """Compiles what is not up to date of the folder that this process stands in; says what is wrong in every module."""
    import Cython.Build
    from setuptools import Distribution

    import setup
    Cython.Build.cythonize = partial(Cython.Build.cythonize, exclude_failures=True)
    setup.flags = lambda name: FLAGS
    command = Distribution({"name": "rmapcore", "ext_modules": setup.extensions(), "package_dir": {"rmapcore.pyx": "pyx"},
                            "cmdclass": {"build_ext": setup.ParallelBuild}}).get_command_obj("build_ext")
    command.inplace = True
    command.ensure_finalized()
    command.run()
    return 0


def run_tests(tests, *plugins):
    import pytest
    os.environ["PYTHONPATH"] = os.getcwd()
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=line", "--hypothesis-seed=0"]
    return int(pytest.main([*options, *tests], [*plugins]))


def printed_by(home, child):
    return home / "build" / f"printed by {child}"


def in_child(work, home, seconds):
    """(what work gave or minus the signal, what it printed), done in `home` by a child with limits."""
    (home / "build").mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setpgrp()
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            fd = os.open(printed_by(home, os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
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
    printed = printed_by(home, child).read_text(errors="replace") if printed_by(home, child).exists() else ""
    printed_by(home, child).unlink(missing_ok=True)
    return os.waitstatus_to_exitcode(done[1]), printed


def resident(process):
    """Bytes of memory it has; 0 when it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0
