"""What a recorded fault finds: the emulated entry beside what the fault's error code says of the recorded one.

    error code        right if the emulation has
    bit 0 clear       an area there, and an entry without a page; or no area, unless a call has failed that did not when it
                      was recorded: then the program was sent a signal
    bit 0 set, write  an area there, and a present page without RW
    bit 0 set, else   an area there, and a present page in an area that may not be read

Present is the hardware's bit: an entry of an area without any access has none. Looking changes nothing and counts nothing.
"""
from libc.stdint cimport uint16_t, uint32_t

from rmapcore.pyx.base.ids cimport mm_id, vpn_t
from rmapcore.pyx.base.state cimport State

cdef enum:                    # bits of an x86 fault's error code
    FAULT_PRESENT = 1
    FAULT_WRITE = 2

cdef enum:                    # FOUND
    FOUND_RIGHT = 0x1         # the entry is what the error code says
    FOUND_PRESENT = 0x2       # the hardware's present bit of the entry
    FOUND_RW = 0x4
    FOUND_ANON = 0x8          # it maps an anonymous page
    FOUND_ZERO = 0x10         # it maps the zero page
    FOUND_SWAP = 0x20         # it holds a swap entry
    FOUND_AREA = 0x40         # there is an area; what follows is said of it
    FOUND_GROWS = 0x80        # it begins above the address and must grow down to it
    FOUND_FILE = 0x100
    FOUND_SHMEM = 0x200       # its file is shared memory
    FOUND_SHARED = 0x400
    FOUND_READ = 0x800        # it may be read, or executed
    FOUND_WRITE = 0x1000
    FOUND_LOCKED = 0x2000
    FOUND_TAKEN = 0x4000      # reclaim has taken the page just before, since the recording says that it had
    FOUND_CHECKED = 0x8000    # on every checked fault

cdef uint16_t look(State* s, mm_id mm, vpn_t vpn, uint32_t code, bint lost) noexcept nogil
