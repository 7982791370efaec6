"""Runs Python with the sanitizer build: python tests/sanitizer/run.py FOLDER ARGUMENTS…, as in `… FOLDER -m fuzz calls`.

Makes the build in FOLDER, of a copy of the sources, if there is none that is as new as they are: some minutes. It needs gcc
with its libasan and libubsan. Accesses outside of what arenas hold are reported as well (fence.c). Modules of tests can be
imported, as in the tests. The process ends at the first report, with status 1 or by SIGABRT, and the report is on stderr.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ("pyx", "rmapcore", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
LEFT = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
FENCE = "tests/sanitizer/fence.c"
OPTIONS = {
    # replace_intrin: memcpy of numpy is not looked at, which copies arenas with records that were given back. What the kernels
    # read and write themselves is.
    "ASAN_OPTIONS": "detect_leaks=0:replace_intrin=0:allocator_may_return_null=1:handle_segv=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "PYTHONMALLOC": "malloc",
}


def newest(folder):
    return max((path.stat().st_mtime for top in ("pyx", "setup.py", "rmapcore", FENCE) for path in
                [folder / top, *(folder / top).rglob("*.p*")] if path.is_file()), default=0)


def copied(folder):
    """The sources in folder/source, with their times, so that only what changed is compiled again."""
    source = folder / "source"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=LEFT, dirs_exist_ok=True)
        else:
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    shutil.copy2(ROOT / "rmapcore/verify/program.c", source / "rmapcore/verify/program.c")
    return source


def build(folder):
    """The folder of the package."""
    library, done = folder / "lib", folder / "done"
    if not done.exists() or done.stat().st_mtime < newest(ROOT):
        source = copied(folder)
        subprocess.run([sys.executable, "setup.py", "-q", "build", "--build-lib", str(library)], cwd=source, check=True,
                       env=os.environ | {"RMAPCORE_SANITIZE": "1"})
        subprocess.run(["gcc", "-O1", "-g", "-Wall", "-shared", "-fPIC", "-o", str(folder / "fence.so"), str(ROOT / FENCE)],
                       check=True)
        done.touch()
    return library


def preloaded(folder):
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{asan}:{folder / 'fence.so'}"


def main(folder, *arguments):
    folder = Path(folder).resolve()
    library = build(folder)
    env = os.environ | OPTIONS | {"LD_PRELOAD": preloaded(folder),
                                  "PYTHONPATH": os.pathsep.join(map(str, (library, ROOT / "tests")))}
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, *arguments], env)


if __name__ == "__main__":
    main(*sys.argv[1:])
