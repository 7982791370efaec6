"""What users meet at a shell: a row a command, how it ends, and what it must say on either stream.

$R is a small recording, $Z the same compressed, $J a file that is not there yet. Rows that need no shell run in this process.
"""
import fcntl
import html
import json
import os
import pkgutil
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

import rmapcore
from recordings import GOOD, MIB, PAGE, Recording, started
from rmapcore import terminal
from rmapcore.cli import main
from rmapcore.lab.diff import Condition, meets
from rmapcore.lab.layout import grid, marked, render
from rmapcore.studies.bench import records

SHELL = 'rmapcore() { "$PYTHON" -P -m rmapcore "$@"; }; set -o pipefail; cd "$HERE"; '
ONE = "--scheme anonmm"
LOG = b"""\
7 execve("/bin/true", ["true"], 0x7ffd /* 0 vars */) = 0
7 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
7 munmap(0x7f0000000000, 4096) = 0
7 exit_group(0) = ?
7 +++ exited with 0 +++
"""


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
    (folder / "case.jsonl").write_text('{"id": "a", "steps": [{"op": "munmap", "proc": "p0", "at": 0, "len": 1}]}')
    for remark in ("kernel: 6.18.44-x", "os release : 5.15.0", "kernel: 2.6.32", "kernel: strange"):
        (folder / remark).write_bytes(f"# {remark}\n".encode() + recording().text())
    (folder / "outside").write_bytes(recording().fault(100, 0xFFFF800000000000, 6).text())
    timeless = re.sub(rb" [0-9]+[.][0-9]{6}:", b" 0.000000:", GOOD.text())
    for name, text in (("log", LOG), ("timeless", timeless)):
        (folder / name).write_bytes(text)
        (folder / f"{name}.turned").write_bytes(b"".join(reversed(text.splitlines(keepends=True))))
    return folder


def at_a_shell(place, command, **more):
    environment = {**os.environ, "PYTHON": sys.executable, "HERE": str(place), "R": "r.txt", "Z": "r.zst", **more}
    return subprocess.run(["bash", "-c", SHELL + command], capture_output=True, check=False, env=environment, timeout=300,
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
    (f"cp $R $'b\\xff'; rmapcore compare $'b\\xff' {ONE} --report $'s\\xff.html' >&2; grep -o 'b.xff' s*", 0, ["b\\xff\n"]),
    ("rmapcore compare $'./no\\xff'", 2, ["rmapcore: ./no\\xff: No such file or directory\n"]),
]


@pytest.mark.parametrize(("command", "status", "said"), STREAMS, ids=[row[0] for row in STREAMS])
def test_streams(command, status, said, place):
    done = at_a_shell(place, command)
    text = os.fsdecode(done.stdout) + os.fsdecode(done.stderr)
    assert done.returncode == status, text
    for words in said:
        assert words in text


def check(arguments, status, said, place, capsys, monkeypatch):
    """A row in this process: what it says on either stream."""
    monkeypatch.chdir(place)
    try:
        ended = main(shlex.split(arguments))
    except SystemExit as end:
        ended = end.code
    out, err = capsys.readouterr()
    text = out + err
    assert ended == status, text
    for words in said:
        assert words in text, text


