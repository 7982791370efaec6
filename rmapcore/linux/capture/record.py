"""capture: a program recorded into a file that replay and compare take, and what it cost.

perf records everything (`rmapcore.linux.capture.perf`); where it is not allowed, strace records the calls only.
"""
import os
import signal
import tempfile
import threading
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from time import perf_counter, time

from rmapcore.arguments import one_of, path_of, several, whole
from rmapcore.errors import CaptureError
from rmapcore.linux.capture import command as commands
from rmapcore.linux.capture import folios, header, images, perf, strace
from rmapcore.linux.capture.anonymous import Anonymiser
from rmapcore.linux.capture.mapped import Mapped
from rmapcore.linux.capture.output import writer
from rmapcore.linux.capture.perfdata import Recording
from rmapcore.linux.capture.standing import Watch
from rmapcore.linux.proc import available_bytes
from rmapcore.traces.strace import Converter
from rmapcore.units import parse_size

TOOLS = ("perf", "strace")
BUFFER = 64 << 20                              # for each processor: a million events while their reader waits for its turn
LEAST_BUFFER = 512 << 10
PART_OF_MEMORY = 8                             # all buffers together take at most this part of it


@dataclass
class Capture:
    """What a recording holds and what it cost.

    file, command.  tool: "perf" or "strace".  refused: why perf could not be used, None if it was.
    status: exit status of the command, -N: ended by signal N.  interrupted: whether it was broken off.
    events, faults, processes: lines written, page faults among them, address spaces born by fork and the first one.
    lost: events that had no room in the buffers, of this program or another; None: cannot be told.
    seconds: "command": its run time while it was recorded, "plain": not recorded, None if it was not run so, "writing":
    from its end to the end of the file.
    overhead: None, or {"seconds", "part": of the plain run time, "measured": True}; or {"seconds": processor time that page
    faults cost at least, each as much as one that is recorded beside, "part": None, "measured": False}.
    missing: what the recording does not hold, in short sentences.
    states: None, or {"count", "processes": in all of them, "seconds": for which the program stood while they were read}.
    """

    file: str
    command: list
    tool: str
    refused: str | None
    status: int
    interrupted: bool
    events: int
    faults: int
    processes: int
    lost: int | None
    seconds: dict
    overhead: dict | None
    missing: list = field(default_factory=list)
    states: dict | None = None

    @property
    def ok(self):
        """Whether nothing was lost."""
        return not self.lost

    def to_dict(self):
        """Everything, for JSON."""
        return asdict(self)

    def text(self):
        """The same in some lines."""
        how = f"exit status {self.status}" if self.status >= 0 else f"ended by {signal.Signals(-self.status).name}"
        how += ", broken off" if self.interrupted else ""
        lines = [f"{self.file}: {self.events:,} events, {self.faults:,} page faults, {self.processes:,} processes, by "
                 f"{self.tool}",
                 f"command:  {self.seconds['command']:.3f} s, {how}"]
        if self.refused:
            lines.insert(0, f"perf cannot record here ({self.refused}); strace did")
        if self.overhead is None:
            lines.append("overhead: not known (--plain measures it)")
        else:
            cost = f"{self.overhead['seconds']:.4f} s"
            if self.overhead["measured"]:
                lines.append(f"overhead: {cost}, {self.overhead['part']:.1%} of the run time without recording: "
                             f"{self.seconds['plain']:.3f} s")
            else:
                lines.append(f"overhead: at least {cost} of processor time, for page faults alone (--plain measures all of it)")
        if self.lost:
            lines.append(f"lost:     {self.lost:,} events; the recording has gaps: record again with a larger --buffer, or "
                         "with less else running")
        elif self.lost == 0:
            lines.append("lost:     no event")
        if self.states:
            lines.append(f"states:   {self.states['count']:,}, {self.states['processes']:,} processes looked at in them; the "
                         f"program stood {self.states['seconds']:.3f} s for them")
        lines += [f"missing:  {sentence}" for sentence in self.missing]
        return "\n".join(lines) + "\n"


