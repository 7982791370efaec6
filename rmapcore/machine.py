"""Machine: one emulated computer with one reverse-mapping scheme. Orchestrates; the work is done in rmapcore.pyx."""
import errno
import os
import re
from collections.abc import Mapping

import numpy as np

from rmapcore.arguments import one_of, path_of, several, shown, text_of, whole
from rmapcore.core import check, locks, looking, memory, room, snapshot, structure
from rmapcore.core.counting import Counters
from rmapcore.core.failing import fails
from rmapcore.core.profile import Profile
from rmapcore.core.running import Run
from rmapcore.errors import ArenaFull, MachineBusy, OutOfMemory
from rmapcore.kernels import find as find_kernel
from rmapcore.operations import Op, Status
from rmapcore.process import File, Process, unsigned
from rmapcore.pyx.base.arena import NoAddressSpace
from rmapcore.pyx.base.guard import guarded
from rmapcore.pyx.base.records import FILE_DISK, FILE_SHMEM, FILE_ZERO, NAMES
from rmapcore.pyx.look import query
from rmapcore.pyx.machine.core import ARCHES, FULL_SIZE, Core
from rmapcore.pyx.profile import watched
from rmapcore.pyx.profile.logged import log_locks
from rmapcore.pyx.reclaim import scan
from rmapcore.pyx.run import replay
from rmapcore.schemes import choose as choose_scheme
from rmapcore.schemes import make as make_scheme
from rmapcore.units import PAGE, UNLIMITED, format_size, parse_limit, parse_size

MOST_ROOM = FULL_SIZE                  # arguments of a machine that shall never be full: for programs that somebody else wrote
MOST_WATCHED = 1 << 30
AREA_NAME = re.compile(r"[ -#%-Z^_a-~]{0,79}")
FILE_KINDS = {"disk": FILE_DISK, "shmem": FILE_SHMEM, "zero": FILE_ZERO}


class ReclaimResult(dict):
    """What a reclaim did: scanned, referenced, unmapped, swapped, written, freed, failed (frames), and scanned_ptes, the
    page-table entries that its scans read; also attributes.
    """

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@guarded(alone="hold file process processes frames counters reclaimed totals names name area_names files_in_swap whomaps "
               "mappings crosscheck memory check gone_lost structure walk", step="save copy limit_stacks profile locks")
