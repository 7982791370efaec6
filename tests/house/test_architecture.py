"""Who may use whom, read from the imports of the tree and its folders, and the other habits that no compiler checks.

Every folder names the folders that it may use, and the graph of folders has no circle: data flows one way. Every rule is a
generator of complaints over {path: text}, so that the last tests can feed it what it must catch.
"""
import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# kernels: folder of pyx/ -> the folders it may use, itself aside
BELOW = {"base", "machine", "seam"}
FOLDERS = {
    "base": set(),                             # vocabulary, and what needs nothing else
    "machine": {"base"},                       # state, no policy
    "seam": {"base", "machine"},               # what a scheme must answer
    "parts": BELOW,                            # what schemes are made of
    "schemes": BELOW | {"parts"},              # see neither one another nor the engine side
    "filemap": BELOW | {"parts"},
    "reclaim": BELOW,
    "engine": BELOW | {"reclaim"},             # steps that all kernels share
    "kernels": BELOW | {"reclaim", "engine"},  # policy: asked through seam/kernel.pxd, imported by nobody
    "look": BELOW | {"reclaim"},               # what only reads
    "profile": BELOW,                          # whose work it is, seen on its way through the seam
    "run": BELOW | {"reclaim", "engine", "look"},
    "embed": BELOW | {"reclaim", "engine", "run", "look"},         # the C interface: as run, a call at a time
    "text": {"base"},                          # text from and for recordings; no kernel uses it
}
# what a kernel brings as numbers, and who beside kernels reads them: as masks, shifts and limits, never as a question
NUMBERS = {
    "most_areas": {"pyx/look/check/violation.pyx", "pyx/engine/calls.pyx", "pyx/seam/kernel.pyx"},
    "plain_users": {"pyx/machine/swap.pxd"}, "most_users": {"pyx/machine/swap.pxd", "pyx/look/check/pages.pyx"},
    "guard": {"pyx/base/x86.pxd"}, "noticed": {"pyx/machine/vmas.pxd"},
    "tied": {"pyx/machine/vmas.pxd", "pyx/engine/areas.pyx"},
    "swap_shift": {"pyx/base/x86.pxd", "pyx/base/x86.pyx"}, "swap_invert": {"pyx/base/x86.pxd"},
    "swap_exclusive": {"pyx/base/x86.pxd", "pyx/look/check/pages.pyx"},
    "copied_from": {"pyx/schemes/anon_vma_chain/"},
    "sole_flags": {"pyx/machine/swap.pxd"}, "sole_users": {"pyx/machine/swap.pxd"},
}
STATE_BINTS = {"wide", "high_tables"}          # of the architecture and of an option; kernels bring no question
ALONE = {"schemes", "filemap"}                 # a file or folder in them uses no other file or folder of them

