"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_007a13d0d223539d [object PyObject, check_size ignore]:
        pass
