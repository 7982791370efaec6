"""Runs the steps of a random program on any object with the public interface: the machine, the twin."""

KINDS = ("zero", "file", "swapin", "cow", "spurious")


class State:
    """What a program has made so far: processes (dead ones too), files, results of mmap without address, pins."""

    def __init__(self):
        self.processes = []
        self.files = []
        self.results = []
        self.pins = []

    def address(self, value):
        if isinstance(value, tuple):
            _, number, offset = value
            return (self.results[number] or 0) + offset
        return value


def run_step(machine, state, step):
    """Executes a step; its outcome as plain values, ("error", class, errno or None, ...) for an exception."""
    name, index, *arguments = step
    try:
        return STEPS[name](machine, state, index, *arguments)
    except ProcessLookupError:
        return ("error", "ProcessLookupError", None)
    except OSError as error:
        return ("error", "OSError", error.errno)
    except Exception as error:
        kind = type(error).__name__
        if kind in ("SegmentationFault", "BusError"):
            return ("error", kind, None, int(error.address), int(error.done))
        if kind == "OutOfMemory":
            return ("error", kind, None)
        raise


def run_spawn(machine, state, index):
    process = machine.spawn(f"p{index}")
    state.processes.append(process)
    return int(process.pid)


def run_fork(machine, state, index):
    child = state.processes[index].fork()
    state.processes.append(child)
    return int(child.pid)


def run_file(machine, state, index, size, kind):
    state.files.append(machine.file(f"f{len(state.files)}", size, kind))


def run_truncate(machine, state, index, size):
    state.files[index].truncate(size)


def run_reclaim(machine, state, index, pages):
    result = machine.reclaim(pages)
    fields = ("scanned", "referenced", "unmapped", "swapped", "written", "freed", "failed")
    return {field: int(result[field] if isinstance(result, dict) else getattr(result, field)) for field in fields}


def run_mmap(machine, state, index, addr, length, prot, flags, file, offset):
    """file: index or None. A result without address is remembered."""
    remember = addr == 0
    if remember:
        state.results.append(None)
    where = state.processes[index].mmap(
        state.address(addr), length, prot, flags, None if file is None else state.files[file], offset
    )
    if remember:
        state.results[-1] = int(where)
    return int(where)


def run_mremap(machine, state, index, old_address, old_size, new_size, flags, new_address):
    process = state.processes[index]
    old_address, new_address = state.address(old_address), state.address(new_address)
    return int(process.mremap(old_address, old_size, new_size, flags, new_address))


def run_pin(machine, state, index, addr):
    """The frame's number."""
    state.pins.append(None)
    state.pins[-1] = state.processes[index].pin(state.address(addr))
    return int(state.pins[-1].pfn)


def run_release(machine, state, index):
    """What the page holds, if it could be pinned."""
    pin, state.pins[index] = state.pins[index], None
    if pin is None:
        return None
    stamp = int(pin.stamp())
    pin.release()
    return stamp


def run_touch(machine, state, index, addresses, write):
    return faults(state.processes[index].touch([state.address(address) for address in addresses], write))


def run_access(method):
    def run(machine, state, index, addr, length):
        return faults(getattr(state.processes[index], method)(state.address(addr), length))

    return run


def run_call(method):
    def run(machine, state, index, *arguments):
        result = getattr(state.processes[index], method)(*[state.address(argument) for argument in arguments])
        return None if result is None else int(result)

    return run


def faults(result):
    """Faults by kind."""
    return {kind: int(result[kind] if isinstance(result, dict) else getattr(result, kind)) for kind in KINDS}


CALLS = ("munmap", "mprotect", "brk", "madvise", "mlock", "munlock", "mlockall", "munlockall", "execve", "exit",
         "remap_file_pages", "mbind", "mseal")
STEPS = {
    "spawn": run_spawn, "fork": run_fork, "file": run_file, "truncate": run_truncate, "reclaim": run_reclaim,
    "mmap": run_mmap, "mremap": run_mremap, "touch": run_touch, "pin": run_pin, "release": run_release,
    "read": run_access("read"), "write": run_access("write"),
    **{name: run_call(name) for name in CALLS},
}