# Python: room -> what of rmapcore it may import, itself aside; a room is a module, a folder, or a folder or module in `studies`
# and `linux`, which are rows of rooms that do not know of one another. Rooms have no circle either.
# pyx.machine.core: the architectures' constants, which say how much a workload can map. pyx.base.records: flags of areas.
# pyx.text.perfline: takes the lines of a recording apart.
COMMAND_LINE = {"cli", "commands"}
WORDS = {"arguments", "errors", "linux.uapi", "operations", "units"}
PYTHON = {
    "errors": set(), "version": set(), "start": set(), "operations": {"errors"}, "arguments": {"errors"},
    "units": {"arguments", "errors", "linux.uapi"},
    # registries: what they name is imported when it is used
    "schemes": {"arguments", "errors", "pyx.seam.scheme"}, "kernels": {"arguments", "errors"},
    "core": {*WORDS, "pyx"},                                   # what a machine is made of
    "process": {*WORDS, "core", "pyx"},
    "machine": {*WORDS, "core", "kernels", "process", "pyx", "schemes"},
    "workloads": {*WORDS, "core.program", "pyx.machine.core"},
    "traces": {*WORDS, "core.files", "kernels", "linux.calls", "pyx.text.perfline"},
    "lab": {*WORDS, "core", "kernels", "linux.proc", "machine", "pyx.base.records", "pyx.machine.core", "schemes", "traces",
            "version", "workloads"},
    # the first two run as scripts
    "linux.live_process": set(), "linux.swapdevice": set(), "linux.uapi": set(), "linux.agent": {"errors"},
    "linux.syscalls": set(), "linux.calls": {"linux.syscalls"}, "linux.proc": WORDS, "linux.frames": {*WORDS, "linux.proc"},
    "linux.live": {*WORDS, "linux.proc", "linux.swapdevice"},
    # programs of this machine recorded; what it writes, the importer of `traces` takes
    "linux.capture": {*WORDS, "core.files", "core.program", "linux.calls", "linux.frames", "linux.proc", "machine", "traces",
                      "version", "pyx.text.perfdata", "pyx.text.tracepoints"},
    # random programs of `verify` on a machine, and what its walks get wrong
    "studies.hunt": {*WORDS, "core.files", "kernels", "lab.layout", "schemes", "verify"},
    # grids of experiments, and how they are shown
    "studies.argument": {*WORDS, "core.lockrules", "core.memory", "lab", "linux.proc", "machine", "traces", "workloads"},
    # what it measures, what it shows, and single steps of the hot paths; nothing else of the kernels
    "studies.bench": {*WORDS, "kernels", "lab.compare", "lab.diff", "lab.layout", "linux.live", "linux.proc", "machine",
                      "process", "schemes", "traces", "pyx.look.probe"},
    # an experiment that stops before faults and looks at areas
    "studies.replaycheck": {*WORDS, "core.running", "lab", "machine", "schemes", "traces", "pyx.look.found"},
    # cases, workloads and recordings run up to a point, and drawn
    "studies.explain": {*WORDS, "core.files", "core.structure", "kernels", "lab", "machine", "traces", "verify", "version"},
    # sets up machines, counts their work, and compares it with closed forms that see no machine
    "studies.reproduce": {*WORDS, "core.program", "core.running", "lab.layout", "linux.proc", "machine", "workloads"},
    # the Python side of the C interface
    "embedding": {*WORDS, "machine", "pyx.embed.table"},
    # programs of `verify` and workloads, run under a scheme and beside another
    "contract": {*WORDS, "core.snapshot", "kernels", "lab", "machine", "schemes", "verify", "pyx.machine.core"},
    # cases on machines and on the live kernel
    "verify": {*WORDS, "core.files", "kernels", "lab.layout", "linux", "machine", "process", "schemes"},
    "terminal": {*WORDS, "core.files", "lab.layout", "lab.legend", "start"},
    "parsing": {*WORDS, "kernels", "lab.grids", "schemes", "studies.reproduce", "workloads"},
    "commands": {"parsing", "terminal", *WORDS, "", "lab", "studies", "verify"},
    "cli": {"start", "commands", "parsing", "terminal", *WORDS, ""},
}
INSIDE = ("rmapcore/core/", "rmapcore/machine.py", "rmapcore/process.py")   # see the engine and the arenas of a machine
INSIDE_TOO = {"rmapcore/studies/bench/inside.py": "measures single steps of the hot paths, which no user calls",
              "rmapcore/embedding.py": "C comes in where Python's own methods do"}

SCHEME_NAME = re.compile(r"(pte|rmap)_?chain|anon_?(mm|vma)|virtual_?scan|(prio|interval)_?tree", re.IGNORECASE)
SCHEMES_ARE_NAMED_IN = ("pyx/schemes/", "pyx/filemap/", "pyx/parts/", "pyx/base/counters.", "rmapcore/schemes.py",
                        "rmapcore/core/counting.py", "rmapcore/core/lockrules.py", "rmapcore/workloads/losses.py",
                        "rmapcore/studies/reproduce/", "rmapcore/studies/argument/", "rmapcore/verify/")  # about them by name
DEFAULT_SCHEMES = {                            # of an argument, as the interface has them
    "rmapcore/machine.py": {"anon_vma"}, "rmapcore/lab/compare.py": {"pte_chain", "anonmm", "anon_vma"},
    "rmapcore/studies/replaycheck/__init__.py": {"anon_vma_chain"},
}

WRITTEN_IN_C = ["bench/embed_client.c", "rmapcore/verify/program.c", "tests/embed/client.c", "tests/embed/fuzz.c",
                "tests/linux/adversary/adversary.c", "tests/sanitizer/fence.c"]
MOST_LINES = 450
LONGER = {}                                    # path -> why it may be

