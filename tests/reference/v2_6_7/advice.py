"""madvise of kernel 2.6.7, and what truncate takes (rules E6, H1a, H4)."""

import errno

from ..common.state import PAGE, VM_LOCKED, VM_RAND_READ, VM_SEQ_READ
from ..common.uapi import DONTNEED, NORMAL, RANDOM, SEQUENTIAL, WILLNEED, fail_if, pages_of
from .calls import cuts


class Advice:
    def madvise(self, mm, addr, length, advice):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0 or not NORMAL <= advice <= DONTNEED, errno.EINVAL)
        areas = mm.inside(start, end) if start < end else []
        fail_if(advice == DONTNEED and any(area.flags & VM_LOCKED for area in areas), errno.EINVAL)
        fail_if(advice == WILLNEED and any(area.file is None for area in areas), errno.EBADF)
        fail_if(not mm.covered(start, end), errno.ENOMEM)
        if advice == DONTNEED:
            for area in areas:
                zap = self.zap_nonlinear if area.nonlinear else self.zap
                zap(area, max(start, area.start), min(end, area.end))
        elif advice != WILLNEED:
            self.need_areas(mm, cuts(mm, start, end))
            hint = {NORMAL: 0, RANDOM: VM_RAND_READ, SEQUENTIAL: VM_SEQ_READ}[advice]
            for area in areas:
                piece = self.cut_out(area, max(start, area.start), min(end, area.end))
                piece.flags = (piece.flags & ~(VM_RAND_READ | VM_SEQ_READ)) | hint

    def cut_off(self, area, first):
        """Pages of an area that truncate takes."""
        self.zap(area, first, area.end, keep_swap=True)
