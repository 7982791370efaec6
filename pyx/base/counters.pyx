"""The counters' numbers, for Python: each name of the enum in counters.pxd is a constant of this module."""
