"""What a Machine is made of: checks, bytes, snapshots, files, programs."""
