"""Experiments: programs on machines, compared, tabled, reported."""
