"""The class of 6.18, for later kernels that differ from it in numbers only; one that changes a rule includes the text."""
from rmapcore.pyx.seam.kernel cimport Kernel

cdef class Steps(Kernel):
    pass

cdef class Steps618(Steps):
    pass

cdef class Linux618(Steps618):
    pass
