"""Names are data, and whatever goes wrong is one line: no file, name or case reaches the terminal as more than text."""
import copy
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import rmapcore
from recordings import MIB, PAGE, started
from rmapcore import cli
from rmapcore.lab.layout import grid, render
from rmapcore.units import visible

NAMES = ["mark[red].jsonl", "[/red] x", "esc\x1b[31mape", "bell\a", "line\nbreak", "[bold]", "b\udcffytes", "\u202eright"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_recordings_are_shown_as_they_are(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recording = started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6)
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as file:
        file.write(recording.text())
    assert cli.main(["compare", f"./{name}", "--scheme", "anon_vma"]) == 0
    assert cli.main(["replay", f"./{name}", "--check"]) in (0, 1)
    out, _ = capsys.readouterr()
    assert out.count(visible(name)) == 2
    assert all(one == "\n" or one.isprintable() for one in out)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_of_cases_and_of_cases(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = {"id": visible(name), "steps": [{"op": "munmap", "proc": "p0", "at": 0, "len": 1, "err": "EACCES"}]}
    path = f"{name}.jsonl"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(json.dumps(case))
    assert cli.main(["verify", path]) == 1
    out, err = capsys.readouterr()
    assert out.count(visible(path)) == 1 and f"{visible(name)} (anon_vma_chain) FAILED" in out
    assert all(one == "\n" or one.isprintable() for one in out + err)


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_one_line(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w", encoding="ascii") as file:
        file.write("no recording \x1b[31m\n")
    for arguments in (["compare", f"./{name}"], ["verify", name], ["compare", name.replace(".", "_") + "_missing"],
                      ["compare", "swapout", "--set", name]):
        assert cli.main(arguments) in (1, 2)
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and err[:-1].isprintable()


def test_cells_are_no_markup():
    text = render([grid("title", ["a", "b"], [["[red]x[/red]", "[/]"]]), "[bold]s[/bold]\x1b"], color=True)
    assert "[red]x[/red]" in text and "[/]" in text and "[bold]s[/bold]\\x1b" in text


def test_visible():
    assert visible("a\x1b\n\x7f\x9b\udcff\u2028\U000e0001é [x]") == "a\\x1b\\x0a\\x7f\\x9b\\xff\\u2028\\U000e0001é [x]"


@pytest.mark.parametrize(("error", "said"), [
    (KeyError("files"), "internal error: KeyError: 'files'; please report it (RMAPCORE_DEBUG=1 shows where)"),
    (OverflowError("too large"), "internal error: OverflowError: too large; please report"),
    (RecursionError("deep\nnest"), "internal error: RecursionError: deep nest; please report"),
    (MemoryError(), "there is not enough memory"),
    (OSError(2, "No such file", b"a\xff"), "a\\xff: No such file"),
])
def test_every_exception_is_one_line(error, said, capsys, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr(rmapcore, "schemes", fail)
    monkeypatch.delenv("RMAPCORE_DEBUG", raising=False)
    assert cli.main(["schemes"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"rmapcore: {said}") and err.count("\n") == 1
    monkeypatch.setenv("RMAPCORE_DEBUG", "1")
    with pytest.raises(type(error)):
        cli.main(["schemes"])


def test_max_text_is_an_option(tmp_path, capsys):
    recording = started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6)
    (tmp_path / "r.gz").write_bytes(gzip.compress(recording.text() + b"#\n" * 9000))
    for command in (["compare"], ["replay", "--check"]):
        assert cli.main([*command, str(tmp_path / "r.gz"), "--max-text", "4KiB"]) == 2
        assert "longer than 4,096 bytes (max_text allows more)" in capsys.readouterr().err
        assert cli.main([*command, str(tmp_path / "r.gz"), "--max-text", "1MiB"]) in (0, 1)


def hears():
    """Before a program starts: it may have been told not to hear Ctrl-C, as what a shell has put into the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


COMMANDS = pytest.mark.parametrize("command", [["-m", "rmapcore"], [shutil.which("rmapcore")]], ids=["module", "script"])


@pytest.mark.parametrize("module", ["numpy", "zstandard", "argparse"])
@COMMANDS
def test_an_interrupt_while_the_command_starts_is_quiet(command, module, tmp_path):
    (tmp_path / f"{module}.py").write_text("import os; os.kill(os.getpid(), 2)\nwhile True: pass\n")
    run = subprocess.run([sys.executable, "-P", *command, "compare", "nosuch"], env=os.environ | {"PYTHONPATH": str(tmp_path)},
                         capture_output=True, text=True, check=False, preexec_fn=hears, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "interrupted\n")


def test_an_interrupt_while_the_package_is_imported_is_the_importers(tmp_path):
    (tmp_path / "zstandard.py").write_text("import os; os.kill(os.getpid(), 2)\nwhile True: pass\n")
    code = "try: import rmapcore; rmapcore.compare\nexcept KeyboardInterrupt: print('heard')"
    run = subprocess.run([sys.executable, "-P", "-c", code], env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True,
                         capture_output=True, text=True, preexec_fn=hears, timeout=60)
    assert (run.stdout, run.stderr) == ("heard\n", "")


@pytest.mark.parametrize(("streams", "arguments", "status", "out", "err"), [
    (">&-", "schemes", 0, "", ""),
    (">&-", "schemes --json -", 0, "", ""),
    ("2>&-", "compare nosuch", 2, "", ""),
    (">&- 2>&- <&-", "schemes", 0, "", ""),
    ("<&-", "schemes", 0, "anonmm_naive", ""),
    ("2>/dev/full", "compare nosuch", 2, "", ""),
    (">/dev/full", "schemes", 2, "", "rmapcore: No space left on device"),
])
@pytest.mark.parametrize("buffered", [True, False])
def test_streams_that_are_closed_or_full(streams, arguments, status, out, err, buffered):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    run = subprocess.run(["sh", "-c", f'exec "$0" -P -m rmapcore {arguments} {streams}', sys.executable], capture_output=True,
                         text=True, check=False, env=environment | ({} if buffered else {"PYTHONUNBUFFERED": "1"}))
    assert (run.returncode, run.stderr.strip()) == (status, err)
    assert out in run.stdout and bool(out) == bool(run.stdout)


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path):
    """What is told on standard error does not end in the JSON file, which would be the next one opened."""
    code = f"compare swapout --pages 64 --scheme anonmm --json {tmp_path / 'out.json'} 2>&- <&-"
    subprocess.run(["sh", "-c", f'exec "$0" -P -m rmapcore {code}', sys.executable], capture_output=True, check=True)
    assert json.loads((tmp_path / "out.json").read_text())["results"][0]["scheme"] == "anonmm"


def test_without_docstrings():
    code = ("import rmapcore, rmapcore.cli; m = rmapcore.Machine(); m.spawn().mmap(1 << 20, 4096); m.check(); "
            "rmapcore.cli.parser().format_help()")
    subprocess.run([sys.executable, "-P", "-OO", "-c", code], check=True)


@pytest.mark.parametrize("command", [["compare"], ["replay", "--check"], ["replay", "--scheme", "anonmm"]])
def test_memory_is_asked_for_first(command, tmp_path, capsys, monkeypatch):
    """Of a workload as it says, of a recording as soon as its dry run has more than there is."""
    for module in (rmapcore.linux.proc, rmapcore.lab.experiment):
        monkeypatch.setattr(module, "available_bytes", lambda: 40 << 20)
    recording = started().mmap(100, MIB, 4 << 30).fault(100, MIB, 6)
    (tmp_path / "large").write_bytes(recording.text())
    trace = rmapcore.load_trace(tmp_path / "large")
    writes = np.zeros(3, rmapcore.OPERATION)
    writes["op"], writes["process"], writes["addr"], writes["length"] = rmapcore.Op.WRITE, 100, MIB, 4 << 30
    operations = np.concatenate([trace.operations, writes])
    rmapcore.Trace(operations, trace.files, trace.summary, trace.source).save(tmp_path / "large")
    if command == ["compare"]:
        assert cli.main(["compare", "swapout", "--pages", "20000000"]) == 2
        err = capsys.readouterr().err
        assert "a machine with 20,0" in err and "40 MiB is available" in err and err.count("\n") == 1
    assert cli.main([*command, str(tmp_path / "large")]) == 2
    err = capsys.readouterr().err
    assert "large: a machine with 52" in err and "40 MiB is available" in err and err.count("\n") == 1


def test_frames_stay_read_only_and_machines_are_copied():
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap=0)
    with pytest.raises(ValueError, match="WRITEABLE"):
        machine.frames.flags.writeable = True
    process = machine.spawn()
    for copied in (copy.copy(machine), copy.deepcopy(machine)):
        copied.processes[process.pid].mmap(1 << 20, 4096)
        assert copied.totals["areas"] == 1 and machine.totals["areas"] == 0
