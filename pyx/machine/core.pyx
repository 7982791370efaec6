"""Core: the arenas of one machine and the constants of its architecture (rules A, D8).

Capacities follow from RAM, swap and the limits given; everything is reserved, nothing is paid before it is used. save()
and copy() carry each arena up to the bump of its pool.

    frames, slots      RAM, swap
    tables, entries    max_ptes: nothing else bounds them, as entries may share a frame. Usually PTES_A_PAGE for each page of
                       RAM and swap
    mms                as many as tables: each has its own top table
    file pages         max_file_pages, of all files together: a file may be longer than RAM. Usually FILE_PAGES_A_FRAME for
                       each page of RAM
    files              one for 16 file pages, the least that a file takes
    areas              one for PTES_AN_AREA entries, and what two processes may have: nothing else bounds them
    pids               MOST_PIDS: they are never used again
    records of schemes as many as areas, mms, entries or frames
"""
import numpy as np

from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.counters cimport N_COUNTERS
from rmapcore.pyx.base.fence cimport fence_arena, fence_gone, fence_raised
from rmapcore.pyx.base.ids cimport POOLS
from rmapcore.pyx.base.records cimport (
    P_AREAS, P_EXTENTS, P_FILES, P_FRAMES, P_MMS, P_PIDS, P_SCHEME, P_SLOTS, P_TABLES,
    Area, File, Frame, Gone, Head, Mm, Pool, Ring, Table,
)
from rmapcore.pyx.base.state cimport I386, I386_PAE, X86_64, State
from rmapcore.pyx.machine.files cimport FIRST_EXTENT
from rmapcore.pyx.machine.gone cimport take_gone
from rmapcore.pyx.machine.swap cimport SWAP_GROUP

from rmapcore.pyx.base.arena import Arena, NoAddressSpace, Reservation, end_of
from rmapcore.pyx.base.records import AREA, FILE, FRAME, GONE, GONE_RECORD, HEAD, MM, POOL, TABLE

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
LEAST_PTES, PTES_A_PAGE = 1 << 24, 1 << 10
MOST_AREAS = 1 << 25
PTES_AN_AREA = 16
MOST_MAPS = 1 << 16                    # areas of a process, where nobody says how many
MOST_MMS = 1 << 22
MOST_FILES = 1 << 20
MOST_FILE_PAGES = 1 << 33              # 32 TiB; valgrind cannot reserve twice as much
LEAST_FILE_PAGES, FILE_PAGES_A_FRAME = 1 << 26, 1 << 12
MOST_PIDS = 1 << 23
FULL_SIZE = {"max_ptes": MOST_PTES, "max_file_pages": MOST_FILE_PAGES}         # a machine with all the room that there can be

SPARE = 64 << 30                       # bytes reserved for what schemes will ask for, more than any does
MANY_PAGES = 1 << 18                   # of RAM and swap: machines from here on have huge pages


NAMES = {P_FRAMES: "frames", P_AREAS: "areas", P_MMS: "mms", P_FILES: "files", P_TABLES: "tables", P_EXTENTS: "file pages",
         P_SLOTS: "slots", P_PIDS: "pids"}


