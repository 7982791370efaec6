"""The system calls that a recording holds: those that change an address space, with what x86-64 and perf call them.

`CALLS` has for each its number (arch/x86/entry/syscalls/syscall_64.tbl) and the names of its arguments, as the kernel's own
definitions have them and perf prints them in a `syscalls:sys_enter_` line.
"""
CALLS = {
    "mmap": (9, ("addr", "len", "prot", "flags", "fd", "off")),
    "mprotect": (10, ("start", "len", "prot")),
    "munmap": (11, ("addr", "len")),
    "brk": (12, ("brk",)),
    "mremap": (25, ("addr", "old_len", "new_len", "flags", "new_addr")),
    "madvise": (28, ("start", "len_in", "behavior")),
    "shmat": (30, ("shmid", "shmaddr", "shmflg")),
    "clone": (56, ("clone_flags", "newsp", "parent_tidptr", "child_tidptr", "tls")),
    "fork": (57, ()),
    "vfork": (58, ()),
    "execve": (59, ("filename", "argv", "envp")),
    "shmdt": (67, ("shmaddr",)),
    "mlock": (149, ("start", "len")),
    "munlock": (150, ("start", "len")),
    "mlockall": (151, ("flags",)),
    "munlockall": (152, ()),
    "remap_file_pages": (216, ("start", "size", "prot", "pgoff", "flags")),
    "exit_group": (231, ("error_code",)),
    "mbind": (237, ("start", "len", "mode", "nmask", "maxnode", "flags")),
    "mlock2": (325, ("start", "len", "flags")),
    "pkey_mprotect": (329, ("start", "len", "prot", "pkey")),
    "clone3": (435, ("uargs", "size")),
    "mseal": (462, ("start", "len", "flags")),
}
