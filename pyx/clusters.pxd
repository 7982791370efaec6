"""The cluster sweep over nonlinear areas (rule K6a)."""
from rmapcore.pyx.engine cimport Engine
from rmapcore.pyx.ids cimport pfn_t
from rmapcore.pyx.scheme cimport Scheme

cdef void sweep_clusters(Engine e, Scheme scheme, pfn_t pfn) noexcept nogil
