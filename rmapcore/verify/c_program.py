"""A case as a stand-alone C program that does its steps on Linux with real processes, and prints what is there at the end.

For people without this package: `cc -Wall -o case case.c && ./case`, as root where frames and mapcounts matter. The program
does what `live` does, with its own means (a C library, pipes), and shows areas and pages in the same terms.

program.c beside this is such a program, with a small case between its lines "case: about", "numbers" and "steps" and the
next "case: end"; a case goes where that stands.
"""
import errno
import re
from importlib.resources import files

from rmapcore.verify.fields import FAULT, HEAP, split_place
from rmapcore.verify.run import step_text
from rmapcore.verify.state import process_order

PROTECTIONS = {"r": "PROT_READ", "w": "PROT_WRITE", "x": "PROT_EXEC"}
FLAGS = {"noreserve": "MAP_NORESERVE", "populate": "MAP_POPULATE", "locked": "MAP_LOCKED", "growsdown": "MAP_GROWSDOWN",
         "32bit": "MAP_32BIT", "stack": "MAP_STACK"}
ADVICE = {                             # numbers where C libraries may not have the name yet
    "cold": "20 /* MADV_COLD */", "pageout": "21 /* MADV_PAGEOUT */", "populate_read": "22 /* MADV_POPULATE_READ */",
    "populate_write": "23 /* MADV_POPULATE_WRITE */", "dontneed_locked": "24 /* MADV_DONTNEED_LOCKED */",
    "collapse": "25 /* MADV_COLLAPSE */", "guard_install": "102 /* MADV_GUARD_INSTALL */",
    "guard_remove": "103 /* MADV_GUARD_REMOVE */",
}
MCL = {"current": 1, "future": 2, "onfault": 4}
POLICIES = {"default": 0, "bind": 2, "interleave": 3}
MOST_PROCESSES = 200                   # of one program: descriptors have fixed numbers
PLACE = re.compile(r"^/\* case: (\w+) \*/\n.*?^/\* case: end \*/\n", re.MULTILINE | re.DOTALL)


def source(case):
    """The text of the program. ValueError for a case with more than 200 processes."""
    return Writer(case).program()


