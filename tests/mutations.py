"""The twin with one rule broken, so that a case that shows the rule must fail: for the table docs/rules/6.18/inherited.md.

A mutation is found by the first column of its row. It says which method of the twin of 6.18 is changed, and what of its
text becomes what else; or `OLD`: the method becomes that of 2.6.7. A method that the kernel has twice, because 6.18's calls
the one of 2.6.7, is named "super.method". A text that is no longer there is an error: the rule has moved, so find it again.
"""
import inspect
import sys
import textwrap

from reference import FILE_SIDES, KERNELS, SCHEMES, Machine267

OLD = "the method of 2.6.7"

# row -> [(method, text, what it becomes) or (method, OLD)]
MUTATIONS = {
    # A, B, C
    "A2 PROTNONE": [("protection", "usable, rw = protection(area.flags)", "usable, rw = True, protection(area.flags)[1]")],
    "A3a": [("super.handle", "if entry and entry.guard", "if entry and False")],
    "B3 a pin keeps the frame": [
        ("can_share", "if frame.count == 1", "if frame.mapcount == 1"),
        ("drop", "if frame.count:", "if False:"),
    ],
    "B4 mapcount": [("super.copy_present", "frame.mapcount += 1", "frame.mapcount += 2")],
    "C3 none of R, W, X": [
        ("protection", "usable, rw = protection(area.flags)", "usable, rw = True, protection(area.flags)[1]"),
    ],
    "C3 private never RW": [("protection", "rw and (", "bool(area.flags & VM_WRITE) and (")],
    # D
    "D2 def_flags": [("flags_of", " | mm.def_flags", "")],
    "D2 GROWSDOWN": [("flags_of", "(MAP_GROWSDOWN, VM_GROWSDOWN), ", "")],
    "D2 LOCKED": [("flags_of", "(MAP_LOCKED, VM_LOCKED), ", "")],
    "D2 shared": [("flags_of", "vm_flags |= VM_SHARED | VM_MAYSHARE", "pass")],
    "D2 ACCOUNT": [("flags_of", "== VM_WRITE:", "== -1:")],
    "D2 ACCOUNT: NORESERVE": [("flags_of", "VM_NORESERVE | VM_SHARED | VM_WRITE) ==", "VM_SHARED | VM_WRITE) ==")],
    "D2 brk": [("grow_heap", "VM_READ | VM_WRITE |", "VM_READ | VM_WRITE | VM_EXEC |")],
    "D3 file": [("mmap", "pgoff = offset // PAGE if file", "pgoff = 0 if file")],
    "D3 anonymous": [("has_offset", "or self.anon.linear", "")],
    "D4 flags": [("can_merge", "area.flags != flags or ", "")],
    "D4 file": [("can_merge", "area.file is not file or ", "")],
    "D4 policy": [("can_merge", " or area.policy != policy", "")],
    "D4 pgoff": [("can_merge", "self.has_offset(file) and", "False and")],
    "D4 the scheme is asked": [("can_merge", "return self.anon.compatible(area, source)", "return True")],
    "D4a": [("merge", "joins_next and self.anon.may_bridge(prev, following)", "joins_next")],
    "D5 cases 1 and 6": [("merge", "if joins_next and self.anon.may_bridge(prev, following)", "if False")],
    "D5 cases 2, 5 and 7": [
        ("merge", "if (prev and prev.end == start and", "if (joins_next and prev and prev.end == start and"),
    ],
    "D5 case 4": [("merge", "elif not joins_next:", "elif not joins_next or (prev and start < prev.end):")],
    "D5 cases 3 and 8": [("merge", "elif not joins_next:", "elif not joins_next or not (prev and start < prev.end):")],
    "D6": [("adjust", "moved.pgoff = self.shifted(moved.file, moved.pgoff, seam - moved.start)", "pass")],
    "D7 offset": [("split", "self.shifted(area.file, area.pgoff, at - area.start)", "area.pgoff")],
    "D8 hint": [("fits_at", "return hint and", "return False and")],
    "D8 where": [("free_range", "limit = None if low else self.arch.task - BELOW_THE_TOP", "limit = None")],
    "D9": [("take_over", "self.anon.area_import(area, giver)", "pass")],
    # E: mmap, munmap
    "E1 length 0": [("mmap", "fail_if(length <= 0 or offset % PAGE, errno.EINVAL)", "")],
    "E1 too long": [
        ("mmap", "fail_if(pages > self.arch.task, errno.ENOMEM)", "fail_if(pages > self.arch.task, errno.EINVAL)"),
    ],
    "E1 beyond TASK_SIZE": [("fixed_place", "fail_if(addr > (self.arch.task - pages) * PAGE, errno.ENOMEM)", "")],
    "E1 unaligned": [("fixed_place", "fail_if(addr % PAGE, errno.EINVAL)", "")],
    "E1 EOVERFLOW": [("mmap", "fail_if(file and offset + pages * PAGE > MOST_BYTES, errno.EOVERFLOW)", "")],
    "E1 EEXIST": [("fixed_place", "fail_if(flags & MAP_FIXED_NOREPLACE and", "fail_if(False and")],
    "E1 the order": [
        ("mmap", "fail_if(pages > self.arch.task, errno.ENOMEM)",
         "fail_if(fixed and addr % PAGE, errno.EINVAL); fail_if(pages > self.arch.task, errno.ENOMEM)"),
    ],
    "E1 the kind comes last": [
        ("mmap", "fail_if(length <= 0 or offset % PAGE, errno.EINVAL)",
         "fail_if(length <= 0 or offset % PAGE or (kind == MAP_DROPPABLE and file), errno.EINVAL)"),
    ],
    "E1 FIXED unmaps": [("mmap", "self.unmap_unsealed(mm, start, end)", "pass")],
    "E1 merges": [
        ("map_range", "if not self.merge(mm, mm.before(start), start, end, flags, None, file, pgoff):", "if True:"),
    ],
    "E1 shared anonymous": [
        ("mmap", "file = self.new_file(pages * PAGE, shmem=True, handle=False)",
         "file = self.new_file(2 * pages * PAGE, shmem=True, handle=False)"),
    ],
    "E1 populate": [("mmap", "if vm_flags & VM_LOCKED or", "if")],
    "E1 MAP_POPULATE": [("mmap", "or flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE", "")],
    "E2 errors": [("munmap", "fail_if(addr % PAGE or length <= 0 or end > self.arch.task, errno.EINVAL)", "")],
    "E2 nothing mapped": [
        ("munmap", "self.unmap_unsealed", "fail_if(not mm.inside(start, end), errno.EINVAL); self.unmap_unsealed"),
    ],
    "E2 splits at the start": [("unmap", "if area.start < start:", "if False:")],
    "E2 splits at the end": [("unmap", "if area and area.start < end:", "if False:")],
    "E2 zaps": [("zap_page", "self.remove_mapping(area.mm, vpn, frame)", "return")],
    # E: mprotect
    "E3 errors": [("mprotect", "fail_if(addr % PAGE or length < 0 or prot & GROWS == GROWS, errno.EINVAL)", "")],
    "E3 holes": [
        ("mprotect", "self.each_area(mm, start, end,",
         "fail_if(not mm.covered(start, end), errno.ENOMEM); self.each_area(mm, start, end,"),
    ],
    "E3 length 0": [("mprotect", "if not length:\n        return", "fail_if(not length, errno.EINVAL)")],
    "E3a": [("grown_start", "return area.start", "return start")],
    "E3 plus ACCOUNT": [("reprotect", "flags |= VM_ACCOUNT", "pass")],
    "E3 ACCOUNT goes": [("reprotect", "flags &= ~VM_ACCOUNT", "pass")],
    "E3 merges": [
        ("modify", "(self.merge(area.mm, prev, start, end, flags, area, area.file, pgoff, policy, name)\n            or ",
         "(None or "),
    ],
    "E3 splits": [("modify", "self.cut_out(area, start, end)", "area")],
    "E3 entries": [("reprotect", "entry.usable = usable", "pass")],
    "E3 shared frames": [
        ("upgrade", "self.frames[entry.pfn].exclusive if area.private else", "True if area.private else"),
    ],
    "E3 populates what is locked": [("reprotect", "self.populate_area(area, start, end)", "pass")],
    # E: locks, advice, brk
    "E4 rounding": [
        ("lock", "start, end = addr // PAGE, pages_of(addr + length)",
         "start, end = addr // PAGE, addr // PAGE + pages_of(length)"),
    ],
    "E4 holes": [
        ("lock", "self.each_area(mm, start, end,",
         "fail_if(not mm.covered(start, end), errno.ENOMEM); self.each_area(mm, start, end,"),
    ],
    "E4 no merging": [
        ("modify", "(self.merge(area.mm, prev, start, end, flags, area, area.file, pgoff, policy, name)\n            or ",
         "(None or "),
    ],
    "E4 populates": [("lock", "fail_if(not self.populate_strictly(mm, start, end), errno.ENOMEM)", "pass")],
    "E4 a page that cannot be had": [
        ("lock", "fail_if(not self.populate_strictly(mm, start, end), errno.ENOMEM)",
         "self.populate_strictly(mm, start, end)"),
    ],
    "E4 equal flags": [
        ("lock", "fail_if(not self.populate_strictly(mm, start, end), errno.ENOMEM)",
         "all(a.flags & VM_LOCKED for a in mm.inside(start, end)) or self.populate_strictly(mm, start, end)"),
    ],
    "E5 errors": [("mlockall", OLD)],
    "E5 FUTURE": [("mlockall", "mm.def_flags = locks if flags & MCL_FUTURE else 0", "")],
    "E5 CURRENT": [("mlockall", "self.relock_all(mm, locks)", "pass")],
    "E5 munlockall": [("munlockall", "mm.def_flags = 0", "")],
    "E6 errors": [("madvise", "fail_if(addr % PAGE or length < 0 or", "fail_if(")],
    "E6 holes": [("madvise", "fail_if(holes, errno.ENOMEM)", "")],
    "E6 holes stop nothing": [("madvise", "if area is None or area.start >= end:", "if holes or area is None:")],
    "E6 hints": [("advise", "return self.modify_or_again(area, start, end, (area.flags & ~gone) | new)", "return area")],
    "E6 equal hints split": [
        ("modify", "if (flags, policy, name) == (area.flags, area.policy, area.name):\n        return area", ""),
    ],
    "E6 WILLNEED": [
        ("advise", "if advice in FLAGS:",
         "fail_if(advice == WILLNEED and not area.file, errno.EBADF)\n    if advice in FLAGS:"),
    ],
    "E6 DONTNEED": [("advise", "self.zap(area, start, end, keep_guards=True)", "pass")],
    "E6 DONTNEED of a locked area": [
        ("advise", "fail_if(area.flags & VM_LOCKED and advice in NOT_LOCKED, errno.EINVAL)", ""),
    ],
    "E7 grows": [
        ("grow_heap", "self.adjust(before, before.start, new, before.pgoff)",
         "self.add_area(mm, old, new, flags, None, pgoff)"),
    ],
    "E7 in the way": [("brk", "new + 1 > low_end(following)", "new > low_end(following)")],
    "E7 in the way of a stack": [("brk", "new + 1 > low_end(following)", "new + 1 > following.start")],
    "E7 shrinks": [("brk", "self.unmap_unsealed(mm, new, old)", "pass")],
    "E7 shrinks where nothing is": [("brk", "fail_if(not mm.inside(new, old), errno.ENOMEM)", "")],
    "E7 populates": [("brk", "self.populate(mm, old, new)", "pass")],
    # E: populate, mremap
    "E8 as the area says": [("populate_area", "area.private and bool(area.flags & VM_WRITE)", "False")],
    "E8 execute only": [("populate_area", "if not area.flags & VM_ACCESS", "if not area.flags & (VM_ACCESS & ~4)")],
    "E8 what cannot be had": [("fault_in", "return False", "continue")],
    "E9 unknown flags": [("mremap", "| MREMAP_DONTUNMAP) or", ") or")],
    "E9 unaligned": [("mremap", " or old_address % PAGE, errno.EINVAL)", ", errno.EINVAL)")],
    "E9 new_size 0": [("mremap", "fail_if(not 0 < new_pages <= self.arch.task, errno.EINVAL)", "")],
    "E9 FIXED without MAYMOVE": [("mremap", "fail_if(not flags & MREMAP_MAYMOVE or (", "fail_if((")],
    "E9 overlap": [("mremap", "fail_if((old + old_pages) % PAGES > new and new + new_pages > old, errno.EINVAL)", "")],
    "E9 no area": [
        ("mremap", "fail_if(area is None or area.start > old, errno.EFAULT)",
         "fail_if(area is None or area.start > old, errno.EINVAL)"),
    ],
    "E9 old_size 0": [
        ("mremap", "fail_if(old_pages == 0 and area.private, errno.EINVAL)", "fail_if(old_pages == 0, errno.EINVAL)"),
    ],
    "E9 old_size 0 of private": [("mremap", "fail_if(old_pages == 0 and area.private, errno.EINVAL)", "")],
    "E9 (a) shrinks": [
        ("mremap", "self.drop_tail(mm, old + new_pages, old + old_pages)\n        return", "pass\n        return"),
    ],
    "E9 (a) several areas": [("mremap", "return self.move_areas(mm, old, old + old_pages, new, dontunmap)", "pass")],
    "E9 (b) one area": [("mremap", "fail_if(old + kept > area.end, errno.EFAULT)", "")],
    "E9 (b) EINVAL of too much": [
        ("mremap", "fail_if(not 0 < new_pages <= self.arch.task, errno.EINVAL)", "fail_if(new_pages <= 0, errno.EINVAL)"),
    ],
    "E9 (c) in place": [
        ("mremap", "if area.end == old + old_pages and self.grow_in_place(mm, area, old + new_pages):", "if False:"),
    ],
    "E9 (c) a merge": [("grow_in_place", OLD)],
    "E9 (c) LOCKED": [("grow_in_place", "self.populate(mm, added, end)", "pass")],
    "E9 (d) ENOMEM": [("mremap", "fail_if(not flags & MREMAP_MAYMOVE, errno.ENOMEM)", "")],
    "E9 (d) the target": [("mremap", "self.unmap_unsealed(mm, new, new + new_pages)\n", "pass\n")],
    "E10 pgoff": [
        ("move", "pgoff = new if area.file else self.birth_pgoff(new)",
         "pgoff = self.shifted(area.file, area.pgoff, old - area.start)"),
    ],
    "E10 pgoff of what has pages": [("move", "if not area.cached and not area.anon:", "if not area.cached:")],
    "E10 merges": [
        ("move", "target = self.merge(mm, mm.before(new), new, end, flags, area, area.file, pgoff, area.policy, area.name,\n"
         "                        anon_pgoff)", "target = None"),
    ],
    "E10 entries": [("move_entries", "self.move_entry(mm, at + page, to + page)", "pass")],
    "E10 the old range goes": [("move", "elif pages:", "elif False:")],
    "E10 LOCKED": [("move", "self.populate(mm, new + pages, end)", "pass")],
    # F
    "F1": [("access", "entry.usable and (entry.rw or not write)", "entry.usable")],
    "F2 no area": [("fault", "area.start > vpn and not self.grow_stack(area, vpn)", "False")],
    "F2 grows": [("super.grow_stack", "if not area.flags & VM_GROWSDOWN:", "if True:")],
    "F2 8 MiB": [("super.grow_stack", "area.end - vpn > self.stack_pages", "area.end - vpn > self.stack_pages - 1")],
    "F2 what is near": [("grow_stack", OLD)],
    "F2 prepares": [("super.grow_stack", "self.prepare(area)", "pass")],
    "F2 prepares before it asks": [
        ("super.grow_stack", "self.prepare(area)", "self.prepare(area) if area.end - vpn <= self.stack_pages else None"),
    ],
    "F3 a write": [("fault", "VM_WRITE if write else VM_ACCESS", "VM_ACCESS")],
    "F3 a read": [("fault", OLD)],
    "F5 read": [("super.fault_zero", "if not write:", "if False:")],
    "F5 write": [("fault_zero", "self.prepare(area)", "pass")],
    "F5 the list": [("map_copy", OLD)],
    "F6 beyond the file": [("fault_file", "if page >= file.pages:", "if False:")],
    "F6 a write prepares even beyond the file": [("fault_file", OLD)],
    "F6 from swap": [("file_frame", "frame.stamp = self.swap_stamp.get(slot, 0)", "frame.stamp = 0")],
    "F6 early copy": [("fault_file", "if not (write and area.private):", "if True:")],
    "F6 one frame for all": [("file_frame", "if page in file.cache:", "if page in file.cache and not file.shmem:")],
    "F6 around": [("fault_around", "for near in range(first, end):", "for near in ():")],
    "F6 around: the block": [
        ("fault_around", "first = max(vpn - (vpn - table) % AROUND, area.start)", "first = max(vpn, area.start)"),
    ],
    "F6 around: empty entries": [("fault_around", "if place not in area.mm.entries and self", "if self")],
    "F6 around: a write": [("fault_file", "if not write:", "if True:")],
    "F7 can_share": [("can_share", "if frame.count == 1:", "if False:")],
    "F7 a copy": [("fault_cow", "self.copy_page(area, vpn, entry)", "entry.rw = True")],
    "F7 zero page": [("super.copy_page", "self.map_copy(area, vpn, self.alloc_frame())", "entry.rw = True")],
    "F7 the stamp": [("map_copy", "fresh.stamp = old.stamp if old else 0", "fresh.stamp = 0")],
    "F7 a shared slot": [("can_share", " and self.use_count[frame.slot] == 1", "")],
    "F8 the use count": [("fault_swapin", "self.put_slot(slot)", "pass")],
    "F8 the contents": [("fault_swapin", "frame.stamp = self.swap_stamp.get(slot, 0)", "pass")],
    "F8 one frame for all": [("fault_swapin", "frame = self.swap_cache.get(slot)\n", "frame = None\n")],
    "F8 a write of a shared page copies": [
        ("fault_swapin", "return not self.anon.may_swapin(frame, vpn) or (write and shared)", "return False"),
    ],
    # H
    "H1 present": [("zap", "del mm.entries[vpn]\n            if entry.pfn:", "if entry.pfn:")],
    "H1 DIRTY": [("keep_signs", "frame.dirty = True", "pass")],
    "H1 zero page": [
        ("zap", "del mm.entries[vpn]\n            if entry.pfn:", "if entry.pfn:\n                del mm.entries[vpn]"),
    ],
    "H1a": [("zap", "if not keep_guards:", "if True:")],
    "H2 exit": [("end_mm", "self.zap(area, area.start, area.end)", "area.mm.entries.clear()")],
    "H2 execve": [("exec_mm", "mm = self.new_mm(pid)", "mm = self.new_mm(pid); mm.def_flags = 0x2000")],
    "H3 areas": [("fork_mm", "if area.flags & VM_DONTCOPY:", "if False:")],
    "H3 LOCKED goes": [("fork_mm", "area.flags & ~(VM_LOCKED | VM_LOCKONFAULT)", "area.flags")],
    "H3 which entries": [("fork_mm", "if not wiped and (area.anon or area.guards):", "if not wiped:")],
    "H3 swap": [("super.copy_absent", "self.dup_slot(entry.slot)", "pass")],
    "H3 zero page": [("copy_entries", "elif entry.pfn == 0:", "elif entry.pfn == 0 and area.file is area:")],
    "H3 private": [("super.copy_present", "entry.rw = False", "pass")],
    "H3 def_flags": [("fork_mm", "child = self.new_mm(pid)", "child = self.new_mm(pid); child.def_flags = parent.def_flags")],
    "H3 brk": [("fork_mm", "child.start_brk, child.brk = parent.start_brk, parent.brk", "pass")],
    "H4 unmapped": [("truncate", "self.cut_off(area, area.start + max(pages - area.pgoff, 0))", "pass")],
    "H4 dropped": [("truncate", "self.drop_pages(file, pages)", "pass")],
    "H4 private copies": [
        ("cut_off", "self.zap(area, first, area.end, keep_guards=True)",
         "self.zap(area, first, area.end, keep_guards=True, keep_anon=True)"),
    ],
    "H4 swap entries": [("cut_off", OLD)],
    # J, K, L
    "J1 what counts": [("fault_swapin", "self.dup_slot(slot)", "pass")],
    "K4 slot and swap cache": [
        ("take_out", "if frame.anon and not frame.slot and not frame.lazyfree:", "if frame.anon and not frame.slot:"),
    ],
    "K4 shmem": [("write_out", "file.swapped[page] = slot", "pass")],
    "K4 written": [("write_out", "self.swap_stamp[frame.slot] = frame.stamp", "pass")],
    "K4 freed": [("leave_page_cache", "del frame.file.cache[frame.page]", "pass")],
    "K5 locked": [("references", "locked = True\n            return FAIL", "return SEEN")],
    "K6 LOCKED": [
        ("try_to_unmap", "if area.flags & VM_LOCKED:", "if False:"),
        ("references", "locked = True\n            return FAIL", "return SEEN"),
    ],
    "K6 pins": [("try_to_unmap", "if area.flags & VM_LOCKED:", "if area.flags & VM_LOCKED or frame.pins:")],
    "K6 swap entry": [("try_to_unmap", "self.dup_slot(frame.slot)", "pass")],
    "K6 file": [("try_to_unmap", "area.leave_absent(vpn, frame.page)", "pass")],
    "K6 DIRTY": [("try_to_unmap", "frame.dirty = frame.dirty or entry.dirty", "pass")],
    "L2 copies": [("map_copy", "fresh.stamp = old.stamp if old else 0", "fresh.stamp = 0")],
    "L2 a write": [("access", "self.frames[mm.entries[vpn].pfn].stamp = self.op_index", "pass")],
    # G
    "G12": [("side.enter_beside", "child.file.tree.insert_after(self.node_of[child], self.node_of[parent])", "pass")],
    "G13 prepare": [("anon.adoptable", "if after and area.end == after.start and", "if False and")],
    "G13 prepare: a chain of one": [("anon.alike_but_access", "len(near.word.chain) == 1 and", "")],
    "G13 fork": [("anon.area_fork", "self.clone(child, parent.word, forked=True)", "pass")],
    "G13 split": [("anon.area_split", "self.clone(piece, source)", "pass")],
    "G13 import": [("anon.area_import", "self.clone(area, giver.word)", "pass")],
    "G13 emptied": [("anon.area_emptied", "self.unlink(area)", "pass")],
    "G13 page": [("anon.page_first", "frame.index = area.anon_index(vpn)", "frame.index = 0")],
    "G16 compatible": [
        ("anon.compatible", "return all(len(word.chain) == 1 for word in (area.word, source and source.word) if word)",
         "return True"),
    ],
    "G16 the same": [("anon.compatible", "return one is other", "return True")],
    "G8": [("walk_on", "or (len(found) == wanted and not keeper.exhaustive)", "or found")],
}


