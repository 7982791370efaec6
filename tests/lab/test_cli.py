"""The commands: what they print, what they write, how they end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rmapcore
from recordings import A, started
from rmapcore.cli import main

RECORDING = str(Path(__file__).parent.parent / "data" / "redis-bgsave.perf.txt.zst")
SMALL = ["compare", "swapout", "--pages", "500", "--scheme", "anonmm"]


def test_compare_prints_tables_and_writes_json(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert main([*SMALL, "--scheme", "anon_vma", "--arch", "i386", "--arch", "x86_64", "--set", "processes=3",
                 "--set", "rewritten=0.25", "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert "anon_vma i386" in out and err == ""
    data = json.loads(path.read_text())
    assert [(row["scheme"], row["arch"]) for row in data["results"]] == [
        ("anonmm", "i386"), ("anon_vma", "i386"), ("anonmm", "x86_64"), ("anon_vma", "x86_64")]
    assert data["workload"]["parameters"] == {"pages": 500, "processes": 3, "areas": 4, "rewritten": 0.25,
                                              "order": "sequential"}
    assert os.listdir(tmp_path) == ["out.json"]


def test_json_on_standard_output_is_nothing_else(capsys):
    assert main([*SMALL, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["scheme"] == "anonmm"


def test_all_schemes(capsys):
    assert main(["compare", "swapout", "--pages", "100", "--scheme", "all", "--json", "-"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert all(problem.startswith("cow_context_2026_05 ") for problem in data["problems"]) and data["problems"]
    assert [row["scheme"] for row in data["results"]] == list(rmapcore.schemes())


def test_compare_and_replay_a_recording(capsys):
    assert main(["compare", RECORDING]) == 0
    out, err = capsys.readouterr()
    assert "ns/fault" in out and "pte_chain" in out and err == ""
    assert main(["replay", RECORDING, "--scheme", "anonmm"]) == 0
    out = capsys.readouterr().out
    for text in ("fault in vdso or vvar", "rmap_walks", "vm_area_struct", "MPROTECT", "referenced"):
        assert text in out


def test_lists(capsys):
    assert main(["schemes"]) == 0
    assert "anon_vma" in capsys.readouterr().out
    assert main(["schemes", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == rmapcore.schemes()
    assert main(["workloads"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name}: " in f"\n{listed}" for name in (*rmapcore.workloads(), "the_argument"))
    assert "rewritten" in listed
    assert main(["workloads", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(rmapcore.workloads()))


def test_lost_events_are_told_by_every_command_that_reads_a_recording(tmp_path, capsys):
    path = tmp_path / "recording"
    path.write_bytes(started().fault(100, A).line(100, "PERF_RECORD_LOST lost 17").text())
    for command in (["compare", str(path), "--ram", "1MiB"], ["replay", str(path), "--scheme", "anonmm"],
                    ["replay", str(path), "--check"]):
        main(command)
        assert "LOST:       17 events" in capsys.readouterr().out, command


def test_what_does_not_hold_is_exit_1(capsys):
    assert main([*SMALL, "--ram", "1MiB", "--swap", "0"]) == 1
    out, err = capsys.readouterr()
    assert "PROBLEM" in out
    assert err.startswith("rmapcore: anonmm on x86_64: out of memory") and err.count("\n") == 1


def bad_files(tmp_path):
    """Recordings that are none: name -> path."""
    good = Path(RECORDING).read_bytes()
    contents = {"empty": b"", "cut": good[:50_000], "damaged": good[:9000] + bytes(200) + good[9200:],
                "text": b"nothing of the kind\n", "binary": bytes(range(256)) * 20}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents] + [str(tmp_path), str(tmp_path / "missing")]


def test_bad_recordings_are_exit_2_and_one_line(tmp_path, capsys):
    for path in bad_files(tmp_path):
        for command in (["compare", path], ["replay", path, "--scheme", "anonmm"]):
            assert main(command) == 2
            out, err = capsys.readouterr()
            assert out == "" and err.startswith(f"rmapcore: {path}:") and err.count("\n") == 1, (command, err)


@pytest.mark.parametrize("arguments,reason", [
    ([], "COMMAND"),
    (["frobnicate"], "frobnicate"),
    (["compare"], "WORKLOAD_OR_TRACE"),
    (["compare", "nosuch"], "neither a file nor a workload"),
    (["compare", "swapout", "--bogus"], "--bogus"),
    (["compare", "swapout", "--scheme", "nosuch"], "known: virtual_scan, pte_chain"),
    (["compare", "swapout", "--scheme", "pte_chain:line=7"], "line"),
    (["compare", "swapout", "--set", "nosuch=1"], "it has pages"),
    (["compare", "swapout", "--set", "pages"], "KEY=VALUE"),
    (["compare", "swapout", "--set", "progress=1"], "progress"),
    (["compare", "swapout", "--pages", "3", "--set", "pages=4"], "twice"),
    (["compare", "swapout", "--pages", "0"], "pages: 0"),
    (["compare", "swapout", "--pages", "1e6"], "1e6"),
    (["compare", "swapout", "--arch", "vax"], "vax"),
    (["compare", "swapout", "--kernel", "2.2"], "2.2"),
    (["compare", "swapout", "--ram", "0"], "ram"),
    (["compare", "swapout", "--ram", "4095"], "page size"),
    (["compare", "swapout", "--swap", "lots"], "swap"),
    (["compare", "swapout", "--seed", "-1"], "seed"),
    (["compare", "swapout", "--json", "/nonexistent/out.json"], "/nonexistent"),
    (["compare", "swapout", "--json", "/"], "/"),
    (["compare", RECORDING, "--pages", "5"], "no parameters"),
    (["compare", RECORDING, "--arch", "i386"], "use x86_64"),
    (["replay", RECORDING], "--scheme"),
    (["replay", "swapout", "--scheme", "anonmm"], "workload"),
])
def test_bad_usage_is_exit_2_and_one_line(arguments, reason, capsys):
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2 and out == "" and reason in err and err.count("\n") == 1


# elsewhere than here, where the uncompiled package would come before the installed one
def test_version(tmp_path):
    done = subprocess.run([sys.executable, "-m", "rmapcore", "--version"], capture_output=True, text=True, check=True,
                          cwd=tmp_path)
    assert done.stdout == f"rmapcore {rmapcore.__version__}\n"


def test_breaking_off_is_clean(signals_heard, tmp_path):
    path = tmp_path / "out.json"
    code = ("import os, signal, sys, rmapcore.core.running as running; from rmapcore.cli import main\n"
            "class Slice:\n    count = 0\n    def __index__(self):\n        self.count += 1\n"
            "        if self.count == 30: os.kill(os.getpid(), signal.SIGINT)\n        return 1000\n    __int__ = __index__\n"
            "running.batch.SLICE = Slice()\n"
            f"sys.exit(main(['compare', 'swapout', '--pages', '100000', '--json', {str(path)!r}]))")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_importing_is_light(tmp_path):
    code = "import sys, rmapcore.cli; sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_json_into_what_is_no_plain_file(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("{}")
    link.symlink_to(target)
    assert main(["schemes", "--json", str(link)]) == 0
    assert link.is_symlink()
    assert "anonmm" in target.read_text()
    assert main(["schemes", "--json", os.devnull]) == 0
    assert not Path(os.devnull).is_file()
