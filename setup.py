"""Builds every pyx/**/*.pyx as the extension rmapcore.pyx.<folder>.<module>.

The sources lie in pyx/, beside the package. Cython finds .pxd files by dotted name, so the build makes a folder
build/cimport/rmapcore/pyx that links back to pyx/ and puts it on the include path. All Cython directives stand here.
RMAPCORE_DEBUG=1 turns on bounds checks and assertions, RMAPCORE_UNCOUNTED=1 leaves the work counters out, to measure what
they cost, RMAPCORE_SANITIZE=1 builds with gcc's sanitizers of addresses and undefined behaviour, for tests/sanitizer (all
need --force: changed directives and flags do not trigger a rebuild).
"""
import gc
import hashlib
import os
import re
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
DEBUG = os.environ.get("RMAPCORE_DEBUG") == "1"
UNCOUNTED = os.environ.get("RMAPCORE_UNCOUNTED") == "1"
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-DRMAPCORE_SANITIZE"]
SANITIZE = SANITIZE if os.environ.get("RMAPCORE_SANITIZE") == "1" else []
JOBS = os.cpu_count() or 1
# What Cython needs at run time for memoryviews, compiled once instead of into every module that has one.
SHARED = "rmapcore.pyx._cyutility"
# A kernel's module is large, and compilers inline the less the larger a unit is: in these what is written inline is.
HOT = ["-DCYTHON_INLINE=__inline__ __attribute__((always_inline))"]
INCLUDED = ["rmapcore/include", "pyx/embed"]       # headers of the C interface: the public one, and one of its own
PUBLIC = "Public: schemes outside may use it"
LAYOUT = '''"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_{digest} [object PyObject, check_size ignore]:
        pass
'''
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
    # nobody pickles kernel objects or asks their methods for more than a signature: without, a class costs half as much C
    "auto_pickle": False,
    "binding": False,
    "emit_code_comments": DEBUG,
}
# How hard the compiler tries; the longest name that fits counts. The loops over pages are worth -O3. Of schemes and file sides
# half is check(), which -O3 unrolls at length, and the hooks take as many instructions a page after -O2, but for the chains
# (bench/instructions.py). What runs once a call, a machine or an object gets -O1, which takes half the time of -O3.
LEVELS = {
    "": "-O3",
    "schemes": "-O2", "filemap": "-O2", "parts": "-O2", "parts.chainside": "-O3", "parts.chains": "-O1", "parts.checks": "-O1",
    "engine.calls": "-O2", "look": "-O2", "look.probe": "-O3", "run": "-O2", "text": "-O2",
    "embed.table": "-O1", "embed.calls": "-O2", "embed.machines": "-O1", "base": "-O1", "seam": "-O1", "seam.scheme": "-O3",
    "machine.core": "-O1", "reclaim.scan": "-O1", "_cyutility": "-O1",
}


class ParallelBuild(build_ext):
    """Makes C of the sources once, when something is built and not when somebody asks for metadata; then compiles the C
    files side by side; -j overrides.
    """

    def initialize_options(self):
        super().initialize_options()
        self.parallel = JOBS

    def build_extensions(self):
        from Cython.Build import cythonize
        write_layout()
        gc.disable()                           # its trees are one heap of circles: looking for dead ones is 40 % of the work
        made = cythonize(
            [Extension(extension.name, extension.sources) for extension in self.extensions], include_path=[cimport_tree()],
            build_dir="build/cython", nthreads=JOBS, force=self.force, shared_utility_qualified_name=SHARED,
            compiler_directives=DIRECTIVES)
        sources = {extension.name: extension.sources for extension in made}
        for extension in self.extensions:
            extension.sources = sources[extension.name]
        super().build_extensions()


