"""Threads (rules O): one at a time on a machine, an error for the second; two machines in two threads do not meet.

Nothing here is left to chance. Most tests stop an operation where it pauses: a kernel is told its budget before each step,
and a Pause in the budget's place runs whatever a test wants there. The machine is then in the middle of an operation, for as
long as that takes; in a hook of its scheme it is in the middle of a step. Where many threads meet, they take turns by seed.
"""
import contextlib
import os
import sys
import threading

import numpy as np
import pytest

import programs
import rmapcore
import rmapcore.core.running
import rmapcore.machine
from differential import SOUND, check, verdict
from everyone import Everyone
from interleaving import Interleaving, Slices
from rmapcore.lab.experiment import Experiment
from rmapcore.pyx.seam.prototype import Prototype
from rmapcore.schemes import registry
from rmapcore.workloads import build

SCHEMES = registry()
PAGE = 4096
HOME = os.path.dirname(rmapcore.__file__)
PATIENCE = 600                                 # seconds until something that must happen counts as missing


class Pause:
    """Calls action(count) on the operation's thread before each slice, counted from 1."""

    def __init__(self, monkeypatch, action):
        self.action = action
        self.count = 0
        monkeypatch.setattr(rmapcore.core.running.batch, "SLICE", Slices(self._next))

    def _next(self):
        self.count += 1
        self.action(self.count)


class Held:
    """A machine in the middle of `operation` in another thread, within the `with`; the result afterwards."""

    def __init__(self, monkeypatch, operation):
        self.operation = operation
        self.inside, self.go = threading.Event(), threading.Event()
        Pause(monkeypatch, self._wait)
        self.thread = threading.Thread(target=self._run)

    def _wait(self, count):
        if threading.current_thread() is self.thread:
            self.inside.set()
            assert self.go.wait(PATIENCE)

    def _run(self):
        self.result = self.operation()

    def __enter__(self):
        self.thread.start()
        assert self.inside.wait(PATIENCE)
        return self

    def __exit__(self, *error):
        self.go.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


def elsewhere(work):
    """work() in another thread: its result, or its exception raised here."""
    outcome = []

    def run():
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def arenas(machine):
    """All bytes of a machine."""
    return {name: machine._core.view(name).tobytes() for name in machine._core.arenas}


def family(scheme="anon_vma", **options):
    """A machine, a parent of 200 pages and its child, where they lie, and a file."""
    machine = rmapcore.Machine(scheme, **{"ram": "2MiB", "swap": "4MiB", "track_contents": True, **options})
    parent = machine.spawn("parent")
    heap = parent.mmap(length=200 * PAGE)
    parent.write(heap, 200 * PAGE)
    return machine, parent, parent.fork(), heap, machine.file("data", 8 * PAGE)


def is_free(machine):
    """Asserts that nobody holds the machine: any thread may change it."""
    for run in (elsewhere, lambda work: work()):
        run(machine.spawn).exit()
    check(machine)


