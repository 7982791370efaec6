"""The seam under the name that stays, for schemes outside: all of rmapcore.pyx.seam.scheme."""
from rmapcore.pyx.seam.scheme cimport *
