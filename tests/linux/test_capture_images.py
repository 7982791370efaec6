"""Holes in programs: what `capture` says of them beside perf, against the maps of a program that has some."""
import os
import shutil
import subprocess
from contextlib import closing

import numpy as np
import pytest

from rmapcore import Machine
from rmapcore.linux.capture import capture, images
from rmapcore.linux.capture.images import EHDR, ET_DYN, PHDR, PT_LOAD, first_segment
from rmapcore.linux.capture.mapped import Mapped
from rmapcore.operations import Op
from rmapcore.traces import load_trace
from rmapcore.traces.lines import Blocks

PROGRAM = r"""
#include <stdio.h>
int bss[5000], data[3000] = {1};
static const char constants[20000] = {1};
int main(int c, char **v) {
    char line[4096]; FILE *in = fopen("/proc/self/maps", "r"), *out = fopen(v[1], "w");
    bss[4000] = data[2] = constants[c * 4096];
    while (fgets(line, sizeof line, in)) fputs(line, out);
    return 0;
}
"""
LINKED = {"apart": "-Wl,-z,max-page-size=0x200000", "apart and together in the file":
          "-Wl,-z,max-page-size=0x200000,-z,noseparate-code", "close": "-Wl,-z,max-page-size=0x1000",
          "fixed": "-no-pie -Wl,-z,max-page-size=0x200000", "static": "-static-pie -Wl,-z,max-page-size=0x10000"}


def elf(kind=ET_DYN, segments=((0, 0x1234, 0x1234), (0x200000, 0x10, 0x10)), magic=b"\x7fELF"):
    """A file with these (address, bytes in the file, bytes in memory), and a header of another type before them."""
    head = EHDR.pack(magic, 2, 1, 1, 0, kind, 62, 1, 0, EHDR.size, 0, 0, EHDR.size, PHDR.size, len(segments) + 1, 0, 0, 0)
    return head + PHDR.pack(6, 4, 0, 0, 0, 0, 0, 8) + b"".join(
        PHDR.pack(PT_LOAD, 4, 0, address, address, in_file, in_memory, 4096) for address, in_file, in_memory in segments)


@pytest.mark.parametrize(("content", "length"), [
    (elf(), 0x2000), (elf(segments=((0x1FF0, 0x20, 0x9000), (0x4000, 1, 1))), 0x2000), (elf(kind=2), 0),
    (elf(segments=((0, 0x1234, 0x1234), (0x2000, 1, 1))), 0), (elf(segments=((0, 1, 1),)), 0), (elf(magic=b"#!/b"), 0),
    (elf()[:-1], 0), (b"", 0),
])
def test_the_first_segment_of_a_program(tmp_path, content, length):
    path = tmp_path / "prog"
    path.write_bytes(content)
    inode = os.stat(path).st_ino
    assert first_segment(path, inode) == length
    assert first_segment(path, inode + 1) == 0 and first_segment(tmp_path / "none", inode) == 0


def test_only_what_is_mapped_from_its_start_is_looked_at(tmp_path):
    path = tmp_path / "a prog"
    path.write_bytes(elf())
    inode = os.stat(path).st_ino
    head = "            prog   100/100    1.000000: PERF_RECORD_MMAP2 100/100: [0x5500000(0x201000) @ "
    mapped = Mapped()
    for offset, object, prot in (("0x1000", f"fe:00 {inode} 7", "r--p"), ("0", "<0123>", "r--p"), ("0", "fe:00 0 0", "rw-p"),
                                 ("0", f"fe:00 {inode} 7", "r--s")):
        mapped.see(f"{head}{offset} {object}]: {prot} {path}\n".encode())
    assert list(images.lines(mapped)) == []
    mapped.see(2 * f"{head}0 fe:00 {inode} 7]: r--p {path}\n".encode())
    assert list(images.lines(mapped)) == [f"# image: 0x2000 {inode} {path}\n".encode()]


@pytest.mark.parametrize("how", LINKED)
def test_the_areas_of_a_program_with_holes(tmp_path, can_record, how):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "prog.c").write_text(PROGRAM)
    words = ["gcc", "-O1", *LINKED[how].split(), "-o", tmp_path / "prog", tmp_path / "prog.c"]
    built = subprocess.run(words, capture_output=True)
    if built.returncode:
        pytest.skip(f"gcc does not link this: {built.stderr.decode()[:200]}")
    assert capture([tmp_path / "prog", tmp_path / "maps"], tmp_path / "it.zst").ok
    lines = [line.split(None, 5) for line in (tmp_path / "maps").read_text().splitlines()]
    image = [at for at, line in enumerate(lines) if line[-1] == str(tmp_path / "prog")]
    lines = lines[image[0]:image[-1] + 2]                  # and the area behind them, where the program's bss is
    live = [(*(int(end, 16) for end in line[0].split("-")), line[1][:3]) for line in lines if line[-1][0] != "["]
    trace = load_trace(tmp_path / "it.zst")
    last = np.flatnonzero(trace.operations["op"] == Op.EXIT)[-1]
    machine = Machine(kernel="6.18")
    machine.run(trace.operations[:last], [machine.file(*file, warm=True) for file in trace.files])
    (process,) = machine.processes.values()
    emulated = [(int(area["start"]), int(area["end"]), "".join(letter if area["prot"] & bit else "-" for bit, letter in
                 ((1, "r"), (2, "w"), (4, "x")))) for area in process.maps()]
    assert len(live) >= 4
    emulated = [area for area in emulated if live[0][0] <= area[0] < live[-1][1]]
    assert emulated == live, told(tmp_path / "it.zst", tmp_path / "prog")


def told(recording, program):
    """What a recording has of a program, for who wants to know why its areas are wrong."""
    with closing(Blocks(recording)) as blocks:
        lines = b"".join(blocks).decode("latin-1").splitlines()
    return "\n".join(line for line in lines if str(program) in line or "_EXIT" in line or "exec" in line)
