"""Programs of a few mappings and one mremap with every kind of argument, at the end of user space.

There sizes reach beyond user space, and wrap. Every way in which mremap is refused is met, and what it leaves then.
"""
import errno
import random

PAGE = 4096
TASK = (1 << 47) - PAGE                # where user space ends on x86_64
PAGES = 24
WINDOW = TASK - PAGES * PAGE
ALL = 1 << 64
OLD = (*(1, 2, 3, 4) * 3, 0, 6, 8, 10**6, 1 << 34, 1 << 51, (1 << 52) - 4, (1 << 52) - 2, (1 << 52) - 1)      # pages
NEW = (*(1, 2, 3, 4) * 2, 6, 8, 0, (1 << 35) - 1, 1 << 35, (1 << 52) - 1)


def remaps(seed, seals):
    """A list of (call, *arguments); the last one is mremap. Addresses and lengths in bytes."""
    rng, calls = random.Random(f"remaps {seed}"), []
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(PAGES - 1)
        length = rng.randint(1, min(5, PAGES - at))
        calls.append(("mmap", WINDOW + at * PAGE, length * PAGE, rng.choice((1, 3)), rng.choice((0x32, 0x32, 0x31))))
    start = rng.choice([*(call[1] for call in calls), WINDOW + rng.randrange(PAGES) * PAGE]) + rng.choice((0, 0, 0, PAGE))
    if seals and rng.random() < 0.25:
        calls.append(("mseal", WINDOW + rng.randrange(PAGES) * PAGE, rng.randint(1, 3) * PAGE))
    old = (rng.choice(OLD) * PAGE - rng.choice((0, 0, 0, 1, PAGE - 1))) % ALL
    flags = rng.choice((1, 3, 3, 3, 3, 7, 7, 5, 2, 0) if seals else (1, 3, 3, 3, 2, 0))
    calls.append(("mremap", start, old, rng.choice(NEW) * PAGE, flags, WINDOW + rng.randrange(PAGES + 2) * PAGE))
    return calls


def outcome(process, calls):
    """(name of the error of the last call or None, areas in the window: (start, end, prot, whether shared))."""
    error = None
    for name, *arguments in calls:
        try:
            error = None
            getattr(process, name)(*arguments)
        except OSError as failed:
            error = errno.errorcode[failed.errno]
    areas = [area[:4] if isinstance(area, tuple) else [area[name] for name in ("start", "end", "prot", "flags")]
             for area in process.maps()]               # the twin has tuples
    return error, [(int(start), int(end), int(prot) & 3, bool(flags & 8)) for start, end, prot, flags in areas
                   if start >= WINDOW]
