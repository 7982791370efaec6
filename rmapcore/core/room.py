"""How much a machine has room for: what its arenas reserve, and which argument of Machine bounds each.

The capacities themselves are worked out in pyx/machine/core.pyx.
"""
from rmapcore.units import format_size

# argument: arenas that it alone bounds
BOUNDS = {
    "ram and swap": {"frames", "lru_ahead", "stamps", "swap_map", "swap_pages", "swap_cache", "swap_stamps"},
    "max_file_pages": {"cache", "folio_orders", "disk", "files"},
    "max_ptes": {"tables", "entries", "mms"},
}
ALL_ELSE = "max_ptes and max_map_count"
# pool: what makes it larger, where that is not max_ptes
RAISED = {"files": "max_file_pages", "file pages": "max_file_pages", "areas": "max_ptes or max_map_count"}
NEVER_LARGER = {"pids": "numbers of processes are never used again"}


def too_little_space(arenas):
    """What is said when the host does not give the address space for these arenas (of a Core)."""
    sizes = dict.fromkeys([*BOUNDS, ALL_ELSE], 0)
    for arena in arenas:
        sizes[next((bound for bound, names in BOUNDS.items() if arena.name in names), ALL_ELSE)] += arena.size
    parts = ", ".join(f"{format_size(size)} for {bound}" for bound, size in sorted(sizes.items(), key=lambda item: -item[1]))
    return (f"a machine of this size reserves about {format_size(sum(sizes.values()))} of address space, most of which is "
            f"never used, and this host does not give it that much (ulimit -v): {parts}; lower these arguments of Machine")


def full(pool, capacity):
    """What is said of a full arena."""
    how = NEVER_LARGER.get(pool) or f"a machine with a larger {RAISED.get(pool, 'max_ptes')} has more room"
    return f"arena {pool!r} is full with {capacity - 1:,} records; {how}"
