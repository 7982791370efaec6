"""perf's binary file as text, by perf itself: what its form is in this version of perf, and in this file, knows perf only."""
import subprocess
import tempfile

from rmapcore.errors import TraceError
from rmapcore.traces.columns import FIELDS, RECORDS

MAGICS = (b"PERFILE2", b"2ELIFREP", b"PERFFILE")       # of both byte orders, and the first version
OPTIONS = ("--force", "--show-lost-events", *RECORDS.split(), "-F", FIELDS)    # --force: other people's files too
BLOCK = 1 << 20
MESSAGE = 300                                  # characters of perf's last words


def text_of(path):
    """The text, piece by piece, through a pipe. TraceError with perf's last message if it fails."""
    with tempfile.TemporaryFile() as messages:
        words = ["perf", "script", "-i", path, *OPTIONS]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages) as perf:
            try:
                while block := perf.stdout.read(BLOCK):
                    yield block
            except GeneratorExit:              # whoever reads it has given up
                perf.kill()
                raise
        if perf.returncode:
            messages.seek(0)
            said = [line.strip() for line in messages.read().decode("utf-8", "replace").splitlines() if line.strip()]
            raise TraceError(f"perf script: {said[-1][:MESSAGE] if said else f'exit status {perf.returncode}'}", path)
