"""`capture --anonymise`: no name of a program, file or area is left, and what a replay needs is."""
import zstandard

from rmapcore import load_trace
from rmapcore.linux.capture import capture
from rmapcore.linux.capture.anonymous import Anonymiser
from rmapcore.studies.replaycheck import check_replay

PAGE = 4096
PROGRAM = """
import ctypes, mmap, os, sys, threading
libc = ctypes.CDLL(None)
def name(text):
    libc.prctl(15, text, 0, 0, 0)
def mapped(descriptor, pages):
    area = mmap.mmap(descriptor, pages * 4096)
    area[5] = 1
    kept.append(area)
    return area
kept = []
name(b"hush\\nname")
path = sys.argv[1] + "/hush: file"
descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
os.ftruncate(descriptor, 16 * 4096)
mapped(descriptor, 16)
memory = os.memfd_create("hushmem")
os.ftruncate(memory, 8192)
mapped(memory, 2)
area = mapped(-1, 16)
libc.prctl(0x53564d41, 0, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area))), 16 * 4096, b"husharea")
thread = threading.Thread(target=name, args=(b"hushthread",))
thread.start()
thread.join()
if os.fork() == 0:
    os.execl("/bin/sh", "hush", "-c", ":")
os.wait()
os.unlink(path)
kept[0][8192] = 1
"""
LINES = [
    (b"# image: 0x1000 17 /opt/hush/prog", b"# image: 0x1000 17 /file1"),
    (b"# folios: 4:0+16,0:16+1 17 69000 /opt/hush/prog", b"# folios: 4:0+16,0:16+1 17 69000 /file1"),
    (b"# area 1000-2000 r--p 0 fe:00 17 me,rd /opt/hush/prog", b"# area 1000-2000 r--p 0 fe:00 17 me,rd /file1"),
    (b"# area 2000-3000 rw-p 0 00:00 0 me,rd [heap]", b"# area 2000-3000 rw-p 0 00:00 0 me,rd [heap]"),
    (b"# area 3000-4000 r--p 0 fe:00 18 me,rd /opt/x (deleted)", b"# area 3000-4000 r--p 0 fe:00 18 me,rd /file2 (deleted)"),
    (b"# process 17 99 hush", b"# process 17 99 task1"),
    (b"# memory: 1234", b"# memory: 1234"),
]


def test_lines_that_capture_adds():
    written = []
    Anonymiser(written.append).take(b"".join(line + b"\n" for line, _ in LINES))
    assert b"".join(written).splitlines() == [line for _, line in LINES]


def test_a_recording_without_names(tmp_path, can_record):
    folder = tmp_path / "hushfolder"
    folder.mkdir()
    (folder / "hush.py").write_text(PROGRAM)
    recording = tmp_path / "it.zst"
    assert capture(["python3", folder / "hush.py", folder], recording, hold=True, anonymise=True).status == 0
    with zstandard.open(recording, "rb") as stream:
        text = stream.read().lower()
    assert b"hush" not in text and b"python" not in text and b"libc" not in text and b"/file1" in text
    trace = load_trace(recording)
    assert {file.kind for file in trace.files} == {"disk", "shmem"} and len(trace.files) > 4
    row = check_replay(trace).to_dict()
    assert row["areas"]["right"] == row["areas"]["checked"] > 20
    assert row["pages"]["anon"]["right"] == row["pages"]["anon"]["checked"] > 100
