"""docs/reference says what the code says: each page is made from it, by `python tests/lab/test_pages_of_reference.py`."""
import inspect
import re
from pathlib import Path

import pytest

import rmapcore
from recordings import MIB, PAGE, started
from rmapcore.core.counting import ABOUT, COUNTERS
from rmapcore.core.profile import MEASURES
from rmapcore.lab.legend import TERMS
from rmapcore.pyx import prototype as prototypes
from rmapcore.pyx.seam.prototype import TRAITS, Hook, Prototype
from rmapcore.schemes import FILE_SIDES, SCHEMES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)])


def terms():
    return f"""# Terms

What the columns of `compare` and `replay` mean, as `--legend` prints it.

{table(("column", "means"), TERMS.items())}
"""


def counters():
    return f"""# Counters

`machine.counters`, and `counters` in the JSON of `compare` and `replay`; `counters_per_page` and `counters_per_walk` there
are the same divided by the pages freed and by `rmap_walks`. Counted exactly, the same on every machine and in every run. Each
`…_held` belongs to the lock before it.

{table(("counter", "counts"), ((f"`{name}`", ABOUT[name]) for name in COUNTERS))}
"""


def first_line(thing):
    return " ".join(inspect.getdoc(thing).split("\n\n")[0].split())


def options_of(cls):
    """What a class says of its options."""
    text = inspect.getdoc(cls)
    said = re.search(r"Options: (.*)\.", " ".join(text.split())) or re.search(r"\n\n(line: .*)\.", text, re.DOTALL)
    return "none" if said is None else " ".join(said[1].split())


def schemes():
    def rows(registry):
        for name, spec in registry.items():
            files = [spec.files] if spec.files else []
            yield f"`{name}`", spec.about, spec.era, *(f"`{side}`" for side in files), options_of(spec.load())

    faults = "\n".join(f"- `{name}`: {'; '.join(spec.defects)}." for name, spec in SCHEMES.items() if spec.defects)
    return f"""# Schemes and their options

Options follow the name after a colon: `--scheme pte_chain:line=32,highpte=0`, `Machine("pte_chain:line=32")`.
What a scheme does step by step is in [facts](../facts/README.md), how each looks in [explain.md](../explain.md).

{table(("scheme", "how it finds entries", "kernels", "file pages", "options"), rows(SCHEMES))}

Known faults, with which machines lose pages:

{faults}

## Ways for file pages

`--file-rmap`, `Machine(file_rmap=…)`; without it the one in the table above.

{table(("name", "what", "kernels", "options"), rows(FILE_SIDES))}
"""


def entry(name, thing, level):
    """A heading with the signature, and the documentation."""
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        signature = ""
    text = inspect.getdoc(thing) or ""
    return f"{level} `{name}{re.sub(r'(<[^>]*>)', '…', signature)}`\n\n{indented(text)}\n"


def indented(text):
    """Documentation as it stands: lines are kept, and nothing in it is taken for Markdown."""
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def members(cls):
    """Public methods and properties of a class's own, in the order of its file."""
    for name, thing in vars(cls).items():
        if not name.startswith("_") and (inspect.getdoc(getattr(cls, name)) or callable(thing)):
            yield f"{cls.__name__}.{name}", getattr(cls, name) if not isinstance(thing, property) else thing


def python():
    parts = []
    for name in sorted(rmapcore.__all__, key=lambda name: (isinstance(getattr(rmapcore, name), type), name.lower())):
        thing = getattr(rmapcore, name)
        if name in ("OPERATION", "Op", "Status", "Fault", "Why", "Prototype", "Trace"):
            continue                   # operations.md, prototype.md
        parts.append(entry(name, thing, "##"))
        if isinstance(thing, type) and not issubclass(thing, BaseException):
            parts += [entry(*one, "###") for one in members(thing)]
    return f"""# Python

All that `import rmapcore` gives, with its documentation.
Operations and recordings are in [operations.md](operations.md), schemes in Python in [prototype.md](prototype.md).

{chr(10).join(parts)}"""


def numbers(enum, source):
    """Rows of an enum, with what its file says beside each."""
    told = dict(re.findall(r"^    ([A-Z]+) = \d+ +# (.*)$", inspect.getsource(enum), re.M))
    return ((f"`{one.name}`", str(int(one)), *([told[one.name]] if told else [])) for one in enum)


def operations():
    fields = inspect.getdoc(rmapcore.operations)
    trace = "\n".join(entry(*one, "###") for one in [("load_trace", rmapcore.load_trace), *members(rmapcore.Trace)])
    return f"""# Operations and recordings

`Machine.run` runs arrays of `rmapcore.OPERATION`; [how to](../operations.md). A record:

{table(("field", "type"), ((f"`{name}`", rmapcore.OPERATION[name].str[1:]) for name in rmapcore.OPERATION.names))}

{indented(fields)}

## `Op`

{table(("operation", "number"), numbers(rmapcore.Op, None))}

## `Status`

{first_line(rmapcore.Status)}

{table(("status", "number", "means"), ((*row[:2], row[2] if len(row) > 2 else "") for row in statuses()))}

## `Fault`

{first_line(rmapcore.Fault)}

{table(("fault", "number", "what the entry held"), numbers(rmapcore.Fault, None))}

## `Why`

{first_line(rmapcore.Why)}

{table(("why", "number", "means"), numbers(rmapcore.Why, None))}

## `Trace`

{indented(inspect.getdoc(rmapcore.Trace))}

{trace}"""


