"""Which fields the steps and expectations of a case have, and which values each may hold.

Every function of a value returns None, or says in a few words what the value should have been; `Malformed` carries the
whole sentence up to the reader of the file, who knows the line.
"""
import errno
import re

from rmapcore.units import ADVICE

NAME = re.compile(r"[A-Za-z_]\w*")
PLACE = re.compile(r"([A-Za-z_]\w*)\+(\d{1,16})")
HEAP = "H"                             # the place that the first brk step of a case names
TOP = "T"                              # where the highest mapping of the kernel's choice ends: T-3 is three pages below
MOST_PAGES = 1 << 51                   # the window begins below 2^47: its addresses stay below 2^64
MOST_LOOPS = 1 << 24
MOST_NESTED = 4                        # loops in one another
MOST_TOUCHED = 1 << 18                 # pages that a step can touch, and a file can have: the machine of a case has half of it
MAPPED_SHARE = 16                      # pages that are only mapped count a sixteenth
ERRORS = frozenset(errno.errorcode.values())
FAULT = "FAULT"                        # an access that fails: a signal in a real program
KINDS = frozenset({"anon", "ksm", "file", "shmem", "zero", "swapped", "guard", "none"})
SIZES = ("rss", "anon", "swap", "locked")
GROWS = {"down": 0x01000000, "up": 0x02000000}           # PROT_GROWSDOWN, PROT_GROWSUP
OBJECTS = ("vma", "anon_vma", "avc")
AREA_FLAGS = frozenset("ac nr lo lf mg dc wf dd rr sr dp sl hg nh".split())    # as smaps has them


class Malformed(Exception):
    """A sentence about a field that cannot be used."""


def page_number(value):
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_PAGES
    return None if good else f"a number of pages from 0 to {MOST_PAGES - 1}"


def place(value):
    good = page_number(value) is None or (isinstance(value, str) and PLACE.fullmatch(value)
                                          and int(value.partition("+")[2]) < MOST_PAGES)
    return None if good else 'a page of the window or "NAME+page"'


def chosen_page(value):
    good = page_number(value) is None or (isinstance(value, str) and re.fullmatch(rf"({TOP}-|{HEAP}\+)\d+", value))
    return None if good else f'a page of the window, "{TOP}-NUMBER" or "{HEAP}+NUMBER"'


def place_or_null(value):
    return None if value is None or place(value) is None else 'a page of the window, "NAME+page" or null'


def whole(least, most, what):
    def check(value):
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return None if good else f"{what} from {least} to {most}"
    return check


def name(value):
    return None if isinstance(value, str) and NAME.fullmatch(value) else "a name"


def text(value):
    good = isinstance(value, str) and value.isprintable()      # it is shown, and no line may break in it
    return None if good else "a text of one line"


def truth(value):
    return None if isinstance(value, bool) else "true or false"


def one_of(words):
    def check(value):
        return None if isinstance(value, str) and value in words else f"one of {', '.join(sorted(words))}"
    return check


def list_of(words):
    def check(value):
        good = isinstance(value, list) and all(isinstance(word, str) and word in words for word in value)
        return None if good and len(set(value)) == len(value) else f"a list of {', '.join(words)}"
    return check


def protection(value):
    good = isinstance(value, str) and set(value) <= set("rwx") and len(set(value)) == len(value)
    return None if good else 'letters of "rwx", each once'


def steps(value):
    return None if isinstance(value, list) and value else "a list of steps, not empty"


def mapping(value):
    return None if isinstance(value, dict) else "an object"


byte = whole(0, 255, "a byte")
offset = whole(0, (1 << 63) - 1, "a number of bytes")
count = whole(1, MOST_LOOPS, "a count")
RANGE = "at len"
UNALIGNED = "at_off len_bytes"

