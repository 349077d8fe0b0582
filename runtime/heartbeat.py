"""One small file per worker: its mtime is liveness, its JSON is health, its twin is metrics.

The file is replaced atomically, so a reader never sees half of one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from prometheus_client import REGISTRY, generate_latest

from runtime.clock import Clock

_SAMPLE: Final = re.compile(rb"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{)?")


class Heartbeat:
    """Writes ``<data_dir>/run/<worker>.json`` and ``.prom``."""

    def __init__(self, data_dir: Path, worker: str, clock: Clock) -> None:
        self._directory, self._worker, self._clock = data_dir / "run", worker, clock
        self._facts: dict[str, Any] = {
            "name": worker,
            "pid": os.getpid(),
            "state": "starting",
            "started_ms": clock.now_ms(),
        }

    def beat(self, **facts: object) -> None:
        """Say "I am alive" and merge ``facts`` into what health shows."""
        self._facts.update(facts)
        self._facts["beat_ms"] = self._clock.now_ms()
        self._directory.mkdir(parents=True, exist_ok=True)
        _replace(self._directory / f"{self._worker}.json", msgspec.json.encode(self._facts))
        _replace(self._directory / f"{self._worker}.prom", generate_latest(REGISTRY))


def read_all(data_dir: Path) -> dict[str, dict[str, Any]]:
    """``{worker: facts}`` of every worker that has ever beaten in this directory."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((data_dir / "run").glob("*.json")):
        try:
            facts = msgspec.json.decode(path.read_bytes())
        except (msgspec.DecodeError, FileNotFoundError):
            continue
        if isinstance(facts, dict) and "beat_ms" in facts:
            found[path.stem] = facts
    return found


def metrics(data_dir: Path) -> bytes:
    """Every worker's metrics as one Prometheus text, each sample labelled with its worker."""
    helps: dict[bytes, list[bytes]] = {}
    samples: dict[bytes, list[bytes]] = {}
    for path in sorted((data_dir / "run").glob("*.prom")):
        family = b""
        for line in path.read_bytes().splitlines():
            if line.startswith((b"# HELP ", b"# TYPE ")):
                family = line.split(b" ", 3)[2]
                if line not in helps.setdefault(family, []):
                    helps[family].append(line)
            elif line and not line.startswith(b"#"):
                samples.setdefault(family, []).append(_label(line, path.stem.encode()))
    lines = [line for family, rows in samples.items() for line in (*helps.get(family, ()), *rows)]
    return b"\n".join((*lines, b""))


def _label(sample: bytes, worker: bytes) -> bytes:
    name, rest = re.split(rb"[ {]", sample, maxsplit=1)
    if sample[len(name) : len(name) + 1] == b"{":
        return name + b'{worker="' + worker + b'",' + rest
    return name + b'{worker="' + worker + b'"} ' + rest


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