def statuses():
    told = dict(re.findall(r"^    ([A-Z]+) = \d+ +# (.*)$", inspect.getsource(rmapcore.Status), re.M))
    return ((f"`{one.name}`", str(int(one)), told.get(one.name, "done")) for one in rmapcore.Status)


UNTOLD = {"mm_exec": "a fresh address space, by spawn or exec", "page_moved": "by mremap, from one entry to another"}
HOOK = re.compile(r"^    cdef (void|bint) (\w+)\(self,? ?([^)]*)\) noexcept nogil *(?:# (.*))?$", re.M)


def prototype():
    seam = (FOLDER.parents[1] / "pyx" / "seam" / "scheme.pxd").read_text()
    found = {name: (answers, arguments, told) for answers, name, arguments, told in HOOK.findall(seam)}
    rows = []
    for name in (hook.lower() for hook in Hook.__members__):
        if name != "walk":
            answers, arguments, told = found[name]
            told = told or UNTOLD[name]
            names = ", ".join(part.split()[-1].lstrip("*") for part in arguments.split(",") if part.strip())
            rows.append((f"`{name}({names})`", "True or False" if answers == "bint" else "", told))
    rows.append(("`walk(pfn, purpose)`", "yields candidates", "a walk of one frame"))
    words = [(f"`{name}`", str(getattr(prototypes, name))) for name in prototypes.__all__ if name.isupper()]
    return f"""# Prototype

`rmapcore.Prototype`: a scheme in Python. [schemes-of-your-own.md](../schemes-of-your-own.md) says how to write one.

{indented(inspect.getdoc(Prototype))}

## Hooks

Arguments are handles: numbers of areas (`v`, `new`, `source` and so on), address spaces (`mm`, `child`, `parent`), frames
(`pfn`), entries (`slot`), and virtual page numbers (`vpn`).

{table(("hook", "answers", "when, and what for"), rows)}

## Traits

{table(("trait", "is"), ((f"`{name}`", re.search(rf"{name} +# (.*)", seam)[1]) for name in TRAITS))}

## Purposes and outcomes

{table(("of `walk`", "number"), words)}
"""


PAGES = {"terms": terms, "counters": counters, "scheme-options": schemes, "python": python, "operations": operations,
         "prototype": prototype}


def test_every_counter_is_told():
    assert list(ABOUT) == list(COUNTERS)


def keys_of(data, before=""):
    """Paths of all keys of JSON; what stands under names of phases, calls, counters and structures is written once."""
    for key, value in data.items():
        path = f"{before}{key}"
        yield path
        while path in MANY and value is not None:
            value = next(iter(value.values()), None)
            path += ".NAME"
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from keys_of(one, f"{path}.")


MANY = {f"results.{name}" for name in ("seconds", "phase_pages", "ns_per_page", "counters", "counters_per_page",
                                       "counters_per_walk", "calls.by_kind", "memory.structures", "forks.made",
                                       "calls.by_kind.NAME.errors", "profile.walks", "profile.walks.NAME",
                                       "profile.walks.NAME.NAME", "profile.by")}
MEASURED = tuple(f"results.profile.longest.{measure}" for measure in MEASURES)
MEMBERS = ("held", "calls", "costs", "scaling", "classes", "objects", "pairs", "longest")      # of locks: told with their list
FREE = ("workload.parameters.", *(f"results.locks.{name}." for name in MEMBERS),
        "results.profile.by.NAME.", "results.profile.series.objects.", *MEASURED,
        *(f"workload.recording.{name}." for name in ("recorded", "chosen", "left_out", "assumed")))


def test_every_key_of_the_json_is_told(tmp_path):
    (tmp_path / "r").write_bytes(b"# kernel: 6.18.44\n" + started().mmap(100, MIB, 4 * PAGE).fault(100, MIB, 6).text())
    told = set(re.findall(r"^\| `([^`]+)` \|", (FOLDER / "json.md").read_text(), re.M))
    for workload, more in ((str(tmp_path / "r"), {"cpus": 2}), ("swapout", {"pages": 64, "arch": "i386"})):
        found = set(keys_of(rmapcore.compare(workload, profile=True, **more).to_dict()))
        assert {key for key in found if not key.startswith(FREE)} - told == set()


TAKEN = {"pte_chain": ("line=32", "line=64", "line=128", "highpte=1"), "cow_context": ("page_bytes=12", "vma=0"),
         "cow_context_2026_05": ("page_bytes=12", "vma=0"),
         "anon_vma_lazy": ("child_pages=own", "child_pages=parent", "adopt=0", "reuse=0", "repair=0", "repair=1")}


@pytest.mark.parametrize("name", [*SCHEMES, *FILE_SIDES])
def test_schemes_take_the_options_that_are_told(name):
    told = options_of({**SCHEMES, **FILE_SIDES}[name].load())
    assert (told == "none") == (name not in TAKEN)
    for option in TAKEN.get(name, ()):
        assert option.partition("=")[0] in told
        rmapcore.Machine(f"{name}:{option}", arch="i386-pae", ram="1MiB")
    with pytest.raises(ValueError, match="other"):
        rmapcore.Machine(**({"scheme": f"{name}:other=1"} if name in SCHEMES else
                            {"scheme": "virtual_scan", "file_rmap": f"{name}:other=1"}), ram="1MiB")


@pytest.mark.parametrize("name", PAGES)
def test_page_is_as_the_code_says(name):
    assert (FOLDER / f"{name}.md").read_text() == PAGES[name]()


if __name__ == "__main__":
    for name, make in PAGES.items():
        (FOLDER / f"{name}.md").write_text(make())
