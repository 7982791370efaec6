"""Random calls with junk in every argument (fuzz.c): codes and messages, arrays not overrun, and check() in between."""
import pytest

from rmapcore.kernels import kernels

SPECIFICATION = "Machine({scheme!r}, kernel={kernel!r}, ram='256KiB', swap='512KiB', max_ptes=65536, watch=256)"
SEEN = {0, -1, -3, -9, -12, -14, -22, -1001, -1101, -1104, -1106}       # codes that must come up


@pytest.mark.parametrize("kernel", list(kernels()))
def test_junk(fuzz, kernel):
    counts = fuzz.run(SPECIFICATION.format(scheme="anon_vma", kernel=kernel), 1, 20000, 500)
    assert sum(counts.values()) == 20000 and counts.keys() >= SEEN


@pytest.mark.long
@pytest.mark.parametrize("kernel", list(kernels()))
@pytest.mark.parametrize("scheme", ["pte_chain", "anonmm", "anon_vma", "anon_vma_chain", "virtual_scan"])
def test_a_million_calls(fuzz, scheme, kernel):
    counts = fuzz.run(SPECIFICATION.format(scheme=scheme, kernel=kernel), 2, 1_000_000, 1000)
    assert sum(counts.values()) == 1_000_000 and counts.keys() >= SEEN
