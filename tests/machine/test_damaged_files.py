"""Damaged and made-up files of machines: each is refused with what is wrong, or what was loaded runs on within its arenas."""
import io
import json
import random
import zipfile

import numpy as np
import pytest

import rmapcore
from damage import build
from rmapcore.schemes import registry

PAGE = 4096
BASE = 0x40000000


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small machine with a fork, swap and a file, and the arrays of its file."""
    machine = rmapcore.Machine("anon_vma", ram="1MiB", swap="2MiB", track_contents=True, max_ptes=8192)
    process = machine.spawn("a")
    process.write(process.mmap(BASE, 64 * PAGE, 3, 0x32), 64 * PAGE)
    process.read(process.mmap(0x50000000, 4 * PAGE, 1, 1, machine.file("f", 4 * PAGE)), 4 * PAGE)
    process.fork().write(BASE, 16 * PAGE)
    machine.reclaim(20)
    path = tmp_path_factory.mktemp("saved") / "good"
    machine.save(path)
    with np.load(path) as arrays:
        return path, {name: arrays[name] for name in arrays.files}


def written(path, arrays):
    with open(path, "wb") as out:
        np.savez(out, **arrays)
    return path


def changed(saved, name, field, at, value):
    arrays = {key: array.copy() for key, array in saved[1].items()}
    (arrays[name][field] if field else arrays[name])[at] = value
    return arrays


def refused(path, reason):
    with pytest.raises(rmapcore.RmapcoreError, match=reason) as caught:
        rmapcore.Machine.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("name", "field", "at", "value", "reason"), [
    ("pools", "capacity", 4, 1 << 20, "pools: number 4 has capacity 1048576"),
    ("pools", "bump", 4, 1 << 20, "pools: number 4 has 1048576 records in use"),
    ("pools", "bump", 1, 0, "pools: number 1 has 0 records in use"),
    ("pools", "free", 1, 1 << 30, "pools: number 1 has free"),
    ("pools", "live", 1, 1 << 30, "pools: number 1 has live"),
    ("pools", "rmap_bytes", 1, 77, "rmap_bytes 77"),
    ("lru_ahead", None, 3, 1 << 31, "lru_ahead names frame 2147483648"),
    ("head", "recent", (0, 5), 1 << 30, "head.recent names frame 1073741824"),
    ("pid_mm", None, 0, 1, "pid_mm: number 0 is not empty"),
    ("areas", "start", 0, 7, "areas: number 0 is not empty"),
    ("head", "recent_at", (0, 1), 32, "head.recent_at is"),
])
def test_fields_that_lie_are_named(saved, tmp_path, name, field, at, value, reason):
    refused(written(tmp_path / "bad", changed(saved, name, field, at, value)), reason)


@pytest.mark.parametrize("scheme", registry())
def test_number_0_of_every_array_is_nobody(scheme, tmp_path):
    """A tree whose number 0 had a parent was climbed without end by the next mmap."""
    machine = build(scheme, "x86_64")
    machine.save(tmp_path / "good")
    with np.load(tmp_path / "good") as arrays:
        arrays = {name: arrays[name] for name in arrays.files}
    arenas = machine._core.arenas
    nobody = [name for name, arena in arenas.items() if arena.pool >= 0 and not arena.anchor]
    used = {name for name, arena in arenas.items() if arena.pool >= 0 and arena.anchor}
    assert len(nobody) >= 15 and used <= {"lru_ahead", "scan_mms"} | {name for name in arenas if "." in name}
    for name in nobody:
        array = arrays[name].copy()
        first = array[:arenas[name].stride].view(np.uint8)
        first[-1] = 1
        refused(written(tmp_path / "bad", arrays | {name: array}), f"{name}: number 0 is not empty")


@pytest.mark.parametrize("name", ["frames", "areas", "tables", "entries", "swap_map", "head"])
def test_arrays_of_other_lengths_and_kinds(saved, tmp_path, name):
    arrays = saved[1]
    for other in (arrays[name][:-1], np.concatenate([arrays[name], arrays[name]]), arrays[name].reshape(1, -1),
                  np.zeros(len(arrays[name]), np.float64)):
        refused(written(tmp_path / "bad", arrays | {name: other}), f"array {name!r} has")
    refused(written(tmp_path / "bad", {key: array for key, array in arrays.items() if key != name}), f"no array {name!r}")


def test_a_small_file_does_not_become_a_large_one(saved, tmp_path):
    """An array of gigabytes takes a few kilobytes when it is deflated: its header is enough to refuse it."""
    path = tmp_path / "bad"
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(saved[0]) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bad:
        for name in good.namelist():
            bad.writestr(name, data.getvalue() if name == "frames.npy" else good.read(name))
    refused(path, "array 'frames' has")


@pytest.mark.parametrize("text", [b"", b"[" * 100_000, b"\xff", b"{}", b'{"version": 2}',
                                  b'{"version": 2, "arguments": {"ram": 1e400}}',
                                  b'{"version": 2, "arguments": {"scheme": "anon_vma", "ram": 99999999999999999999999}}'])
def test_headers_that_are_none(saved, tmp_path, text):
    refused(written(tmp_path / "bad", saved[1] | {"machine": np.frombuffer(text, np.uint8)}), "not a saved machine")


def test_files_that_are_cut_off_or_changed_anywhere(saved, tmp_path):
    content, rng, path = saved[0].read_bytes(), random.Random(7), tmp_path / "bad"
    for _ in range(60):
        bad = bytearray(content[:rng.randrange(len(content))] if rng.random() < 0.3 else content)
        for _ in range(rng.randint(1, 4)):
            if bad:
                bad[rng.randrange(len(bad))] = rng.randrange(256)
        path.write_bytes(bad)
        try:
            machine = rmapcore.Machine.load(path)
        except rmapcore.RmapcoreError:
            continue
        machine.save(path)                     # what has changed means nothing: an attribute of the archive
        assert path.read_bytes() == content


def test_other_arguments_do_not_fit(saved, tmp_path):
    header = json.loads(saved[1]["machine"].tobytes())
    for key, value in (("ram", 2 << 20), ("swap", 1 << 20), ("arch", "i386"), ("max_ptes", 4096), ("scheme", "pte_chain")):
        text = json.dumps(header | {"arguments": header["arguments"] | {key: value}}).encode()
        refused(written(tmp_path / "bad", saved[1] | {"machine": np.frombuffer(text, np.uint8)}), "not a saved machine|damaged")


def test_an_array_that_is_encrypted(saved, tmp_path):
    """Found by changing bytes at random: one bit of the archive's directory was a RuntimeError."""
    content = bytearray(written(tmp_path / "m", saved[1]).read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    name = content[entry + 46:entry + 46 + content[entry + 28]].decode().removesuffix(".npy")
    (tmp_path / "m").write_bytes(content)
    refused(tmp_path / "m", f"array '{name}' is encrypted")