# op -> (fields it must have, fields it may have); `op` and `err` aside
OPS = {
    "mmap": (f"proc {RANGE} prot", f"share file pgoff replace hint flags as where {UNALIGNED}"),
    "munmap": (f"proc {RANGE}", UNALIGNED),
    "mprotect": (f"proc {RANGE} prot", f"grows {UNALIGNED}"),
    "mremap": ("proc at old new", "to maymove dontunmap hint as where at_off to_off"),
    "brk": ("proc to", ""),
    "madvise": (f"proc {RANGE} advice", UNALIGNED),
    "mlock": (f"proc {RANGE}", f"onfault {UNALIGNED}"),
    "munlock": (f"proc {RANGE}", UNALIGNED),
    "mlockall": ("proc flags", ""),
    "munlockall": ("proc", ""),
    "mbind": (f"proc {RANGE} policy", UNALIGNED),
    "mseal": (f"proc {RANGE}", UNALIGNED),
    "limit": ("proc stack", ""),
    "prctl": ("proc memory_merge", ""),
    "uffd_register": (f"proc {RANGE}", UNALIGNED),
    "read": ("proc at", f"len value {UNALIGNED}"),
    "write": ("proc at", f"len value {UNALIGNED}"),
    "fill": (f"proc {RANGE} value", ""),
    "pin": ("proc at as", ""),
    "pin_read": ("proc as value", ""),
    "truncate": ("file pages", "proc"),
    "fork": ("proc child", ""),
    "exit": ("proc", ""),
    "exec": ("proc", ""),
    "reclaim": ("", "proc"),
    "ksm_scan": ("scans", "proc"),
    "remember": ("proc at as", "len"),
    "loop": ("count stride steps", ""),
    "check": ("expect", "proc"),
}
ACCESSES = frozenset({"read", "write", "fill", "pin"})
WITHOUT_ERROR = frozenset({"exit", "check", "remember", "reclaim", "ksm_scan"})
REPEATED = frozenset(op for op, (must, _) in OPS.items() if "at" in must.split() or op == "brk")    # what `repeat` repeats
VALUES = {
    "grows": one_of(GROWS), "proc": name, "child": name, "at": place, "to": place,
    "len": page_number, "old": page_number, "new": page_number,
    "prot": protection, "share": one_of({"private", "shared"}), "file": name, "pgoff": page_number, "replace": truth,
    "flags": list_of(("noreserve", "populate", "locked", "growsdown", "droppable", "32bit", "stack")), "as": name,
    "at_off": offset, "len_bytes": offset, "to_off": offset, "maymove": truth, "dontunmap": truth, "advice": one_of(ADVICE),
    "onfault": truth, "policy": one_of({"default", "bind", "interleave"}), "memory_merge": whole(0, 1, "a number"),
    "value": byte, "pages": page_number, "scans": count, "count": count, "stride": page_number, "steps": steps,
    "expect": mapping, "stack": page_number, "hint": truth, "where": chosen_page,
}
OTHER_VALUES = {                       # where an op has its own meaning of a field
    ("mmap", "at"): place_or_null, ("mlockall", "flags"): list_of(("current", "future", "onfault")),
    ("brk", "to"): page_number,
}


def chosen_by_kernel(step):
    """Whether it is the kernel that says where the mapping of an mmap or mremap is."""
    return bool(step.get("hint")) or step.get("at" if step["op"] == "mmap" else "to") is None


