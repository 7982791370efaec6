"""What all benchmarks share.

    pytest bench --benchmark-enable --benchmark-group-by=group

Each group compares the schemes of the registry at one job. Sizes are small, so that every benchmark can run once with the
tests; RMAPCORE_BENCH_PAGES sets another. A round that changes its machine works on one made anew, outside of the
measured time. `rmapcore bench` gives nanoseconds per page and ratios for the most important of these.
"""
import gc
import os

import pytest

import rmapcore

ROUNDS = 6                                     # even: two ideal passes leave a machine as it was


def pytest_xdist_auto_num_workers():
    """None: what is timed is alone."""
    return 0


@pytest.fixture
def pages():
    """How many pages a benchmark works on."""
    return int(os.environ.get("RMAPCORE_BENCH_PAGES", "4096"))


@pytest.fixture(params=rmapcore.schemes())
def scheme(request):
    """Every scheme of the registry."""
    return request.param


@pytest.fixture
def measure(benchmark):
    """measure(group, n_pages, work, setup): what the last work(*setup()) gave; setup is not timed."""
    def run(group, n_pages, work, setup=tuple):
        def fresh():
            gc.collect()                       # machines and their processes refer to each other
            return setup(), {}

        benchmark.group = group
        benchmark.extra_info["pages"] = n_pages
        return benchmark.pedantic(work, setup=fresh, rounds=ROUNDS)
    return run
