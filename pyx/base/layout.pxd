"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_2a344938f524fe52 [object PyObject, check_size ignore]:
        pass
