"""What tests of several files share."""
import pytest

from rmapcore.traces import load_trace


@pytest.fixture
def load(tmp_path):
    def load(recording):
        path = tmp_path / "recording.txt"
        path.write_bytes(recording if isinstance(recording, bytes) else recording.text())
        return load_trace(path)

    return load
