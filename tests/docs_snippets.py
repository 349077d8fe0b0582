"""Running what the documentation shows: Python, JavaScript and shell transcripts, against a live stack."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.docs_markdown import ROOT, Block
from tests.end_to_end.stack import Stack

PATIENCE_S: Final = 40.0
MARK: Final = "@@ends@@"
UNTIL: Final = re.compile(r"runs until: (.+)")
TIERS: Final = (0, 30, 50, 100, 200)


def fitted(text: str, stack: Stack) -> str:
    """The snippet with this stack's ports and a real key."""
    ports = {"48888": str(stack.rest_port), "8765": str(stack.ws_port)}
    for known, real in ports.items():
        text = re.sub(rf"(?<!\d){known}(?!\d)", real, text)
    text = re.sub(r"(port=\d+)(?!.*rest_url)", rf'\1, rest_url="http://127.0.0.1:{stack.rest_port}"', text)
    return text.replace("YOUR_KEY", stack.key(100))


def run_program(block: Block, stack: Stack, directory: Path) -> str:
    """Run a Python or JavaScript snippet as its order says; returns what it printed."""
    code = fitted(block.text, stack)
    node = [shutil.which("node") or "node", "--experimental-websocket", "-e", code]
    command = node if block.language == "javascript" else [sys.executable, "-c", code]
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    awaited = UNTIL.fullmatch(block.order)
    if awaited:
        _await(process, awaited.group(1), str(block))
        process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_S)
    if awaited is None:
        assert process.returncode == 0, f"{block} ends with {process.returncode}:\n{errors}"
    stopped_by_hand = errors.replace("KeyboardInterrupt", "") if awaited else errors
    assert "Error" not in stopped_by_hand, f"{block}:\n{errors}"
    return output


def _await(process: subprocess.Popen[str], text: str, where: str) -> None:
    """Read until the text was printed."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    deadline, said = time.monotonic() + PATIENCE_S, ""
    while text not in said:
        chunk = os.read(process.stdout.fileno(), 65536) if _is_readable(process) else b""
        said += chunk.decode(errors="replace")
        assert process.poll() is None or text in said, f"{where} ended early:\n{process.communicate()[1]}"
        assert time.monotonic() < deadline, f"{where} never printed {text!r}, but:\n{said[-500:]}"
        time.sleep(0 if chunk else 0.05)
    os.set_blocking(process.stdout.fileno(), True)


def _is_readable(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout.fileno()], [], [], 0)[0])


def run_transcript(block: Block, stack: Stack, directory: Path) -> Iterator[tuple[str, str, str]]:
    """Run a console block in one shell; ``(command, documented output, real output)`` of each command."""
    steps = list(_steps(block.text))
    script = "".join(f"{fitted(command, stack)}\nprintf '\\n{MARK}\\n'\n" for command, _ in steps)
    keys = {f"KEY_{tier}": stack.key(tier) for tier in TIERS}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env={**os.environ, **keys, "KEY": stack.key(100)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    outputs = done.stdout.replace("\r", "").split(f"\n{MARK}\n")
    for (command, expected), output in zip(steps, outputs, strict=False):
        yield command, expected.strip(), output.strip()


def _steps(text: str) -> Iterator[tuple[str, str]]:
    for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        yield command, expected


def is_told(expected: str, real: str) -> bool:
    """Whether the documented output is the real one; ``...`` stands for anything."""
    pattern = ".*".join(map(re.escape, expected.split("...")))
    return re.fullmatch(pattern, real, re.DOTALL) is not None
