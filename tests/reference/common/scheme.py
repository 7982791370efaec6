"""What every scheme and file side of the twin may hear, and the answers of one that keeps nothing."""


class Scheme:
    files = "prio_tree"  # the usual file side
    sweeps = False  # no walk of one page: sweep() proposes entries (rules K9, K10)
    linear = False  # anonymous areas carry linear page offsets
    exhaustive = False  # walks go on when all mappings were found
    table_locks = True  # page_referenced takes the page-table lock for each candidate
    keeps_words = False  # a frame in the swap cache that nobody maps may keep its word

    def __init__(self, machine):
        self.machine = machine
        self.count = machine.count

    def take(self, lock, of, times=1):
        """A lock of that class, which guards that object, is taken (docs/locks.md)."""
        self.count["lock_" + lock] += times
        self.machine.taken.append((self.machine.op_index, lock, of, times))

    def mm_exec(self, mm): ...

    def mm_fork(self, child, parent): ...

    def mm_exit(self, mm): ...

    def file_born(self, file): ...

    def area_link(self, area): ...

    def area_unlink(self, area): ...

    def area_before(self, area): ...

    def area_after(self, area): ...

    def area_clone(self, piece, source): ...

    def area_piece(self, piece, area):
        """A file side's share of split and clone."""
        self.area_link(piece)

    def area_split(self, piece): ...

    def bounds_change(self, area, moved): ...

    def bounds_changed(self, area, moved): ...

    def area_import(self, area, giver): ...

    def area_merge(self, area, gone): ...

    def area_fork(self, child, parent): ...

    def area_emptied(self, area): ...

    def area_nonlinear(self, area): ...

    def compatible(self, area, source):
        return True

    def may_bridge(self, prev, following):
        return self.compatible(prev, following)

    def anon_prepare(self, area): ...

    def stack_grows(self, area): ...

    def goes_on(self, low, high):
        """Do the offsets of two neighbours continue, both where there are two? (rule QI2)"""
        return low.index(low.end) == high.pgoff and low.anon_index(low.end) == high.anon_index(high.start)

    def page_first(self, frame, area, vpn): ...

    def page_last(self, frame): ...

    def page_freed(self, frame):
        """Given back, perhaps with a word that page_last left."""

    def page_reused(self, frame, area): ...

    def entry_added(self, frame, mm, vpn): ...

    def entry_forked(self, frame, mm, vpn):
        self.entry_added(frame, mm, vpn)

    def entry_removed(self, frame, mm, vpn): ...

    def entry_moved(self, frame, mm, old, new): ...

    def entry_carried(self, frame, mm, old, new):
        """Moved with its whole table."""
        self.entry_moved(frame, mm, old, new)

    def entry_unmapped(self, frame, mm, vpn): ...

    def may_move(self, frame):
        return True

    def may_swapin(self, frame, vpn):
        return True

    def all_referenced(self, frame, mms): ...

    def clusters(self, frame, gone):
        """Parts (area, low, high) of nonlinear areas to unmap, until `gone`, entries that went, is long enough."""
        return ()

    # --- invariants of its own (check.require) ----------------------------------------------------------------------

    def check(self):
        """Of all that is anonymous."""

    def check_file(self, file, areas):
        """A file side's: of one file and all areas that map it."""

    def check_frame(self, frame):
        """Of a frame that it answers for."""
