"""The slots, and what went wrong in words (doors.pxd)."""
from libc.stdint cimport uint64_t

from rmapcore.pyx.embed.doors cimport EXCEPTION, HOOK_RAISED, Slot
from rmapcore.pyx.seam.kernel cimport E_FULL, Kernel

cdef extern from "last.h" nogil:
    int note_failure(int code, unsigned long long about) noexcept
    int note_text(int code, const char* text) noexcept
    const char* last_failure() noexcept

cdef extern from *:
    """
    /* The one thing that all machines share: which of them C uses. Zero at first, and hardly any of it is ever touched. */
    static char all_slots[(1 << 16) * 128] __attribute__((aligned(128)));
    """
    char* all_slots

assert sizeof(Slot) == 128


cdef void* slots() noexcept:
    """Where they lie: DOORS of them."""
    return all_slots


cdef int fail(int code, uint64_t about) noexcept nogil:
    """Notes a failure of this thread; its code. about: a handle, an address, a number."""
    return note_failure(code, about)


cdef int fail_text(int code, bytes text) noexcept:
    """The same, with its words."""
    return note_text(code, text)


cdef const char* message() noexcept nogil:
    """What was noted last in this thread, in words."""
    return last_failure()


cdef int explained(Slot* slot, int status, uint64_t address) noexcept nogil:
    """The code of a status that is not 0, noted. address: of the access or call."""
    if status == E_FULL or status == HOOK_RAISED:
        with gil:
            return fail_text(EXCEPTION if status == HOOK_RAISED else -status, told(<Kernel> slot.kernel, status))
    return fail(-status, address)


cdef bytes told(Kernel k, int status):
    """What an arena's name, or a kept exception, says."""
    if status == E_FULL:
        return f"arena {k.failed_pool!r} is full".encode()
    try:
        k.anon.raise_kept()
    except BaseException as error:
        return shown(error)
    return b"a hook failed"


cdef bytes shown(error):
    """An exception as one line for C."""
    return f"{type(error).__name__}: {error}".replace("\0", "?").encode("utf-8", "replace")