def capacities(int bits, n_frames, n_slots, max_ptes=None, max_file_pages=None, max_map_count=None):
    """{number of a pool: records}, number 0 included. bits: those of a table's index; others as of Core."""
    entries = max(LEAST_PTES, PTES_A_PAGE * (n_frames + n_slots)) if max_ptes is None else int(max_ptes)
    entries = min(entries, MOST_PTES)
    file_pages = max(LEAST_FILE_PAGES, FILE_PAGES_A_FRAME * n_frames) if max_file_pages is None else int(max_file_pages)
    file_pages = min(file_pages, MOST_FILE_PAGES - FIRST_EXTENT)
    tables = (entries >> bits) + 1
    areas = max(entries // PTES_AN_AREA, 2 * (MOST_MAPS if max_map_count is None else int(max_map_count))) + 1
    return {P_FRAMES: n_frames, P_AREAS: min(areas, MOST_AREAS), P_MMS: min(tables + 1, MOST_MMS),
            P_FILES: min(file_pages // 16 + 2, MOST_FILES), P_TABLES: tables, P_EXTENTS: file_pages + FIRST_EXTENT,
            P_SLOTS: n_slots, P_PIDS: MOST_PIDS}


cdef class Core:
    """The state of one machine.

    arch: a key of ARCHES.  n_frames: RAM in pages, zero page included.  n_slots: swap in pages, header included.
    track: keep stamps.  max_ptes: page-table entries, upper tables included.  max_file_pages: of all files together.
    max_map_count: areas of a process.  None: what a machine of this size may need (see above).
    """

    def __init__(self, arch, n_frames, n_slots, track, max_ptes=None, max_file_pages=None, max_map_count=None):
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
        room = capacities(bits, n_frames, n_slots, max_ptes, max_file_pages, max_map_count)
        self.most_entries = room[P_TABLES] << bits
        self.plan(room, s.wide, bits, track)
        for pool in room:
            self.pool_names[pool] = NAMES[pool]
            s.pool[<int> pool].capacity = room[pool]
            s.pool[<int> pool].bump = 1
        self.pools = P_SCHEME
        s.pool[P_EXTENTS].bump = FIRST_EXTENT
        for name in self.arenas:
            self.fence(name)

        h = s.h
        h.slot_bump = 1
        h.slots_free = n_slots - s.n_headers
        h.frames_free = n_frames - 1
        h.next_pid = 1
        h.prev_priority = 12
        h.zone_bump[0] = 1
        h.zone_bump[1] = 4096 if number != X86_64 else n_frames
        h.zone_bump[2] = 229376 if number != X86_64 else n_frames

    cdef void plan(self, room, bint wide, int bits, bint track) except *:
        """Reserves the machine's own arenas, in the order they are saved, and finds where each of them lies."""
        cdef State* s = &self.state
        tables, extents, slots = room[P_TABLES], room[P_EXTENTS], max(room[P_SLOTS], 1)
        own = [
            Arena("pools", POOL, POOLS, -1),
            Arena("head", HEAD, 1, -1),
            Arena("counters", np.uint64, N_COUNTERS, -1),
            Arena("frames", FRAME, room[P_FRAMES], P_FRAMES),
            Arena("lru_ahead", np.uint32, room[P_FRAMES], P_FRAMES, anchor=True),
            Arena("areas", AREA, room[P_AREAS], P_AREAS),
            Arena("anon_shifts", np.uint64, room[P_AREAS], P_AREAS),
            Arena("mms", MM, room[P_MMS], P_MMS),
            Arena("files", FILE, room[P_FILES], P_FILES),
            Arena("tables", TABLE, tables, P_TABLES),
            Arena("entries", np.uint64 if wide else np.uint32, tables, P_TABLES, 1 << bits),
            Arena("cache", np.uint32, extents, P_EXTENTS),
            Arena("folio_orders", np.uint8, extents, P_EXTENTS),
            Arena("swap_map", np.uint32, slots, P_SLOTS),
            Arena("swap_pages", np.uint8, room[P_SLOTS] // SWAP_GROUP + 1, -1),
            Arena("swap_cache", np.uint32, slots, P_SLOTS),
            Arena("pid_mm", np.uint32, MOST_PIDS, P_PIDS),
        ]
        if track:
            own += [Arena("stamps", np.uint64, room[P_FRAMES], P_FRAMES), Arena("disk", np.uint64, extents, P_EXTENTS),
                    Arena("swap_stamps", np.uint64, slots, P_SLOTS)]
        self.arenas = {arena.name: arena for arena in own}
        self.block = self.reserve(end_of([arena.size for arena in own]), SPARE, room[P_FRAMES] + room[P_SLOTS] >= MANY_PAGES)
        for arena in own:
            arena.lie_in(self.block)
        s.pool = <Pool*> self.place("pools")
        s.h = <Head*> self.place("head")
        s.count = <uint64_t*> self.place("counters")
        s.frame = <Frame*> self.place("frames")
        s.ahead = <uint32_t*> self.place("lru_ahead")
        s.area = <Area*> self.place("areas")
        s.anon_shift = <uint64_t*> self.place("anon_shifts")
        s.mm = <Mm*> self.place("mms")
        s.file = <File*> self.place("files")
        s.table = <Table*> self.place("tables")
        if wide:
            s.pte64 = <uint64_t*> self.place("entries")
        else:
            s.pte32 = <uint32_t*> self.place("entries")
        s.cache = <uint32_t*> self.place("cache")
        s.folio = <unsigned char*> self.place("folio_orders")
        s.swap_map = <uint32_t*> self.place("swap_map")
        s.swap_pages = <unsigned char*> self.place("swap_pages")
        s.swap_cache = <uint32_t*> self.place("swap_cache")
        s.pid_mm = <uint32_t*> self.place("pid_mm")
        if track:
            s.stamp = <uint64_t*> self.place("stamps")
            s.disk = <uint64_t*> self.place("disk")
            s.swap_stamp = <uint64_t*> self.place("swap_stamps")

    cdef object reserve(self, size, spare=0, huge=False):
        try:
            return Reservation(size, spare, huge)
        except NoAddressSpace:
            raise NoAddressSpace(list(self.arenas.values())) from None

    cdef void* place(self, str name) except NULL:
        return <void*> <size_t> self.arenas[name].address

    cdef int fence(self, str name) except -1:
        """Says where an arena lies. The frame table is shown whole, so all of it may be read."""
        arena = self.arenas[name]
        fence_arena(NULL if name == "pools" else self.state.pool, -1 if name == "frames" else arena.pool,
                    <void*> <size_t> arena.address, arena.dtype.itemsize * arena.stride, arena.capacity)
        return 0

    def __dealloc__(self):
        fence_gone(self.state.pool)

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

    def new_arena(self, name, dtype, capacity, pool, stride=1, anchor=False):
        """An arena for a scheme's objects, numbered by that pool; its address. anchor: record 0 is used, too."""
        arena = Arena(name, dtype, capacity, pool, stride, anchor)
        self.arenas[name] = arena
        if not arena.lie_in(self.block):       # little address space is left, or the scheme asks for more than SPARE
            arena.lie_in(self.reserve(arena.size))
        self.fence(name)
        return arena.address

    def complete(self):
        """All arenas are there: what is left of the reservation is given back."""
        self.block.trim()

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

    def watch(self, uint64_t records):
        """From now on what is gone is kept, up to so many records, a power of 2, that nobody has taken. 0: no more.

        The ring is no arena: neither save() nor copy() carries it.
        """
        self.state.gone = NULL
        self.ring_records = np.zeros(records, GONE)
        self.ring = Ring(<Gone*> <size_t> self.ring_records.ctypes.data, records - 1, 0, 0, 0)
        if records:
            self.state.gone = &self.ring

    def gone(self):
        """What is in the ring, taken out, oldest first: array of GONE_RECORD."""
        cdef uint64_t n = self.ring.written - self.ring.taken
        out = np.empty(n, GONE_RECORD)
        take_gone(&self.state, <Gone*> <size_t> out.ctypes.data, n)
        return out

    @property
    def gone_lost(self):
        """Records that found the ring full, ever."""
        return self.ring.lost

    def view(self, name):
        """A fresh read-only view of an arena's records in use."""
        arena = self.arenas[name]
        array = arena.array if arena.pool < 0 else arena.used(self.state.pool[<int> arena.pool].bump)
        array = array.view()
        array.flags.writeable = False
        return array

    def writable(self, name):
        """A writable view of a whole arena: for tests that damage a machine on purpose."""
        return self.arenas[name].array

    def fill(self, arrays):
        """Puts back what view() gave of a machine of the same arguments: {name: array}, the pools among them."""
        self.arenas["pools"].array[:] = arrays["pools"]
        for number in range(self.pools):
            fence_raised(self.state.pool, number)
        for name, array in arrays.items():
            self.arenas[name].array[:len(array)] = array

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