class Machine:
    """An emulated machine.

    scheme: a name from rmapcore.schemes(), options after a colon; or module:Class, path/to/file.py:Class, a Scheme class or
    object (rmapcore/schemes.py).
    kernel: rules of all that is not the scheme ("2.6.7", "6.18", "7.0", "7.3").  arch: "i386", "i386-pae" or "x86_64".
    ram, swap: bytes, or a string with KiB, MiB, GiB, TiB; multiples of a page. RAM holds user and page-cache pages and
    the zero page; page tables and kernel objects are counted, never taken from it.
    file_rmap: how file pages are found; the scheme's usual one if not given.
    sweeps: whether the scheme has no reverse map and sweeps page tables.
    track_contents: stamp pages on writes (Process.stamps).
    max_ptes: most page-table entries there can be, of all levels and processes. It bounds how many processes, areas and
    records of the scheme there can be, too. None: 1,024 for each page of RAM and swap, from 16 Mi to 4 Gi.
    max_file_pages: pages of all files together, of shared anonymous memory too, each file rounded up to a power of two. None:
    4,096 for each page of RAM, from 64 Mi to 8 Gi.
    max_map_count: areas that a process may have; None: the kernel's default, 65,536 and 65,530 under 6.18.
    stack_limit: how far a GROWSDOWN area may reach, as ram or "unlimited" (RLIMIT_STACK, of all processes).
    watch: how many translations that are gone, a power of 2, are kept until `gone` takes them; 0: none, at no cost.
    Raises TypeError, ValueError, UnknownName with the argument's name; OutOfMemory where the host gives too little address
    space (ulimit -v): all that a machine may come to hold is reserved when it is made, and takes memory when it is used.

    One thread at a time uses a machine, through whichever of its objects: a second one gets MachineBusy and has changed
    nothing. Different machines in different threads are independent and run side by side (rules O).
    """

    def __init__(self, scheme="anon_vma", kernel="2.6.7", arch="x86_64", ram="256MiB", swap="512MiB", file_rmap=None,
                 track_contents=False, max_ptes=None, max_map_count=None, stack_limit="8MiB", max_file_pages=None,
                 watch=0):
        rules = find_kernel(kernel)
        one_of(arch, "arch", ARCHES)
        n_frames = parse_size(ram, "ram") // PAGE
        n_slots = parse_size(swap, "swap") // PAGE
        most = ARCHES[arch][-1]
        if not 2 <= n_frames <= most:
            raise ValueError(f"ram: {shown(ram)} is outside of {format_size(2 * PAGE)} to {format_size(most * PAGE)}, "
                             f"what {arch} can address")
        if n_slots > rules.most_slots(arch):
            raise ValueError(f"swap: {shown(swap)} is more than {format_size(rules.most_slots(arch) * PAGE)}, what an entry of "
                             f"{arch} can name")
        if max_ptes is not None:
            max_ptes = whole(max_ptes, "max_ptes", 4096)
        if max_file_pages is not None:
            max_file_pages = whole(max_file_pages, "max_file_pages", 16)
        if max_map_count is not None:
            max_map_count = whole(max_map_count, "max_map_count", 1, (1 << 31) - 1)
        parse_limit(stack_limit, "stack_limit")
        self._choice, anon, side, self.file_rmap = make_scheme(scheme, file_rmap)
        self.scheme = self._choice.name or anon.name
        self.kernel, self.arch = kernel, arch
        self.ram, self.swap = n_frames * PAGE, n_slots * PAGE
        self.track_contents = bool(track_contents)
        self._max_ptes, self._max_file_pages = max_ptes, max_file_pages
        try:
            self._core = Core(arch, n_frames, n_slots, self.track_contents, max_ptes, max_file_pages, max_map_count)
            self._engine = rules(self._core, anon, side, MachineBusy)
        except NoAddressSpace as error:
            raise OutOfMemory(room.too_little_space(error.arenas)) from None
        self._engine.fails, self._engine.checked = fails, unsigned
        if max_map_count is not None:
            self._engine.max_map_count = max_map_count
        self.max_map_count = self._engine.max_map_count
        self.limit_stacks(stack_limit)
        self.sweeps = anon.sweeps
        memory.charge(self._core, anon, side, arch)
        self._processes = {}
        self._files = {}
        self._area_names = {}                  # name: number
        self._profile = None
        self._locks = None
        self._watch_gone(watch)

    def __repr__(self):
        return (f"<Machine {self._choice}, kernel {self.kernel}, {self.arch}: {format_size(self.ram)} of RAM, "
                f"{self.totals['processes']} processes>")

    def limit_stacks(self, limit):
        """Sets stack_limit, as ulimit -s would for every process: bytes, a string, or "unlimited"."""
        self.stack_limit = parse_limit(limit, "stack_limit")
        self._engine.limit_stacks(1 << 52 if self.stack_limit == UNLIMITED else self.stack_limit // PAGE)

    # what users do
    def spawn(self, name=""):
        """A new Process, as just after execve but with an empty address space."""
        pid = replay.next_pid(self._engine)
        text_of(name, "name")
        self._operate(op=Op.SPAWN, process=pid)
        return self._process(pid, name)

    def file(self, name, size, kind="disk", warm=False):
        """A File of `size` bytes to map: on "disk" or "shmem", or "zero": /dev/zero, which has no size. ArenaFull if
        all files together are too long.

        warm: all of a disk file counts as in the page cache from the start, where fault-around finds it; the frames are
        taken when a page is mapped first.
        """
        text_of(name, "name")
        one_of(kind, "kind", FILE_KINDS)
        size = whole(size, "size", 0, (1 << 62) - 1)
        status, number = replay.create_file(self._engine, size, FILE_KINDS[kind], warm and kind == "disk")
        self._raise(status)
        return self._file(number, name, kind)

    def reclaim(self, pages):
        """Frees `pages` frames, or as many as will go, by LRU scans of rising priority; a ReclaimResult."""
        pages = whole(pages, "pages", 0, (1 << 64) - 1)
        before = scan.reclaimed(self._engine)
        self._operate(op=Op.RECLAIM, arg=pages)
        after = scan.reclaimed(self._engine)
        return ReclaimResult({name: after[name] - before[name] for name in after})

    def run(self, operations, files=None, stop=None):
        """Runs packed operations, up to number `stop` or all of them; their statuses.

        operations: array of rmapcore.OPERATION, 48 bytes a record: op (an Op), process (the pid it is done by; SPAWN and
        FORK name the new one), and the arguments of the system call, addresses and lengths in bytes. See
        rmapcore.operations for the fields of each.  files: list of File, which operations number from 1; None: they use
        File.number.
        statuses: uint16, one an operation: 0, an errno, or another Status: SEGV, BUS. As in a program, what failed is
        passed over; a pid that there is not is ESRCH, a file ENOENT, an unknown op EINVAL.

        Raises OutOfMemory and ArenaFull, whose `done` says how many operations came before: those stay done, and the
        machine goes on from there. TypeError for another dtype, ValueError for a `stop` or a file that there is not; then
        nothing has been done. Ctrl-C is heard every 50 ms or so, also in the middle of a long operation.
        """
        run = Run(self, operations, files)
        stop = len(run.statuses) if stop is None else whole(stop, "stop", 0, len(run.statuses))
        run.to(stop)
        return run.statuses[:stop]

    def hold(self, function, *arguments):
        """function(*arguments) as one operation of this machine: until it returns, other threads and calls that would change
        the machine get MachineBusy. For what runs operations piece by piece (rmapcore.core.running).
        """
        return self._engine.operation.run(function, *arguments)

    def gone(self):
        """Takes what is gone since the last call: every translation that was removed or changed, oldest first.

        A structured array: process (pid), address (bytes), pfn (the frame that it led to), why (a Why). Operations that
        change a translation twice tell both. One that comes new is not told, nor are young and dirty bits. After an mremap
        that ran out of memory some may be told that are back. Needs Machine(watch=N); see gone_lost.
        """
        return self._core.gone()

    @property
    def gone_lost(self):
        """How many found the ring full, ever: what they would have told is not known, so all that was cached is in doubt."""
        return self._core.gone_lost

    # what users look at
    def process(self, pid):
        """The living Process with this pid. ProcessLookupError if there is none."""
        pid = whole(pid, "pid")
        if not 0 <= pid < 1 << 32 or not replay.mm_of(self._engine, pid):
            raise ProcessLookupError(errno.ESRCH, f"{os.strerror(errno.ESRCH)}: pid {shown(pid)}")
        return self._process(pid)

    @property
    def processes(self):
        """Living processes by pid, oldest first."""
        return {int(pid): self._process(int(pid)) for pid in self._living()}

    @property
    def frames(self):
        """The frame table: a read-only structured array over the live memory; frame 0 is the zero page.

        It shows what any thread does to the machine, also in the middle of an operation.
        """
        frames = self._core.writable("frames")
        return np.frombuffer(memoryview(frames.view(np.uint8)).toreadonly(), frames.dtype)     # nobody can make it writable

    @property
    def counters(self):
        """A snapshot of the work counters."""
        return Counters(np.array(self._core.view("counters")))

    @property
    def reclaimed(self):
        """What reclaim has done so far, asked for or not: a ReclaimResult."""
        return ReclaimResult(scan.reclaimed(self._engine))

    @property
    def totals(self):
        """Of all living processes: processes, areas, present and swapped (entries); of the machine: frames_peak (frames in
        use at the most), entries_peak (entries that the page tables of all levels had room for), operations (done so far;
        the number of the last one is what its writes leave as stamps).
        """
        return looking.totals(self._core)

    @property
    def names(self):
        """{pid: name} of every process that has one, those that have ended too. Set by spawn, name, and Process.name."""
        return {pid: process.name for pid, process in self._processes.items() if process.name}

    def name(self, names):
        """Says what processes are called, {pid: name}, living ones or not: operations that run from arrays do not."""
        if not isinstance(names, Mapping):
            raise TypeError(f"names: {shown(names)} is no dict")
        checked = {whole(pid, "names", 0, (1 << 32) - 1): text_of(name, "names") for pid, name in names.items()}
        for pid, name in checked.items():
            self._process(pid).name = name

    @property
    def area_names(self):
        """{number: name} of all names that Process.name_area was given; maps() has the numbers."""
        return {number: name for name, number in self._area_names.items()}

    def files_in_swap(self):
        """{number of a file: bool for each of its pages, whether that is in swap}, for files that have such pages.

        Those are shmem files, and the ones of shared anonymous memory, which have numbers too.
        """
        return looking.files_in_swap(self._core)

    def profile(self):
        """The Profile of this machine: whose its work is, and how long its walks are, from the first call of this on.

        Until then it costs nothing. Nothing that the machine does or counts is different with it. A copy has none.
        """
        if self._profile is None:
            self._profile = Profile(self, watched.watch(self._engine))
        return self._profile

    def locks(self, costs=None):
        """The Locks of this machine: which lock its operations and walks take, and how long, from the first call of this on.

        costs: {name: ns} of what is to cost otherwise than in rmapcore.core.locks.COSTS; of the first call, ValueError later.
        Nothing that the machine does or counts is different with it; it has a profile too. A copy has none.
        """
        checked = locks.costs_of(costs)
        if self._locks is None:
            if self._profile is None:
                self._profile = Profile(self, watched.watch(self._engine))
            self._locks = locks.Locks(self, log_locks(self._engine, *locks.arguments(self.kernel, checked)), checked)
        elif costs is not None:
            raise ValueError("costs: the locks of this machine are kept already")
        return self._locks

    def whomaps(self, pfns):
        """Who maps these frames, found through the scheme: (offsets, pids, addresses), one slice a frame.

        offsets: int64, len(pfns) + 1; pids: uint32; addresses: uint64, bytes. Changes nothing but counters.
        """
        return query.whomaps(self._engine, self._pfns(pfns))

    def mappings(self, pfns):
        """The same from a brute-force scan of all page tables: the oracle."""
        return query.mappings(self._engine, self._pfns(pfns))

    def crosscheck(self):
        """Compares whomaps with mappings for every mapped frame: {"frames", "missed", "extra"}. Counters stay as they are.

        missed: places that only mappings has.  extra: those that whomaps reports twice, or that are not there.
        """
        return dict(zip(("frames", "missed", "extra"), query.crosscheck(self._engine), strict=False))

    def structure(self):
        """What it is made of: {(kind, number): {"fields": {name: value}, "links": {name: (kind, number) or a list of them}}}.

        Kinds: process (number: pid), area, entry (pid and address), frame (0: the zero page), slot (of swap), file, and the
        scheme's own objects by its own names, in links in the order in which it goes through them. Changes nothing.
        ValueError for more than 65,536 entries.
        """
        return structure.structure(self)

    def walk(self, pfn):
        """The walk of one frame through its scheme, step by step; changes nothing, counters are put back.

        {"frame", "steps", "found", "missed", "counters"}.  steps: {"asked": (kind, number)} for whom it comes by, as
        structure() names them, {"entry": (pid, address), "found": bool} for an entry looked up.  found, missed: (pid, address)
        of entries that map the frame.  counters: what the walk counts. Under a scheme that sweeps page tables the steps are
        a sweep's.
        ValueError for a frame that is mapped nowhere.
        """
        return structure.walk(self, whole(pfn, "pfn", 0, self.ram // PAGE - 1))

    def memory(self):
        """Kernel structures with their sizes: {"structures": {name: {live, peak, size, bytes, bytes_peak, zone}}, totals}."""
        return memory.report(self)

    def check(self):
        """Verifies every invariant and that whomaps equals mappings; InconsistentState names rule, frame, process."""
        check.check(self)

    def save(self, path):
        """Writes the whole machine to a file (format: rmapcore.core.snapshot), with the name by which its scheme is found."""
        snapshot.save(self, path)

    @classmethod
    def load(cls, path, scheme=None):
        """The machine that save() wrote; RmapcoreError if the file is none, or of another version. Nobody watches it.

        scheme: in place of the one that the file names, which is imported, or run if it came from a file. Needed where
        that one cannot be found, as a class made in a function.
        """
        return snapshot.load(cls, path_of(path), None if scheme is None else choose_scheme(scheme))

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def copy(self):
        """An independent machine in the same state; its ring of what is gone has the same size, and is empty."""
        return snapshot.copy(self)

    # inside
    def _pfns(self, pfns):
        pfns = np.atleast_1d(np.asarray(pfns))
        if pfns.size and pfns.dtype.kind not in "iu":
            raise TypeError(f"pfns: frame numbers must be whole numbers, not {pfns.dtype}")
        if pfns.size and (pfns.min() < 0 or pfns.max() >= self.ram // PAGE):
            raise ValueError(f"pfns: frame numbers must be below {self.ram // PAGE}")
        return pfns.astype(np.uint32)

    def _watch_gone(self, records):
        """Begins to watch, with an empty ring of so many records; 0: ends it."""
        records = whole(records, "watch", 0, MOST_WATCHED)
        if records & (records - 1):
            raise ValueError(f"watch: {records} is not 0 or a power of 2")
        self._watch = records
        self._core.watch(self._watch)

    def _living(self):
        mms = self._core.view("mms")
        at = int(self._core.view("head")["mm_first"][0])
        while at:
            yield mms["pid"][at]
            at = int(mms["next"][at])

    def _file(self, number, name, kind):
        self._files[number] = File(self, number, name, kind)
        return self._files[number]

    def _process(self, pid, name=""):
        if pid not in self._processes:
            self._processes[pid] = Process(self, pid, name)
        return self._processes[pid]

    def _number_of_name(self, name):
        """The number of an area's name; a new name gets the next. None: 0."""
        if name is None:
            return 0
        if not AREA_NAME.fullmatch(text_of(name, "name")):
            raise ValueError(f"name: {shown(name)} is not at most 79 printable ASCII characters without \\ ` $ [ ]")
        if name not in self._area_names and len(self._area_names) == NAMES:
            raise ArenaFull(f"a machine has numbers for {NAMES} names of areas")
        return self._area_names.setdefault(name, len(self._area_names) + 1)

    def _numbers(self, files):
        """uint32: the machine's number of each file that operations name; 0: none."""
        if files is None:
            numbers = np.zeros(max(self._files, default=0) + 1, np.uint32)
            numbers[list(self._files)] = list(self._files)
            return numbers
        files = several(files, "files")
        for file in files:
            if not isinstance(file, File):
                raise TypeError(f"files: {shown(file)} is no File")
            if file._machine is not self:
                raise ValueError(f"files: {file!r} belongs to another machine")
        return np.array([0, *(file.number for file in files)], np.uint32)

    def _operate(self, **fields):
        """One operation by name of its fields: its answer, or an exception for its failure. The caller holds the machine."""
        return replay.call(self._engine, **fields)

    def _raise(self, status, done=0):
        """Turns a status into its exception."""
        if status != Status.OK:
            fails(self._engine, status, done)
