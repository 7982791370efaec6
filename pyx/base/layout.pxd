"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_64c1ccdd01df5f9e [object PyObject, check_size ignore]:
        pass