def cimport_tree() -> str:
    """Makes build/cimport/rmapcore/{__init__.pxd, pyx -> pyx/} and returns the include path."""
    base = ROOT / "build" / "cimport"
    package = base / "rmapcore"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.pxd").touch()
    link = package / "pyx"
    if link.is_symlink() and link.resolve() != ROOT / "pyx":       # the tree has been copied or moved
        link.unlink()
    if not link.is_symlink():
        link.symlink_to(ROOT / "pyx", target_is_directory=True)
    return str(base)


def public_declarations() -> list[Path]:
    """The .pxd files for schemes outside: those that say so in their first lines. All others are private, and not installed."""
    return [path for path in sorted((ROOT / "pyx").rglob("*.pxd")) if PUBLIC in path.read_text(encoding="utf-8")]


def installed_declarations() -> dict[str, list[str]]:
    """Which .pxd files go with each package of kernels: the public ones, and what they need to be found."""
    found = {}
    for path in [*public_declarations(), ROOT / "pyx" / "base" / "layout.pxd"]:
        package = ".".join(("rmapcore.pyx", *path.parent.relative_to(ROOT / "pyx").parts))
        found.setdefault(package, ["__init__.pxd"]).append(path.name)
    return found


def layout() -> str:
    """pyx/base/layout.pxd as it should be: it names a type after a digest of all public declarations, comments aside."""
    digest = hashlib.blake2b(digest_size=8)
    for path in public_declarations():
        code = re.sub(r'"""(?:(?!""").)*"""', "", path.read_text(encoding="utf-8"), count=1, flags=re.DOTALL)
        lines = (line.split("# ")[0].rstrip() for line in code.splitlines())
        digest.update("\n".join([path.name, *filter(None, lines)]).encode())
    return LAYOUT.format(digest=digest.hexdigest())


def write_layout() -> None:
    path = ROOT / "pyx" / "base" / "layout.pxd"
    if path.read_text(encoding="utf-8") != layout():
        path.write_text(layout(), encoding="utf-8")


def extensions() -> list[Extension]:
    sources = {SHARED: "pyx/_cyutility.c"}     # cythonize writes it, below its build_dir
    for path in sorted((ROOT / "pyx").rglob("*.pyx")):
        source = path.relative_to(ROOT)
        sources[".".join(("rmapcore", *source.with_suffix("").parts))] = str(source)
    return [Extension(name, [source], extra_compile_args=flags(name), include_dirs=INCLUDED if ".embed." in name else [],
                      extra_link_args=SANITIZE)
            for name, source in sources.items()]


def flags(name: str) -> list[str]:
    """The compiler's, for one module."""
    kernel = name.removeprefix("rmapcore.pyx.")
    folder = max((folder for folder in LEVELS if f"{kernel}.".startswith(f"{folder}.") or not folder), key=len)
    # looking for what to warn of takes time: the debug build does
    found = ["-O1", "-g", "-Wno-unused-function", "-Wno-unused-variable"] if DEBUG else [LEVELS[folder], "-g0", "-w"]
    found = ["-O1", "-g1", "-w", *SANITIZE] if SANITIZE else found
    found += ["-pipe", "-fno-strict-aliasing"]
    found += HOT if kernel.startswith("kernels.") and not (DEBUG or SANITIZE) else []
    return found + (["-DRMAPCORE_UNCOUNTED"] if UNCOUNTED else [])


if __name__ == "__main__":                     # cythonize's workers may import this file
    kernels = ["rmapcore.pyx"] + [f"rmapcore.pyx.{name}" for name in find_packages("pyx")]
    setup(
        packages=find_packages(include=["rmapcore", "rmapcore.*"]) + kernels,
        package_dir={"rmapcore.pyx": "pyx"},
        package_data={name: ["*.pyi", *installed_declarations().get(name, ())] for name in kernels} | {
            "rmapcore": ["py.typed", "*.pyi", "capi.pxd", "include/rmapcore.h"], "rmapcore.verify": ["program.c"],
            "rmapcore.linux": ["syscalls.txt"]},
        cmdclass={"build_ext": ParallelBuild},
        ext_modules=extensions(),
    )
