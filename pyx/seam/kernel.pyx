"""Binding of a machine to its scheme and its file side."""
from rmapcore.pyx.base.guard cimport IN_KERNEL, IN_OPERATION, Guard, Hold
from rmapcore.pyx.machine.core cimport Core
from rmapcore.pyx.seam.kernel cimport E_FULL, Engine
from rmapcore.pyx.seam.scheme cimport Scheme


cdef class Engine:
    """core: the machine's state.  anon: the scheme.  side: the file side.

    busy: class of the exception for a second thread, and for changes in the middle of an operation (guard.pxd).
    """

    def __init__(self, Core core, Scheme anon, Scheme side, busy):
        guard = Guard(busy)
        self.alone = Hold(guard)
        self.operation = Hold(guard, IN_OPERATION, IN_OPERATION | IN_KERNEL)
        self.kernel = Hold(guard, IN_KERNEL, IN_KERNEL)
        self.core = core
        self.s = &core.state
        anon.attach(core)
        side.attach(core)
        self.anon = anon
        self.side = side

    @property
    def failed_address(self):
        """Address (bytes) of the access that failed last."""
        return self.address

    @property
    def failed_pool(self):
        """Name of the arena that was full."""
        return self.core.pool_names.get(self.full_pool, "?")

    @property
    def answer(self):
        """Result of the last successful call: an address or the break."""
        return self.result


cdef int full(Engine e, int pool) noexcept nogil:
    """Notes which arena is full."""
    e.full_pool = pool
    return E_FULL
