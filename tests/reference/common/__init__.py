"""What no kernel decides: frames, areas, entries, walks, passes of reclaim, and the machine's public face."""
