"""What there is in a machine, counted from its tables."""
import numpy as np

from rmapcore.pyx.machine.files import IN_SWAP
from rmapcore.units import PAGE


def totals(core):
    """Machine.totals."""
    mms, pools, head = core.view("mms"), core.view("pools"), core.view("head")[0]
    living = np.flatnonzero(mms["alive"])
    return {
        "processes": len(living),
        "areas": int(pools["live"][core.arenas["areas"].pool]),
        "present": int(mms["rss"][living].sum()),
        "swapped": int(mms["swapents"][living].sum()),
        "frames_peak": int(head["frames_used_peak"]),
        "entries_peak": int(pools["peak"][core.arenas["tables"].pool]) << core.geometry["bits"],
        "operations": int(head["op_index"]),
    }


def files_in_swap(core):
    """Machine.files_in_swap."""
    files, cache = core.view("files"), core.view("cache")
    found = {}
    for number in np.flatnonzero(files["n_swapped"]).tolist():
        base, pages = int(files["base"][number]), -(-int(files["size"][number]) // PAGE)
        found[number] = cache[base:base + pages] & IN_SWAP != 0
    return found
