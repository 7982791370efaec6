"""strace's lines in every form that its options give them: the same lines of perf."""
import re

import pytest

from rmapcore.traces.lines import BadLine
from rmapcore.traces.strace import Converter
from rmapcore.traces.symbols import number

PLAIN = """\
7 execve("./a", ["./a"], 0x7ffc /* 9 vars */) = 0
7 brk(NULL) = 0x5600000
7 openat(AT_FDCWD, "/lib/a b", O_RDONLY|O_CLOEXEC) = 3
7 mmap(NULL, 8192, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_DENYWRITE, 3, 0x1000) = 0x7f0000000000
7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM (Cannot allocate memory)
7 close(3) = 0
7 madvise(0x7f0000000000, 4096, MADV_DONTNEED) = 0
7 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f10) = 8
7 munmap(0x7f0000000000, 4096 <unfinished ...>
8 mprotect(0x7f0000001000, 4096, PROT_NONE) = 0
8 exit_group(0) = ?
8 +++ exited with 0 +++
7 <... munmap resumed>) = 0
7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=8, si_uid=0, si_status=0} ---
7 exit_group(0) = ?
7 +++ exited with 0 +++
"""
NUMBERS = {"PROT_READ|PROT_EXEC": "0x5", "PROT_READ|PROT_WRITE": "0x3", "PROT_NONE": "0", "MAP_PRIVATE|MAP_DENYWRITE": "0x802",
           "MAP_PRIVATE|MAP_ANONYMOUS": "0x22", "MADV_DONTNEED": "0x4", "CLONE_CHILD_SETTID|SIGCHLD": "0x1000011",
           "AT_FDCWD": "-100", "O_RDONLY|O_CLOEXEC": "0x80000"}


def raw(text, form="{1}"):
    for name, value in NUMBERS.items():
        text = text.replace(name, form.format(name, value))
    return text


def without_pids(text):
    """As strace -f 2> FILE: the first is alone before and after the second."""
    lines = [line.split(" ", 1) for line in text.splitlines()]
    crowd = False
    for at, (pid, rest) in enumerate(lines):
        crowd = (crowd or pid == "8") and "+++" not in lines[at - 1][1]
        lines[at] = f"[pid     {pid}] {rest}" if crowd else rest
    return "\n".join(lines) + "\n"


FORMS = {
    "-X raw": raw(PLAIN), "-X verbose": raw(PLAIN, "{1} /* {0} */"),
    "-ttt": re.sub(r"(?m)^(\d+)", r"\1 1795524740.341682", PLAIN), "-t": re.sub(r"(?m)^(\d+)", r"\1 13:48:06", PLAIN),
    "-tt -r": re.sub(r"(?m)^(\d+)", r"\1 13:48:06.927003 (+     0.000156)", PLAIN),
    "-r": re.sub(r"(?m)^(\d+)", r"\1      0.000156", PLAIN), "-T": re.sub("(?m)( = .*)$", r"\1 <0.000006>", PLAIN),
    "-i -n": re.sub(r"(?m)^(\d+) (?=[a-z])", r"\1 [   9] [00007f1e0cd41ca3] ", PLAIN),
    "-Y": re.sub(r"(?m)^(\d+)", r"\1<a>", PLAIN),
    "-k": PLAIN.replace("\n", "\n > /lib/a(mmap+0x4) [0x1a34f]\n"), "-y": PLAIN.replace("3, 0x1", "3</lib/a b>, 0x1"),
    "-yy": PLAIN.replace("3, 0x1", "3</lib/a b<char 1:5>>, 0x1"), "-xx": PLAIN.replace('"/lib/a b"', r'"\x2f\x6c\x69b/a\40b"'),
    "-C": PLAIN + "% time     seconds  usecs/call     calls    errors syscall\n------\n100.00    0.000114  57   2 wait4\n",
    "2>": without_pids(PLAIN),
    "2>, a message in a line": without_pids(PLAIN).replace("|SIGCHLD,", "|SIGCHLDstrace: Process 8 attached\n,"),
}