def capture(command, file, tool=None, plain=False, buffer=None, progress=None, *, hold=False, snapshots=None,
            anonymise=False):
    """Runs a command once and writes its recording to `file`; a Capture.

    command: a list of words.  file: the recording, text as perf script prints it, compressed if the name ends in .zst; its
    operations, as Trace.save writes them, if it ends in .ops.
    tool: "perf", "strace"; None: perf, or strace where perf is not allowed.
    plain: run the command once more before, without recording it, to measure what recording costs.
    buffer: bytes of the buffer for each processor, as in Machine's ram; None: 64 MiB, less where memory is short.
    progress: None or called as progress(done, total, text) while the file is written.
    hold: when the command ends or is broken off, all its processes are stopped, and what they have goes into the file.
    snapshots: the same every so many page faults, None: never.  Both need perf.
    anonymise: names of programs and files are replaced by numbered ones.
    The command has this process's standard input, output and error. Raises CaptureError if nothing can record it here or
    the recorder failed, OSError if the file cannot be written.
    """
    command = [path_of(word, "command") for word in several(command, "command")]
    path_of(file, "file")
    if tool is not None:
        one_of(tool, "tool", TOOLS)
    buffer = None if buffer is None else ring(parse_size(buffer, "buffer"))
    snapshots = None if snapshots is None else whole(snapshots, "snapshots", 0)
    commands.found(command)
    with tempfile.TemporaryDirectory(prefix="rmapcore-") as folder, writer(file) as write:
        for line in header.lines(command, anonymise):
            write(f"{line}\n".encode())
        unrecorded = commands.run(command) if plain else None
        if unrecorded and unrecorded.interrupted:
            raise CaptureError("broken off before the recording")
        recorder, refused = start(tool, folder, buffer)
        if anonymise:
            write = Anonymiser(write).take
        if recorder is None:
            if hold or snapshots:
                raise CaptureError(f"states can be recorded beside perf only, and it cannot record here ({refused})")
            report = calls_only(command, folder, write)
        else:
            watch = Watch({recorder.process.pid}, snapshots) if hold or snapshots else None
            report = everything(command, recorder, write, watch, hold, progress)
    report = Capture(file=os.fspath(file), command=command, refused=refused, **report)
    if unrecorded:
        report.seconds["plain"] = unrecorded.seconds
        seconds = report.seconds["command"] - unrecorded.seconds
        report.overhead = {"seconds": seconds, "part": seconds / unrecorded.seconds, "measured": True}
    return report


def start(tool, folder, buffer):
    """(perf recording, None), or (None, why it does not) if strace is to do it. CaptureError if that cannot either."""
    refused = None
    if tool != "strace":
        try:
            return perf.Recorder(folder, buffer or usual_ring()), None
        except perf.NotAllowed as error:
            refused = str(error)
            if tool == "perf":
                raise CaptureError(refused) from None
    if not strace.present():
        raise CaptureError("; ".join(filter(None, (refused, "strace is not installed"))))
    return None, refused


def usual_ring():
    return ring(min(BUFFER, (available_bytes() or 0) // PART_OF_MEMORY // (os.cpu_count() or 1)))


def ring(size):
    """The power of two that perf wants for its own, not below its usual size."""
    return 1 << (max(size, LEAST_BUFFER).bit_length() - 1)


def everything(command, recorder, write, watch, hold, progress):
    """The fields of a Capture by perf, whose Recorder has begun. watch: the Watch that takes states, or None."""
    began = time()
    try:
        with watch.watching() if watch else nullcontext():
            ended = commands.run(command, hold=watch.take if hold else None)
    finally:
        recorder.stop()
    start = perf_counter()
    recording = Recording(recorder.data, recorder.pages, ended.pid)
    mapped = Mapped()
    for block in recording.blocks(watch.states if watch else (), progress):
        write(block)
        mapped.see(block)
    for line in (*images.lines(mapped), *folios.lines(mapped, began)):
        write(line)
    lines = recording.converter
    if not lines.lines:
        raise CaptureError("perf has recorded nothing of the command")
    lost = lines.lost + recorder.rings.lost
    if lost:                                   # for who reads the file without this report
        write(recording.gap(lost, ended.pid))
    overhead = None
    if recorder.fault_seconds is not None:
        seconds = lines.faults * recorder.fault_seconds
        overhead = {"seconds": seconds, "part": None, "measured": False}
    return {"tool": "perf", "status": ended.status, "interrupted": ended.interrupted, "events": lines.lines,
            "faults": lines.faults, "processes": lines.processes, "lost": lost,
            "seconds": {"command": ended.seconds, "plain": None, "writing": perf_counter() - start}, "overhead": overhead,
            **(stood(watch) if watch else {})}


def stood(watch):
    """What states have cost: fields of a Capture."""
    missing = [f"states: {watch.problem}"] if watch.problem else []
    return {"states": {"count": len(watch.states), "processes": sum(len(state.processes) for state in watch.states),
                       "seconds": watch.seconds}, "missing": missing}


def calls_only(command, folder, write):
    """The fields of a Capture by strace, whose lines are taken as they come: a program that it holds is looked at."""
    pipe = os.path.join(folder, "strace")
    os.mkfifo(pipe)
    lines = Converter(strace.areas)
    failures = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    own = os.open(pipe, os.O_WRONLY)           # no end of the file before strace has opened it
    os.set_blocking(reader, True)

    def take():
        with open(reader, "rb") as stream:
            for line in stream:                # to the end, or strace would wait for ever
                try:
                    for made in () if failures else lines.convert(line.decode("latin-1").rstrip("\n")):
                        write(made.encode("latin-1") + b"\n")
                except Exception as error:
                    failures.append(error)

    taker = threading.Thread(target=take)
    taker.start()
    try:
        ended = commands.run(command, strace.words(pipe))
    finally:
        os.close(own)
        taker.join()
    if failures:
        raise failures[0]
    if not lines.lines:
        raise CaptureError("strace has recorded nothing of the command")
    return {"tool": "strace", "status": ended.status, "interrupted": ended.interrupted, "events": lines.lines, "faults": 0,
            "processes": lines.processes, "lost": None, "overhead": None, "missing": list(strace.MISSING),
            "seconds": {"command": ended.seconds, "plain": None, "writing": 0.0}}
