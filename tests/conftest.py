"""What tests of several files share."""
import gc
import signal

import pytest
from xdist.scheduler import LoadScopeScheduling

from rmapcore.traces import load_trace

LIVE = "tests/linux/"                          # needs the live kernel: swap, perf, root; two at once would disturb each other


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


@pytest.fixture(scope="module", autouse=True)
def swept():
    """compare() collects garbage after every row; it need not look each time through all that earlier files have loaded."""
    gc.collect()
    gc.freeze()


# --- what runs where --------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(LIVE):
            item.add_marker(pytest.mark.live)


def pytest_xdist_auto_num_workers(config):
    """None, that is xdist's own answer, for folders; single files are done before workers would have started."""
    return 0 if all(".py" in argument for argument in config.args) else None


class Files(LoadScopeScheduling):
    """A file stays on one worker, as its fixtures do, and so does all that needs the live kernel."""

    def _split_scope(self, nodeid):
        return LIVE if nodeid.startswith(LIVE) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config, log):
    return Files(config, log)
