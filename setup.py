"""Builds every pyx/**/*.pyx as the extension rmapcore.pyx.<module>.

The sources lie in pyx/, beside the package. Cython finds .pxd files by dotted name, so the build makes a folder
build/cimport/rmapcore/pyx that links back to pyx/ and puts it on the include path. All Cython directives stand here.
RMAPCORE_DEBUG=1 turns on bounds checks and assertions, RMAPCORE_UNCOUNTED=1 leaves the work counters out, to measure what
they cost (both need --force: changed directives and flags do not trigger a rebuild).
"""
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
DEBUG = os.environ.get("RMAPCORE_DEBUG") == "1"
UNCOUNTED = os.environ.get("RMAPCORE_UNCOUNTED") == "1"
JOBS = os.cpu_count() or 1
# What Cython needs at run time for memoryviews, compiled once instead of into every module that has one.
SHARED = "rmapcore.pyx._cyutility"


class ParallelBuild(build_ext):
    """Compiles the C files side by side; -j overrides."""

    def initialize_options(self):
        super().initialize_options()
        self.parallel = JOBS


def cimport_tree() -> str:
    """Makes build/cimport/rmapcore/{__init__.pxd, pyx -> pyx/} and returns the include path."""
    base = ROOT / "build" / "cimport"
    package = base / "rmapcore"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.pxd").touch()
    link = package / "pyx"
    if not link.is_symlink():
        link.symlink_to(ROOT / "pyx", target_is_directory=True)
    return str(base)


def extensions() -> list[Extension]:
    sources = {SHARED: "pyx/_cyutility.c"}     # cythonize writes it, below its build_dir
    for path in sorted((ROOT / "pyx").rglob("*.pyx")):
        source = path.relative_to(ROOT)
        sources[".".join(("rmapcore", *source.with_suffix("").parts))] = str(source)
    flags = ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
    flags += ["-fno-strict-aliasing", "-Wno-unused-function", "-Wno-unused-variable"]
    flags += ["-DRMAPCORE_UNCOUNTED"] if UNCOUNTED else []
    return [Extension(name, [source], extra_compile_args=flags) for name, source in sources.items()]


if __name__ == "__main__":                     # cythonize's workers may import this file
    setup(
        packages=["rmapcore", "rmapcore.argument", "rmapcore.bench", "rmapcore.capture", "rmapcore.replaycheck",
                  "rmapcore.report", "rmapcore.reproduce", "rmapcore.traces", "rmapcore.verify", "rmapcore.workloads",
                  "rmapcore.pyx", "rmapcore.pyx.schemes", "rmapcore.pyx.filemap"],
        package_dir={"rmapcore.pyx": "pyx"},
        package_data={"rmapcore.pyx": ["*.pyx", "*.pxd"], "rmapcore.pyx.schemes": ["*.pyx", "*.pxd"],
                      "rmapcore.pyx.filemap": ["*.pyx", "*.pxd"]},
        cmdclass={"build_ext": ParallelBuild},
        ext_modules=cythonize(
            extensions(),
            include_path=[cimport_tree()],
            build_dir="build/cython",
            nthreads=JOBS,
            shared_utility_qualified_name=SHARED,
            compiler_directives={
                "language_level": 3,
                "boundscheck": DEBUG,
                "wraparound": False,
                "initializedcheck": DEBUG,
                "cdivision": True,
                "embedsignature": True,
            },
        ),
    )