PUBLIC = "Public: schemes outside may use it (docs/schemes-of-your-own.md)."
PUBLIC_KERNELS = {"rmapcore.pyx.seam.prototype", "rmapcore.pyx.prototype", "rmapcore.pyx.scheme"}     # for everybody's schemes
BENCHED = {"rmapcore.pyx.look.probe"}                           # for bench/
BOUNDED = {"bench/instructions_jobs.py": {"rmapcore.pyx.machine.core"}}      # lowers what machines reserve, for valgrind
DTYPE_TESTS = {"tests/lab/test_compare.py"}    # outside tests/lowlevel, for the dtype of a record: AREA_RECORD

QUOTED = re.compile(r'"""[\s\S]*?"""|' r"'''[\s\S]*?'''|" r'"(?:\\.|[^"\\\n])*"|' r"'(?:\\.|[^'\\\n])*'|#[^\n]*")
FROM = re.compile(r"^[ \t]*from[ \t]+(\S+)[ \t]+(c?import)\b[ \t]*(\([^)]*\)|[^\n]*)", re.MULTILINE)
MODULE_VARIABLE = re.compile(
    r"^cdef (?!class|struct|enum|extern|inline|packed)[\w.* ]*?(\[::1\] )?\b(\w+)[ \t]*(?:=.*)?$", re.MULTILINE)
PLAIN = re.compile(r"^[ \t]*(c?import)[ \t]+([^\n(]+)", re.MULTILINE)


# --- reading ----------------------------------------------------------------------------------------------------------


def code_of(text):
    """Cython source with comments and triple-quoted strings blanked, line for line."""
    def blank(match):
        quoted = match.group()
        return re.sub(r"[^\n]", "", quoted) if quoted.startswith(("#", '"""', "'''")) else quoted
    return QUOTED.sub(blank, text).replace("\\\n", " ")


def cython_imports(text):
    """(import or cimport, dotted name) of each import; names from a package as modules: `from a cimport b` is a, a.b."""
    code = code_of(text)
    for module, kind, names in FROM.findall(code):
        yield kind, module
        for name in names.strip("()").split(","):
            if name.strip():
                yield kind, f"{module}.{name.split()[0]}"
    for kind, names in PLAIN.findall(code):
        for name in names.split(","):
            yield kind, name.split()[0]


