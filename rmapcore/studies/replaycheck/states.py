"""States in a recording against the emulated machine at that moment: areas, pages, who shares them, page tables.

    area        right if the emulation has one of the same start, end, protection, flags, file and offset
    page        right if both have one of the same kind there; of an anonymous page also the mapcount, and the processes and
                addresses that share its frame
    page table  right if a process has as many, the top one aside

A process is equal if all of its areas and pages are right. What only one side has is compared too, and wrong.
"""
from contextlib import suppress

import numpy as np

from rmapcore.linux.uapi import SMAPS_FLAGS
from rmapcore.traces.states import ANON, FILE, KINDS, PAGES, SWAP, ZERO
from rmapcore.units import PAGE

CHUNK_PAGES = 1 << 18
SHARED = 0x80                          # VM_MAYSHARE in the flags of Process.maps(): what /proc shows as s
WORDS = frozenset(SMAPS_FLAGS.values())
MEMORY = ("anon", "file", "shmem")
SHOWN = 20                             # differences that are told one by one
SWAPPED_OUT = "swapped out"            # when recorded, and not faulted in since: the emulation hears of it at a fault only
LEVELS = (9, 18, 27)                   # bits of a page number that a table of a level covers


class StateCheck:
    """Counts over all states that it was given.

    areas, page_tables: {"checked", "right"}.  pages: {"anon": the same, "file": …, "shmem": …}.
    processes: {"checked", "right"}: of every state.  differences: the first ones, as dicts.  wrong: {(what, where): pages}.
    """

    def __init__(self, trace, files):
        self.kinds = {number: file.kind for number, file in enumerate(trace.files, 1)}
        self.numbers = {file.number: number for number, file in enumerate(files, 1)}
        self.areas, self.page_tables, self.processes = counts(), counts(), counts()
        self.pages = {kind: counts() for kind in MEMORY}
        self.differences, self.wrong = [], {}
        self.states = 0

    def look(self, machine, state):
        """Compares a machine with a State."""
        self.states += 1
        emulated = {one.space: living(machine, one.space) for one in state.processes}
        here = [one.pages() for one in state.processes]
        there = [pages_of(emulated[one.space]) for one in state.processes]
        sharing = shared_alike(here, there)
        for one, live, ours, alike in zip(state.processes, here, there, sharing, strict=True):
            process = emulated[one.space]
            equal = self._areas(state, one, process) & self._pages(state, one, live, ours, alike)
            add(self.processes, 1, equal)
            add(self.page_tables, 1, process is not None and one.tables == tables_of(one, process, ours))

    def all_pages(self):
        """{"checked", "right"} of all pages, and the same by kind."""
        return {key: sum(one[key] for one in self.pages.values()) for key in ("checked", "right")} | self.pages

    def _areas(self, state, one, process):
        live = {(area.start, area.end, area.perms, ",".join(sorted(WORDS & set(area.flags.split(",")))), area.file,
                 area.offset if area.file else 0) for area in one.areas}
        ours = set() if process is None else {self._area(area) for area in process.maps()}
        add(self.areas, len(live | ours), len(live & ours))
        for area in sorted(live ^ ours):
            start, end, perms, flags, file, offset = area
            self._tell(state, one, "area missing" if area in live else "area not recorded", start, end, f"{perms} {flags}",
                       file, offset)
        return live == ours

    def _area(self, area):
        prot, flags = int(area["prot"]), int(area["flags"])
        perms = "".join(letter if prot & bit else "-" for letter, bit in zip("rwx", (1, 2, 4), strict=True))
        file = self.numbers.get(int(area["file"]), 0)
        words = ",".join(sorted(word for bit, word in SMAPS_FLAGS.items() if flags & bit))
        return (int(area["start"]), int(area["end"]), perms + ("s" if flags & SHARED else "p"), words, file,
                int(area["pgoff"]) * PAGE if file else 0)

    def _pages(self, state, one, live, ours, alike):
        vpns = np.union1d(live["vpn"], ours["vpn"])
        kinds = [kinds_at(vpns, pages) for pages in (live, ours)]
        same = kinds[0] == kinds[1]
        both = np.intersect1d(live["vpn"], ours["vpn"], assume_unique=True)
        counts_differ = np.zeros(len(vpns), bool)
        at = np.searchsorted(vpns, both)
        told = live["mapcount"][np.searchsorted(live["vpn"], both)]
        counted = ours["mapcount"][np.searchsorted(ours["vpn"], both)]
        counts_differ[at] = (told != counted) & (told > 0)
        sharing_differs = np.zeros(len(vpns), bool)
        sharing_differs[np.searchsorted(vpns, live["vpn"])] = ~alike
        anon = same & (kinds[0] == ANON)
        right = same & ~(anon & (counts_differ | sharing_differs))
        memory = self._memory(one, vpns, kinds)
        for kind in MEMORY:
            add(self.pages[kind], np.count_nonzero(memory == kind), np.count_nonzero(right & (memory == kind)))
        whats = np.select([kinds[1] < 0, kinds[0] < 0, (kinds[0] == SWAP) & (kinds[1] == ANON), ~same, counts_differ],
                          ["missing", "not recorded", SWAPPED_OUT, "of another kind", "mapcount"], "sharing")
        self._tell_pages(state, one, vpns[~right], whats[~right], memory[~right], [side[~right] for side in kinds])
        return bool(right.all())

    def _memory(self, one, vpns, kinds):
        """"anon", "file" or "shmem" for each page: by what it is, where both agree on a page of a file also by the file."""
        starts = np.array([area.start // PAGE for area in one.areas], np.int64)
        shmem = np.array([self.kinds.get(area.file) in ("shmem", "zero") or (not area.file and area.perms.endswith("s"))
                          for area in one.areas], bool)        # /dev/zero, shared, is the name of memory without a file
        of_file = (kinds[0] == FILE) | ((kinds[0] < 0) & (kinds[1] == FILE))
        where = np.searchsorted(starts, vpns.astype(np.int64), "right") - 1
        in_shmem = shmem[np.maximum(where, 0)] if len(shmem) else np.zeros(len(vpns), bool)
        return np.where(of_file, np.where(in_shmem, "shmem", "file"), "anon")

    def _tell_pages(self, state, one, vpns, whats, memory, kinds):
        for what in np.unique(whats):
            for kind in np.unique(memory):
                chosen = (whats == what) & (memory == kind)
                if not chosen.any():
                    continue
                key = f"{kind} {what}"
                self.wrong[key] = self.wrong.get(key, 0) + int(chosen.sum())
                vpn = int(vpns[chosen][0])
                names = [KINDS[side[chosen][0]] if side[chosen][0] >= 0 else "none" for side in kinds]
                self._tell(state, one, f"{chosen.sum():,} {kind} pages {what}", vpn * PAGE, (vpn + 1) * PAGE,
                           f"recorded {names[0]}, emulated {names[1]}", 0, 0)

    def _tell(self, state, one, what, start, end, about, file, offset):
        if len(self.differences) < SHOWN:
            self.differences.append({"time": state.time / 1e9, "process": one.pid, "name": one.name, "what": what,
                                     "start": start, "end": end, "about": about, "file": file, "offset": offset})


class LifeCheck:
    """How many pages address spaces had at their ends, in memory and in swap, beside those of the replay."""

    def __init__(self, trace):
        self.recorded = {(number, pid): pages for number, pid, *pages in trace.lives}
        self.end = len(trace)
        self.found = {**counts(), "pages": 0, "missing": 0, "not_recorded": 0}

    def look(self, machine, number, pid):
        """Before operation `number` ends an address space."""
        pages, process = self.recorded.get((number, pid)), living(machine, pid)
        if pages is not None and process is not None:
            more = sum(pages) - process.rss - process.swapped
            add(self.found, 1, more == 0)
            self.found["pages"] += sum(pages)
            self.found["missing" if more > 0 else "not_recorded"] += abs(more)

    def finish(self, machine):
        """What was found, with those that live to the end."""
        for number, pid in self.recorded:
            if number == self.end:
                self.look(machine, number, pid)
        return self.found


def counts():
    return {"checked": 0, "right": 0}


def add(to, checked, right):
    to["checked"] += int(checked)
    to["right"] += int(right)


def living(machine, pid):
    """The living process with this pid, or None."""
    with suppress(ProcessLookupError):
        return machine.process(pid)


def pages_of(process):
    """PAGES of an emulated process, ascending; group is the frame."""
    found = []
    for first, end in process.tabled().tolist() if process else ():        # areas of terabytes are mostly empty
        for start in range(first, end, CHUNK_PAGES * PAGE):
            entries = process.pagemap(start, min(CHUNK_PAGES * PAGE, end - start))
            used = np.flatnonzero(entries["present"] | entries["swapped"])
            entries = entries[used]
            one = np.zeros(len(used), PAGES)
            one["vpn"] = used + start // PAGE
            present, zero = entries["present"] != 0, entries["pfn"] == 0
            one["kind"] = np.select([~present, zero, entries["anon"] != 0], [SWAP, ZERO, ANON], FILE)
            one["mapcount"] = entries["mapcount"]
            one["group"] = np.where(present, entries["pfn"], 0)
            found.append(one)
    return np.concatenate(found) if found else np.zeros(0, PAGES)


def kinds_at(vpns, pages):
    """The kind of each page, -1 where there is none."""
    kinds = np.full(len(vpns), -1, np.int8)
    kinds[np.searchsorted(vpns, pages["vpn"])] = pages["kind"]
    return kinds


def shared_alike(here, there):
    """For each process a bool of each recorded page: whether its frame is mapped by the same processes at the same addresses.

    True of what is not anonymous on both sides. here, there: PAGES of the same processes.
    """
    keys, labels = [], []
    for sides in (here, there):
        owner = np.repeat(np.arange(len(sides)), [len(pages) for pages in sides]).astype(np.uint64)
        pages = np.concatenate(sides) if sides else np.zeros(0, PAGES)
        anon = pages["kind"] == ANON
        keys.append((owner << np.uint64(52) | pages["vpn"])[anon])
        alone = np.arange(len(pages), dtype=np.int64) + (1 << 40)          # a group of one
        labels.append(np.where(pages["group"] > 0, pages["group"].astype(np.int64), alone)[anon])
    _, first, second = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    sizes = [size_of(labels[0])[first], size_of(labels[1])[second]]
    joint = size_of(np.unique(np.stack([labels[0][first], labels[1][second]]), axis=1, return_inverse=True)[1].ravel())
    alike = dict.fromkeys(keys[0][first[(sizes[0] != joint) | (sizes[1] != joint)]].tolist())
    found = []
    for number, pages in enumerate(here):
        right = np.ones(len(pages), bool)
        if alike:
            own = (np.uint64(number) << np.uint64(52) | pages["vpn"]).tolist()
            right[[at for at, key in enumerate(own) if key in alike]] = False
        found.append(right)
    return found


def size_of(labels):
    """How many have the same label, for each."""
    _, back, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return sizes[back]


def tables_of(one, process, pages):
    """Page tables of an emulated process, and those that only vdso and vvar need, which it has not."""
    tables = process.page_table_bytes // PAGE
    special = np.array([vpn for vpn, count in one.special for vpn in range(vpn, vpn + count)], np.int64)
    own = pages["vpn"].astype(np.int64)
    return tables + sum(len(np.setdiff1d(special >> bits, own >> bits)) for bits in LEVELS)
