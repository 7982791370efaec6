"""Prototype: a scheme written in Python (rmapcore.pyx.seam.prototype, under the name that stays)."""
from rmapcore.pyx.seam.prototype import Prototype

__all__ = ["Prototype"]