KERNELS = [
    ("compare r.txt", 0, ["machine:    kernel 2.6.7,", " anon_vma "]),
    ("compare 'kernel: 6.18.44-x'", 0, ["under kernel 6.18.44-x: 6.18 is the nearest, and anon_vma_chain, its newest",
                                        "machine:    kernel 6.18,", " anon_vma_chain "]),
    ("compare 'os release : 5.15.0' --scheme anonmm", 0,
     ["under kernel 5.15.0: 6.18 is the nearest\n", "machine:    kernel 6.18,"]),
    ("compare 'kernel: 2.6.32'", 0, [": 2.6.7 is the nearest\n", "machine:    kernel 2.6.7,"]),
    ("compare 'kernel: strange'", 0, ["frames in use\nmachine:    kernel 2.6.7,"]),
    ("replay 'kernel: 6.18.44-x' --scheme anonmm", 0, ["machine:    kernel 6.18,"]),
    ("compare 'kernel: 6.18.44-x' --kernel 2.6.7 --scheme anonmm", 0,
     ["under kernel 6.18.44-x\n", "machine:    kernel 2.6.7,"]),
    ("compare swapout --pages 64 --kernel 2.6.7 --kernel 6.18 --scheme anonmm", 0, ["\n anonmm 2.6.7 ", "\n anonmm 6.18 "]),
    ("compare r.txt --kernel 2.6.7 --kernel 6.18 --scheme anonmm", 0, ["\n anonmm 2.6.7 ", "\n anonmm 6.18 "]),
    ("compare swapout --kernel 6.18 --kernel 6.18", 2, ["kernel: 6.18, 6.18: one is named twice"]),
    ("compare the_argument --kernel 6.18 --kernel 2.6.7", 2, ["takes one architecture and one kernel"]),
]
LOSSES = [
    ("compare outside --scheme anonmm", 0, ["left out:   1 fault at a kernel address"]),
    ("replay outside --scheme anonmm", 0, ["left out:   1 fault at a kernel address"]),
    ("compare log --scheme anonmm", 0, ["NO FAULTS: ", "assumed:    1 nothing is touched: strace sees no page faults"]),
    ("replay log --scheme anonmm", 0, ["NO FAULTS: "]),
    ("compare log.turned", 2, ["rmapcore: log.turned: it is turned round in time"]),
    ("compare timeless --scheme anonmm", 0, ["recording:  4 operations"]),
    ("compare timeless.turned", 2, ["rmapcore: timeless.turned: it is turned round in time"]),
]


@pytest.mark.parametrize(("arguments", "status", "said"), KERNELS + LOSSES, ids=[row[0] for row in KERNELS + LOSSES])
def test_what_a_recording_says(arguments, status, said, place, capsys, monkeypatch):
    check(arguments, status, said, place, capsys, monkeypatch)


