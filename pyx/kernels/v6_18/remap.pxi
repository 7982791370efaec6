"""6.18: remap_file_pages: since 4.0 an ordinary mapping in place of the old one (rule QE12) [6.18 mm/mmap.c]."""
from libc.errno cimport EINVAL
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport PAGE_SHIFT, mm_id, vma_id, vpn_t
from rmapcore.pyx.base.records cimport VM_ACCESS, VM_LOCKED, VM_SHARED
from rmapcore.pyx.base.state cimport State
from rmapcore.pyx.base.uapi cimport MAP_FIXED, MAP_LOCKED, MAP_NONBLOCK, MAP_POPULATE, MAP_SHARED
from rmapcore.pyx.engine.calls cimport do_mmap
from rmapcore.pyx.machine.vmas cimport find_vma
from rmapcore.pyx.seam.kernel cimport Kernel


cdef int do_remap_file_pages(Kernel k, mm_id mm, uint64_t addr, uint64_t size, uint32_t prot, uint64_t pgoff,
                             uint32_t flags) noexcept nogil:
    """remap_file_pages."""
    cdef State* s = k.s
    cdef vpn_t start = addr >> PAGE_SHIFT
    cdef vpn_t end = start + (size >> PAGE_SHIFT)
    cdef uint64_t limit = s.task_vpn << PAGE_SHIFT
    cdef vma_id v, next
    cdef uint32_t file, held
    cdef int status
    if prot or addr > limit or size > limit or start >= end or pgoff > <uint64_t> 1 << 51:
        return EINVAL
    v = find_vma(s, mm, start)
    if v == 0 or s.area[v].start > start or not s.area[v].flags & VM_SHARED:
        return EINVAL
    next = v
    while s.area[next].end < end:
        if (s.area[next].next == 0 or s.area[s.area[next].next].start != s.area[next].end
                or s.area[s.area[next].next].file != s.area[v].file or s.area[s.area[next].next].flags != s.area[v].flags):
            return EINVAL
        next = s.area[next].next
    file = s.area[v].file
    held = s.file[file].handle
    s.file[file].handle = 1                    # the old mapping may be its last
    status = do_mmap(k, mm, start << PAGE_SHIFT, (end - start) << PAGE_SHIFT, s.area[v].flags & VM_ACCESS,
                     flags & MAP_NONBLOCK | MAP_SHARED | MAP_FIXED | MAP_POPULATE
                     | (MAP_LOCKED if s.area[v].flags & VM_LOCKED else 0), file, pgoff << PAGE_SHIFT)
    s.file[file].handle = held
    k.result = 0
    return status
