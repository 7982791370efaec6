"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_2df472cbb83d2df9 [object PyObject, check_size ignore]:
        pass