WIDTHS = [
    "compare r.txt --scheme all",
    "compare swapout --pages 64 --scheme all --arch i386 --arch i386-pae --arch x86_64 --set processes=2",
    "compare 'kernel: 6.18.44-x' --kernel 2.6.7 --kernel 6.18",
    "replay r.txt --scheme anon_vma_chain",
    "replay r.txt --check",
    "reproduce 8",
    "verify case.jsonl",
    "schemes",
    "workloads",
]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("arguments", WIDTHS)
def test_nothing_is_wider_than_the_terminal(arguments, width, place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(terminal, "columns", lambda: width)
    main(shlex.split(arguments))
    fitted = capsys.readouterr().out
    assert [line for line in fitted.splitlines() if len(line) > width] == []
    monkeypatch.setattr(terminal, "columns", lambda: None)
    main(shlex.split(arguments))
    whole = capsys.readouterr().out
    assert set(re.findall(r"[a-z_]{4,}", whole)) <= set(re.findall(r"[a-z_]{4,}", fitted))      # nothing is left out


SHOWN = [
    ("compare swapout --pages 64 --legend --scheme anonmm", 0, ["\nPTEs tried ", "(added_bytes_peak)"]),
    ("replay r.txt --legend --scheme anonmm", 0, ["\nPTEs tried "]),
    ("compare swapout --pages 64 --scheme anonmm --scheme anon_vma_chain --set processes=5", 0,
     ["Objects for reverse mapping, 4 forks", " anonmm           anonmm            40 B         5         4   1.00",
      " anon_vma_chain   anon_vma_chain    64 B        36        32   8.00"]),
]


@pytest.mark.parametrize(("arguments", "status", "said"), SHOWN, ids=[row[0] for row in SHOWN])
def test_what_tables_show(arguments, status, said, place, capsys, monkeypatch):
    check(arguments, status, said, place, capsys, monkeypatch)


def test_colours(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    rows = marked([["a", "1"], ["b", "2"], ["c", "-"]], 1, [1, 2, None])
    text = render([grid("t", ["x", "y"], [*rows, ["d", "<= 20 NO"]]), "PROBLEM: p"], color=True)
    for words in ("32m *1", "33m *2", "1;31m<= 20 NO", "1;31mPROBLEM: p"):
        assert re.search(rf"\x1b\[{words}", text)
    assert "\x1b" not in render([grid("t", ["x", "y"], rows), "PROBLEM: p"], color=False)
    same = marked([["a", "1"], ["b", "1"]], 1, [1, 1])
    assert "\x1b[32m" not in render([grid("t", ["x", "y"], same)], color=True)


def breaks_off(function, after):
    """The function, which is broken off when it has been called so often."""
    calls = []

    def broken(*arguments, **named):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return broken


BROKEN_OFF = [
    ("compare swapout --pages 64 --json out.json", "rmapcore.lab.compare.first_difference", 2, ["\n anonmm "], 2),
    ("compare r.txt --scheme all --json out.json", "rmapcore.lab.compare.first_difference", 1, ["\n virtual_scan "], 1),
    ("reproduce 8 S6 --json out.json", "rmapcore.studies.reproduce.run.gc.collect", 1, ["Row 8: "], None),
    ("verify case.jsonl --scheme all --json out.json", "rmapcore.verify.verification.record", 3, ["case.jsonl   "], 3),
    ("verify --random 4 --steps 20 --scheme anonmm --json out.json", "rmapcore.verify.run_random.record", 5,
     ["random programs, seed 0   anonmm "], 5),
    ("verify case.jsonl --random 4 --steps 20 --json out.json", "rmapcore.verify.run_random.record", 2, ["case.jsonl   "], 3),
]


@pytest.mark.parametrize(("arguments", "where", "after", "said", "rows"), BROKEN_OFF, ids=[row[0] for row in BROKEN_OFF])
def test_what_was_finished_is_kept(arguments, where, after, said, rows, place, capsys, monkeypatch):
    module, _, name = where.rpartition(".")
    owner = pkgutil.resolve_name(module)
    monkeypatch.setattr(owner, name, breaks_off(getattr(owner, name), after))
    check(arguments, 130, [*said, "interrupted\n"], place, capsys, monkeypatch)
    written = json.loads((place / "out.json").read_text())
    (place / "out.json").unlink()
    assert written["partial"] is True
    found = written.get("results", written.get("records"))
    assert found and rows in (None, len(found))


def test_nothing_is_written_if_nothing_was_finished(place, capsys, monkeypatch):
    monkeypatch.setattr("rmapcore.lab.compare.dry_run", breaks_off(None, 0))
    check("compare r.txt --json out.json", 130, ["interrupted\n"], place, capsys, monkeypatch)
    assert not (place / "out.json").exists()


@pytest.mark.parametrize("width", [44, 80, 120, 200])
def test_a_bar_stays_in_the_width(width):
    """However long the text beside it is; and it leaves nothing when it ends."""
    code = ("from rmapcore import terminal\nwith terminal.progress_bar() as progress:\n    progress(1, 2, 'short')\n"
            "    progress(1, 2, 'a row with a very long name ' * 20)")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, width, 0, 0))
    subprocess.run([sys.executable, "-P", "-c", code], stderr=slave, check=True,
                   env={**os.environ, "TERM": "xterm", "COLUMNS": ""})
    os.close(slave)
    written = os.read(master, 1 << 16).decode()
    os.close(master)
    frames = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", one).rstrip() for one in re.split(r"\r|\n", written)]
    long = [one for one in frames if "a row" in one or "…" in one]
    assert long and all(len(one) <= width for one in frames)
    assert width < 80 or all(one.startswith("━" * 11) and one.endswith("…") and " 50 % " in one for one in long)
    assert written.endswith("\x1b[2K") or "\x1b[2K" in written[written.rindex("…"):]


def test_progress_in_lines(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "SECONDS", 0)
    with terminal.progress_bar() as progress:
        progress(0, 4, "first")
        progress(1, 4, "se\x1bcond")
    assert re.fullmatch(r"rmapcore: 0%, 0:00:00 gone: first\nrmapcore: 25%, 0:00:00 gone, 0:00:00 left: se\\x1bcond\n",
                        capsys.readouterr().err)
    assert terminal.clock(3725.4) == "1:02:05"


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
                                                     ({"NO_COLOR": ""}, True)])
