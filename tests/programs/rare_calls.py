"""A program that makes calls that change areas seldom, at places of its own, and prints what the kernel has there in the end.

It is recorded by tests/linux/test_rare_calls_live.py; an interpreter without packages can run it.
"""
import ctypes
import json
import os
from pathlib import Path

PAGE = 4096
PRIVATE, FIXED_ANONYMOUS, SHARED = 2, 0x32, 1
FIXED, READ, BOTH, EXECUTES = 0x10, 1, 3, 0x400000
PLACES = {"shared": 0x200000000000, "copied": 0x200000100000, "other": 0x200000200000, "readable": 0x200000300000,
          "protected": 0x200000400000, "attached": 0x200000500000, "asked": 0x200000600000}
SYS = {"mmap": 9, "mprotect": 10, "shmget": 29, "shmat": 30, "personality": 135, "io_setup": 206, "io_destroy": 207,
       "get_mempolicy": 239, "execveat": 322, "fallocate": 285}
FIRST, LAST = 0x200000000000, 0x200001000000
PAGES = 8
OBJECTS = ("/[aio]", "/SYSV")          # whose areas the kernel places, or that are found by their names


def call(name, *arguments):
    result = ctypes.CDLL(None, use_errno=True).syscall(SYS[name], *(
        one if isinstance(one, bytes) else ctypes.c_long(one) for one in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    return result


def mapped(place, prot=BOTH, flags=FIXED_ANONYMOUS, fd=-1):
    call("mmap", PLACES[place], PAGES * PAGE, prot, flags | FIXED, fd, 0)


def write(place, *pages):
    for page in pages:
        ctypes.c_char.from_address(PLACES[place] + page * PAGE).value = b"x"


def files():
    """A file that is cut while it is mapped, and another that gets its descriptor."""
    fd = os.memfd_create("cut")
    os.ftruncate(fd, PAGES * PAGE)
    mapped("shared", flags=SHARED, fd=fd)
    mapped("copied", flags=PRIVATE, fd=fd)
    write("shared", *range(PAGES))
    write("copied", *range(0, PAGES, 2))
    os.ftruncate(fd, 3 * PAGE + 100)
    os.ftruncate(fd, PAGES * PAGE)
    write("shared", 6, 7)
    call("fallocate", fd, 3, PAGE + 1, 6 * PAGE)       # a hole of the pages 2 to 6
    os.close(fd)
    assert os.memfd_create("another") == fd
    os.ftruncate(fd, 0)
    os.ftruncate(fd, PAGES * PAGE)
    mapped("other", flags=SHARED, fd=fd)
    write("other", *range(4))


def protection():
    """What may be read may be executed, in a part of the areas."""
    mapped("protected", prot=BOTH)
    call("personality", EXECUTES)
    mapped("readable", prot=READ)
    call("mprotect", PLACES["protected"], 2 * PAGE, READ)
    call("shmat", call("shmget", 0, PAGES * PAGE, 0o600), PLACES["attached"], 0)
    call("personality", 0)
    call("mprotect", PLACES["protected"] + 4 * PAGE, PAGE, READ)


def pages():
    """The ring of a context for asynchronous input and output, another that is gone, and a page that a question brings in."""
    context, gone = ctypes.c_ulong(), ctypes.c_ulong()
    call("io_setup", 100, ctypes.addressof(context))
    call("io_setup", 1000, ctypes.addressof(gone))
    call("io_destroy", gone.value)
    mapped("asked")
    node = ctypes.c_int()
    call("get_mempolicy", ctypes.addressof(node), 0, 0, PLACES["asked"] + PAGE, 3)


def child():
    """execveat, of a process that has areas at the same places."""
    if not os.fork():
        arguments = (ctypes.c_char_p * 2)(b"true")
        call("execveat", -100, b"/bin/true", ctypes.addressof(arguments), 0, 0)
    assert os.wait()[1] == 0


def found():
    """{"areas": [[start, end, letters, name]…], "pages": page numbers at the places of the program that are there}."""
    areas = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, letters, *_, name = (line + " ").split(" ", 5)
        start, end = (int(word, 16) for word in place.split("-"))
        if FIRST <= start < LAST or name.strip().startswith(OBJECTS):
            areas.append([start, end, letters[:3], name.strip().removesuffix(" (deleted)")])
    there = []
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for place in PLACES.values():
            for page in range(place // PAGE, place // PAGE + PAGES):
                pagemap.seek(8 * page)
                if pagemap.read(8)[7] & 0x80:
                    there.append(page)
    return {"areas": areas, "pages": there}


def main():
    files()
    protection()
    pages()
    child()
    print(json.dumps(found()))


if __name__ == "__main__":
    main()
