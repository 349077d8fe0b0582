"""``python -m bench``: every benchmark, one table of ratios."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from bench.rows import Row, show

NOT_BENCHMARKS = {"__main__", "__init__", "rows"}


def modules() -> list[str]:
    """Every module of this folder that has a ``run``."""
    names = sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in NOT_BENCHMARKS
    )
    return [name for name in names if hasattr(import_module(f"bench.{name}"), "run")]


def main(wanted: list[str]) -> int:
    """Run the benchmarks named, or all."""
    rows: list[Row] = []
    for name in wanted or modules():
        sys.stderr.write(f"{name} ...\n")
        rows += import_module(f"bench.{name}").run()
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