def lines_of(text):
    """(the Converter, what it has made: pids, events and their fields)."""
    converter = Converter(None)
    made = [line for one in text.splitlines() for line in converter.convert(one)]
    converter.finish()
    return converter, [re.sub(r" *(\d+)/(\d+) +[\d.]+: +", r" \1/\2 ", line) for line in made]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_same_lines(form):
    assert FORMS[form] != PLAIN
    converter, made = lines_of(FORMS[form])
    expected = lines_of(PLAIN)[1]
    if form.startswith("2>"):                  # the first has no pid
        made = [re.sub(r"(?<![\w.])1(?=[/:) ]|$)", "7", line) for line in made]
    assert made == expected and len(made) == 28 and converter.left_out == {"areas that execve mapped": 1}


def test_what_the_lines_become():
    _, made = lines_of(PLAIN)
    text = "\n".join(made)
    assert ("sys_enter_mmap: addr: 0x00000000, len: 0x00002000, prot: 0x00000005, flags: 0x00000802, fd: 0x00000003, "
            "off: 0x00001000") in text
    assert "[0x7f0000000000(0x2000) @ 0x1000 00:00 0 0]: r-xp /lib/a b" in text
    assert "sys_exit_mmap: 0xfffffffffffffff4" in text and "clone_flags: 0x01000011" in text


def test_who_is_not_followed():
    """strace without -f: a child stays, one of vfork is over when its parent goes on."""
    one = "execve(\"a\", [], 0) = 0\nbrk(NULL) = 0x5600000\nfork() = 8\nvfork() = 9\nexit_group(0) = ?\n+++ exited with 0 +++\n"
    converter, made = lines_of(one)
    assert converter.left_out["processes and threads that strace did not follow (strace -f does)"] == 1
    assert [line.split("PERF_RECORD_")[1] for line in made if "FORK" in line or "_EXIT" in line] == [
        "FORK(8:8):(1:1)", "FORK(9:9):(1:1)", "EXIT(9:9):(9:9)", "EXIT(1:1):(1:1)"]


def test_the_last_one_has_no_pid_either():
    log = ("execve(\"a\", [], 0) = 0\nfork() = 8\n[pid 7] exit_group(0) = ?\n[pid 8] brk(NULL) = 0x5600000\n"
           "[pid 7] +++ exited with 0 +++\nbrk(0x5700000) = 0x5700000\nthe program says this\n+++ exited with 0 +++\n")
    converter, made = lines_of(log)
    assert [re.search(r"\d+/\d+", line)[0] for line in made if "_brk" in line] == ["8/8"] * 4 and not converter.pids
    assert converter.left_out["lines that are not strace's"] == 1


@pytest.mark.parametrize(("text", "value"), [
    ("NULL", 0), ("0x22", 0x22), ("-1", (1 << 64) - 1), ("4096", 4096),
    ("MAP_SHARED|MAP_HUGETLB|21<<MAP_HUGE_SHIFT", 0x54040001), ("PROT_READ|0x10", 0x11), ("0x3 /* PROT_READ|PROT_WRITE */", 3),
    ("MADV_GUARD_INSTALL", 102), ("MCL_CURRENT|MCL_FUTURE", 3),
    ("[0x0000000000000001]", 0), ('"text"', 0),
    ("CLONE_VM|CLONE_VFORK|SIGCHLD", 0x4111), ("MPOL_BIND|MPOL_F_STATIC_NODES", 0x8002),
])
def test_names_of_flags(text, value):
    assert number(text) == value


@pytest.mark.parametrize(("log", "says"), [
    ("7 mmap(NULL, 4096, PROT_MAGIC, MAP_PRIVATE, -1, 0) = 0x7f0000000000\n", "PROT_MAGIC is no flag"),
    ("7 getpid() = 7\n7 execve(\"a\", [], 0) = 0\n", "no memory call"),
    ("7 brk(NULL) = 0x5600000\n8 brk(NULL) = 0x5600000\n", "how they began"),
    ("7 brk(NULL) = 0x5600000\n7 clone3(0x7ffc, 0x58) = 0x8\n", "flags of clone3"),
])
def test_logs_that_do_not_tell_enough(log, says):
    with pytest.raises(BadLine, match=says):
        lines_of(log)
