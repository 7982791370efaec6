"""What tests need of this machine."""
import os
import shutil
import subprocess

import pytest

from rmapcore.linux.capture import perfdata


def allowed():
    """Why perf cannot record here, None if it can; told by a recording of almost nothing."""
    if shutil.which("perf") is None:
        return "perf is not installed"
    arguments = ["perf", "record", "-q", "-a", "-o", os.devnull, "-e", next(iter(perfdata.EVENTS)), "--", "true"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    return None if done.returncode == 0 else f"perf is not allowed here: {done.stderr.strip()[:200]}"


@pytest.fixture(scope="session")
def can_record():
    reason = allowed()
    if reason:
        pytest.skip(reason)
