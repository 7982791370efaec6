"""Limits of a machine: areas of a process, and how far a stack may grow (rules D1, QD4, F2)."""
import errno

import numpy as np
import pytest

import reference
import rmapcore
from recordings import started

PAGE = 4096
STACK = 0x7F0000000000                 # where it ends
MAKERS = pytest.mark.parametrize("make", [rmapcore.Machine, reference.Machine], ids=["machine", "twin"])


@MAKERS
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_the_most_areas_are_one_more_than_the_machines(make, kernel):
    most = 13
    process = make("anon_vma", kernel=kernel, ram=64 * PAGE, swap=0, max_map_count=12).spawn()
    for number in range(most):
        process.mmap(0x40000000 + 2 * number * PAGE, PAGE, 3, 0x32)
    with pytest.raises(OSError) as caught:
        process.mmap(0x50000000, PAGE, 3, 0x32)
    assert caught.value.errno == errno.ENOMEM and len(process.maps()) == most


@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_a_move_under_a_small_limit_has_no_room(kernel):
    process = rmapcore.Machine(kernel=kernel, max_map_count=1, ram="1MiB").spawn()
    process.mmap(0x40000000, 2 * PAGE, 3, 0x32)
    with pytest.raises(OSError) as caught:
        process.mremap(0x40000000, 2 * PAGE, 2 * PAGE, 3, 0x50000000)
    assert caught.value.errno == errno.ENOMEM


@MAKERS
@pytest.mark.parametrize("kernel", ["2.6.7", "6.18"])
def test_a_stack_grows_to_the_machines_limit(make, kernel):
    process = make("anon_vma", kernel=kernel, ram=64 * PAGE, swap=0, stack_limit=64 << 10).spawn()
    process.mmap(STACK - PAGE, PAGE, 3, 0x132)
    process.write(STACK - 16 * PAGE)
    with pytest.raises((rmapcore.SegmentationFault, reference.SegmentationFault)):
        process.write(STACK - 17 * PAGE)


def test_an_unlimited_stack():
    machine = rmapcore.Machine(ram="1MiB", stack_limit="unlimited")
    process = machine.spawn()
    process.mmap(STACK - PAGE, PAGE, 3, 0x132)
    process.write(STACK - (1 << 30))
    machine.limit_stacks("8MiB")
    with pytest.raises(rmapcore.SegmentationFault):
        process.write(STACK - (1 << 31))
    machine.check()
    assert (machine.stack_limit, machine.max_map_count) == (8 << 20, 65536)


def test_saved_machines_keep_their_limits(tmp_path):
    machine = rmapcore.Machine(ram="1MiB", kernel="6.18", max_map_count=77, stack_limit="unlimited")
    machine.save(tmp_path / "saved")
    for other in (machine.copy(), rmapcore.Machine.load(tmp_path / "saved")):
        assert (other.max_map_count, other.stack_limit) == (77, "unlimited")
    assert rmapcore.Machine(kernel="6.18").max_map_count == 65530


@pytest.mark.parametrize("wrong", [
    {"max_map_count": 0}, {"max_map_count": 1 << 31}, {"max_map_count": "many"}, {"max_map_count": True},
    {"stack_limit": -PAGE}, {"stack_limit": 5}, {"stack_limit": "endless"},
])
def test_limits_that_are_none(wrong):
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        rmapcore.Machine(**wrong)


def deep_recording():
    """A program with 25 MiB of stack."""
    recording = started().call(100, "brk", result=0x1000000, brk=0)
    recording.mmap(100, STACK - PAGE, PAGE, prot=3, flags=0x122)
    for depth in range(0, 6400, 16):
        recording.fault(100, STACK - PAGE - depth * PAGE, 6)
    return recording


@pytest.mark.parametrize(("line", "failed"), [(None, 0), ("unlimited", 0), ("8388608", 272), ("8388609", 272), ("nonsense", 0)])
def test_a_recording_is_replayed_under_its_stack_limit(load, line, failed):
    recording = deep_recording()
    if line is not None:
        recording.lines.insert(0, f"# stack limit: {line}")
    trace = load(recording)
    machine = rmapcore.Machine("anon_vma_chain", kernel="6.18", ram="64MiB")
    assert trace.replay(machine)["failed"] == failed
    assert machine.stack_limit == trace.stack_limit == (8 << 20 if failed else "unlimited")


def test_what_cannot_be_performed_is_not_right(load):
    from rmapcore.studies.replaycheck import check_replay

    trace = load(deep_recording())
    assert check_replay(trace).to_dict()["faults"] == {"checked": 400, "right": 400}
    small = check_replay(trace, stack_limit="8MiB").to_dict()
    assert small["faults"] == {"checked": 400, "right": 128}
    assert [(cause["cause"], cause["count"]) for cause in small["causes"]] == [("refused", 272)]
    assert np.count_nonzero(trace.operations["op"]) == len(trace)