# every public method and property, with arguments that would do if the machine were free
MACHINE = {
    "spawn": lambda m: m.spawn(), "file": lambda m: m.file("other", PAGE), "reclaim": lambda m: m.reclaim(1),
    "processes": lambda m: m.processes, "frames": lambda m: m.frames, "counters": lambda m: m.counters,
    "whomaps": lambda m: m.whomaps([1]), "mappings": lambda m: m.mappings([1]), "memory": lambda m: m.memory(),
    "check": lambda m: m.check(), "save": lambda m: m.save("saved"), "copy": lambda m: m.copy(),
    "run": lambda m: m.run(np.zeros(1, rmapcore.OPERATION)), "hold": lambda m: m.hold(int), "process": lambda m: m.process(1),
    "reclaimed": lambda m: m.reclaimed, "totals": lambda m: m.totals, "files_in_swap": lambda m: m.files_in_swap(),
    "area_names": lambda m: m.area_names, "crosscheck": lambda m: m.crosscheck(),
    "limit_stacks": lambda m: m.limit_stacks("8MiB"), "gone": lambda m: m.gone(), "gone_lost": lambda m: m.gone_lost,
    "profile": lambda m: m.profile(), "structure": lambda m: m.structure(), "walk": lambda m: m.walk(1),
    "names": lambda m: m.names, "name": lambda m: m.name({1: "a"}),
    "locks": lambda m: m.locks(),
}
PROCESS = {
    "mmap": lambda p, at: p.mmap(length=PAGE), "munmap": lambda p, at: p.munmap(at, PAGE),
    "mprotect": lambda p, at: p.mprotect(at, PAGE, "r"), "mremap": lambda p, at: p.mremap(at, PAGE, 2 * PAGE, 1),
    "remap_file_pages": lambda p, at: p.remap_file_pages(p.mmap(length=PAGE, flags=0x21), PAGE, 0, 0),
    "brk": lambda p, at: p.brk(0), "madvise": lambda p, at: p.madvise(at, PAGE, "dontneed"),
    "mlock": lambda p, at: p.mlock(at, PAGE), "munlock": lambda p, at: p.munlock(at, PAGE),
    "mlockall": lambda p, at: p.mlockall(1), "munlockall": lambda p, at: p.munlockall(), "fork": lambda p, at: p.fork(),
    "execve": lambda p, at: p.execve(), "exit": lambda p, at: p.exit(), "alive": lambda p, at: p.alive,
    "read": lambda p, at: p.read(at), "write": lambda p, at: p.write(at), "touch": lambda p, at: p.touch([at], True),
    "maps": lambda p, at: p.maps(), "pagemap": lambda p, at: p.pagemap(at, PAGE), "stamps": lambda p, at: p.stamps(at, PAGE),
    "stamped_pages": lambda p, at: p.stamped_pages(), "tabled": lambda p, at: p.tabled(),
    "translate": lambda p, at: p.translate(at), "rss": lambda p, at: p.rss, "swapped": lambda p, at: p.swapped,
    "page_table_bytes": lambda p, at: p.page_table_bytes, "mbind": lambda p, at: p.mbind(at, PAGE, 0),
    "mseal": lambda p, at: p.mseal(at, PAGE), "pin": lambda p, at: p.pin(at),
    "name_area": lambda p, at: p.name_area(at, PAGE, "heap"),
}
FILE = {"size": lambda f: f.size, "truncate": lambda f: f.truncate(PAGE)}
CHANGE = {"spawn", "reclaim", "run", "hold", "mmap", "munmap", "mprotect", "mremap", "remap_file_pages", "brk", "madvise",
          "mlock", "munlock", "mlockall", "munlockall", "fork", "execve", "exit", "read", "write", "touch", "truncate", "mbind",
          "mseal", "name_area", "pin", "gone"}
NOT_IN_A_HOOK = CHANGE | {"limit_stacks", "file", "whomaps", "crosscheck", "check", "save", "copy", "stamped_pages", "profile",
                          "locks", "walk"}


def uses(machine, process, at, file):
    """(name, call without arguments) of everything public."""
    yield from ((name, lambda use=use: use(machine)) for name, use in MACHINE.items())
    yield from ((name, lambda use=use: use(process, at)) for name, use in PROCESS.items())
    yield from ((name, lambda use=use: use(file)) for name, use in FILE.items())


