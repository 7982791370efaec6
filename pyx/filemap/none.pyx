"""none: no way from a file page to its entries, as before objrmap and chains (2.4).

It proposes nothing, so it goes only with a scheme that sweeps page tables, which unmaps file pages as it comes by them. The
areas of a file are still linked, for truncation only (vm_next_share, vm_pprev_share), which here goes by File.areas.

Costs: none. In the kernel: 8 or 16 bytes in the area [docs/facts/structures.md].
"""
from rmapcore.pyx.base.state cimport X86_64
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.seam.scheme cimport Scheme


cdef class NoFiles(Scheme):
    """The file side of 2.4. No options."""

    cdef int word             # bytes of a kernel pointer

    def __init__(self, **options):
        for option in options:
            raise ValueError(f"none has no option {option!r}")
        Scheme.__init__(self)
        self.name = "none"
        self.sweeps = True

    def attach(self, Core core):
        Scheme.attach(self, core)
        self.word = 8 if self.s.arch == X86_64 else 4

    def overhead(self):
        return {"page": 0, "vma": 2 * self.word}
