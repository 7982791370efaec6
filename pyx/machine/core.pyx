"""Core: the arenas of one machine and the constants of its architecture (rules A, D8).

Capacities follow from RAM, swap and max_ptes; everything is reserved, nothing is paid before it is used. save() and
copy() carry each arena up to the bump of its pool.
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport N_COUNTERS
from rmapcore.pyx.base.ids cimport POOLS
from rmapcore.pyx.base.records cimport (
    P_AREAS, P_EXTENTS, P_FILES, P_FRAMES, P_MMS, P_PIDS, P_SCHEME, P_SLOTS, P_TABLES,
    Area, File, Frame, Head, Mm, Pool, Table,
)
from rmapcore.pyx.base.state cimport I386, I386_PAE, X86_64, State
from rmapcore.pyx.machine.files cimport FIRST_EXTENT
from rmapcore.pyx.machine.swap cimport SWAP_GROUP

from rmapcore.pyx.base.arena import Arena
from rmapcore.pyx.base.records import AREA, FILE, FRAME, HEAD, MM, POOL, TABLE

assert AREA.fields["next"][1] == 40 and MM.fields["next"][1] == 80
assert FILE.fields["areas"][1] == 32 and TABLE.fields["mm"][1] == 8

MOST_SLOTS = {"i386": 32 << 24, "i386-pae": 32 << 24, "x86_64": (1 << 31) - 1}      # what a swap entry can say, all bits used
# arch: number, entry bytes, index bits, levels, user pages, most frames
ARCHES = {
    "i386": (I386, 4, 10, 2, 0xC0000, 1 << 20),
    "i386-pae": (I386_PAE, 8, 9, 3, 0xC0000, 1 << 24),
    "x86_64": (X86_64, 8, 9, 4, (1 << 35) - 1, (1 << 31) - 1),
}
MOST_PTES = (1 << 32) - (1 << 10)      # entry slots are 32-bit numbers
MOST_AREAS = 1 << 25
MOST_MMS = 1 << 22
MOST_FILES = 1 << 20
MOST_FILE_PAGES = 1 << 33              # of all files together: 32 TiB; valgrind cannot reserve twice as much
MOST_PIDS = 1 << 23


cdef class Core:
    """The state of one machine.

    arch: a key of ARCHES.  n_frames: RAM in pages, zero page included.  n_slots: swap in pages, header included.
    track: keep stamps.  max_ptes: page-table entries (upper tables included), None for the most there can be.
    """

    def __init__(self, arch, n_frames, n_slots, track, max_ptes=None):
        cdef State* s = &self.state
        cdef Head* h
        self.arch = arch
        self.track = track
        self.arenas = {}
        self.pool_names = {}
        self.mechanisms = {}
        number, width, bits, levels, task, _ = ARCHES[arch]
        s.arch = number
        s.wide = width == 8
        s.bits = bits
        s.levels = levels
        s.top_shift = bits * (levels - 1)
        s.index_mask = (1 << bits) - 1
        s.task_vpn = task
        s.base_vpn = (task * 4096 // 3 + 4095) // 4096
        s.nx = (<uint64_t> 1 << 63) if number == X86_64 else 0
        s.n_frames = n_frames
        s.n_slots = n_slots
        s.n_headers = min(n_slots, 1 if number == X86_64 else 1 + (n_slots - 1 >> 24)) if n_slots else 0
        entries = min(MOST_PTES if max_ptes is None else max_ptes, MOST_PTES)
        n_tables = (entries >> bits) + 1

        s.pool = <Pool*> self.make("pools", POOL, POOLS, -1)
        s.h = <Head*> self.make("head", HEAD, 1, -1)
        s.count = <uint64_t*> self.make("counters", np.uint64, N_COUNTERS, -1)
        for pool, name, capacity in (
            (P_FRAMES, "frames", n_frames), (P_AREAS, "areas", MOST_AREAS), (P_MMS, "mms", MOST_MMS),
            (P_FILES, "files", MOST_FILES), (P_TABLES, "tables", n_tables), (P_EXTENTS, "file pages", MOST_FILE_PAGES),
            (P_SLOTS, "slots", n_slots), (P_PIDS, "pids", MOST_PIDS),
        ):
            self.pool_names[pool] = name
            s.pool[<int> pool].capacity = capacity
            s.pool[<int> pool].bump = 1
        self.pools = P_SCHEME
        s.pool[P_EXTENTS].bump = FIRST_EXTENT

        s.frame = <Frame*> self.make("frames", FRAME, n_frames, P_FRAMES)
        s.ahead = <uint32_t*> self.make("lru_ahead", np.uint32, n_frames, P_FRAMES)
        s.area = <Area*> self.make("areas", AREA, MOST_AREAS, P_AREAS)
        s.mm = <Mm*> self.make("mms", MM, MOST_MMS, P_MMS)
        s.file = <File*> self.make("files", FILE, MOST_FILES, P_FILES)
        s.table = <Table*> self.make("tables", TABLE, n_tables, P_TABLES)
        if s.wide:
            s.pte64 = <uint64_t*> self.make("entries", np.uint64, n_tables, P_TABLES, 1 << bits)
        else:
            s.pte32 = <uint32_t*> self.make("entries", np.uint32, n_tables, P_TABLES, 1 << bits)
        s.cache = <uint32_t*> self.make("cache", np.uint32, MOST_FILE_PAGES, P_EXTENTS)
        s.swap_map = <uint32_t*> self.make("swap_map", np.uint32, max(n_slots, 1), P_SLOTS)
        s.swap_pages = <unsigned char*> self.make("swap_pages", np.uint8, n_slots // SWAP_GROUP + 1, -1)
        s.swap_cache = <uint32_t*> self.make("swap_cache", np.uint32, max(n_slots, 1), P_SLOTS)
        s.pid_mm = <uint32_t*> self.make("pid_mm", np.uint32, MOST_PIDS, P_PIDS)
        if track:
            s.stamp = <uint64_t*> self.make("stamps", np.uint64, n_frames, P_FRAMES)
            s.disk = <uint64_t*> self.make("disk", np.uint64, MOST_FILE_PAGES, P_EXTENTS)
            s.swap_stamp = <uint64_t*> self.make("swap_stamps", np.uint64, max(n_slots, 1), P_SLOTS)

        h = s.h
        h.slot_bump = 1
        h.slots_free = n_slots - s.n_headers
        h.frames_free = n_frames - 1
        h.next_pid = 1
        h.prev_priority = 12
        h.zone_bump[0] = 1
        h.zone_bump[1] = 4096 if number != X86_64 else n_frames
        h.zone_bump[2] = 229376 if number != X86_64 else n_frames

    cdef void* make(self, str name, dtype, uint64_t capacity, int pool, int stride=1) except NULL:
        """Reserves an arena and gives its address."""
        arena = Arena(name, dtype, capacity, pool, stride)
        self.arenas[name] = arena
        return <void*> <size_t> arena.address

    def new_pool(self, name, capacity, rmap_bytes, low_bytes):
        """A pool for a scheme's objects; rmap_bytes and low_bytes are what one costs in the kernel. Its number."""
        cdef int number = self.pools
        if number == POOLS:
            raise ValueError(f"no pool left for {name}: POOLS is {POOLS}")
        self.pools += 1
        self.pool_names[number] = name
        self.state.pool[number].capacity = capacity
        self.state.pool[number].bump = 1
        self.state.pool[number].rmap_bytes = rmap_bytes
        self.state.pool[number].low_bytes = low_bytes
        return number

    def new_arena(self, name, dtype, capacity, pool, stride=1):
        """An arena for a scheme's objects, numbered by that pool; its address."""
        self.make(name, dtype, capacity, pool, stride)
        return self.arenas[name].address

    def charge_area(self, rmap_bytes):
        """Bytes for reverse mapping inside each vm_area_struct (part of its size, told apart for the totals)."""
        self.state.pool[P_AREAS].rmap_bytes += <uint32_t> rmap_bytes

    def charge_mm(self, rmap_bytes):
        """Bytes for reverse mapping inside each mm_struct."""
        self.state.pool[P_MMS].rmap_bytes += <uint32_t> rmap_bytes
        self.state.pool[P_MMS].low_bytes += <uint32_t> rmap_bytes

    def charge_file(self, rmap_bytes):
        """Bytes for reverse mapping inside each address_space."""
        self.state.pool[P_FILES].rmap_bytes += <uint32_t> rmap_bytes
        self.state.pool[P_FILES].low_bytes += <uint32_t> rmap_bytes

    def view(self, name):
        """A fresh read-only view of an arena's records in use."""
        arena = self.arenas[name]
        array = arena.array if arena.pool < 0 else arena.used(self.state.pool[<int> arena.pool].bump)
        array = array.view()
        array.flags.writeable = False
        return array

    def writable(self, name):
        """A writable view of a whole arena: for load(), copy() and tests that damage a machine on purpose."""
        return self.arenas[name].array

    def pool(self, number):
        """(live, peak, capacity) of a pool."""
        cdef Pool* p = &self.state.pool[<int> number]
        return p.live, p.peak, p.capacity

    @property
    def geometry(self):
        """Constants of the page tables: arch number, entry bytes, index bits, levels, user pages; where leaves lie."""
        cdef State* s = &self.state
        return {"arch": s.arch, "entry_bytes": 8 if s.wide else 4, "bits": s.bits, "levels": s.levels,
                "task_vpn": s.task_vpn, "n_frames": s.n_frames, "n_slots": s.n_slots, "high_tables": bool(s.high_tables)}
