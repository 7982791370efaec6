"""The cluster sweep over nonlinear areas (rule K6a)."""
from rmapcore.pyx.base.ids cimport pfn_t
from rmapcore.pyx.seam.kernel cimport Kernel
from rmapcore.pyx.seam.scheme cimport Scheme

cdef void unmap_clusters(Kernel k, Scheme scheme, pfn_t pfn) noexcept nogil
