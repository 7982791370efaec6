"""Random calls on areas under 2.6.7, most without an address, many over holes: machine and twin, call by call (rules D8, E)."""
import random

import pytest

import reference
import rmapcore

PAGE = 4096
PRIVATE, SHARED, FIXED, ANON, GROWSDOWN = 0x2, 0x1, 0x10, 0x20, 0x100
SCHEMES = ("anon_vma", "pte_chain", "anonmm", "virtual_scan")


class Calls:
    """Makes one call after the other; addresses are of what mappings have answered, a few pages more or less."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.known = [0x40000000]

    def address(self, spread=6):
        return max(self.rng.choice(self.known[-40:]) + self.rng.randint(-spread, spread) * PAGE, PAGE)

    def length(self):
        return self.rng.choice((1, 1, 2, 2, 3, 5, 9, self.rng.randint(1, 40))) * PAGE

    def call(self):
        name = self.rng.choices(("mmap", "munmap", "mprotect", "mremap", "madvise", "mlock", "munlock", "mlockall", "brk",
                                 "write", "fork"), (30, 14, 10, 12, 6, 3, 3, 1, 2, 10, 1))[0]
        return name, getattr(self, name)()

    def mmap(self):
        where = self.rng.random()
        flags = self.rng.choice((PRIVATE, PRIVATE, SHARED)) | ANON
        if self.rng.random() < 0.03:
            flags |= GROWSDOWN
        addr = 0 if where < 0.75 else self.address() - self.rng.choice((0, 0, 5))
        if where > 0.9:
            addr, flags = addr // PAGE * PAGE, flags | FIXED
        length = self.rng.choice((0, 1 << 29, 1 << 30, 1 << 46)) if self.rng.random() < 0.02 else self.length()
        return addr, length, self.rng.choice((0, 1, 3)), flags

    def munmap(self):
        return self.address(), self.length()

    def mprotect(self):
        return self.address(), self.length(), self.rng.choice((0, 1, 3))

    def mremap(self):
        old = self.rng.choice((0, PAGE, self.length(), self.length(), (1 << 64) - 5))
        flags = self.rng.choice((0, 1, 1, 1, 3))
        return (self.address(), old, self.rng.choice((old % (1 << 60), self.length(), self.length(), 1 << 60)), flags,
                self.address(60))

    def madvise(self):
        return self.address(), self.length(), self.rng.choice((0, 1, 2, 3, 4, 4, 5, 99))

    def mlock(self):
        return self.address() + self.rng.choice((0, 7)), self.length(), self.rng.choice((0, 0, 0, 1))

    def munlock(self):
        return self.address(), self.length()

    def mlockall(self):
        return (self.rng.choice((1, 2, 3)),)

    def brk(self):
        return (0x08800000 + self.rng.randint(0, 1 << 15),)

    def write(self):
        return self.address(), self.rng.randint(1, 3) * PAGE

    def fork(self):
        return ()


def outcome(process, name, arguments):
    try:
        return getattr(process, name)(*arguments)
    except OSError as error:
        return error.errno
    except (rmapcore.RmapcoreError, reference.common.state.RmapcoreError) as error:
        return type(error).__name__


def areas(process):
    return [tuple(int(area[name]) for name in ("start", "end", "prot", "flags", "pgoff", "file")) for area in process.maps()]


@pytest.mark.parametrize("arch", ["i386", "x86_64"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(3))
def test_machine_and_twin(scheme, arch, seed):
    room = {"arch": arch, "ram": 256 * PAGE, "swap": 256 * PAGE}
    machine = rmapcore.Machine(scheme, kernel="2.6.7", **room)
    twin = reference.Machine(scheme, kernel="2.6.7", **room)
    processes = [machine.spawn(), twin.spawn()]
    calls = Calls(seed)
    done = 0
    for number in range(700):
        name, arguments = calls.call()
        if name == "fork":
            children = [process.fork() for process in processes]
            for process in processes:
                process.exit()
            processes = children
            continue
        answers = [outcome(process, name, arguments) for process in processes]
        assert answers[0] == answers[1], (number, name, arguments)
        assert areas(processes[0]) == processes[1].maps(), (number, name, arguments)
        assert processes[0].rss == processes[1].rss, (number, name, arguments)
        good = not isinstance(answers[0], str) and (name not in ("mmap", "mremap") or answers[0] > 1000)
        done += good
        if good and name in ("mmap", "mremap"):
            calls.known.append(answers[0])
        if name == "mlockall":
            for process in processes:
                process.munlockall()
        if number % 50 == 0:
            machine.check()
            twin.check()
    assert done > 300
    machine.check()
