"""bench/lock_validation.py: what it reads, what it computes, and one short run beside this machine's kernel."""
import math

import pytest

import lock_validation

SAMPLE = """\
lockvalid  4711   100.000001: lock:contention_begin: 0xffff888104e45070 (flags=WRITE)
        ffffffff81a rwsem_down_write_slowpath
        ffffffff81b down_write
        ffffffff81c unlink_anon_vmas
        ffffffff81d free_pgtables

lockvalid  4711   100.000002: lock:contention_begin: 0xffff888104e45084 (flags=SPIN)
        ffffffff81e __pv_queued_spin_lock_slowpath
        ffffffff81f rwsem_wake.isra.0
        ffffffff81c unlink_anon_vmas

lockvalid  4711   100.000003: lock:contention_end: 0xffff888104e45084 (ret=0)
        ffffffff81e __pv_queued_spin_lock_slowpath

lockvalid  4711   100.000011: lock:contention_end: 0xffff888104e45070 (ret=0)
        ffffffff81a rwsem_down_write_slowpath

lockvalid  4712   100.000020: lock:contention_begin: 0xffff8881aaaaaaaa (flags=SPIN)
        ffffffff81e __pv_queued_spin_lock_slowpath
        ffffffff820 _raw_spin_lock
        ffffffff821 get_partial_node

python  99   100.000030: lock:contention_begin: 0xffff8881bbbbbbbb (flags=WRITE)
        ffffffff81c unlink_anon_vmas
"""


def test_samples_are_read():
    known, waited, other = lock_validation.waits_of(SAMPLE)
    assert known == {"anon_vma": 1} and other == {"get_partial_node": 1}
    assert waited["anon_vma"] == pytest.approx(10, abs=0.01)


def test_correlation():
    assert lock_validation.ranks([5, 1, 5, 9]).tolist() == [2.5, 1, 2.5, 4]
    assert lock_validation.correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert lock_validation.correlation([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)
    assert math.isnan(lock_validation.correlation([1, 1, 1], [1, 2, 3]))


@pytest.mark.parametrize(("program", "lock"), [("forks", "anon_vma"), ("library", "i_mmap"), ("server", "anon_vma"),
                                               ("grandchildren", "anon_vma"), ("threads", "mmap"), ("cut", "i_mmap")])
def test_the_model_of_each_program(program, lock):
    found = lock_validation.model(program, 3200, 10)
    assert max(found, key=found.get) == lock
    waits, slept, wait = found[lock]
    assert waits > 0 and slept <= waits and wait >= 0 and lock_validation.model(program, 3200, 10) == found


def test_what_is_missing_is_told(monkeypatch, capsys):
    monkeypatch.setattr(lock_validation, "why_not", lambda: "needs root")
    monkeypatch.setattr("sys.argv", ["lock_validation.py"])
    assert lock_validation.main() == 0
    assert capsys.readouterr().out == "skipped: needs root\n"


def test_beside_the_kernel(tmp_path):
    """The class that is waited for most in the model is the one that the kernel waits for most, where anybody waits."""
    if missing := lock_validation.why_not():
        pytest.skip(missing)
    known, waited, _ = lock_validation.live("forks", 1600, 100, tmp_path)
    if sum(known.values()) < 20:
        pytest.skip(f"only {sum(known.values())} waits on this machine now")
    assert max(known, key=known.get) == "anon_vma" and waited["anon_vma"] > 0