def show(value):
    """A value as the file has it, cut short."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def has_fields(what, given, required, allowed):
    """given: a dict; both others are texts of names. Malformed for one that is missing or unknown."""
    if not isinstance(given, dict):
        raise Malformed(f"{what} {show(given)} is not an object")
    for key in required.split():
        if key not in given:
            raise Malformed(f"{what} has no {key!r}")
    for key in given:
        if key not in required.split() and key not in allowed.split():
            raise Malformed(f"{what} has an unknown field {key!r} ({show(given[key])})")


def holds(what, value, check):
    """Malformed if a check of a value complains."""
    wanted = check(value)
    if wanted:
        raise Malformed(f"{what} is {show(value)}, which is not {wanted}")


def step_fields(what, step):
    """Whether a step has the fields of its op, each with a value that it may hold."""
    if not isinstance(step, dict):
        raise Malformed(f"{what} {show(step)} is not an object")
    op = step.get("op")
    if not isinstance(op, str) or op not in OPS:
        raise Malformed(f"{what} has an unknown op {show(op)}" if "op" in step else f"{what} has no 'op'")
    what = f"{what} ({op})"
    required, allowed = OPS[op]
    has_fields(what, step, f"op {required}", f"{allowed} err" if op not in WITHOUT_ERROR else allowed)
    for key, value in step.items():
        if key not in ("op", "err"):
            holds(f"{what}: {key!r}", value, OTHER_VALUES.get((op, key), VALUES[key]))
    if "err" in step:
        names = ERRORS | {FAULT} if op in ACCESSES or op == "loop" else ERRORS
        if not isinstance(step["err"], str) or step["err"] not in names:
            raise Malformed(f"{what}: 'err' is {show(step['err'])}, which is not the name of an error it can have")


# expectations

def pages_pair(what, start, end, most=MOST_PAGES):
    holds(f"{what}: the start", start, place)
    holds(f"{what}: the end", end, place)
    left, right = split_place(start), split_place(end)
    if left[0] != right[0] or left[1] >= right[1]:
        raise Malformed(f"{what}: {show(start)} to {show(end)} is no range")
    if right[1] - left[1] > most:
        raise Malformed(f"{what}: {show(start)} to {show(end)} is more than {most:,} pages")


def split_place(at):
    """("", page) for a page of the window, (name, page) for "name+page"."""
    if isinstance(at, str):
        where, _, page = at.partition("+")
        return where, int(page)
    return "", at


def rows_of(what, given, lengths):
    """The rows of each process of an expectation: {process: [row, ...]}."""
    holds(what, given, mapping)
    for process, rows in given.items():
        holds(f"{what}: the process", process, name)
        if not isinstance(rows, list):
            raise Malformed(f"{what} of {process} is {show(rows)}, which is not a list")
        for row in rows:
            if not isinstance(row, list) or len(row) not in lengths:
                raise Malformed(f"{what} of {process}: {show(row)} is not a list of {' or '.join(map(str, lengths))} values")
            yield f"{what} of {process}: {show(row)}", row


def area_row(what, row, files):
    pages_pair(what, *row[:2])
    if not isinstance(row[2], str) or not re.fullmatch(r"[r-][w-][x-][ps]", row[2]):
        raise Malformed(f'{what}: {show(row[2])} is no protection like "rw-p"')
    if not isinstance(row[3], str) or row[3] not in {"anon", "shm"} | set(files):
        raise Malformed(f"{what}: {show(row[3])} is not anon, shm or a file of the case")
    if len(row) > 4:
        holds(f"{what}: the page offset", row[4], page_number)


def page_row(what, row):
    pages_pair(what, *row[:2], MOST_TOUCHED)
    holds(f"{what}: the kind", row[2], one_of(KINDS))
    if len(row) > 3:
        holds(f"{what}: the mapcount", row[3], whole(0, 1 << 31, "a mapcount"))


def page_of_process(what, value):
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed(f"{what}: {show(value)} is not [process, page]")
    holds(f"{what}: the process", value[0], name)
    holds(f"{what}: the page", value[1], place)


def expectation(what, given, files):
    """Whether an expectation can be compared. Returns the processes, remembered names and places that it mentions."""
    has_fields(what, given, "", "vmas pages same differ frames rss flags objects")
    mentioned = {"process": set(), "frames": set(), "place": set()}
    for key in ("vmas", "pages", "flags"):
        for where, row in rows_of(f"{what}: {key!r}", given.get(key, {}),
                                  {"vmas": (4, 5), "pages": (3, 4), "flags": (3,)}[key]):
            if key == "vmas":
                area_row(where, row, files)
            elif key == "pages":
                page_row(where, row)
            else:
                holds(f"{where}: the page", row[0], place)
                holds(f"{where}: the flags", row[1], list_of(sorted(AREA_FLAGS)))
                holds(f"{where}: the flags", row[2], list_of(sorted(AREA_FLAGS)))
            mentioned["place"] |= {split_place(at)[0] for at in (row[:1] if key == "flags" else row[:2])}
        mentioned["process"] |= set(given.get(key, {}))
    for key in ("same", "differ"):
        groups = given.get(key, [])
        if not isinstance(groups, list) or not all(isinstance(group, list) and group for group in groups):
            raise Malformed(f"{what}: {key!r} is {show(groups)}, which is not a list of groups of pages")
        for page in (page for group in groups for page in group):
            page_of_process(f"{what}: {key!r}", page)
            mentioned["process"].add(page[0])
            mentioned["place"].add(split_place(page[1])[0])
    frames = given.get("frames", [])
    if not isinstance(frames, list):
        raise Malformed(f"{what}: 'frames' is {show(frames)}, which is not a list")
    for row in frames:
        where = f"{what}: 'frames': {show(row)}"
        if not isinstance(row, list) or len(row) != 5:
            raise Malformed(f"{where} is not [process, page, name, index, true or false]")
        page_of_process(where, row[:2])
        for value, check in zip(row[2:], (name, page_number, truth), strict=True):
            holds(where, value, check)
        mentioned["process"].add(row[0])
        mentioned["place"].add(split_place(row[1])[0])
        mentioned["frames"].add(row[2])
    holds(f"{what}: 'rss'", given.get("rss", {}), mapping)
    for process, sizes in given.get("rss", {}).items():
        has_fields(f"{what}: 'rss' of {process}", sizes, "", " ".join(SIZES))
        for key, value in sizes.items():
            holds(f"{what}: 'rss' of {process}: {key!r}", value, page_number)
        mentioned["process"].add(process)
    has_fields(f"{what}: 'objects'", given.get("objects", {}), "", " ".join(OBJECTS))
    for key, value in given.get("objects", {}).items():
        holds(f"{what}: 'objects': {key!r}", value, page_number)
    mentioned["place"].discard("")
    return mentioned
