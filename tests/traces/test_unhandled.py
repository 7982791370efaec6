"""Which recorded faults were not handled (rmapcore/traces/unhandled.py), at every border of the rule."""
import numpy as np
import pytest

from rmapcore.operations import FAULT_USER, OPERATION, UNHANDLED, Op
from rmapcore.traces.unhandled import NEAR, mark_unhandled

PAGE = 4096
A = 0x7F0000000000


def operation(op=Op.FAULT, process=1, thread=1, addr=A, flags=0):
    row = np.zeros(1, OPERATION)
    row["op"], row["process"], row["arg2"], row["addr"], row["flags"] = op, process, thread, addr, flags
    return row


FAULT, OF_ANOTHER = operation(), operation(process=2, thread=2, addr=A + 64 * PAGE, flags=FAULT_USER)


def marked(*rows):
    operations = np.concatenate(rows)
    mark_unhandled(operations)
    assert set(operations["prot"].tolist()) <= {0, UNHANDLED}
    return np.flatnonzero(operations["prot"]).tolist()


@pytest.mark.parametrize(("between", "unhandled"), [(0, [0]), (1, [0]), (NEAR - 2, [0]), (NEAR - 1, [0]), (NEAR, [])])
def test_how_near_two_of_a_row_must_be(between, unhandled):
    assert marked(FAULT, *[OF_ANOTHER] * between, FAULT) == unhandled


@pytest.mark.parametrize(("other", "unhandled"), [
    (operation(), [0]), (operation(addr=A + PAGE - 1), [0]),
    (operation(addr=A + PAGE), []), (operation(addr=A - 1), []), (operation(thread=2), []), (operation(process=2), []),
    (operation(flags=2), []), (operation(flags=FAULT_USER), []), (operation(op=Op.READ), []),
])
def test_what_is_the_same_fault_again(other, unhandled):
    assert marked(FAULT, other) == unhandled


@pytest.mark.parametrize(("between", "unhandled"), [
    (operation(addr=A + PAGE), []), (operation(addr=A + PAGE, flags=FAULT_USER), []),      # the thread went on
    (operation(addr=A + PAGE, thread=2), [0]), (operation(op=Op.MUNMAP, thread=0), []),    # another one; a call of any
    (operation(op=Op.MUNMAP, process=2), [0]), (OF_ANOTHER, [0]),
])
def test_what_may_be_between(between, unhandled):
    assert marked(FAULT, between, FAULT) == unhandled


def test_of_a_row_only_the_last_was_handled():
    assert marked(FAULT, FAULT, OF_ANOTHER, FAULT) == [0, 1]
    assert marked(operation(flags=FAULT_USER), operation(flags=FAULT_USER)) == []
    assert marked(FAULT) == [] and marked(np.zeros(0, OPERATION)) == []
