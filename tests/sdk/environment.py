"""Environments of the official venue SDKs: one per venue, since their pins conflict.

An environment is named after its lock file's content, so it is built once and reused; a changed lock file
makes a new one. Builds happen one after another, however many test processes ask.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent / ".sdk-venvs"
BUILD_TIMEOUT_S = 900


def sdk_python(name: str) -> Path:
    """The interpreter of the environment pinned by ``<name>.lock``; builds it when it is missing.

    Raises RuntimeError with pip's last words when it cannot be built.
    """
    lock = FOLDER / f"{name}.lock"
    home = ROOT / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    ready, python = home / ".ready", home / "bin" / "python"
    ROOT.mkdir(exist_ok=True)
    with _alone(ROOT / ".lock"):
        if not ready.exists():
            shutil.rmtree(home, ignore_errors=True)  # a build that was interrupted
            _run(sys.executable, "-m", "venv", str(home))
            pip = (
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
            )
            _run(*pip, "--no-deps", "-r", str(lock))
            ready.touch()
    return python


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; it ends with this process at the latest."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout)[-800:]}")