def test_where_colours_are_wanted(variables, coloured, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.colourful(SimpleNamespace(isatty=lambda: True)) is coloured
    assert terminal.colourful(SimpleNamespace(isatty=lambda: False)) is False


ERRORS = [
    ("compare swpout", 2, ["rmapcore: 'swpout' is neither a file nor a workload; did you mean swapout?"]),
    ("compare zzz", 2, ["rmapcore workloads lists them"]),
    ("compare swapout --scheme anonm", 2, ["scheme 'anonm' is unknown; did you mean anonmm or "]),
    ("compare swapout --kernel 6.1", 2, ["kernel '6.1' is unknown; did you mean 6.18?"]),
    ("compare swapout --arch x86", 2, ["arch 'x86' is unknown; did you mean x86_64?"]),
    ("compare swapout --ram 8M --ram 9M", 2, ["--ram is given twice"]),
    ("replay r.txt --scheme anonmm --scheme anon_vma", 2, ["--scheme is given twice"]),
    ("compare swapout --json a --json b", 2, ["--json is given twice"]),
    ("compare swapout --pages 64 --scheme anonmm --ram 12M --swap 1.5MiB", 0, ["RAM 12 MiB, swap 1.5 MiB"]),
    ("compare swapout --pages 64 --scheme anonmm --ram 12MB", 0, ["RAM 11.44 MiB"]),
    ("verify --random 1 --directory nowhere", 2, ["rmapcore: nowhere: No such file or directory"]),
    ("verify --random 1 --directory case.jsonl", 2, ["rmapcore: case.jsonl: Not a directory"]),
    ("verify case.jsonl --directory nowhere/else", 2, ["rmapcore: nowhere/else: No such file or directory"]),
    ("hunt anon_vma_2_6_7 --programs 1 --directory nowhere", 2, ["rmapcore: nowhere: No such file or directory"]),
    ("compare swapout --ram 12X", 2, ["ram: '12X' is not a size"]),
]


@pytest.mark.parametrize(("arguments", "status", "said"), ERRORS, ids=[row[0] for row in ERRORS])
def test_errors_of_commands(arguments, status, said, place, capsys, monkeypatch):
    check(arguments, status, said, place, capsys, monkeypatch)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root gives up a capability")
def test_root_without_perf_events(place):
    """It counts no objects, and says so."""
    done = at_a_shell(place, "exec setpriv --bounding-set -perfmon,-sys_admin \"$PYTHON\" -P -m rmapcore verify --live "
                             "--random 1 --steps 5")
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0 and ("numbers of kernel objects are not compared" in said or "nothing is done" in said), said


DIFF = [
    ("diff a.json a.json", 0, ["No figure differs, times apart.\n"]),
    ("diff a.json b.json", 0, [" anonmm x86_64 2.6.7   ptes_tried ", "only in a.json: anon_vma x86_64 2.6.7"]),
    ("diff a.json b.json --fail-if 'ptes_tried > +2%'", 1, ["PROBLEM: anonmm x86_64 2.6.7: ptes_tried is "]),
    ("diff b.json a.json --fail-if 'ptes_tried > +2%'", 0, [" ptes_tried "]),
    ("diff b.json a.json --fail-if 'ptes_tried < -2%' --fail-if 'check.missed > 0'", 1, ["ptes_tried < -2%\n"]),
    ("diff a.json b.json --fail-if 'forks.count >= +1'", 1, ["forks.count is 3, was 2: forks.count >= +1"]),
    ("diff a.json b.json --fail-if 'forks.count > 2'", 1, ["forks.count is 3, was 2"]),
    ("diff a.json b.json --fail-if 'check.missed > 0' --json -", 0, ['"differences": [\n  {\n   "row": "anonmm x86_64 2.6.7"']),
    ("diff a.json b.json --fail-if 'nosuch > 2'", 2, ["no row of both runs has the figure 'nosuch'"]),
    ("diff a.json b.json --fail-if 'ptes_tried 2'", 2, ["condition 'ptes_tried 2' is not like"]),
    ("diff a.json b.json --fail-if 'ptes_tried > 2%'", 2, ["is not like"]),
    ("diff a.json r.txt", 2, ["rmapcore: r.txt: this is no JSON"]),
    ("diff a.json nosuch", 2, ["rmapcore: nosuch: No such file"]),
    ("diff a.json list.json", 2, ["list.json: this is neither the JSON of compare or replay nor that of bench"]),
    ("diff bench.json bench2.json --fail-if 'bytes_per_page > +1%'", 1,
     ["memory anonmm 10 sequential: bytes_per_page is 90.00, was 80.00"]),
    ("diff part.json bench2.json --fail-if 'bytes_per_page > +1%'", 1, ["bytes_per_page is 90.00, was 80.00"]),
    ("bench --fail-if 'ours_ns > +5%'", 2, ["--fail-if goes with --against"]),
    ("bench --against bench.json --fail-if 'ours > +5%'", 2, ["'ours' is no figure of bench; it has ours_ns"]),
]


@pytest.mark.parametrize(("arguments", "status", "said"), DIFF, ids=[row[0] for row in DIFF])
def test_differences(arguments, status, said, place, capsys, monkeypatch):
    if not (place / "a.json").exists():
        rmapcore.compare("swapout", ["anonmm", "anon_vma"], pages=64, processes=3).save(place / "a.json")
        rmapcore.compare("swapout", "anonmm", pages=64, processes=4).save(place / "b.json")
        (place / "list.json").write_text("[1]")
        for name, size in (("bench", 80.0), ("bench2", 90.0)):
            record = {"name": "memory", "scheme": "anonmm", "pages": 10, "order": "sequential", "bytes_per_page": size}
            record |= dict.fromkeys(records.FIGURES[:5])
            (place / f"{name}.json").write_text(json.dumps([record]))
        part = {"partial": True, "records": json.loads((place / "bench.json").read_text())}
        (place / "part.json").write_text(json.dumps(part))
    check(arguments, status, said, place, capsys, monkeypatch)


def test_bench_fails_where_it_is_told_to(tmp_path):
    """Of one measure only: what is compared is not what is measured here."""
    def measured(ns):
        return {("fill", "anonmm", 10, "sequential"): {"ours_ns": ns}}

    met = list(meets([Condition("ours_ns > +5%")], measured(100.0), measured(106.0)))
    assert met == ["fill anonmm 10 sequential: ours_ns is 106.0, was 100.0: ours_ns > +5%"]
    assert not list(meets([Condition("ours_ns > +5%")], measured(100.0), measured(104.0)))
    assert records.spread([1, 2, 3, 4, 5]) == 2 and records.spread([1]) is None and records.spread([1, None]) is None


def test_what_notebooks_and_prompts_show():
    machine = rmapcore.Machine("anonmm", ram="1MiB", swap=0)
    process = machine.spawn("a")
    assert repr(machine) == "<Machine anonmm, kernel 2.6.7, x86_64: 1 MiB of RAM, 1 processes>"
    assert repr(process) == "Process(1, 'a')"
    result = rmapcore.compare("swapout", "anonmm", pages=64)
    assert repr(result) == "<Result of swapout: 1 rows, 0 problems>"
    assert result._repr_html_() == f"<pre>{html.escape(result.table())}</pre>"
    assert "<pre>Row 8: " in rmapcore.reproduce(8, children=5)._repr_html_()


@pytest.mark.parametrize(("line", "offered"), [
    ("rmapcore comp", {"compare"}),
    ("rmapcore compare swapou", {"swapout"}),
    ("rmapcore compare r.", {"r.txt", "r.zst"}),
    ("rmapcore compare swapout --scheme anon_vma_chain_", {"anon_vma_chain_2010", "anon_vma_chain_degree"}),
    ("rmapcore compare swapout --le", {"--legend"}),
    ("rmapcore replay r.txt --arch i386-", {"i386-pae"}),
])
def test_what_the_shell_completes(line, offered, place):
    done = at_a_shell(place, 'exec 8>answer 9>/dev/null; rmapcore; cat answer', _ARGCOMPLETE="1", COMP_LINE=line, IFS="\n",
                      COMP_POINT=str(len(line)), COMP_TYPE="9", _ARGCOMPLETE_IFS="\n", _ARGCOMPLETE_SUPPRESS_SPACE="1")
    assert {word.strip() for word in done.stdout.decode().split("\n")} - {""} == offered, done.stderr


def test_names_of_processes_stay(tmp_path):
    def told(trace):
        machine = rmapcore.Machine(ram="1MiB", swap=0)
        trace.replay(machine)
        return {pid: process.name for pid, process in machine.processes.items()}

    text = started().fork(100, 101).fork(100, 102).text()
    second = Recording("a: b\xff").exec(102).text().decode().encode("latin-1")
    (tmp_path / "r").write_bytes(text + second)
    trace = rmapcore.load_trace(tmp_path / "r")
    assert told(trace) == {100: "prog", 101: "prog", 102: "a: b\udcff"}
    trace.save(tmp_path / "saved")
    assert told(rmapcore.load_trace(tmp_path / "saved")) == told(trace)
    (tmp_path / "log").write_bytes(b"".join(LOG.splitlines(keepends=True)[:3]))
    assert told(rmapcore.load_trace(tmp_path / "log")) == {7: "true"}
