"""Imports point down: the table of the design, read from the source."""

from __future__ import annotations

import ast
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
