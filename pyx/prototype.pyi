from rmapcore import Prototype

__all__ = ["FAIL", "NONE", "QUERY", "REFERENCED", "SEEN", "SWEEP", "UNMAP", "UNMAPPED", "Prototype"]

QUERY: int
REFERENCED: int
UNMAP: int
SWEEP: int
NONE: int
SEEN: int
UNMAPPED: int
FAIL: int
