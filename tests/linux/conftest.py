"""What tests need of this machine."""
import pytest

from rmapcore.linux.capture import perf


@pytest.fixture(scope="session")
def can_record(tmp_path_factory):
    try:
        perf.Recorder(tmp_path_factory.mktemp("recorder"), 1 << 20).stop()
    except perf.NotAllowed as error:
        pytest.skip(str(error))
