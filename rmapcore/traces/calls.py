"""What becomes of the calls of a recording: operations.

A call that succeeded becomes an operation; the place the kernel chose is made fixed, so that a replay puts everything where it
was. `Calls` writes the records; the importer, which reads the lines, is one.
"""

import struct

from rmapcore.linux import uapi
from rmapcore.operations import OPERATION, Op
from rmapcore.traces.files import NO_FILES, page_up
from rmapcore.traces.rarecalls import RareCalls
from rmapcore.units import PAGE

# The frequent operations as plain numbers: a member of an enumeration takes longer to get than a record to write.
OP_FAULT, OP_MMAP, OP_MUNMAP = int(Op.FAULT), int(Op.MMAP), int(Op.MUNMAP)
pack = struct.Struct("<HHIIIQQQQ").pack


class Calls(RareCalls):
    """Of an importer, which has: records (of operations, bytes), left_out and assumed (counts by reason), file_table, huge."""

    def emit(self, op, process, addr=0, length=0, prot=0, flags=0, other=0, arg=0, arg2=0):
        self.records += pack(op, prot, flags, process, other, addr, length, arg, arg2)

    def give_up(self, thread, *operation, **fields):
        """Emits in the place reserved for the call, if there is one."""
        end = len(self.records)
        self.emit(*operation, **fields)
        if thread.reserved is not None:
            self.records[thread.reserved : thread.reserved + OPERATION.itemsize] = self.records[end:]
            del self.records[end:]

    def mmap(self, space, thread, result):
        _, length, prot, flags, fd, offset = thread.arguments
        kind = flags & uapi.MAP_TYPE
        self.known("mmap prot", prot)
        self.known("mmap flags", flags)
        if kind not in uapi.MAP_TYPES:
            self.left_out[f"mmap type {kind:#x}"] += 1
        flags &= ~(uapi.MAP_TYPE | uapi.MAP_FIXED_NOREPLACE) & 0xFFFFFFFF
        shared = kind in (uapi.MAP_SHARED, uapi.MAP_SHARED_VALIDATE)
        flags |= uapi.MAP_FIXED | (uapi.MAP_SHARED if shared else kind if kind == uapi.MAP_DROPPABLE else uapi.MAP_PRIVATE)
        if flags & uapi.MAP_HUGETLB:
            huge_page_bytes = 1 << (flags >> uapi.MAP_HUGE_SHIFT & uapi.MAP_HUGE_MASK or uapi.HUGE_PAGE_SHIFT)
            length = (length + huge_page_bytes - 1) & -huge_page_bytes
            flags &= ~(uapi.MAP_HUGETLB | uapi.MAP_HUGE_MASK << uapi.MAP_HUGE_SHIFT)
            self.assumed["huge pages taken as ordinary ones"] += 1
        file = 0
        if not flags & uapi.MAP_ANONYMOUS:
            if thread.mapping is None:
                self.assumed["mmap without PERF_RECORD_MMAP2: one file for each process and fd"] += 1
                file = self.file_table.number(f"fd {fd & 0xFFFFFFFF} of process {space.id}")
                self.kept.mapped(thread.who, fd, file)
            else:
                _, object = thread.mapping
                if object.path.startswith(NO_FILES):
                    flags |= uapi.MAP_ANONYMOUS
                    offset = 0
                else:
                    file = self.file(object)
                    self.kept.mapped(thread.who, fd, file)
        self.map(space, result, length, self.readable(thread, prot & uapi.PROT_MASK), flags, file, offset)

    def munmap(self, space, thread, result):
        start, length = thread.arguments
        self.give_up(thread, OP_MUNMAP, space.id, start, length)
        self.huge.empty(space, start, length)
        if thread.reserved is None:  # else it may be another thread's mapping by now
            space.files.cut(start, length)

    def mremap(self, space, thread, result):
        old, old_length, new_length, flags, _ = thread.arguments
        self.known("mremap flags", flags)
        self.huge.empty(space, old, old_length)
        flags &= uapi.MREMAP_DONTUNMAP
        moved = result != old
        if moved:
            flags |= uapi.MREMAP_MAYMOVE | uapi.MREMAP_FIXED
            self.settle(space, result, new_length)
        to = result if moved else 0
        self.give_up(thread, Op.MREMAP, space.id, old, old_length, flags=flags, arg=new_length, arg2=to)
        parts = thread.mapping if thread.reserved is not None else space.files.shown(old, old_length)
        if thread.reserved is None and not flags & uapi.MREMAP_DONTUNMAP:
            space.files.cut(old, old_length)
        for part in space.files.lay(parts, old, result, new_length):
            self.file_table.extend(part.file, part.offset + part.end - part.start)

    def brk(self, space, thread, result):
        (request,) = thread.arguments
        if space.heap is None:
            space.heap = page_up(result)
            space.brk = result
            self.emit(Op.SETBRK, space.id, space.heap)
        elif result != space.brk:
            before, space.brk = page_up(space.brk), result
            self.emit(Op.BRK, space.id, max(result, space.heap))
            if result > before and thread.who in self.kept.executing:
                before = max(before, space.heap)
                self.emit(Op.MPROTECT, space.id, before, page_up(result) - before, self.readable(thread, uapi.HEAP_PROT))
        elif request > result:  # brk reports failure by not moving
            self.n_calls -= 1
            self.left_out["brk failed: ENOMEM"] += 1

    def mprotect(self, space, thread, result):
        start, length, prot, *key = thread.arguments
        self.known("mprotect prot", prot)
        key = key[0] + 1 & 0xFFFFFFFF if key else 0                      # -1 is the key that it has
        self.emit(Op.MPROTECT, space.id, start, length, self.readable(thread, prot & uapi.PROT_MASK),
                  prot & 0xFFFFFFFF & ~uapi.PROT_MASK, arg=key)

    def madvise(self, space, thread, result):
        start, length, advice = thread.arguments
        if advice in uapi.MADVISE_EMULATED:
            self.emit(Op.MADVISE, space.id, start, length, arg=advice)
            if advice in uapi.MADVISE_EMPTIES:
                self.huge.empty(space, start, length, keep=True)
        elif advice == uapi.MADV_COLLAPSE and (blocks := self.huge.whole(start, length)) and not space.files.shown(*blocks):
            self.emit(Op.WRITE, space.id, *blocks)           # all of it is memory of its own afterwards
        else:
            self.left_out[f"madvise MADV_{uapi.MADVISE_NAMES.get(advice, advice)}"] += 1

    def locked(self, op, space, thread, result):
        start, length, *flags = thread.arguments
        self.known("mlock2 flags", flags[0] if flags else 0)
        self.emit(op, space.id, start, length, flags=flags[0] & 0xFFFFFFFF if flags else 0)

    def mlockall(self, space, thread, result):
        self.known("mlockall flags", thread.arguments[0])
        self.emit(Op.MLOCKALL, space.id, flags=thread.arguments[0])

    def munlockall(self, space, thread, result):
        self.emit(Op.MUNLOCKALL, space.id)

    def mbind(self, space, thread, result):
        start, length, mode = thread.arguments
        mode &= uapi.MPOL_MODE_MASK
        if mode in uapi.MPOL.values():
            self.emit(Op.MBIND, space.id, start, length, arg=mode)
        else:
            self.left_out[f"mbind with policy {mode}"] += 1

    def mseal(self, space, thread, result):
        start, length, flags = thread.arguments
        self.known("mseal flags", flags)
        self.emit(Op.MSEAL, space.id, start, length)

    def remap_file_pages(self, space, thread, result):
        start, size, _, pgoff, flags = thread.arguments
        self.known("remap_file_pages flags", flags)
        self.emit(Op.REMAP_FILE_PAGES, space.id, start, size, flags=flags & 0xFFFFFFFF, arg=pgoff)
        part = space.files.at(start)
        if part is not None:
            self.file_table.extend(part.file, pgoff * PAGE + size)

    def shmat(self, space, thread, result):
        _, _, flags = thread.arguments
        self.known("shmat flags", flags)
        if thread.mapping is None:
            self.left_out["shmat without PERF_RECORD_MMAP2"] += 1
            return
        (_, length, _), object = thread.mapping
        prot = uapi.PROT_READ if flags & uapi.SHM_RDONLY else uapi.PROT_READ | uapi.PROT_WRITE
        prot |= uapi.PROT_EXEC if flags & uapi.SHM_EXEC else 0
        space.attaches[result] = length
        self.map(space, result, length, self.readable(thread, prot), uapi.MAP_SHARED | uapi.MAP_FIXED, self.file(object), 0)

    def shmdt(self, space, thread, result):
        start = thread.arguments[0]
        length = space.attaches.pop(start, None)
        if length is None:
            self.left_out["shmdt of an unknown attach"] += 1
        else:
            self.emit(Op.MUNMAP, space.id, start, length)
            space.files.cut(start, length)

    # --- Mappings and files --------------------------------------------------------------------------------------

    def map(self, space, start, length, prot, flags, file, offset):
        if space.giving_up:
            self.settle(space, start, length)
        self.huge.empty(space, start, length)
        self.emit(OP_MMAP, space.id, start, length, prot, flags, file, offset)
        if file:
            space.files.add(start, length, file, offset, bool(flags & uapi.MAP_SHARED))
            self.file_table.extend(file, offset + length)
        else:
            space.files.cut(start, length)

    def settle(self, space, start, length):
        """Makes room for the calls of other threads that must be over, since the kernel hands out their range again.

        How such a call ended stands at its exit line, so it gets an empty record here, filled in (or dropped) then.
        """
        for thread in space.giving_up:
            old, old_length = thread.arguments[:2]
            if thread.reserved is None and old < start + length and start < old + old_length:
                thread.reserved = len(self.records)
                thread.mapping = space.files.shown(old, old_length)        # of mremap: before it is another thread's
                self.records += bytes(OPERATION.itemsize)

    def file(self, object):
        return self.file_table.number(object.path, object.device, object.inode)


def protection(object):
    """(prot, flags) of the mmap that makes what a PERF_RECORD_MMAP2 line shows."""
    read, write, execute, shared = object.prot
    prot = (read == "r") * uapi.PROT_READ | (write == "w") * uapi.PROT_WRITE | (execute == "x") * uapi.PROT_EXEC
    return prot, uapi.MAP_FIXED | (uapi.MAP_SHARED if shared == "s" else uapi.MAP_PRIVATE)
