"""The machines of kernels 7.0 and 7.3."""

from ..common.state import VM_MAYWRITE, VM_SHARED, Area
from ..v6_18.machine import Machine as Machine618


class Machine70(Machine618):
    """6.18 and the order of chains since."""

    newest_first = True  # rule QI4


class Machine73(Machine70):
    """An area has an anonymous offset beside its page offset (rules QI1 to QI3): set where it is born, kept by all that
    changes bounds, copied with the area."""

    def add_area(self, mm, start, end, flags, file, pgoff):
        return self.link_area(Area(mm, start, end, flags, pgoff, file, anon_pgoff=start))

    def continues(self, area, flags, file, start, anon_pgoff):
        copied = file is not None and flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE
        return not (copied and self.anon.linear) or area.anon_index(start) == anon_pgoff

    def anon_offset(self, area, old, new):
        return area.anon_index(old) if area.anon else new

    def leave_behind(self, source, start, pages, target):
        super().leave_behind(source, start, pages, target)
        if source is not target and (source.start, source.pages) == (start, pages):
            source.anon_pgoff = source.start
            if source.file is None:
                source.pgoff = self.birth_pgoff(source.start)
