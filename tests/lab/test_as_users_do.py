"""What users meet at a shell: a row a command, how it ends, and what it must say on either stream.

$R is a small recording, $Z the same compressed, $J a file that is not there yet. Rows that need no shell run in this process.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import zstandard

from recordings import MIB, PAGE, started

SHELL = 'rmapcore() { "$PYTHON" -P -m rmapcore "$@"; }; set -o pipefail; cd "$HERE"; '
ONE = "--scheme anonmm"


def recording():
    return started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6).fault(100, MIB + PAGE, 6)


@pytest.fixture(scope="module")
def place():
    """A folder that others can look into."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield furnished(Path(name))


def furnished(folder):
    (folder / "r.txt").write_bytes(recording().text())
    (folder / "r.zst").write_bytes(zstandard.compress(recording().text()))
    (folder / "empty").write_bytes(b"")
    return folder


def at_a_shell(place, command, **more):
    environment = {**os.environ, "PYTHON": sys.executable, "HERE": str(place), "R": "r.txt", "Z": "r.zst", **more}
    return subprocess.run(["bash", "-c", SHELL + command], capture_output=True, check=False, env=environment, timeout=60,
                          stdin=subprocess.DEVNULL)


STREAMS = [
    (f"cat $Z | rmapcore compare - {ONE}", 0, ["-\nrecording:  ", "anonmm"]),
    (f"rmapcore compare <(cat $R) {ONE}", 0, ["/dev/fd/", "anonmm"]),
    (f"cat $R | rmapcore compare /dev/stdin {ONE}", 0, ["/dev/stdin\nrecording:  "]),
    (f"mkfifo q; cat $Z > q & rmapcore replay q {ONE}", 0, ["q\nrecording:  "]),
    ("rmapcore replay - --check < $R", 0, ["-\nrecording:  "]),
    ("echo nothing | rmapcore compare -", 2, ["rmapcore: -:1: this is no perf script recording"]),
    ("rmapcore compare - <&-", 2, ["rmapcore: -: the file is empty"]),
    ("cat empty | rmapcore compare /dev/stdin", 2, ["rmapcore: /dev/stdin: the file is empty"]),
    ("head -c 50 $Z | rmapcore compare -", 2, ["rmapcore: -: the zstd stream is cut off"]),
    ("rmapcore schemes --json /dev/stdout > j; head -1 j", 0, ["{\n"]),
    ("rmapcore schemes --json >(tail -1 >&2) >/dev/null; sleep 0.2", 0, ["}\n"]),
    ("mkfifo p; rmapcore schemes --json p >/dev/null & tail -1 p", 0, ["}\n"]),
    (f"PYTHONIOENCODING=ascii rmapcore compare swapout --pages 64 {ONE}", 0, ["\n -----", "anonmm"]),
    (f"PYTHONIOENCODING=latin-1 rmapcore compare swapout --pages 64 {ONE}", 0, ["\n -----", "anonmm"]),
    (f"cp $R $'b\\xff'; rmapcore compare $'b\\xff' {ONE} --json $'j\\xff'; ls", 0, ["b\\xff\nrecording:", "j\udcff\n"]),
    ("rmapcore compare $'./no\\xff'", 2, ["rmapcore: ./no\\xff: No such file or directory\n"]),
]


@pytest.mark.parametrize(("command", "status", "said"), STREAMS, ids=[row[0] for row in STREAMS])
def test_streams(command, status, said, place):
    done = at_a_shell(place, command)
    text = os.fsdecode(done.stdout) + os.fsdecode(done.stderr)
    assert done.returncode == status, text
    for words in said:
        assert words in text


OTHER_USER = [
    ("schemes --json /dev/stdout", 0, "anonmm"),
    ("schemes --json /dev/fd/2", 0, "anonmm"),
    ("schemes --json j", 2, "rmapcore: j: Permission denied"),
    ("compare swapout --json j", 2, "rmapcore: .: Permission denied"),
    ("compare swapout --report j.html", 2, "Permission denied"),
    ("compare secret", 2, "rmapcore: secret: Permission denied"),
    ("capture -o j -- true", 2, "Permission denied"),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize(("arguments", "status", "said"), OTHER_USER, ids=[row[0] for row in OTHER_USER])
def test_another_user(arguments, status, said, place):
    """In a child that gives up root: what it imports may lie where others may not look, so nothing is imported after."""
    (place / "secret").write_bytes(b"")
    (place / "secret").chmod(0)
    code = ("import os, sys, matplotlib, jinja2, rmapcore.cli, rmapcore.traces.importers; os.chdir(sys.argv[1]); "
            "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534); "
            "sys.exit(rmapcore.cli.main(sys.argv[2:]))")
    done = subprocess.run([sys.executable, "-P", "-c", code, str(place), *arguments.split()], capture_output=True, text=True,
                          check=False, cwd=place)
    assert done.returncode == status and said in done.stdout + done.stderr