def python_imports(text):
    """The same for Python: also imports inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (("import", alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield "import", module
            yield from (("import", f"{module}.{alias.name}") for alias in node.names)


def imports(path, text):
    return list(python_imports(text) if path.endswith(".py") else cython_imports(text))


def kernel(path):
    """pyx/schemes/a.pxd -> schemes.a"""
    return ".".join(Path(path).with_suffix("").parts[1:])


def room(path):
    """rmapcore/traces/perf.py -> traces, rmapcore/studies/bench/run.py -> studies.bench"""
    parts = Path(path).with_suffix("").parts[1:]
    return ".".join(parts[:2] if parts[0] in ("studies", "linux") else parts[:1])


# --- rules ------------------------------------------------------------------------------------------------------------


def kernel_edges(tree):
    kernels = {kernel(path) for path in tree if path.startswith("pyx/")} - {""}
    for path, text in tree.items():
        if not path.startswith("pyx/") or path.count("/") == 1 or path.endswith("__init__.py"):
            continue
        user = kernel(path)
        folder = user.split(".")[0]
        for kind, dotted in imports(path, text):
            if dotted.startswith("."):
                yield f"{path}: {dotted} is a relative import"
            if dotted == "rmapcore" or (dotted.startswith("rmapcore.") and not dotted.startswith("rmapcore.pyx")):
                yield f"{path}: a kernel uses the Python side ({dotted})"
            if kind == "cimport" and dotted.split(".")[0] == "numpy":
                yield f"{path}: cimport numpy (typed memoryviews do, and need no build dependency)"
            used = dotted.removeprefix("rmapcore.pyx.")
            if used not in kernels or used == user:
                continue
            there = used.split(".")[0]
            alone = there == folder in ALONE and used.split(".")[1] != user.split(".")[1]
            if (there != folder and there not in FOLDERS[folder]) or alone:
                yield f"{path}: {user} must not use {used}"


def kernel_questions(tree):
    """What kernels decide differently is decided in kernels/: nobody else asks which kernel it is, and none holds a flag."""
    for path, text in tree.items():
        if not path.startswith("pyx/"):
            continue
        code = code_of(text)
        if path == "pyx/base/state.pxd":
            struct = code[code.index("cdef struct State"):]
            yield from (f"{path}: {name} is a question" for name in re.findall(r"^    bint (\w+)", struct, re.MULTILINE)
                        if name not in STATE_BINTS)
        if re.search(r"^include\b|^ +include ", code, re.MULTILINE) and not path.startswith("pyx/kernels/"):
            yield f"{path}: includes text; only kernels are compiled from the shared text"
        if path.startswith("pyx/kernels/") or path == "pyx/base/state.pxd":
            continue
        if re.search(r"\bLinux\d|\bv\d+_\d+\b|\b(if|and|or|not) k\.(known_flags|slot_bytes|spare_areas)", code):
            yield f"{path}: asks which kernel it is"
        for name, readers in NUMBERS.items():
            if re.search(rf"\bs\.{name}\b", code) and not path.startswith(tuple(readers)):
                yield f"{path}: reads a kernel's number {name}"
            if re.search(rf"\b(if|and|or|not|while) (self\.|k\.)?s\.{name}\b(?! [&|^<>=!+-])", code):
                yield f"{path}: takes a kernel's number {name} for a question"


def circles(table):
    """Names that lead back to themselves."""
    for name in table:
        seen, ahead = set(), [name]
        while ahead:
            for used in table.get(ahead.pop(), ()):
                if used not in seen:
                    seen.add(used)
                    ahead.append(used)
        if name in seen:
            yield name


def python_edges(tree):
    modules = {".".join(Path(path).with_suffix("").parts[1:]).removesuffix("__init__").rstrip(".")
               for path in tree if path.startswith("rmapcore/")}
    for path, text in tree.items():
        if not path.startswith("rmapcore/") or not path.endswith(".py"):
            continue
        user = room(path)
        if user not in PYTHON and not user.endswith("__"):
            yield f"{path}: is in no room"
        for _, dotted in imports(path, text):
            if dotted.startswith("."):
                yield f"{path}: {dotted} is a relative import"
            if dotted.startswith(("rmapcore.pyx.schemes", "rmapcore.pyx.filemap")):
                yield f"{path}: {dotted} is found through the registry"
            used = dotted.removeprefix("rmapcore").removeprefix(".") if dotted.split(".")[0] == "rmapcore" else None
            if user not in PYTHON or used is None or (used not in modules and not used.startswith("pyx.")):
                continue
            allowed = PYTHON[user] | {user}
            if used in ("linux", "studies", "core", "lab") or (used.startswith("pyx.") and used.count(".") < 2):
                continue                       # the folder of what is imported: that counts
            if not any(used == name or (name and used.startswith(f"{name}.")) for name in allowed):
                yield f"{path}: {user} must not use {dotted}"


def rooms(table):
    """Room -> rooms that it may use, of a table like PYTHON, which also names modules in rooms and rows of them.

    "" is the package itself, which leads to all rooms but those of the command line.
    """
    def named(name, room):
        return f"{room}.".startswith(f"{name}.") or name.startswith(f"{room}.") if name else room not in COMMAND_LINE

    return {user: {room for name in allowed for room in table if named(name, room)} - {user} for user, allowed in table.items()}


def insides(tree):
    """What a machine is made of shows in its own files only: others ask Machine, Process, File and Run."""
    for path, text in tree.items():
        if not path.startswith("rmapcore/") or not path.endswith(".py") or path.startswith(INSIDE) or path in INSIDE_TOO:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and node.attr in ("_engine", "_core"):
                yield f"{path}:{node.lineno}: looks inside of a machine: {ast.unparse(node)}"


def exported(tree):
    """What a user can import from rmapcore."""
    for node in ast.walk(ast.parse(tree.get("rmapcore/__init__.py", ""))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def examples(tree):
    """They use what anybody can: of Python what rmapcore exports, of kernels what is named public in its first lines."""
    names = {"rmapcore"} | {f"rmapcore.{name}" for name in exported(tree)}
    kernels = {"rmapcore.capi"} | {f"rmapcore.pyx.{kernel(path)}" for path, text in tree.items()
                                   if path.endswith(".pxd") and PUBLIC in text}
    for path, text in tree.items():
        if not path.startswith("examples/"):
            continue
        for _, dotted in imports(path, text):
            if dotted.split(".")[0] == "rmapcore" and dotted not in names and not {dotted, dotted.rpartition(".")[0]} & kernels:
                yield f"{path}: {dotted} is not public"


def command_line(tree):
    """cli works with what a user can import."""
    public = exported(tree) | {"__version__"}
    for node in ast.walk(ast.parse(tree.get("rmapcore/cli.py", ""))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "rmapcore" and node.attr not in public:
            yield f"rmapcore/cli.py:{node.lineno}: rmapcore.{node.attr} is not public"
        if isinstance(node, ast.Attribute | ast.alias):
            name = node.attr if isinstance(node, ast.Attribute) else node.name
            if re.match(r"_[a-z]", name):
                yield f"rmapcore/cli.py:{node.lineno}: {name} is private"


def python_words(text):
    """(line, word) of names and strings, docstrings and help texts aside."""
    module = ast.parse(text)
    prose = {id(node.value) for node in ast.walk(module)
             if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "help")}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value
        for field in ("id", "attr", "name", "arg", "module"):
            if isinstance(getattr(node, field, None), str):
                yield getattr(node, "lineno", 0), getattr(node, field)


def scheme_names(tree):
    """A scheme is named in its own file and in the registry, so that a new one needs no other edit. Comments may tell."""
    for path, text in tree.items():
        if not path.startswith(("pyx/", "rmapcore/")) or path.startswith(SCHEMES_ARE_NAMED_IN):
            continue
        words = python_words(text) if path.endswith(".py") else enumerate(code_of(text).splitlines(), 1)
        for line, word in words:
            if SCHEME_NAME.search(word) and word not in DEFAULT_SCHEMES.get(path, ()):
                yield f"{path}:{line}: names a scheme: {word.strip()}"


def kernel_state(tree):
    """No state outside of machines: any number of them live side by side, also in threads."""
    for path, text in tree.items():
        if not path.endswith((".pyx", ".pxi")):
            if re.search(r"^\s+global\s", code_of(text), re.MULTILINE) and path.startswith("rmapcore/"):
                yield f"{path}: global statement"
            continue
        code = code_of(text)
        if re.search(r"^\s+global\s", code, re.MULTILINE):
            yield f"{path}: global statement"
        for name in re.findall(r"^(\w+)\s*=[^=]", code, re.MULTILINE):
            if not re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name):
                yield f"{path}: module variable {name} (constants are in capitals)"
        for name in re.findall(r"^([A-Z_]+)\s*=\s*(?:\[\s*\]|\{\s*\}|dict\(\)|list\(\)|set\(\))", code, re.MULTILINE):
            yield f"{path}: {name} is empty, so somebody fills it later"
        # a C variable serves only as a sample of its type: by its address, or in a view of it
        for view, name in MODULE_VARIABLE.findall(code):
            if not view and (not re.search(rf"&{name}\b", code) or len(re.findall(rf"(?<!&)\b{name}\b", code)) > 1):
                yield f"{path}: C variable {name} of the module"


def lengths(tree):
    for path, text in tree.items():
        if path.startswith(("pyx/", "rmapcore/")) and path not in LONGER and text.count("\n") > MOST_LINES:
            yield f"{path}: {text.count(chr(10))} lines, more than {MOST_LINES}: it tells two stories"
    yield from (f"{path}: needs no exception" for path in LONGER
                if path in tree and tree[path].count("\n") <= MOST_LINES)


def random_generators(tree):
    """Every run is reproducible: a generator is made from a seed, and the global ones stay unused."""
    for path, text in tree.items():
        if not path.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
                yield f"{path}:{node.lineno}: import the module, so that the seed can be seen"
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            seeded = node.args or node.keywords
            if re.fullmatch(r"random\.\w+", name) and not (name == "random.Random" and seeded):
                yield f"{path}:{node.lineno}: {name} without a seed of its own"
            elif re.fullmatch(r"(np|numpy)\.random\.\w+", name) and not seeded:
                yield f"{path}:{node.lineno}: {name} without a seed"
            elif re.fullmatch(r"(np|numpy)\.random\.[a-z]\w+", name) and not name.endswith(".default_rng"):
                yield f"{path}:{node.lineno}: {name} is the global generator"


def kernels_in_tests(tree):
    """Tests and benchmarks use what users use; tests/lowlevel holds the others."""
    for path, text in tree.items():
        if not path.startswith(("tests/", "bench/")) or path.startswith("tests/lowlevel/") or path in DTYPE_TESTS:
            continue
        found = {".".join(dotted.split(".")[:4]) for _, dotted in imports(path, text)
                 if dotted.startswith("rmapcore.pyx.") and dotted.count(".") > 2}
        allowed = PUBLIC_KERNELS | (BENCHED if path.startswith("bench/") else set()) | BOUNDED.get(path, set())
        yield from (f"{path}: imports {dotted}" for dotted in sorted(found)
                    if dotted not in allowed and dotted.rpartition(".")[0] not in PUBLIC_KERNELS)


RULES = [kernel_edges, kernel_questions, python_edges, insides, command_line, scheme_names, kernel_state, lengths,
         random_generators, kernels_in_tests, examples]


# --- tests ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree():
    paths = [path for top in ("pyx", "rmapcore", "tests", "bench", "examples") for path in (ROOT / top).rglob("*")
             if path.suffix in (".py", ".pyx", ".pxd", ".pxi")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(tree, rule):
    complaints = sorted(set(rule(tree)))
    assert not complaints, "\n".join(complaints)


def test_no_built_file_is_committed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    built = [path for path in listed.stdout.splitlines() if path.endswith((".c", ".cpp", ".o", ".so", ".pyd", ".whl"))]
    assert built == WRITTEN_IN_C


SMALL = {                                      # what the edges below lead to
    "pyx/base/ids.pxd": f'"""{PUBLIC}"""', "pyx/machine/vmas.pxd": "", "pyx/parts/chains.pxd": "", "pyx/seam/scheme.pxd": "",
    "pyx/engine/fault.pxd": "", "pyx/text/perfline.pyx": "",
    "pyx/schemes/one.pyx": "", "pyx/filemap/two.pyx": "", "pyx/schemes/family/three.pyx": "",
    "rmapcore/__init__.py": "__all__ = ['compare']\n",
    "rmapcore/machine.py": "", "rmapcore/lab/results.py": "", "rmapcore/operations.py": "",
}


@pytest.mark.parametrize(("rule", "path", "text"), [
    (kernel_edges, "pyx/base/ids.pxd", "from rmapcore.pyx.machine.vmas cimport (\n    a,\n    b,\n)\n"),
    (kernel_edges, "pyx/machine/vmas.pyx", "from rmapcore.pyx.seam cimport scheme\n"),
    (kernel_edges, "pyx/schemes/one.pyx", "from rmapcore.pyx.filemap.two cimport a\n"),
    (kernel_edges, "pyx/schemes/one.pyx", "from rmapcore.pyx.schemes.family.three cimport a\n"),
    (kernel_edges, "pyx/schemes/one.pyx", "from rmapcore.pyx.engine.fault \\\n    cimport a\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "def f():\n    from rmapcore.pyx.schemes import one\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "from rmapcore.pyx.parts.chains cimport a\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "from rmapcore.pyx.text.perfline import FAULT\n"),
    (kernel_edges, "pyx/text/perfline.pyx", "from rmapcore.pyx.machine.vmas cimport a\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "import rmapcore.machine\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "cimport numpy as cnp\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "from .ids cimport a\n"),
    (python_edges, "rmapcore/traces/a.py", "def f():\n    from rmapcore.machine import Machine\n"),
    (python_edges, "rmapcore/workloads/a.py", "from rmapcore import machine\n"),
    (python_edges, "rmapcore/operations.py", "import rmapcore.lab.results\n"),
    (python_edges, "rmapcore/cli.py", "from rmapcore.pyx.run import replay\n"),
    (python_edges, "rmapcore/core/check.py", "import rmapcore.pyx.schemes.one\n"),
    (python_edges, "rmapcore/another/a.py", ""),
    (insides, "rmapcore/lab/results.py", "def f(machine):\n    return machine._engine\n"),
    (insides, "rmapcore/lab/results.py", "def f(machine):\n    return machine._core.view('frames')\n"),
    (command_line, "rmapcore/cli.py", "import rmapcore\nrmapcore.machine.Machine()\n"),
    (command_line, "rmapcore/cli.py", "import rmapcore\nrmapcore.compare()._data\n"),
    (scheme_names, "pyx/engine/fault.pyx", 'if e.anon.name == "anonmm":\n    pass\n'),
    (scheme_names, "rmapcore/core/memory.py", 'SLOW = "pte_chain" + ":line=32"\n'),
    (kernel_state, "pyx/engine/fault.pyx", "cdef int calls = 0\n"),
    (kernel_state, "pyx/engine/fault.pyx", "CACHE = {}\n"),
    (kernel_state, "pyx/engine/fault.pyx", "last = None\n"),
    (kernel_questions, "pyx/engine/fault.pyx", 'include "other.pxi"\n'),
    (kernel_questions, "pyx/engine/fault.pyx", "cdef f(s):\n    if s.guard:\n        pass\n"),
    (kernel_questions, "pyx/base/x86.pxd", "cdef f(s):\n    return 1 if s.guard else 2\n"),
    (kernel_questions, "pyx/engine/fault.pyx", "cdef f(k):\n    if isinstance(k, Linux618):\n        pass\n"),
    (kernel_questions, "pyx/base/state.pxd", "cdef struct State:\n    bint calls\n"),
    (lengths, "pyx/engine/fault.pyx", "\n" * (MOST_LINES + 1)),
    (random_generators, "tests/a.py", "import random\nrandom.shuffle(x)\n"),
    (random_generators, "rmapcore/a.py", "import numpy as np\nnp.random.default_rng()\n"),
    (random_generators, "rmapcore/a.py", "import numpy as np\nnp.random.rand(3)\n"),
    (kernels_in_tests, "tests/house/test_a.py", "from rmapcore.pyx.look import query\n"),
    (kernels_in_tests, "tests/house/test_a.py", "from rmapcore.pyx.look import probe\n"),
    (kernels_in_tests, "bench/bench_a.py", "from rmapcore.pyx.look import query\n"),
    (kernels_in_tests, "bench/bench_a.py", "from rmapcore.pyx.machine import core\n"),
])
def test_rule_catches(rule, path, text):
    assert not list(rule(SMALL))
    assert list(rule({**SMALL, path: text}))


@pytest.mark.parametrize(("rule", "path", "text"), [
    (kernel_edges, "pyx/schemes/one.pyx", "from rmapcore.pyx.parts.chains cimport a\n"),
    (kernel_edges, "pyx/schemes/one.pyx", "from rmapcore.pyx.seam.scheme cimport b\n"),
    (kernel_edges, "pyx/text/perfline.pyx", "from rmapcore.pyx.base.ids cimport a\n"),
    (kernel_edges, "pyx/engine/fault.pyx", "# from rmapcore.pyx.schemes.one cimport a\nimport numpy as np\n"),
    (scheme_names, "pyx/engine/fault.pyx", '"""What anonmm needs."""\nx = 1        # as pte_chain does\n'),
    (kernel_state, "pyx/base/records.pyx", "cdef Frame _frame\nFRAME = np.asarray(<Frame[:1]> &_frame).dtype\n"),
    (random_generators, "tests/a.py", "import random\nrandom.Random(7).random()\n"),
    (examples, "examples/a/b.py", "import rmapcore\nfrom rmapcore import compare\n"),
    (examples, "examples/a/b.pyx", "from rmapcore.pyx.base.ids cimport pfn_t\n"),
    (kernels_in_tests, "tests/lowlevel/test_a.py", "from rmapcore.pyx.look import query\n"),
    (kernels_in_tests, "bench/bench_a.py", "from rmapcore.pyx.look import probe\n"),
])
def test_rule_lets_pass(rule, path, text):
    assert not list(rule({**SMALL, path: text}))


def test_no_circle_of_folders():
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == ["a", "b", "c"]
    assert not list(circles(FOLDERS))


def test_no_circle_of_rooms():
    assert rooms({"a": {"b.module", "row"}, "b": {"row.one"}, "row.one": set(), "row.two": {""}}) == {
        "a": {"b", "row.one", "row.two"}, "b": {"row.one"}, "row.one": set(), "row.two": {"a", "b", "row.one"}}
    assert not list(circles(rooms(PYTHON)))
