"""Imports point down: the table of the design, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "vanta_api": set(),
    "runtime": set(),
    "journal": {"vanta_api", "runtime"},
    "validator": {"journal", "vanta_api", "runtime"},
    "venues": {"validator", "journal", "vanta_api", "runtime"},
    "rest_server": {"validator", "journal", "vanta_api", "runtime"},
    "ws_server": {"validator", "journal", "vanta_api", "runtime"},
}


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, at whatever depth of the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    ours = set(MAY_IMPORT)
    files = list((ROOT / package).rglob("*.py"))

    assert files
    for path in files:
        used = {name.split(".")[0] for name in imports_of(path)} & ours - {package}
        assert used <= MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {used - MAY_IMPORT[package]}"


def test_venues_never_import_each_other() -> None:
    names = [path.name for path in (ROOT / "venues").iterdir() if (path / "client.py").exists()]

    assert names
    for name in names:
        for path in (ROOT / "venues" / name).rglob("*.py"):
            others = {f"venues.{other}" for other in names if other != name}
            assert not {i for i in imports_of(path) if any(i.startswith(o) for o in others)}, path


def test_relative_imports_are_not_used() -> None:
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(tree)), path


def test_nobody_but_its_door_imports_eth_account() -> None:
    """It lifts the recursion limit, which would turn a nested payload into a crash of the process."""
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*.py"):
            if path != ROOT / "venues" / "ethereum.py":
                assert not {i for i in imports_of(path) if i.split(".")[0] in ("eth_account", "py_ecc")}, path


DEEP = """
import sys
from runtime.clock import FakeClock
from venues.venue import NAMES, load
from venues.errors import Broken
from venues.numbers import decode
import msgspec
for name in NAMES:
    load(name).sandbox(seed=1, accounts=1, origin_ms=1_700_000_000_000, clock=FakeClock())
assert sys.getrecursionlimit() == 1000, sys.getrecursionlimit()
try:
    decode("part", b"[" * 10_000_000, msgspec.json.Decoder())
except (Broken, RecursionError):
    print("survived")
"""


def test_a_deeply_nested_answer_does_not_kill_a_process_that_signs() -> None:
    done = subprocess.run([sys.executable, "-c", DEEP], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.stdout == "survived\n", done.stderr
