"""A case as a program in Python that does its steps on a machine and ends with what is wrong there.

For people who want to look into it: the same calls by the public interface, one a line, and a question at the end.
"""
from rmapcore.linux.uapi import MCL, MPOL
from rmapcore.units import PAGE
from rmapcore.verify.emulator import BASE, DROPPABLE, MMAP_FLAGS, RAM, SWAP
from rmapcore.verify.fields import GROWS, HEAP, chosen_by_kernel, split_place
from rmapcore.verify.run import step_text

HEAD = '''"""{about}"""
from contextlib import suppress

import rmapcore

PAGE = {page}
BASE = {base:#x}                      # page 0 of the program

machine = rmapcore.Machine({scheme!r}, kernel={kernel!r}, ram="{ram}MiB", swap="{swap}MiB")
'''
HEAP_LINES = ("heap = {name}.brk(0)", "{name}.brk(heap + PAGE)", "{name}.write(heap)")


class Writer:
    """Writes the program of a case. scheme, kernel: of the machine.  heap: whether a program's own first page is there."""

    def __init__(self, case, scheme, kernel, heap):
        self.case, self.scheme, self.kernel, self.heap = case, scheme, kernel, heap
        self.pins = 0

    def program(self, failed=(), question=()):
        """The text. failed: numbers of steps, from 1, that fail.  question: its last lines."""
        about = f"{self.case.id}: {self.case.description}".replace('"', "'").replace("\\", "/")
        lines = [HEAD.format(about=about, page=PAGE, base=BASE, scheme=self.scheme, kernel=self.kernel, ram=RAM >> 20,
                             swap=SWAP >> 20)]
        lines[0] = lines[0].rstrip("\n")
        lines += [*self.files(), "p0 = machine.spawn()", *self.heap_of("p0")]
        for number, step in enumerate(self.case.steps, 1):
            written = getattr(self, f"p_{step['op']}")(step)
            written = [written] if isinstance(written, str) else written
            if number in failed:
                written = [f"with suppress(OSError, rmapcore.RmapcoreError):        # {step_text(step)}: it fails",
                           *(f"    {line}" for line in written)]
            lines += written
        text = "\n".join([*lines, *question, ""])
        return text if "suppress(" in text else text.replace("from contextlib import suppress\n\n", "")

    def files(self):
        """As a case begins: a process that has gone has read the files in, and written those in memory."""
        for name, pages in self.case.files.items():
            kind = "zero" if name.startswith("Z") else "shmem" if name.startswith("M") else "disk"
            yield f"{name} = machine.file({name!r}, {pages} * PAGE, {kind!r}, warm={kind == 'disk'})"
            if pages:
                yield "reader = machine.spawn()"
                yield f"reader.mmap(BASE, {pages} * PAGE, 'rw', 0x11, {name})"
                yield f"reader.{'write' if kind == 'shmem' else 'read'}(BASE, {pages} * PAGE)"
                yield "reader.exit()"

    def heap_of(self, name):
        return [line.format(name=name) for line in HEAP_LINES] if self.heap else []

    # --- steps ----------------------------------------------------------------------------------------------------------

    def address(self, step, at="at"):
        if step.get(at) is None:
            return "0"
        name, page = split_place(step[at])
        start = {"": "BASE", HEAP: "heap + PAGE"}.get(name, name)
        offset = f" + {step[f'{at}_off']}" if step.get(f"{at}_off") else ""
        return f"{start} + {page} * PAGE{offset}" if page else f"{start}{offset}"

    @staticmethod
    def length(step):
        return str(step["len_bytes"]) if "len_bytes" in step else f"{step.get('len', 1)} * PAGE"

    def call(self, step, name, *arguments):
        return f"{step['proc']}.{name}({', '.join(map(str, arguments))})"

    def ranged(self, step, name, *more):
        return self.call(step, name, self.address(step), self.length(step), *more)

    def p_mmap(self, step):
        words = step.get("flags", ())
        flags = sum(MMAP_FLAGS[word] for word in words if word in MMAP_FLAGS)
        flags |= 1 if step.get("share") == "shared" else DROPPABLE if "droppable" in words else 2
        if not chosen_by_kernel(step):
            flags |= 0x10 if step.get("replace") else 0x100000
        file = step.get("file")
        more = [file, f"{step.get('pgoff', 0)} * PAGE"] if file else []
        text = self.ranged(step, "mmap", repr(step["prot"]), f"{flags if file else flags | 0x20:#x}", *more)
        return f"{step['as']} = {text}" if "as" in step else text

    def p_munmap(self, step):
        return self.ranged(step, "munmap")

    def p_mprotect(self, step):
        prot = sum({"r": 1, "w": 2, "x": 4}[letter] for letter in step["prot"])
        return self.ranged(step, "mprotect", f"{prot | GROWS.get(step.get('grows'), 0):#x}")

    def p_mremap(self, step):
        flags = (0 if chosen_by_kernel(step) else 2) | (4 if step.get("dontunmap") else 0)
        flags |= 1 if step.get("maymove", bool(flags)) else 0
        text = self.call(step, "mremap", self.address(step), f"{step['old']} * PAGE", f"{step['new']} * PAGE", flags,
                         self.address(step, "to"))
        return f"{step['as']} = {text}" if "as" in step else text

    def p_brk(self, step):
        return self.call(step, "brk", f"heap + {step['to'] + 1} * PAGE")

    def p_madvise(self, step):
        return self.ranged(step, "madvise", repr(step["advice"]))

    def p_mlock(self, step):
        return self.ranged(step, "mlock", *((1,) if step.get("onfault") else ()))

    def p_munlock(self, step):
        return self.ranged(step, "munlock")

    def p_mlockall(self, step):
        return self.call(step, "mlockall", sum(MCL[word] for word in step["flags"]))

    def p_munlockall(self, step):
        return self.call(step, "munlockall")

    def p_limit(self, step):
        return f"machine.limit_stacks({step['stack']} * PAGE)"

    def p_mbind(self, step):
        return self.ranged(step, "mbind", MPOL[step["policy"]])

    def p_mseal(self, step):
        return self.ranged(step, "mseal")

    def p_read(self, step):
        return self.ranged(step, "read")

    def p_write(self, step):
        return self.ranged(step, "write")

    p_fill = p_write

    def p_pin(self, step):
        return f"{step['as']} = {self.call(step, 'pin', self.address(step))}"

    def p_pin_read(self, step):
        return f"{step['as']}.release()"

    def p_truncate(self, step):
        return f"{step['file']}.truncate({step['pages']} * PAGE)"

    def p_fork(self, step):
        return f"{step['child']} = {step['proc']}.fork()"

    def p_exit(self, step):
        return self.call(step, "exit")

    def p_exec(self, step):
        return [self.call(step, "execve"), *self.heap_of(step["proc"])]

    def p_reclaim(self, _):
        return ["while (done := machine.reclaim(machine.ram // PAGE)).unmapped or done.freed:", "    pass"]