def owners(name):
    """(class, method) of a name as the table has it."""
    place, _, method = name.rpartition(".")
    machine, anon = KERNELS["6.18"], SCHEMES["anon_vma_chain"]
    classes = {"anon": anon, "side": FILE_SIDES[anon.files]}.get(place, machine).__mro__
    found = [one for one in classes if method in vars(one)]
    return found[place == "super"], method


def changed(function, text, other, owner):
    """The function with a part of its text replaced."""
    source = textwrap.dedent(inspect.getsource(function))
    assert text in source, f"{function.__qualname__} has no {text!r}"
    source = source.replace(f"def {function.__name__}(", "def mutant(", 1)
    source = "def maker(__class__):\n" + textwrap.indent(source.replace(text, other, 1), "    ") + "\n    return mutant\n"
    space = dict(vars(sys.modules[function.__module__]))
    exec(compile(source, f"<{function.__qualname__}>", "exec"), space)
    return space["maker"](owner)


def mutate(patch, row):
    """Breaks the rule of a row; patch: a pytest.MonkeyPatch."""
    for name, *change in MUTATIONS[row]:
        owner, method = owners(name)
        if change == [OLD]:
            old = next(one for one in Machine267.__mro__ if method in vars(one))
            patch.setattr(owner, method, vars(old)[method])
        else:
            patch.setattr(owner, method, changed(vars(owner)[method], *change, owner))
