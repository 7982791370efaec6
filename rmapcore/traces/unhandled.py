"""Faults that their kernel did not handle.

Where the kernel may not sleep it reads and writes user memory with page faults disabled. A fault there is recorded, changes
nothing, and is followed by one that is handled, of the same thread, at the same page, and with the same error code:

    page_fault_kernel: address=0x7fd00c00b000 ip=copy_folio_from_iter_atomic error_code=0x0
    page_fault_kernel: address=0x7fd00c00b000 ip=fault_in_readable error_code=0x0

A fault that was handled cannot come again at once. So of such a row only the last is performed; the others have prot 1.
"""
import numpy as np

from rmapcore.operations import FAULT_USER, UNHANDLED, Op

NEAR = 64                              # operations of all processes between two of a row, at most


def mark_unhandled(operations):
    """Sets prot of each FAULT that was not handled."""
    is_kernel = (operations["op"] == Op.FAULT) & (operations["flags"] & FAULT_USER == 0)
    index = np.flatnonzero(is_kernel)
    faults = operations[index]
    keys = (faults["addr"] >> np.uint64(12), faults["flags"], faults["arg2"], faults["process"])
    order = np.lexsort((index, *keys))
    same = np.all([key[order][1:] == key[order][:-1] for key in keys], axis=0)
    first, second = index[order[:-1][same]], index[order[1:][same]]
    near = second - first <= NEAR
    first, second = first[near], second[near]
    operations["prot"][first[~acted(operations, first, second)]] = UNHANDLED


def acted(operations, first, second):
    """Whether, between each two faults of one thread, it faulted elsewhere, or its process made a call."""
    op, process, tid = operations["op"], operations["process"], operations["arg2"]
    did, open_ = np.zeros(len(first), bool), np.arange(len(first))
    for step in range(1, NEAR):
        open_ = open_[first[open_] + step < second[open_]]
        between, fault = first[open_] + step, first[open_]
        own = process[between] == process[fault]
        found = own & ((op[between] != Op.FAULT) | (tid[between] == tid[fault]))
        did[open_[found]] = True
        open_ = open_[~found]
    return did
