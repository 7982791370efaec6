"""The live kernel as a yardstick, and the temporary swap. What needs root or swap is skipped elsewhere, with the reason."""
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from rmapcore.linux import live, live_process, swapdevice
from rmapcore.linux.swapdevice import temporary_swap

PAGE = 4096
PAGES = 2000
SMALL_SWAP = 4 << 20
SECONDS = 60                           # that something which must happen may take


def priorities():
    """Swaps that there are, and their priorities."""
    with open("/proc/swaps", encoding="utf-8") as file:
        lines = [line.split() for line in file][1:]
    return {name: int(priority) for name, _, _, _, priority in lines}


def traces():
    """All that a temporary swap could leave behind."""
    return {*priorities(), *Path("/sys/block").glob("zram*"), swapdevice.ZRAM_CONTROL.exists()}


def eventually(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def swap_allowed():
    try:
        with temporary_swap(SMALL_SWAP):
            pass
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def no_trace():
    """Nothing new is left; for a while somebody else on this machine may have something new."""
    before = traces()
    yield
    eventually(lambda: traces() <= before)


@pytest.fixture
def no_swap(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def checked(times, pages):
    """LiveTimes that are sound: a time or a reason for every name."""
    assert times.pages == pages
    assert tuple(times.ns) == live.NAMES
    assert set(times.reasons) == {name for name, ns in times.ns.items() if ns is None}
    assert all(ns > 0 for ns in times.ns.values() if ns is not None)
    assert all(": " in reason and "\n" not in reason for reason in times.reasons.values())
    return times


# --- times ------------------------------------------------------------------------------------------------------------


def test_without_root(no_swap):
    said = []
    times = checked(live.measure(PAGES, 2, lambda *what: said.append(what)), PAGES)
    assert None not in (times.ns["fault_in"], times.ns["fork"], times.ns["exit"]), times.reasons
    assert times.ns["fault_in"] > times.ns["fork"]         # a fault takes microseconds, a copied entry much less
    assert all("run as root" in times.reasons[name] for name in live.SWAP_NAMES)
    assert {done for done, _, _ in said} == {0, 1} and {total for _, total, _ in said} == {2}
    assert {"fault_in", "fork", "exit"} <= {name for _, _, name in said} <= set(live.NAMES) - set(live.SWAP_NAMES)


def test_as_nobody():
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    code = ("import json; from rmapcore.linux import live; times = live.measure(2000, 1); "
            "print(json.dumps([times.ns, times.reasons]))")
    try:
        subprocess.run([sys.executable, "-P", "-c", "import rmapcore"], user=65534, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nobody may not run this Python or read the package")
    done = subprocess.run([sys.executable, "-P", "-c", code], user=65534, capture_output=True, text=True, check=True)
    ns, reasons = json.loads(done.stdout)
    checked(live.LiveTimes(PAGES, ns, reasons), PAGES)
    assert ns["fault_in"] and "run as root" in reasons["swapout"]


def test_with_swap(swap_allowed, no_trace):
    times = checked(live.measure(20_000, 1), 20_000)
    assert None not in (times.ns["swapout"], times.ns["swap_in"]), times.reasons
    assert times.ns["swapout"] > times.ns["fork"]


def test_too_few_pages_for_a_leaf_table(no_swap):
    times = checked(live.measure(100, 1), 100)
    assert "512 or more" in times.reasons["mremap_tables"]


@pytest.mark.parametrize("available", [32 << 20, None])
def test_memory_short(monkeypatch, available):
    monkeypatch.setattr(live, "available_bytes", lambda: available)
    monkeypatch.setattr(live, "PROCESS", None)
    monkeypatch.setattr(live, "temporary_swap", None)      # neither is used
    times = checked(live.measure(10_000), 10_000)
    assert list(times.ns.values()) == [None] * len(live.NAMES)
    assert ("measure fewer pages" if available else "MemAvailable") in times.reasons["fork"]


def test_available_bytes():
    assert 0 < live.available_bytes() <= os.sysconf("SC_PAGESIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(("pages", "rounds"), [(0, 1), (1, 0), (-5, 3)])
def test_bad_arguments(pages, rounds):
    with pytest.raises(ValueError, match="at least 1"):
        live.measure(pages, rounds)


@pytest.mark.parametrize(("end", "reason"), [
    ("os.kill(os.getpid(), 9)", "SIGKILL"),
    ("raise ImportError('no ctypes')", "ImportError: no ctypes"),
    ("print(json.dumps({'reason': 'mprotect: no: measure fewer pages'}), flush=True)", "mprotect: no"),
])
def test_measured_process_ends_early(monkeypatch, tmp_path, no_swap, end, reason):
    script = tmp_path / "script.py"
    say = "    print(json.dumps({'name': 'fork', 'ns': ns}), flush=True)"
    script.write_text(f"import json, os\nfor ns in 5, 9, 7:\n{say}\n{end}\n")
    monkeypatch.setattr(live, "PROCESS", script)
    times = checked(live.measure(PAGES), PAGES)
    assert times.ns == {**dict.fromkeys(live.NAMES), "fork": 7}
    assert reason in times.reasons["fault_in"] and "root" in times.reasons["swapout"]


def test_some_rounds_fail(monkeypatch, no_swap):
    said = [{"name": "fork", "ns": 7}, {"name": "exit", "reason": "moved 1 of 2 pages: free memory"}]
    said += [{"name": "fork", "reason": "moved 0 of 2 pages: free memory"}, {"name": "exit", "ns": 5}]
    said += [{"name": name, "reason": "not here: go elsewhere"} for name in live.NAMES]
    monkeypatch.setattr(live, "answers", lambda *_: (answer for answer in said))
    times = checked(live.measure(PAGES), PAGES)
    assert times.ns == {**dict.fromkeys(live.NAMES), "fork": 7, "exit": 5}


def test_noise_is_no_time(monkeypatch, no_swap):
    monkeypatch.setattr(live, "answers", lambda *_: ({"name": name, "ns": -1.0} for name in live.NAMES))
    times = checked(live.measure(PAGES), PAGES)
    assert "measure more pages" in times.reasons["exit"]


def test_broken_off(swap_allowed, no_trace):
    def stop(*_):
        raise KeyboardInterrupt
    before = set(children(os.getpid()))                    # other tests' of this worker
    with pytest.raises(KeyboardInterrupt):
        live.measure(PAGES, 1000, stop)
    assert set(children(os.getpid())) <= before            # none is left, nor a dead one that nobody waited for


def children(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_caller_ends(signals_heard, no_trace, number):
    """However the caller ends, the measured process and what it forks end, and the swap is undone."""
    code = "from rmapcore.linux import live\nlive.measure(2000, 100_000, lambda *_: print(flush=True))"
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as caller:
        caller.stdout.readline()
        theirs = children(caller.pid)
        assert theirs
        theirs += [grandchild for child in theirs for grandchild in children(child)]
        caller.send_signal(number)
        caller.stdout.close()
        assert caller.wait(SECONDS) == -number
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in theirs))


# --- the measured process ---------------------------------------------------------------------------------------------


def test_area():
    with live_process.Area(1500) as area:
        assert area.address % (2 << 20) == 0
        assert area.count(live_process.PRESENT, 1500) == 0
        area.write()
        assert area.count(live_process.PRESENT, 1500) == 1500
        assert area.referenced() == 1500
        area.firsts()[7] = 9
        area.move(area.odd, area.length)
        assert area.address % (2 << 20) == 1 << 20
        assert area.count(live_process.PRESENT, 1500) == 1500 and area.firsts()[7] == 9
        area.move(area.home, area.length)
        area.move(area.far, 1024 * PAGE)
        assert (area.far - area.home) % (2 << 20) == 0 and (area.far - area.home) % (1 << 30)
        assert area.count(live_process.PRESENT, 1500) == 1024 and area.firsts()[7] == 9


@pytest.mark.parametrize("pages", [1, 511, 512, 513, (1 << 17) - 512, 1 << 17, (1 << 18) - 1, 1 << 18])
def test_area_places(pages):
    with live_process.Area(pages) as area:
        places = [area.room, area.home, area.odd, area.far, area.room + area.room_length]
        assert all(high - low >= area.length for low, high in itertools.pairwise(places[1:]))
        assert places == sorted(places) and (area.far - area.home) % (1 << 30)


def test_nothing_half_done_counts():
    live_process.expect(99, 100, "moved", "what to do")
    with pytest.raises(live_process.NotDone, match="moved 98 of 100 pages: what to do"):
        live_process.expect(98, 100, "moved", "what to do")


@pytest.mark.parametrize(("error", "reason"), [
    (live_process.NotDone("only half: try again"), "only half: try again"),
    (OSError(1, "madvise: Operation not permitted"), "madvise: Operation not permitted: run as root"),
    (PermissionError(13, "Permission denied", "/proc/self/smaps"), "/proc/self/smaps: Permission denied: run as root"),
    (OSError(38, "mremap: Function not implemented"), "mremap: Function not implemented: measure on another kernel"),
    (MemoryError(), "memory is short: measure fewer pages"),
])
def test_steps_that_fail(capsys, error, reason):
    def measured(ns):
        yield "fork", ns
        raise error

    live_process.step(["fork", "exit"], measured, 7.5)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [{"name": "fork", "ns": 7.5}, {"name": "exit", "reason": reason}]


# --- the temporary swap -----------------------------------------------------------------------------------------------


def test_temporary_swap(swap_allowed, no_trace):
    with temporary_swap(SMALL_SWAP) as outer:
        assert priorities()[outer] == swapdevice.HIGHEST_PRIORITY
        with temporary_swap(SMALL_SWAP) as inner:
            assert inner != outer and {inner, outer} <= set(priorities())
        assert inner not in priorities() and not os.path.exists(inner)
        assert outer in priorities()
    assert outer not in priorities() and not os.path.exists(outer)


def test_temporary_swap_has_the_size(swap_allowed, no_trace):
    with temporary_swap(SMALL_SWAP + 1) as path, open("/proc/swaps", encoding="utf-8") as file:
        kib = next(int(line.split()[2]) for line in file if line.split()[0] == path)
    assert kib == (SMALL_SWAP + PAGE) // 1024


def test_body_raises(swap_allowed, no_trace):
    with pytest.raises(ZeroDivisionError), temporary_swap(SMALL_SWAP):
        raise ZeroDivisionError


HOLDS_A_SWAP = """
import os, time
from rmapcore.linux.swapdevice import temporary_swap
with temporary_swap(1 << 22) as path:
    print(path, flush=True)
    {}
"""


def test_forked_child_outlives_the_block(swap_allowed, no_trace):
    """A child that holds the pipe to the guard open does not keep the swap."""
    code = HOLDS_A_SWAP.format("pid = os.fork()\n    if pid == 0:\n        time.sleep(600)") + "os.kill(pid, 9)\n"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_signals(signals_heard, swap_allowed, no_trace, number):
    command = [sys.executable, "-P", "-c", HOLDS_A_SWAP.format("time.sleep(600)")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as caller:
        path = caller.stdout.readline().strip()
        assert path in priorities()
        caller.send_signal(number)
        assert caller.wait(SECONDS) == -number


def test_swap_file(swap_allowed, no_trace, tmp_path):
    with ExitStack() as stack:
        try:
            path = stack.enter_context(swapdevice.swap_file(SMALL_SWAP + PAGE, tmp_path))
            stack.enter_context(swapdevice.swap_on(path, SMALL_SWAP))
        except OSError as error:
            pytest.skip(f"no swap file there: {error.strerror}")
        assert path in priorities() and os.stat(path).st_mode & 0o777 == 0o600
    assert not list(tmp_path.iterdir())


def test_swap_file_that_is_refused(no_trace, tmp_path):
    """What swapon refuses (no privilege, or a device file that is none) leaves nothing."""
    path = tmp_path / "swap"
    path.write_bytes(bytes(SMALL_SWAP))
    with pytest.raises(OSError, match="swapon"), swapdevice.swap_on(path, 16 * SMALL_SWAP):
        pass                                               # the header says more than there is


def test_zram_device(swap_allowed, no_trace):
    with ExitStack() as stack:
        try:
            path = stack.enter_context(swapdevice.zram_device(SMALL_SWAP))
        except OSError as error:
            pytest.skip(f"no zram: {error}")
        assert os.stat(path).st_rdev
    assert not os.path.exists(path)
    with pytest.raises(OSError), swapdevice.zram_device("a size that is none"):  # the device is there by then
        pass


def test_no_root_no_swap(no_swap):
    with pytest.raises(PermissionError, match="run as root"), temporary_swap(SMALL_SWAP):
        pass


SAYS_A_PATH = "import os, sys\nprint('{\"path\": \"/dev/zram9\"}', flush=True)\nsys.stdin.read(1)\n"


@pytest.mark.parametrize(("script", "message"), [
    ("print('{\"error\": \"no swap here: load zram\"}')\nraise SystemExit(1)", "no swap here: load zram"),
    ("import os\nos.kill(os.getpid(), 9)", "was killed"),
    (SAYS_A_PATH + "print('{\"error\": \"swapoff: no\"}')\nraise SystemExit(1)", "zram9 may still be there .swapoff: no.: "),
    (SAYS_A_PATH + "os.kill(os.getpid(), 9)", "zram9 may still be there .its guard was killed.: "),
])
def test_what_the_guard_says(monkeypatch, tmp_path, script, message):
    (tmp_path / "script.py").write_text(script)
    monkeypatch.setattr(swapdevice, "__file__", str(tmp_path / "script.py"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(OSError, match=message), temporary_swap(SMALL_SWAP):
        pass


def test_guard_without_any_place(monkeypatch, tmp_path):
    """Every place is tried, and the message names them all."""
    code = ("from rmapcore.linux import swapdevice\n"
            "def refused(size):\n    raise PermissionError(1, 'Operation not permitted')\n"
            "swapdevice.PLACES.update(dict.fromkeys(swapdevice.PLACES, refused))\n"
            "try:\n    swapdevice.guard(4096)\nexcept OSError as error:\n    print(error)\n")
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.count("Operation not permitted") == len(swapdevice.PLACES) and all(name in said for name in swapdevice.PLACES)


def test_patiently(monkeypatch):
    left = [OSError(16, "busy"), OSError(12, "no memory")]

    def work(value):
        if left:
            raise left.pop()
        return value

    assert swapdevice.patiently(work, 7) == 7
    left.append(PermissionError(1, "no"))
    with pytest.raises(PermissionError):
        swapdevice.patiently(work, 7)
    monkeypatch.setattr(swapdevice, "SECONDS_TO_UNDO", 0)
    left.append(OSError(16, "busy"))
    with pytest.raises(OSError, match="busy"):
        swapdevice.patiently(work, 7)
