"""What tests of several files share."""
import gc
import signal

import pytest

from rmapcore.traces import load_trace


@pytest.fixture
def load(tmp_path):
    def load(recording):
        path = tmp_path / "recording.txt"
        path.write_bytes(recording if isinstance(recording, bytes) else recording.text())
        return load_trace(path)

    return load


@pytest.fixture
def signals_heard():
    """Signals as a terminal's program has them: what a shell starts in the background ignores some, and so do its children."""
    before = [(number, signal.signal(number, handler)) for number, handler in
              ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL))]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def pytest_xdist_auto_num_workers(config):
    """None, that is xdist's own answer, for folders; single files are done before workers would have started."""
    return 0 if all(".py" in argument for argument in config.args) else None


@pytest.fixture(scope="module", autouse=True)
def swept():
    """compare() collects garbage after every row; it need not look each time through all that earlier files have loaded."""
    gc.collect()
    gc.freeze()
