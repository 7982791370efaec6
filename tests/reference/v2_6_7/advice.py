"""madvise of kernel 2.6.7, and what truncate takes (rules E6, H1a, H4)."""

import errno

from ..common.state import PAGE, VM_LOCKED, VM_RAND_READ, VM_SEQ_READ
from ..common.uapi import DONTNEED, NORMAL, RANDOM, SEQUENTIAL, WILLNEED, fail_if, pages_of


class Advice:
    def madvise(self, mm, addr, length, advice):
        start, end = addr // PAGE, addr // PAGE + pages_of(length)
        fail_if(addr % PAGE or length < 0, errno.EINVAL)
        areas = mm.inside(start, end) if start < end else []
        covered = mm.covered(start, end)
        for area in areas:
            self.advise(area, max(start, area.start), min(end, area.end), advice)
        fail_if(not covered, errno.ENOMEM)

    def advise(self, area, start, end, advice):
        fail_if(not NORMAL <= advice <= DONTNEED, errno.EINVAL)
        if advice == WILLNEED:
            fail_if(area.file is None, errno.EBADF)
        elif advice == DONTNEED:
            fail_if(area.flags & VM_LOCKED, errno.EINVAL)
            zap = self.zap_nonlinear if area.nonlinear else self.zap
            zap(area, start, end)
        else:
            hint = {NORMAL: 0, RANDOM: VM_RAND_READ, SEQUENTIAL: VM_SEQ_READ}[advice]
            piece = self.cut_out(area, start, end, errno.EAGAIN)
            piece.flags = (piece.flags & ~(VM_RAND_READ | VM_SEQ_READ)) | hint

    def cut_off(self, area, first):
        """Pages of an area that truncate takes."""
        self.zap(area, first, area.end, keep_swap=True)