@pytest.mark.parametrize(("cls", "table"), [(rmapcore.Machine, MACHINE), (rmapcore.Process, PROCESS), (rmapcore.File, FILE)])
def test_the_tables_name_everything_public(cls, table):
    public = {name for name, member in vars(cls).items() if not name.startswith("_") and not isinstance(member, classmethod)}
    assert public == set(table)
    assert all(getattr(cls, name).__doc__ for name in public)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whatever_a_second_thread_does_is_an_error_and_changes_nothing(scheme, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    machine, _, child, heap, file = family(scheme)
    trace = rmapcore.Trace(np.zeros(1, rmapcore.operations.OPERATION), [("traced", PAGE, "disk")], {}, "trace")
    with Held(monkeypatch, lambda: machine.reclaim(150)) as held:
        before = arenas(machine)
        for name, use in (*uses(machine, child, heap, file), ("replay", lambda: trace.replay(machine))):
            with pytest.raises(rmapcore.MachineBusy, match="another thread"):
                use()
                pytest.fail(name)
        assert repr(child) == "Process(2, 'parent')" and repr(file) == f"File('data', {8 * PAGE}, 'disk')"
        assert arenas(machine) == before
    assert held.result.freed == 150
    assert os.listdir() == []
    is_free(machine)


def test_all_of_it_works_when_the_machine_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (*MACHINE, *PROCESS, *FILE):
        machine, _, child, heap, file = family(kernel="6.18")      # 2.6.7 has not all of it
        dict(uses(machine, child, heap, file))[name]()
        is_free(machine)


def test_a_busy_machine_is_an_error_of_both_kinds():
    assert issubclass(rmapcore.MachineBusy, rmapcore.RmapcoreError) and issubclass(rmapcore.MachineBusy, RuntimeError)


def test_a_second_thread_in_the_middle_of_a_kernel(tmp_path, monkeypatch):
    """A fault, a fork, a move, a scan and a swap-in, each half done in a hook while another thread tries everything."""
    monkeypatch.chdir(tmp_path)
    met = []

    def come_by(name):
        usual = getattr(Everyone, name)

        def hook(self, *arguments):
            if name not in met:
                met.append(name)
                for called, use in uses(machine, process, at, file):
                    with pytest.raises(rmapcore.MachineBusy, match="another thread"):
                        elsewhere(use)
                        pytest.fail(called)
            return usual(self, *arguments)
        return hook

    hooks = ("anon_prepare", "page_first", "mm_fork", "may_move", "page_moved", "may_swapin", "walk")
    machine = rmapcore.Machine(type("Inside", (Everyone,), {name: come_by(name) for name in hooks}), ram=40 * PAGE,
                               swap=80 * PAGE, track_contents=True)
    process, file = machine.spawn(), machine.file("data", PAGE)
    at = process.mmap(length=20 * PAGE)
    process.write(at, 20 * PAGE)
    child = process.fork()
    process.mremap(at, 10 * PAGE, 10 * PAGE, 3, at + 40 * PAGE)
    assert machine.reclaim(20).freed == 20
    process.read(at + 40 * PAGE, 10 * PAGE)
    child.read(at, 20 * PAGE)                  # ten of them where the parent has them, elsewhere
    assert sorted(met) == sorted(hooks)
    is_free(machine)


class Log:
    """What reached the kernels of a machine, in the order in which it was held, to be done again on another.

    meanwhile() is called before and after each, while the machine is held.
    """

    def __init__(self, monkeypatch, meanwhile):
        self.entries = []
        self.meanwhile = meanwhile
        self.kernels = {}
        for module, name in ((rmapcore.process.replay, "call"), (rmapcore.process.replay, "access"),
                             (rmapcore.process.batch, "touch"), (rmapcore.process.replay, "create_file"),
                             (rmapcore.machine.query, "whomaps")):
            self.kernels[name] = kernel = getattr(module, name)
            monkeypatch.setattr(module, name, self.noting(name, kernel))

    def noting(self, name, kernel):
        def call(engine, *arguments, **fields):
            with engine.alone:
                self.meanwhile()
                self.entries.append((name, arguments, fields))
                result = kernel(engine, *arguments, **fields)
                self.meanwhile()
                return result
        return call

    def again(self, machine):
        for name, arguments, fields in self.entries:
            with contextlib.suppress(OSError, rmapcore.RmapcoreError):
                self.kernels[name](machine._engine, *arguments, **fields)


def run_program(machine, seed, meanwhile, busy, n_ops=400):
    """A random program in which a step that finds the machine busy is tried again; meanwhile() is called after each try."""
    state = programs.State()
    for step in programs.recorded(seed, n_ops):
        made = len(state.results)
        while True:
            try:
                programs.run_step(machine, state, step)
                break
            except rmapcore.MachineBusy:
                busy.append(step[0])
                del state.results[made:]       # mmap reserves its place before it asks
            finally:
                meanwhile()


def look_through(machine, scheme):
    """check(), which may find what a scheme with known faults has lost."""
    (rmapcore.Machine.check if scheme in SOUND else verdict)(machine)


def two_steps_each(seed):
    """What two threads did, in order, and the turns."""
    turns, order = Interleaving(seed), []

    def work(name):
        for step in range(2):
            order.append((name, step))
            turns.give_way()

    turns.run(lambda: work("a"), lambda: work("b"))
    return order, turns.turns


def test_turns_are_those_of_the_seed():
    """Every order of two threads of two steps comes, each always by the same seeds."""
    orders = {}
    for seed in range(60):
        (order, turns), again = two_steps_each(seed), two_steps_each(seed)
        assert (order, turns) == again
        orders[tuple(order)] = seed
    assert len(orders) == 6


def test_an_error_in_one_thread_comes_out_and_the_others_end():
    turns, ended = Interleaving(0), []

    def fails():
        turns.give_way()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        turns.run(fails, lambda: [turns.give_way() for _ in range(9)] and ended.append(True))
    assert ended


def take_turns(machine, scheme, seed, log, turns):
    """Two programs and an onlooker on one machine: (steps refused, what the onlooker saw)."""
    refused, looks = ([], [], []), []

    def look():
        for _ in range(200):
            try:
                look_through(machine, scheme)
                used = np.flatnonzero(machine.frames["mapcount"])
                machine.whomaps(used[used > 0][:5])
                looks.append((len(log.entries), len(machine.processes)))
            except rmapcore.MachineBusy:
                refused[2].append("look")
            turns.give_way()

    turns.run(*(lambda n=n: run_program(machine, 2 * seed + n, turns.give_way, refused[n]) for n in range(2)), look)
    return refused, looks


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_random_programs_in_two_threads_on_one_machine(scheme, seed, monkeypatch):
    """A third thread looks on. What was not refused, done again by one thread, gives the same bytes."""
    options = {"ram": 48 * PAGE, "swap": 300 * PAGE, "track_contents": True}
    machine, turns = rmapcore.Machine(scheme, **options), Interleaving(seed)
    with monkeypatch.context() as patch:
        patch.setattr(rmapcore.core.running.batch, "SLICE", Slices(turns.give_way))
        log = Log(patch, turns.give_way)
        refused, looks = take_turns(machine, scheme, seed, log, turns)
    look_through(machine, scheme)
    assert len(log.entries) > 600 and len(looks) > 10 and all(len(steps) > 10 for steps in refused)
    twin = rmapcore.Machine(scheme, **options)
    log.again(twin)
    assert arenas(machine) == arenas(twin)


def life(machine, seed, meanwhile=int):
    """A random program, then a family that fills memory, swaps out, comes back and dies."""
    run_program(machine, seed, meanwhile, [])
    parent = machine.spawn()
    at = parent.mmap(length=900 * PAGE)
    order = np.random.default_rng(seed).permutation(900)
    for _ in range(10):
        parent.touch(at + PAGE * order, True)
        child = parent.fork()
        child.write(at, 300 * PAGE)
        machine.reclaim(500)
        child.exit()
    check(machine)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_machines_in_two_threads_do_not_meet(scheme, monkeypatch):
    """First alone, then slice by slice in turns, then on two processors."""
    made = [[rmapcore.Machine(scheme, ram=600 * PAGE, swap=3000 * PAGE, track_contents=True) for _ in range(2)]
            for _ in range(3)]
    for seed, machine in enumerate(made[0]):
        life(machine, seed)
    turns = Interleaving(1)
    with monkeypatch.context() as patch:
        patch.setattr(rmapcore.core.running.batch, "SLICE", Slices(turns.give_way))
        turns.run(*(lambda seed=seed: life(made[1][seed], seed, turns.give_way) for seed in range(2)))
    assert len(turns.turns) > 2000
    threads = [threading.Thread(target=life, args=(machine, seed)) for seed, machine in enumerate(made[2])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for alone, *beside in zip(*made, strict=True):
        assert [arenas(machine) == arenas(alone) for machine in beside] == [True, True]


def test_two_comparisons_in_two_threads(monkeypatch):
    def run():
        result = rmapcore.compare("swapout", schemes=list(SCHEMES), pages=1000).to_dict()
        for row in result["results"]:
            del row["seconds"], row["ns_per_page"]
        return result

    alone, turns = run(), Interleaving(0)
    monkeypatch.setattr(rmapcore.core.running.batch, "SLICE", Slices(turns.give_way, 400))
    assert turns.run(run, run) == [alone, alone]
    assert len(turns.turns) > 200


# --- giving back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "use"), [
    (rmapcore.SegmentationFault, lambda m, p, at, f: p.write(0x10)),
    (rmapcore.SegmentationFault, lambda m, p, at, f: p.touch([at, 0x10], True)),
    (rmapcore.BusError, lambda m, p, at, f: p.read(p.mmap(0, PAGE, 3, 0x02, f, 64 * PAGE))),
    (rmapcore.OutOfMemory, lambda m, p, at, f: p.write(p.mmap(length=9000 * PAGE), 9000 * PAGE)),
    (rmapcore.ArenaFull, lambda m, p, at, f: m.file("too long", 1 << 61)),
    (rmapcore.UnknownName, lambda m, p, at, f: m.file("a", 0, "tape")),
    (ValueError, lambda m, p, at, f: m.whomaps([1 << 40])),
    (ValueError, lambda m, p, at, f: p.touch([-1], True)),
    (OSError, lambda m, p, at, f: p.munmap(at + 1, PAGE)),
    (OSError, lambda m, p, at, f: m.save("no/such/directory")),
    (ValueError, lambda m, p, at, f: m.reclaim(1 << 70)),
    (TypeError, lambda m, p, at, f: p.mmap(nonsense=1)),
])
def test_the_machine_is_free_after_an_error(error, use):
    machine, parent, _, heap, file = family()
    with pytest.raises(error):
        use(machine, parent, heap, file)
    is_free(machine)


