"""The Dockerfile without Docker: its install, CMD and HEALTHCHECK run in a clean directory."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from venues.sandboxes import free_ports

ROOT = Path(__file__).resolve().parent.parent


def instructions() -> list[tuple[str, str]]:
    """``(INSTRUCTION, arguments)`` in order, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(None, 1)[1]) for line in lines]


def arguments_of(name: str) -> str:
    return next(arguments for instruction, arguments in instructions() if instruction == name)


def test_it_runs_as_a_user_of_its_own_and_tells_its_health() -> None:
    names = [name for name, _ in instructions()]

    assert arguments_of("USER") not in ("root", "0")
    assert names.index("USER") < names.index("CMD")
    assert "HEALTHCHECK" in names
    assert "0.0.0.0" in arguments_of("CMD")


def test_every_top_level_package_is_copied() -> None:
    copied = {part for name, arguments in instructions() if name == "COPY" for part in arguments.split()[:-1]}
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests", "bench"}

    assert packages <= copied
    assert {"api_manager.py", "requirements.lock"} <= copied


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files COPY names, in an empty directory, with RUN pip install done in an environment of its own."""
    app = tmp_path_factory.mktemp("image")
    for name, arguments in instructions():
        if name != "COPY":
            continue
        *sources, target = arguments.split()
        for source in sources:
            into = app / target / (source if target in (".", "./") else "")
            if (ROOT / source).is_dir():
                shutil.copytree(
                    ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__", "api_keys.json")
                )
            else:
                shutil.copy(ROOT / source, into)
    subprocess.run([sys.executable, "-m", "venv", str(app / "env")], check=True)
    (install,) = (a for n, a in instructions() if n == "RUN" and "pip install" in a)
    command = shlex.split(install)
    assert command[0] == "pip"
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([str(app / "env" / "bin" / "pip"), *command[1:], *quiet], cwd=app, check=True)
    return app


@pytest.mark.timeout(300)
def test_install_command_and_healthcheck_work(image: Path, tmp_path: Path) -> None:
    python = str(image / "env" / "bin" / "python")
    rest, ws = free_ports(2)

    def local(arguments: str) -> list[str]:
        words = json.loads(re.search(r"\[.*\]", arguments)[0])  # type: ignore[index]
        words = [w.replace("48888", str(rest)).replace("/data", str(tmp_path)) for w in words]
        return [python if words[0] == "python" else words[0], *words[1:]]

    environ = {
        "PATH": os.environ["PATH"],
        "VANTA_API_REST_PORT": str(rest),
        "VANTA_API_WS_PORT": str(ws),
    }
    process = subprocess.Popen(local(arguments_of("CMD")), cwd=image, env=environ, stderr=subprocess.PIPE)
    try:
        check = local(arguments_of("HEALTHCHECK"))
        deadline = time.monotonic() + 60
        while (health := subprocess.run(check, cwd=image, env=environ, capture_output=True)).returncode:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline, health.stderr.decode()
            time.sleep(0.3)
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)

    assert process.returncode == 0
    assert b"Traceback" not in said
    assert subprocess.run(check, cwd=image, env=environ, capture_output=True).returncode != 0
