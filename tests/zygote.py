"""Runs commands of rmapcore in children of a process that has imported everything: a row of a table in milliseconds.

Run as a program it answers each line of JSON on standard input, {"arguments", "folder", "stdin", "stdout", "stderr", "user"},
with a line {"status", "out", "err"}. The streams are "closed", "full", "gone" (a pipe whose reader has ended), a file's name
for standard input, or None: it is empty, or what is said is in the answer. user: whom the child becomes, where it is not None.
"""
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

MODULES = ("encodings.latin_1", "matplotlib", "jinja2", "rich.progress", "rich.columns", "rich.table", "rmapcore.cli",
           "rmapcore.lab.diff", "rmapcore.lab.grids", "rmapcore.lab.report", "rmapcore.linux.capture", "rmapcore.studies.bench",
           "rmapcore.studies.explain", "rmapcore.studies.hunt", "rmapcore.studies.replaycheck", "rmapcore.studies.reproduce",
           "rmapcore.traces.importers", "rmapcore.verify.run_live")


@contextlib.contextmanager
def zygote():
    """A function of a row, as above, that gives the answer."""
    with subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        def ask(**row):
            server.stdin.write(json.dumps(row) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline())

        yield ask
        server.stdin.close()


def import_all():
    import rmapcore
    from rmapcore.kernels import KERNELS
    from rmapcore.lab.grids import grids
    from rmapcore.schemes import FILE_SIDES, SCHEMES

    rmapcore.schemes()
    rmapcore.workloads()
    grids()
    for name in MODULES:
        __import__(name)
    for name in rmapcore.__all__:
        getattr(rmapcore, name)
    for table in (KERNELS, FILE_SIDES, SCHEMES):
        for known in table.values():
            known.load()


def stream(number, kind, said):
    """Puts a standard stream in its place; Python's file of it, as it makes one when it starts."""
    if kind == "closed":
        os.close(number)
        return None
    if kind == "gone":
        reader, opened = os.pipe()
        os.close(reader)
    elif number == 0:
        opened = os.open(kind or os.devnull, os.O_RDONLY)
        if kind is not None:                   # a pipe, not the file: it cannot be read twice
            content = os.read(opened, 1 << 16)
            opened, writer = os.pipe()
            os.write(writer, content)
            os.close(writer)
    else:
        opened = os.open("/dev/full", os.O_WRONLY) if kind == "full" else said.fileno()
    os.dup2(opened, number)
    return open(number, "r" if number == 0 else "w", 1 if number == 2 else -1, closefd=False)


def child(row, out, err):
    from rmapcore.cli import main

    os.chdir(row["folder"])
    if row.get("user"):
        os.setgroups([])
        os.setresgid(*[row["user"]] * 3)
        os.setresuid(*[row["user"]] * 3)
    sys.stdin, sys.stdout, sys.stderr = (stream(number, row.get(name), said) for number, name, said in
                                         ((0, "stdin", None), (1, "stdout", out), (2, "stderr", err)))
    try:
        return main(row["arguments"])
    except SystemExit as end:
        return end.code or 0


def answer(row):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            try:
                status = child(row, out, err)
                for one in filter(None, (sys.stdout, sys.stderr)):
                    one.flush()
            except BaseException:              # main lets none out
                status = 121
                err.write(traceback.format_exc().encode())
                err.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said = {}
        for name, file in (("out", out), ("err", err)):
            file.seek(0)
            said[name] = file.read().decode(errors="surrogateescape")
    return {"status": status, **said}


if __name__ == "__main__":
    sys.argv[:1] = ["rmapcore"]
    sys.path.insert(0, str(Path(__file__).parent))
    import_all()
    answers = os.fdopen(os.dup(1), "w")
    requests = os.fdopen(os.dup(0), "r")
    for line in requests:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()
