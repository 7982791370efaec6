"""How long the first segments of programs are: what perf does not say of execve.

Of a program that is loaded anywhere (PIE) the kernel maps as much of the file as all segments span, tells perf, and unmaps
what lies between the first segment and the second (fs/binfmt_elf.c, elf_load). If something does, the recording gets a line

    # image: 0x1000 2148020 /usr/bin/prog                 bytes of the first segment in whole pages, inode, path

at its end, which the importer looks for (`rmapcore.traces.images`). The file is read after the recording: if it is
gone, or another one by then, there is no line.
"""
import os
import struct

from rmapcore.units import PAGE

EHDR = struct.Struct("<4sBBBB8xHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
ELF, CLASS_64, LITTLE_ENDIAN, ET_DYN, PT_LOAD = b"\x7fELF", 2, 1, 3, 1


def lines(mapped):
    """The lines of those with a hole behind the first segment. mapped: Mapped."""
    for (inode, path), from_its_start in sorted(mapped.files.items()):
        length = first_segment(path, int(inode)) if from_its_start else 0
        if length:
            yield b"# image: %#x %s %s\n" % (length, inode, path)


def first_segment(path, inode):
    """Bytes in whole pages; 0 if there is no hole behind it, or the file cannot be read."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            if os.fstat(stream.fileno()).st_ino != inode:
                return 0
            magic, size_class, order, *fields = EHDR.unpack(stream.read(EHDR.size))
            kind, headers_at, size, count = fields[2], fields[6], fields[10], fields[11]
            if (magic, size_class, order, kind, size) != (ELF, CLASS_64, LITTLE_ENDIAN, ET_DYN, PHDR.size):
                return 0
            stream.seek(headers_at)
            headers = [PHDR.unpack(stream.read(PHDR.size)) for _ in range(count)]
    except (OSError, ValueError, struct.error):
        return 0
    loaded = [header for header in headers if header[0] == PT_LOAD]
    if len(loaded) < 2:
        return 0
    (_, _, _, address, _, in_file, *_), (_, _, _, following, *_) = loaded[:2]
    start = address // PAGE * PAGE
    end = -(-(address + in_file) // PAGE) * PAGE
    return end - start if end < following // PAGE * PAGE else 0
