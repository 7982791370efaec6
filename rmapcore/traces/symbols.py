"""The names that strace prints for numbers: flags of the calls that a recording holds.

    PROT_READ|PROT_WRITE    MAP_PRIVATE|MAP_HUGETLB|21<<MAP_HUGE_SHIFT    0x3 /* PROT_READ|PROT_WRITE */    NULL    0x22

Numbers of include/uapi/linux: mman.h, asm-generic/mman-common.h, asm-generic/mman.h, sched.h, mempolicy.h, shm.h. Those that
have a meaning in a replay stand in `rmapcore.linux.uapi`.
"""
import re
import signal

from rmapcore.linux import uapi
from rmapcore.traces.lines import BadLine, whole

WITHOUT_EFFECT = {
    "PROT_NONE": 0, "PROT_SEM": 8, "MAP_FILE": 0, "MAP_DENYWRITE": 0x800, "MAP_EXECUTABLE": 0x1000, "MAP_NORESERVE": 0x4000,
    "MAP_POPULATE": 0x8000, "MAP_NONBLOCK": 0x10000, "MAP_SYNC": 0x80000, "SHM_RND": 0o20000, "SHM_REMAP": 0o40000,
}
CLONE = {
    "VM": 0x100, "FS": 0x200, "FILES": 0x400, "SIGHAND": 0x800, "PIDFD": 0x1000, "PTRACE": 0x2000, "VFORK": 0x4000,
    "PARENT": 0x8000, "THREAD": 0x10000, "NEWNS": 0x20000, "SYSVSEM": 0x40000, "SETTLS": 0x80000, "PARENT_SETTID": 0x100000,
    "CHILD_CLEARTID": 0x200000, "DETACHED": 0x400000, "UNTRACED": 0x800000, "CHILD_SETTID": 0x1000000, "NEWCGROUP": 0x2000000,
    "NEWUTS": 0x4000000, "NEWIPC": 0x8000000, "NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000,
    "IO": 0x80000000, "NEWTIME": 0x80, "CLEAR_SIGHAND": 1 << 32, "INTO_CGROUP": 1 << 33,
}
POLICIES = {"LOCAL": 4, "PREFERRED_MANY": 5, "WEIGHTED_INTERLEAVE": 6, "F_NUMA_BALANCING": 1 << 13, "F_RELATIVE_NODES": 1 << 14,
            "F_STATIC_NODES": 1 << 15, "MF_STRICT": 1, "MF_MOVE": 2, "MF_MOVE_ALL": 4}

# Of calls that are rare: mman.h, prctl.h, personality.h, falloc.h, resource.h, fcntl.h, ipc.h, close_range.h.
SELDOM = {
    "MS_ASYNC": 1, "MS_INVALIDATE": 2, "MS_SYNC": 4, "PR_SET_VMA": 0x53564D41, "PR_SET_VMA_ANON_NAME": 0, "PR_SET_MM": 35,
    "PR_SET_THP_DISABLE": 41, "PR_SET_MDWE": 65, "PER_LINUX": 0, "ADDR_NO_RANDOMIZE": 0x40000, "READ_IMPLIES_EXEC": 0x400000,
    "ADDR_COMPAT_LAYOUT": 0x200000, "FALLOC_FL_KEEP_SIZE": 1, "FALLOC_FL_PUNCH_HOLE": 2, "FALLOC_FL_COLLAPSE_RANGE": 8,
    "FALLOC_FL_ZERO_RANGE": 0x10, "FALLOC_FL_INSERT_RANGE": 0x20, "FALLOC_FL_UNSHARE_RANGE": 0x40, "RLIMIT_STACK": 3,
    "O_CLOEXEC": 0o2000000, "O_NONBLOCK": 0o4000, "IPC_RMID": 0, "SHM_LOCK": 11, "SHM_UNLOCK": 12, "CLOSE_RANGE_UNSHARE": 2,
    "CLOSE_RANGE_CLOEXEC": 4, "ARCH_SET_GS": 0x1001, "ARCH_SET_FS": 0x1002, "ARCH_GET_FS": 0x1003, "ARCH_GET_GS": 0x1004,
    "MPOL_F_NODE": 1, "MPOL_F_ADDR": 2, "MPOL_F_MEMS_ALLOWED": 4,
}

NAMES = {
    **{name: value for name, value in vars(uapi).items() if re.match("(PROT|MAP|MREMAP|SHM)_", name)},
    **{f"MADV_{name}": number for number, name in uapi.MADVISE_NAMES.items()},
    **{f"MCL_{name.upper()}": value for name, value in uapi.MCL.items()}, "MLOCK_ONFAULT": 1,
    **{f"MPOL_{name.upper()}": value for name, value in uapi.MPOL.items()},
    **{f"MPOL_{name}": value for name, value in POLICIES.items()}, **{f"CLONE_{name}": value for name, value in CLONE.items()},
    **WITHOUT_EFFECT, **SELDOM, **{one.name: one.value for one in signal.Signals},
}
WORD = (1 << 64) - 1                           # of a register
_TERM = re.compile(r"(0x[0-9a-f]+|-?\d+)(?:<<MAP_HUGE_SHIFT)?$|([A-Z][A-Z0-9_]*)$")
_COMMENT = re.compile(r" ?/\*.*?\*/")


def number(text):
    """An argument of 64 bits: a number, NULL, or names. 0 for what is neither (a structure, a string).

    BadLine if a name is not known.
    """
    value = 0
    for word in _COMMENT.sub("", text).strip().split("|"):
        match = _TERM.match(word)
        if not match or word == "NULL":
            continue
        if match[2]:
            if match[2] not in NAMES:
                raise BadLine(f"{match[2]} is no flag that is known")
            value |= NAMES[match[2]]
        else:
            part = whole(match[1], 16 if match[1].startswith("0x") else 10)
            value |= part << uapi.MAP_HUGE_SHIFT if "<<" in word else part
    return value & WORD
