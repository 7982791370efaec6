"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_5f5be89e3c7400d2 [object PyObject, check_size ignore]:
        pass
