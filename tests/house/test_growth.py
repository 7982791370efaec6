"""bench/growth.py tells work that grows with its input from work that grows faster."""
import contextlib
import time

import pytest

import growth


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(growth, "keep_memory", lambda: None)
    monkeypatch.setattr(growth, "SHORT", 0.001)


@pytest.mark.parametrize(("power", "own", "said", "status"), [(1, {}, "0 take more", 0), (2, {}, "TOO MUCH", 1),
                                                             (2, {"work": "it says so"}, "its own: it says so", 0)])
def test_growth_is_told(monkeypatch, capsys, power, own, said, status):
    now = [0.0]

    @contextlib.contextmanager
    def subject(n):
        yield lambda: now.__setitem__(0, now[0] + 1e-4 * n ** power)

    monkeypatch.setattr(growth, "SUBJECTS", {"work": (subject, 5)})
    monkeypatch.setattr(growth, "OWN", own)
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    assert growth.main([]) == status
    assert said in capsys.readouterr().out


def test_some_subjects_run():
    for name in ("fork, pages", "mremap, areas, anonmm", "exit, oldest first, processes, pte_chain", "reader, strace of forks",
                 "reader, states", "verify, cases", "diff, rows", "profile, walks", "locks, operations"):
        with growth.SUBJECTS[name][0](4) as work:
            work()


def test_every_scheme_is_measured():
    from rmapcore.schemes import registry
    assert all(f"{name}, areas, {scheme}" in growth.SUBJECTS for scheme in registry() for name in ("fork", "check", "exit"))
