"""A door to the entry layouts of x86.pxd, for tests and for people who want to see an entry."""
from libc.string cimport memset

from rmapcore.pyx.base.state cimport I386, X86_64, State
from rmapcore.pyx.base.x86 cimport file_entry, file_pgoff, page_prot, swap_entry, swap_slot


cdef State _state(int arch):
    """As much of a State as entry layouts need: that of 2.6.7."""
    cdef State s
    memset(&s, 0, sizeof(State))
    s.arch = arch
    s.wide = arch != I386
    s.nx = (<unsigned long long> 1 << 63) if arch == X86_64 else 0
    s.swap_shift = 8
    return s


def swap_entry_of(arch, slot):
    """The absent entry of a swap slot. arch: 0 i386, 1 i386-pae, 2 x86_64."""
    cdef State s = _state(arch)
    return swap_entry(&s, slot)


def slot_of(arch, entry):
    """The swap slot of an absent entry."""
    cdef State s = _state(arch)
    return swap_slot(&s, entry)


def file_entry_of(arch, pgoff):
    """The absent entry of a nonlinear file page."""
    cdef State s = _state(arch)
    return file_entry(&s, pgoff)


def pgoff_of(arch, entry):
    """The file page of an absent nonlinear entry."""
    cdef State s = _state(arch)
    return file_pgoff(&s, entry)


def prot_of(arch, vm_flags):
    """The protection bits of an area's entries (rule C3)."""
    cdef State s = _state(arch)
    return page_prot(&s, vm_flags)
