"""The head of a recording: under what it was made, as `# KEY: VALUE` lines, once and for all later needs.

What the kernel does with a program's memory depends on all of these; a replay uses the stack limit, and what may be locked.
"""
import gzip
import os
import platform
import re
import resource
from contextlib import suppress
from pathlib import Path

from rmapcore.traces.remarks import FORM, FORM_KEY, MAX_MAP_COUNT, MLOCK_LIMIT, STACK_LIMIT
from rmapcore.units import UNLIMITED
from rmapcore.version import VERSION

FILES = {
    MAX_MAP_COUNT: "/proc/sys/vm/max_map_count",
    "overcommit_memory": "/proc/sys/vm/overcommit_memory",
    "randomize_va_space": "/proc/sys/kernel/randomize_va_space",
    "mmap_min_addr": "/proc/sys/vm/mmap_min_addr",
    "legacy_va_layout": "/proc/sys/vm/legacy_va_layout",
    "swappiness": "/proc/sys/vm/swappiness",
    "thp enabled": "/sys/kernel/mm/transparent_hugepage/enabled",
    "thp defrag": "/sys/kernel/mm/transparent_hugepage/defrag",
    "thp shmem": "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
    "thp zero page": "/sys/kernel/mm/transparent_hugepage/use_zero_page",
    "khugepaged scan": "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
    "ksm": "/sys/kernel/mm/ksm/run",
    "fault around": "/sys/kernel/debug/fault_around_bytes",
    "numa balancing": "/proc/sys/kernel/numa_balancing",
    "kernel command line": "/proc/cmdline",
}
SIZES = "/sys/kernel/mm/transparent_hugepage"          # hugepages-64kB/enabled and so on
# Of the kernel's configuration, what its memory management asks.
_OPTION = re.compile(r"CONFIG_(\w*(?:VMA|HUGEPAGE|_THP|KSM|NUMA_BALANCING|USERFAULT|LRU_GEN|MEMCG|PT_RECLAIM|5LEVEL)\w*|"
                     r"HZ|PREEMPT|SWAP|MIGRATION|COMPACTION)")
CAP_IPC_LOCK = 14                              # capability(7): mlock without a limit


def lines(command, anonymise):
    """The header, line by line, without ends. command: its words, left out if names are not to be told."""
    yield f"# {FORM_KEY}: {FORM}"
    yield f"# rmapcore: {VERSION}"
    yield f"# {STACK_LIMIT}: {stack_limit()}"
    yield f"# {MLOCK_LIMIT}: {mlock_limit()}"
    yield f"# kernel: {platform.release()}"
    yield f"# build: {'' if anonymise else platform.version()}"
    yield f"# machine: {platform.machine()}"
    yield f"# processors: {os.cpu_count()}"
    yield f"# page size: {os.sysconf('SC_PAGE_SIZE')}"
    yield f"# RAM: {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')}"
    for key, value in settings(anonymise):
        yield f"# {key}: {value}"
    if not anonymise:
        yield f"# command: {' '.join(command)}".replace("\n", "?")[:1000]


def settings(anonymise):
    """(key, text) of what can be read here."""
    for key, path in FILES.items():
        if anonymise and key == "kernel command line":
            continue
        with suppress(OSError):
            yield key, " ".join(Path(path).read_text(encoding="ascii", errors="replace").split())[:900]
    with suppress(OSError):
        for folder in sorted(Path(SIZES).glob("hugepages-*")):
            yield f"thp {folder.name.removeprefix('hugepages-')}", (folder / "enabled").read_text(encoding="ascii").strip()
    with suppress(OSError):
        areas = Path("/proc/swaps").read_text(encoding="ascii", errors="replace").splitlines()[1:]
        yield "swap", "; ".join(" ".join(line.split()[1:3]) for line in areas) or "none"
    told = configured()
    if told is not None:
        yield "config", " ".join(f"{match[1]}={value}" for name, value in told.items() if (match := _OPTION.fullmatch(name)))


def configured():
    """{option: value} of the kernel's own configuration, None where it does not tell."""
    with suppress(OSError, EOFError), gzip.open("/proc/config.gz", "rt", encoding="ascii", errors="replace") as stream:
        return dict(line.strip().split("=", 1) for line in stream if line.startswith("CONFIG_") and "=" in line)
    with suppress(OSError):
        text = Path(f"/boot/config-{platform.release()}").read_text(encoding="ascii", errors="replace")
        return dict(line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
    return None


def mlock_limit():
    """Bytes or "unlimited": what the command may lock if it stays what this process is."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        may = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
        if may and int(may[1], 16) >> CAP_IPC_LOCK & 1:
            return UNLIMITED
    return UNLIMITED if limit == resource.RLIM_INFINITY else limit


def stack_limit():
    """Bytes or "unlimited": what the command inherits from this process."""
    limit, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return UNLIMITED if limit == resource.RLIM_INFINITY else limit