def test_the_machine_is_free_after_a_violation():
    machine, *_ = family()
    head = machine._core.writable("head")
    head["n_mapped"] += 1
    with pytest.raises(rmapcore.InconsistentState):
        check(machine)
    head["n_mapped"] -= 1
    is_free(machine)


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("work", [lambda m, p, at: m.reclaim(150), lambda m, p, at: p.write(at, 200 * PAGE)])
def test_the_machine_is_free_after_an_interrupt(scheme, step, work, monkeypatch):
    machine, parent, _, heap, _ = family(scheme)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Pause(patch, lambda count: count == step and interrupt())
        work(machine, parent, heap)
    is_free(machine)


def test_the_machine_is_free_after_an_interrupted_replay(monkeypatch):
    machine, *_ = family()
    operations = np.zeros(100, rmapcore.operations.OPERATION)
    operations["op"], operations["process"] = rmapcore.operations.Op.SPAWN, 100 + np.arange(100)
    trace = rmapcore.Trace(operations, [], {}, "trace")
    Pause(monkeypatch, lambda count: count == 3 and interrupt())
    with pytest.raises(KeyboardInterrupt):
        trace.replay(machine)
    assert 0 < len(machine.processes) < 100
    is_free(machine)


def test_the_machine_is_free_after_an_interrupted_experiment():
    program = build("swapout", {"pages": 1000}, 0, ("x86_64",))
    machine = rmapcore.Machine(ram=1100 * PAGE, swap=2000 * PAGE)
    experiment = Experiment(program, machine, [], lambda fraction, phase: fraction > 0.3 and interrupt())
    with pytest.raises(KeyboardInterrupt):
        experiment.run()
    is_free(machine)


