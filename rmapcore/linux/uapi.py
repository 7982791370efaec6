"""Numbers of Linux: what system calls take, and recordings hold."""

# include/uapi/linux: mman.h, asm-generic/mman-common.h, shm.h
PROT_READ, PROT_WRITE, PROT_EXEC, PROT_MASK = 1, 2, 4, 0xFFFF
PROT_GROWSDOWN, PROT_GROWSUP = 0x01000000, 0x02000000
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_DROPPABLE, MAP_TYPE = 1, 2, 3, 8, 0x0F
MAP_TYPES = (MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_DROPPABLE)
HEAP_PROT = PROT_READ | PROT_WRITE
MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN, MAP_LOCKED = 0x10, 0x20, 0x40, 0x100, 0x2000
MAP_STACK, MAP_HUGETLB, MAP_HUGE_SHIFT, MAP_HUGE_MASK, MAP_FIXED_NOREPLACE = 0x20000, 0x40000, 26, 0x3F, 0x100000
HUGE_PAGE_SHIFT = 21  # of x86-64, where the flags name no size
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MS_SYNC, SYNC_FILE_RANGE_WRITE = 4, 2
SHM_RDONLY, SHM_EXEC = 0o10000, 0o100000
SHM_LOCKS = {11: "SHM_LOCK", 12: "SHM_UNLOCK"}
ADVICE = {
    "normal": 0, "random": 1, "sequential": 2, "willneed": 3, "dontneed": 4, "free": 8, "remove": 9, "dontfork": 10,
    "dofork": 11, "mergeable": 12, "unmergeable": 13, "hugepage": 14, "nohugepage": 15, "dontdump": 16, "dodump": 17,
    "wipeonfork": 18, "keeponfork": 19, "cold": 20, "pageout": 21, "populate_read": 22, "populate_write": 23,
    "dontneed_locked": 24, "collapse": 25, "guard_install": 102, "guard_remove": 103,
}
MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_PAGEOUT, MADV_COLLAPSE = (
    ADVICE[name] for name in ("dontneed", "hugepage", "nohugepage", "pageout", "collapse"))
MADVISE_OLD = range(5)  # normal, random, sequential, willneed, dontneed: those of 2.6.7
MADVISE_EMULATED = {*MADVISE_OLD, *range(8, 25), 102, 103}  # by the kernels that have them
MADVISE_EMPTIES = tuple(ADVICE[name] for name in ("dontneed", "remove", "dontneed_locked"))
MADVISE_NAMES = {number: name.upper() for name, number in ADVICE.items()} | {100: "HWPOISON", 101: "SOFT_OFFLINE"}
MCL = {"current": 1, "future": 2, "onfault": 4}
MPOL = {"default": 0, "preferred": 1, "bind": 2, "interleave": 3}
MPOL_MODE_MASK = 0xFFF  # what is above it are flags of the policy
MPOL_F_NODE, MPOL_F_ADDR = 1, 2
RLIMIT_STACK = 3
FALLOCATE = {
    "KEEP_SIZE": 1, "PUNCH_HOLE": 2, "COLLAPSE_RANGE": 8, "ZERO_RANGE": 0x10, "INSERT_RANGE": 0x20, "UNSHARE_RANGE": 0x40,
    "WRITE_ZEROES": 0x80,
}
FALLOCATE_KEEPS = FALLOCATE["KEEP_SIZE"] | FALLOCATE["UNSHARE_RANGE"]  # no page goes
READ_IMPLIES_EXEC, PERSONALITY_ASKS = 0x400000, 0xFFFFFFFF
# include/uapi/linux/prctl.h and arch/x86/include/uapi/asm/prctl.h: what changes areas, and what does not.
PR_SET_VMA, PR_SET_VMA_ANON_NAME = 0x53564D61, 0
PRCTL = {35: "PR_SET_MM", 41: "PR_SET_THP_DISABLE", 67: "PR_SET_MEMORY_MERGE", PR_SET_VMA: "PR_SET_VMA"}
PRCTL_HARMLESS = {
    *range(1, 17), *range(19, 35), *range(36, 41), 42, *range(45, 48), *range(50, 67), *range(68, 79), 0x41555856, 0x59616D61,
}
ARCH_PRCTL = {
    0x2001: "ARCH_MAP_VDSO_X32", 0x2002: "ARCH_MAP_VDSO_32", 0x2003: "ARCH_MAP_VDSO_64", 0x4002: "ARCH_ENABLE_TAGGED_ADDR",
    0x5001: "ARCH_SHSTK_ENABLE", 0x5002: "ARCH_SHSTK_DISABLE",
}
ARCH_PRCTL_HARMLESS = {*range(0x1001, 0x1005), 0x1011, 0x1012, *range(0x1021, 0x1026), 0x3001, 0x4001, 0x4003, 0x4004,
                       *range(0x5003, 0x5006)}
# Every bit that Linux 6.18 gives a meaning to; a recording that has others is of a kernel that knows more.
KNOWN = {
    "mmap prot": 0xF, "mmap flags": 0xFC1FF9FF, "mprotect prot": 0xF | PROT_GROWSDOWN | PROT_GROWSUP, "mremap flags": 7,
    "mlock2 flags": 1, "mlockall flags": 7, "mseal flags": 0, "remap_file_pages flags": 0x10000, "shmat flags": 0o177777,
    "fallocate mode": sum(FALLOCATE.values()), "personality": 0x0FFE00FF, "map_shadow_stack flags": 3,
}

STACK_EXPAND = 128 << 10  # what execve adds to the pages that arguments and environment fill; fs/exec.c setup_arg_pages

# Flags of Process.maps() (pyx/base/records.pxd) -> words of VmFlags in /proc/PID/smaps.
SMAPS_FLAGS = {
    0x100: "gd", 0x2000: "lo", 0x8000: "sr", 0x10000: "rr", 0x20000: "dc", 0x80000: "lf", 0x100000: "ac", 0x200000: "nr",
    0x400000: "mg", 0x2000000: "wf", 0x4000000: "dd", 0x8000000: "dp", 0x10000000: "sl", 0x20000000: "hg", 0x40000000: "nh",
}
