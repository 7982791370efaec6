"""The clients in C, compiled once in each worker."""
from pathlib import Path

import pytest

import compiled

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    return compiled.module(tmp_path_factory.mktemp("client"), HERE / "client.c")


@pytest.fixture(scope="session")
def fuzz(tmp_path_factory):
    return compiled.module(tmp_path_factory.mktemp("fuzz"), HERE / "fuzz.c")
