"""Made by setup.py: a type named after a digest of the public declarations (layout.py)."""
cdef extern from *:
    ctypedef class rmapcore.pyx.base.layout.layout_5adb4c12e071f5f0 [object PyObject, check_size ignore]:
        pass
