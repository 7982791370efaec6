"""The seam under the name that stays: all of rmapcore.pyx.seam.scheme.

Public: schemes outside may use it (docs/schemes-of-your-own.md).
"""
from rmapcore.pyx.seam.scheme cimport *
