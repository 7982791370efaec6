"""Studies: the argument, the published rows, recorded faults, speed."""
