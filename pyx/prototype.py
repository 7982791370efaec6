"""Prototype: a scheme written in Python (rmapcore.pyx.seam.prototype, under the name that stays), and what its walk says."""
from rmapcore.pyx.seam.prototype import FAIL, NONE, QUERY, REFERENCED, SEEN, SWEEP, UNMAP, UNMAPPED, Prototype

__all__ = ["FAIL", "NONE", "QUERY", "REFERENCED", "SEEN", "SWEEP", "UNMAP", "UNMAPPED", "Prototype"]
