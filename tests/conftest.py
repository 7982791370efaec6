"""What tests of several files share."""
import gc

import pytest

from rmapcore.traces import load_trace


@pytest.fixture
def load(tmp_path):
    def load(recording):
        path = tmp_path / "recording.txt"
        path.write_bytes(recording if isinstance(recording, bytes) else recording.text())
        return load_trace(path)

    return load


@pytest.fixture(scope="module", autouse=True)
def swept():
    """compare() collects garbage after every row; it need not look each time through all that earlier files have loaded."""
    gc.collect()
    gc.freeze()
