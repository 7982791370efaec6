"""Scheme: the seam (rmapcore.pyx.seam.scheme, under the name that stays)."""
from rmapcore.pyx.seam.scheme import Scheme

__all__ = ["Scheme"]