class Writer:
    """Writes the program of one case."""

    def __init__(self, case):
        self.case = case
        names = {"p0"}
        self.places, self.pins = [], {}
        for step in flat(case.steps):
            names |= {step[key] for key in ("proc", "child") if key in step}
            if step["op"] == "brk":
                self.add_place(HEAP)
            elif step["op"] in ("mmap", "mremap") and "as" in step:
                self.add_place(step["as"])
            elif step["op"] == "pin":
                self.pins.setdefault(step["as"], len(self.pins))
        self.processes = sorted(names, key=process_order)
        if len(self.processes) > MOST_PROCESSES:
            raise ValueError(f"case {case.id} has {len(self.processes)} processes; a C program has {MOST_PROCESSES} at most")
        self.files = list(case.files)
        self.reclaims = any(step["op"] == "reclaim" for step in flat(case.steps))
        self.lines = []

    def add_place(self, name):
        if name not in self.places:
            self.places.append(name)

    def program(self):
        template = files("rmapcore.verify").joinpath("program.c").read_text(encoding="utf-8")
        filled = {"about": self.about(), "numbers": self.numbers(), "steps": self.body()}
        return PLACE.sub(lambda place: filled[place[1]], template)

    def numbers(self):
        """How many of everything, and their names."""
        if not all(re.fullmatch(r"p\d+", name) for name in self.processes):
            raise ValueError(f"case {self.case.id}: processes must be named p0, p1, ...")
        process_numbers = ", ".join(name[1:] for name in self.processes)
        return "\n".join((
            f"#define PROCESSES {len(self.processes)}", f"#define FILES {len(self.files)}",
            f"#define PLACES {len(self.places)}", f"#define PINS {len(self.pins)}",
            f"#define RECLAIMS {int(self.reclaims)}", "",
            f"static const int process_numbers[PROCESSES] = {{ {process_numbers} }};",
            f"static const char *file_names[FILES + 1] = {{ {', '.join([*map(quoted, self.files), 'NULL'])} }};",
            f"static const long file_pages[FILES + 1] = {{ {', '.join([*map(str, self.case.files.values()), '0'])} }};",
            f"static const char *place_names[PLACES + 1] = {{ {', '.join([*map(quoted, self.places), 'NULL'])} }};", ""))

    def body(self):
        for number, step in enumerate(self.case.steps, 1):
            self.write(step, number, 1)
        return "\n".join(("static void steps(void)", "{", *self.lines, "}", ""))

    def about(self):
        lines = [f"Case {self.case.id}", *([self.case.description] if self.case.description else []), "",
                 "cc -Wall -o case case.c && ./case", "As root it shows frames, swap slots and mapcounts as well.",
                 "Prints each step that ends otherwise than expected, and areas and pages of all processes at the end."]
        if "swap" in self.case.needs:
            lines.append("Needs swap.")
        if self.reclaims:
            lines.append("Needs root and the memory controller of cgroup version 1.")
        text = "\n".join(f" * {line}".rstrip() for line in lines).replace("*/", "* /")
        return f"/*\n{text}\n */\n"

    # --- steps --------------------------------------------------------------------------------------------------------

    def write(self, step, number, depth):
        margin = "    " * depth
        op = step["op"]
        if op == "remember":
            return
        if op == "check":
            self.lines.append(f'{margin}show("step {number}");')
        elif op == "loop":
            self.loop(step, number, depth)
        else:
            what = getattr(self, f"c_{op}")(step)
            wanted = error_constant(step.get("err"))
            self.lines.append(f"{margin}step({number}, {quoted(step_text(step))},\n{margin}     {what}, {wanted});")

    def loop(self, step, number, depth):
        margin = "    " * depth
        name = f"i{depth}"
        self.shift = [*getattr(self, "shift", []), f"{name} * {step['stride']}"]
        self.lines.append(f"{margin}for (long {name} = 0; {name} < {step['count']}; {name}++) {{")
        for inner in step["steps"]:
            self.write({"err": step["err"], **inner} if "err" in step else inner, number, depth + 1)
            if inner["op"] not in ("remember", "check"):
                self.lines.append(f"{margin}    if (failed)\n{margin}        break;")
        self.lines.append(f"{margin}}}")
        self.shift.pop()

    def address(self, step, at="at"):
        """An expression of a step's address."""
        if step.get(at) is None:
            return "0"
        name, page = split_place(step[at])
        pages = " + ".join([str(page), *getattr(self, "shift", [])])
        text = f"place_start[{self.places.index(name)}] + ({pages}) * PAGE" if name else f"AT({pages})"
        return text + (f" + {step[f'{at}_off']}" if step.get(f"{at}_off") else "")

    @staticmethod
    def length(step):
        return str(step["len_bytes"]) if "len_bytes" in step else f"{step.get('len', 1)} * PAGE"

    @staticmethod
    def touched(step):
        """How many pages an access touches."""
        offset, size = step.get("at_off", 0) % 4096, step.get("len_bytes", step.get("len", 1) * 4096)
        return str((offset + size + 4095) // 4096)

    def process(self, step):
        return str(self.processes.index(step["proc"]))

    def call(self, step, name, *arguments):
        given = ", ".join([name, *map(str, arguments), *["0"] * (6 - len(arguments))])
        return f"call({self.process(step)}, {given})"

    def range_call(self, step, name, *more):
        return self.call(step, name, self.address(step), self.length(step), *more)

    def named(self, step, text, pages):
        return f"named({text}, {self.places.index(step['as'])}, {pages})" if "as" in step else text

    def c_mmap(self, step):
        words = step.get("flags", ())
        kind = "MAP_SHARED" if step.get("share") == "shared" else "MAP_DROP" if "droppable" in words else "MAP_PRIVATE"
        flags = [kind, *(FLAGS[word] for word in words if word in FLAGS)]
        fd = -1
        if "file" in step:
            fd = f"FILE_FD({self.files.index(step['file'])})"
        else:
            flags.append("MAP_ANONYMOUS")
        if step["at"] is not None and not step.get("hint"):
            flags.append("MAP_FIXED" if step.get("replace") else "MAP_NOREPLACE")
        text = self.range_call(step, "SYS_mmap", protection(step), " | ".join(flags), fd, f"{step.get('pgoff', 0)} * PAGE")
        return self.named(step, text, -(-step.get("len_bytes", step["len"] * 4096) // 4096))

    def c_munmap(self, step):
        return self.range_call(step, "SYS_munmap")

    def c_mprotect(self, step):
        grows = f" | PROT_GROWS{step['grows'].upper()}" if "grows" in step else ""
        return self.range_call(step, "SYS_mprotect", protection(step) + grows)

    def c_mremap(self, step):
        fixed, keep = step.get("to") is not None, step.get("dontunmap")
        flags = ["MREMAP_MAYMOVE"] if step.get("maymove", fixed or bool(keep)) else []
        flags += ["MREMAP_FIXED"] if fixed and not step.get("hint") else []
        flags += ["MREMAP_KEEP"] if keep else []
        text = self.call(step, "SYS_mremap", self.address(step), f"{step['old']} * PAGE", f"{step['new']} * PAGE",
                         " | ".join(flags) or 0, self.address(step, "to"))
        return self.named(step, text, step["new"])

    def c_brk(self, step):
        return f"set_break({self.process(step)}, {self.places.index(HEAP)}, {' + '.join(self.pages_of(step['to']))})"

    def pages_of(self, pages):
        return [str(pages), *getattr(self, "shift", [])]

    def c_madvise(self, step):
        return self.range_call(step, "SYS_madvise", ADVICE.get(step["advice"], f"MADV_{step['advice'].upper()}"))

    def c_mlock(self, step):
        return self.range_call(step, "SYS_mlock2", 1) if step.get("onfault") else self.range_call(step, "SYS_mlock")

    def c_munlock(self, step):
        return self.range_call(step, "SYS_munlock")

    def c_mlockall(self, step):
        return self.call(step, "SYS_mlockall", sum(MCL[word] for word in step["flags"]))

    def c_munlockall(self, step):
        return self.call(step, "SYS_munlockall")

    def c_mbind(self, step):
        return f"tell({self.process(step)}, BIND, {self.address(step)}, {self.length(step)}, {POLICIES[step['policy']]})"

    def c_limit(self, step):
        return f"tell({self.process(step)}, LIMIT, {step['stack']}, 0, 0)"

    def c_mseal(self, step):
        return self.range_call(step, "SYSTEM_mseal")

    def c_prctl(self, step):
        return self.call(step, "SYS_prctl", "SET_MEMORY_MERGE", step["memory_merge"])

    def c_uffd_register(self, step):
        return f"tell({self.process(step)}, REGISTER, {self.address(step)}, {self.length(step)}, 0)"

    def c_read(self, step):
        return f"tell({self.process(step)}, READ, {self.address(step)}, {self.touched(step)}, {step.get('value', -1)})"

    def c_write(self, step):
        return f"tell({self.process(step)}, WRITE, {self.address(step)}, {self.touched(step)}, {step.get('value', 1)})"

    def c_fill(self, step):
        return f"tell({self.process(step)}, FILL, {self.address(step)}, {step['len']}, {step['value']})"

    def c_pin(self, step):
        return f"tell({self.process(step)}, PIN, {self.pins[step['as']]}, {self.address(step)}, 0)"

    def c_pin_read(self, step):
        return f"tell({self.process(step)}, PIN_READ, {self.pins[step['as']]}, {step['value']}, 0)"

    def c_truncate(self, step):
        return f"ftruncate(FILE_FD({self.files.index(step['file'])}), {step['pages']} * PAGE) ? -errno : 0"

    def c_fork(self, step):
        return f"fork_process({self.process(step)}, {self.processes.index(step['child'])})"

    def c_exit(self, step):
        return f"exit_process({self.process(step)})"

    def c_exec(self, step):
        return f"exec_process({self.process(step)})"

    def c_reclaim(self, _):
        return "reclaim()"

    def c_ksm_scan(self, step):
        return f"ksm_scan({step['scans']})"


def flat(steps):
    """All steps, those inside loops too."""
    for step in steps:
        yield step
        if step["op"] == "loop":
            yield from flat(step["steps"])


def quoted(text):
    """A C string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def protection(step):
    return " | ".join(PROTECTIONS[letter] for letter in step["prot"]) or "PROT_NONE"


def error_constant(name):
    if name is None:
        return "0"
    return "EFAULT" if name == FAULT else name if name in errno.errorcode.values() else "0"