def test_an_experiment_is_held():
    """Also while it reports progress."""
    program = build("swapout", {"pages": 1000}, 0, ("x86_64",))
    machine = rmapcore.Machine(ram=1100 * PAGE, swap=2000 * PAGE)
    told = []

    def progress(fraction, phase):
        told.append(fraction)
        for run in (elsewhere, lambda work: work()):
            with pytest.raises(rmapcore.MachineBusy):
                run(machine.spawn)
        with pytest.raises(rmapcore.MachineBusy):
            elsewhere(experiment.row)

    experiment = Experiment(program, machine, [], progress)
    experiment.run()
    assert told and experiment.row()["check"]["missed"] == 0
    is_free(machine)


class Strike:
    """Within it, KeyboardInterrupt comes before a bytecode of the product, the one of this number; `count` of them ran."""

    def __init__(self, number=-1):
        self.number, self.count = number, 0

    def _trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            self.count += 1
            if self.count == self.number:
                raise KeyboardInterrupt
        return self._trace

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)


def test_interrupts_at_any_moment():
    """As Ctrl-C comes between two bytecodes: wherever it strikes, the machine is free and whole."""
    machine, parent, child, heap, _ = family()

    def work():
        at = parent.mmap(length=2 * PAGE)
        parent.write(at, 2 * PAGE)
        _ = machine.counters, child.rss, machine.whomaps([1, 2])
        parent.munmap(at, 2 * PAGE)

    with Strike() as all_of_it:
        work()
    assert all_of_it.count > 50
    for number in np.random.default_rng(0).permutation(all_of_it.count)[:300].tolist():
        with pytest.raises(KeyboardInterrupt), Strike(number + 1):
            work()
        assert elsewhere(lambda: machine.counters["faults_zero"]) > 0
        parent.read(heap)                      # this thread is in the middle of nothing
    is_free(machine)


