"""This machine's own Linux: recordings, measurements, swap, processes that do as they are told."""
