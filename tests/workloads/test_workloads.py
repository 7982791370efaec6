"""Workloads: reproducible, of exactly the size asked for, and refused with a reason where they cannot be."""

import numpy as np
import pytest

import rmapcore
from rmapcore.errors import UnknownName
from rmapcore.operations import Op
from rmapcore.units import PAGE
from rmapcore.workloads import WORKLOADS, build

ORDERS = ("sequential", "shuffled")


def swapout(archs=("x86_64",), seed=0, **parameters):
    return build("swapout", parameters, seed, archs)


def phase(program, name):
    return next(phase.operations for phase in program.phases if phase.name == name)


def written(operations):
    """(pid, vpn) of every page written, as a sorted array of rows."""
    writes = operations[operations["op"] == Op.WRITE]
    pages = [(int(op["process"]), vpn) for op in writes
             for vpn in range(int(op["addr"]) // PAGE, int(op["addr"] + op["length"]) // PAGE)]
    return sorted(pages)


def test_the_list_names_every_parameter():
    known = rmapcore.workloads()
    assert known["swapout"]["parameters"]["pages"]["default"] == 1_000_000
    for name, workload in known.items():
        assert workload["description"]
        assert set(workload["parameters"]) == set(WORKLOADS[name].parameters)
        for parameter in workload["parameters"].values():
            assert set(parameter) == {"default", "type", "text"}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rewritten", [0, 0.001, 0.1, 1 / 3, 0.5, 1])
@pytest.mark.parametrize("pages,processes,areas", [(1, 1, 1), (4, 4, 1), (97, 1, 5), (1000, 2, 1), (1009, 7, 4)])
def test_pages_are_exact(pages, processes, areas, rewritten, order):
    program = swapout(pages=pages, processes=processes, areas=areas, rewritten=rewritten, order=order)
    fill, rewrite = written(phase(program, "fill")), written(phase(program, "rewrite"))
    assert len(set(fill)) == len(fill) and len(set(rewrite)) == len(rewrite)
    assert len(fill) + len(rewrite) == pages == program.pages
    assert {vpn for _, vpn in rewrite} <= {vpn for _, vpn in fill}
    assert len(phase(program, "fork")) == processes - 1
    assert len(phase(program, "exit")) == processes
    assert program.peak == sum(len(phase(program, name)) for name in ("fill", "fork", "rewrite"))


def test_children_rewrite_different_pages():
    rewrite = written(phase(swapout(pages=1000, processes=9, rewritten=0.1), "rewrite"))
    assert len({vpn for _, vpn in rewrite}) == len(rewrite)
    shares = np.bincount([pid for pid, _ in rewrite])[2:]
    assert shares.max() - shares.min() <= 1


def test_areas_do_not_merge():
    machine = rmapcore.Machine("anon_vma")
    program = swapout(pages=100, processes=1, areas=5)
    operations = phase(program, "fill")
    rmapcore.Trace(operations, [], {}, "test").replay(machine)
    assert len(machine.processes[1].maps()) == 5


def test_seeds_and_orders():
    one, same, other = (swapout(pages=500, order="shuffled", seed=seed) for seed in (1, 1, 2))
    for name in ("fill", "rewrite"):
        assert np.array_equal(phase(one, name), phase(same, name))
        assert not np.array_equal(phase(one, name), phase(other, name))
        assert written(phase(one, name)) == written(phase(other, name))
        assert written(phase(one, name)) == written(phase(swapout(pages=500), name))


def test_more_than_one_address_space_holds_becomes_families():
    program = swapout(("x86_64", "i386"), pages=1_000_000, processes=1)
    assert program.facts["families"] == 2
    assert np.count_nonzero(phase(program, "fill")["op"] == Op.SPAWN) == 2
    ends = phase(program, "fill")["addr"] + phase(program, "fill")["length"]
    assert ends.max() <= 3 << 30
    assert swapout(("x86_64",), pages=1_000_000, processes=1).facts["families"] == 1


@pytest.mark.parametrize("parameters,archs,reason", [
    ({"pages": 0}, ("x86_64",), "pages: 0"),
    ({"pages": "1.5"}, ("x86_64",), "not a whole number"),
    ({"pages": 1.5}, ("x86_64",), "not a whole number"),
    ({"pages": True}, ("x86_64",), "not a whole number"),
    ({"pages": None}, ("x86_64",), "not a whole number"),
    ({"pages": 3}, ("x86_64",), "too few for 4 areas"),
    ({"pages": 2_000_000}, ("x86_64", "i386"), "1,048,575 frames"),
    ({"pages": 10**15}, ("x86_64",), "2,147,483,646 frames"),
    ({"pages": 10**9, "processes": 1000}, ("x86_64",), "page-table entries"),
    ({"processes": 0}, ("x86_64",), "processes: 0"),
    ({"processes": 30_000, "areas": 65_000, "pages": 10**9}, ("x86_64",), "areas"),
    ({"rewritten": "nan"}, ("x86_64",), "rewritten: nan"),
    ({"rewritten": 1.01}, ("x86_64",), "from 0 to 1"),
    ({"order": "random"}, ("x86_64",), "sequential, shuffled"),
])
def test_what_cannot_be_is_refused(parameters, archs, reason):
    with pytest.raises(ValueError, match=reason):
        swapout(archs, **parameters)


def test_unknown_names():
    with pytest.raises(UnknownName, match="rmapcore workloads lists them"):
        build("nosuch", {}, 0, ("x86_64",))
    with pytest.raises(UnknownName, match=r"did you mean swapout\?"):
        build("swappout", {}, 0, ("x86_64",))
    with pytest.raises(UnknownName, match="it has pages"):
        swapout(size=3)


# --- cold_beside_hot --------------------------------------------------------------------------------------------------


def cold_beside_hot(archs=("x86_64",), **parameters):
    return build("cold_beside_hot", parameters, 0, archs)


@pytest.mark.parametrize("memory", ["private", "shared"])
@pytest.mark.parametrize(("cold", "hot", "processes", "step"), [
    (1, 1, 1, 1), (100, 30, 7, 32), (64, 5, 3, 100), (97, 8, 97, 96)])
def test_cold_pages_are_asked_back_exactly(cold, hot, processes, step, memory):
    program = cold_beside_hot(cold=cold, hot=hot, processes=processes, step=step, memory=memory)
    asked = [int(op["arg"]) for name in ("age", "reclaim") for op in phase(program, name) if op["op"] == Op.RECLAIM]
    assert sum(asked) == cold and max(asked) <= step
    reads = phase(program, "reclaim")
    assert np.count_nonzero(reads["op"] == Op.READ) == processes * (len(asked) - 1)
    for scheme in ("anon_vma", "virtual_scan"):
        row, = rmapcore.compare("cold_beside_hot", schemes=[scheme], cold=cold, hot=hot, processes=processes, step=step,
                                memory=memory).to_dict()["results"]
        assert row["error"] is None and row["calls"]["failed"] == 0
        assert row["reclaim"]["freed"] == cold and row["final"]["processes"] == 0
        assert row["phase_pages"]["fill"] == cold
        assert row["phase_pages"]["heat"] == hot * processes
    assert program.pages == cold + hot * (processes if memory == "private" else 1)


@pytest.mark.parametrize(("parameters", "archs", "reason"), [
    ({"cold": 3}, ("x86_64",), "cold: 3 pages are fewer than 4 processes"),
    ({"hot": 1 << 20}, ("x86_64", "i386"), "address space has room for"),
    ({"hot": 1 << 30}, ("x86_64",), "2,147,483,646 frames"),
    ({"processes": 30_000, "hot": 200_000, "cold": 30_000, "memory": "shared"}, ("x86_64",), "page-table entries"),
    ({"step": 0}, ("x86_64",), "step: 0"),
    ({"memory": "warm"}, ("x86_64",), "private, shared"),
])
def test_what_cold_beside_hot_cannot_be(parameters, archs, reason):
    with pytest.raises(ValueError, match=reason):
        cold_beside_hot(archs, **parameters)