# --- inside of an operation -------------------------------------------------------------------------------------------


def test_what_runs_in_a_pause_may_look_but_not_change(monkeypatch, tmp_path):
    """A signal handler, say: same thread, between two steps of an operation."""
    monkeypatch.chdir(tmp_path)
    machine, _, child, heap, file = family()
    twin = machine.copy()
    outcomes = {}

    def use_all(count):
        if count == 3:
            for name, use in uses(machine, child, heap, file):
                try:
                    use()
                    outcomes[name] = "passes"
                except rmapcore.MachineBusy as error:
                    outcomes[name] = str(error)

    with monkeypatch.context() as patch:
        Pause(patch, use_all)
        result = machine.reclaim(150)
    assert result == twin.reclaim(150)
    refused = {name for name, outcome in outcomes.items() if outcome != "passes"}
    assert refused == CHANGE and "in the middle of an operation" in outcomes["write"]
    assert set(outcomes) == set(MACHINE) | set(PROCESS) | set(FILE)
    is_free(machine)
    is_free(rmapcore.Machine.load("saved"))


class Curious(Prototype):
    """A scheme that runs something in the middle of a write and of a walk."""

    def __init__(self, inner, action):
        super().__init__(inner)
        self.action = action

    def pages_mapped(self, v, vpn, slot, n):
        self.action()

    def walk(self, pfn, purpose):
        self.action()
        yield from self.candidates(pfn, purpose)


def curious(action):
    """A machine with that scheme, and a process."""
    machine = rmapcore.Machine(Curious(SCHEMES["anon_vma"].load()(), action), file_rmap="prio_tree", ram="1MiB",
                               swap="1MiB", track_contents=True)
    return machine, machine.spawn()


@pytest.mark.parametrize("operation", [lambda m, p, at: p.write(at), lambda m, p, at: p.touch([at], True),
                                       lambda m, p, at: m.whomaps([1]), lambda m, p, at: m.reclaim(1)])
def test_a_hook_may_look_but_not_change(operation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcomes = []

    def use_all():
        if outcomes != ["on"]:
            return
        outcomes[:] = [{}]
        for name, use in uses(machine, process, at, file):
            try:
                use()
                outcomes[0][name] = True
            except rmapcore.MachineBusy:
                outcomes[0][name] = False

    machine, process = curious(use_all)
    at = process.mmap(length=8 * PAGE)
    process.write(at + PAGE)
    file = machine.file("data", PAGE)
    outcomes.append("on")
    operation(machine, process, at)
    assert {name for name, passes in outcomes[0].items() if not passes} == NOT_IN_A_HOOK
    assert os.listdir() == []
    is_free(machine)


@pytest.mark.parametrize(("action", "error"), [
    (lambda process, at: process.write(at + PAGE), rmapcore.MachineBusy),
    (lambda process, at: interrupt(), KeyboardInterrupt),
])
def test_what_a_hook_raises_fails_its_operation(action, error):
    """The operation ends as it would have; then it raises what the hook did, and the machine is free."""
    tried = []

    def once():
        if not tried:
            tried.append(True)
            action(process, at)

    machine, process = curious(once)
    at = process.mmap(length=2 * PAGE)
    with pytest.raises(error):
        process.write(at)
    assert tried and process.rss == 1
    is_free(machine)


def test_copies_are_free(monkeypatch, tmp_path):
    machine, *_ = family()
    machine.save(tmp_path / "saved")
    copy = machine.copy()
    with Held(monkeypatch, lambda: machine.reclaim(150)):
        is_free(rmapcore.Machine.load(tmp_path / "saved"))
        is_free(copy)
