"""The tables in the documentation that are made from the code, and the command that writes them.

    python -m tests.docs_tables            write every table that is out of date, say which
    python -m tests.docs_tables --check    only say; exit code 1 when there are any

A table stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``; nothing else of a file is touched.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY

from rest_server.errors import TEXTS
from tests.docs_markdown import ROOT, marked, table, with_marked
from tests.docs_routes import reference, routes_table, shapes
from tests.docs_settings import settings_tables
from vanta_api.close_codes import CLOSE_CODES
from venues.venue import NAMES, load

Table = tuple[str, str, Callable[[], str]]  # file, marker, what makes it

RETRIES: Final = {
    "never": "do not: the answer would be the same",
    "jitter": "soon, at a random moment",
    "backoff": "after a delay that grows with each failure",
    "hint": "when the frame before the close said",
}
PACKAGES: Final = ("journal", "rest_server", "runtime", "validator", "venues", "ws_server")


def close_codes_table() -> str:
    """Every close code with its advice."""
    rows = [
        (
            str(row.code),
            f"`{row.name}`",
            row.meaning,
            RETRIES[row.retry],
            "-" if row.retry == "never" else "yes" if row.resumes else "no: take a snapshot",
        )
        for row in CLOSE_CODES.values()
    ]
    return table(("code", "name", "meaning", "come back", "`last_sequence` resumes"), rows)


def statuses_table() -> str:
    """Every status that is not a success, with its usual code and sentence."""
    rows = [(str(status), f"`{code}`", text) for status, (code, text) in TEXTS.items()]
    return table(("status", "`code` unless the route says more", "`error` likewise"), rows)


def codes_table() -> str:
    """The more exact codes that routes give, read from the source."""
    found: dict[str, set[str]] = {}
    usual = {code for code, _ in TEXTS.values()}
    for path in sorted((ROOT / "rest_server").rglob("*.py")):
        for code, status in problems(path):
            if code not in usual:
                found.setdefault(code, set()).add(status)
    rows = [(f"`{code}`", ", ".join(sorted(statuses))) for code, statuses in sorted(found.items())]
    return table(("`code`", "status"), rows)


def problems(path: Path) -> Iterator[tuple[str, str]]:
    """``(code, status)`` of every ``Problem(...)`` in a source file that names its own code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem"):
            continue
        code = next((one.value for one in node.keywords if one.arg == "code"), None)
        if code is None and len(node.args) > 2:
            code = node.args[2]
        text = _text_of(code)
        if text is not None and isinstance(node.args[0], ast.Constant):
            yield text, str(node.args[0].value)


def _text_of(node: ast.expr | None) -> str | None:
    """A constant, or a text with ``<name>`` where it is filled in; None when it is anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "<name>" for part in node.values
        )
    return None


def venues_table() -> str:
    """What each venue is polled with unless the configuration says otherwise."""
    rows = []
    for name in sorted(NAMES):
        own = load(name).defaults()
        urls = "<br>".join(f"`{role}` {', '.join(addresses)}" for role, addresses in own.urls.items())
        rows.append((name, urls, f"{own.poll_interval_s:g}", f"{own.timeout_s:g}", f"{own.requests_per_s:g}"))
    return table(("venue", "`urls`", "`poll_interval_s`", "`timeout_s`", "`requests_per_s`"), rows)


def metrics_table() -> str:
    """Every metric of ours, as the workers' modules define them."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if "prometheus_client" in path.read_text(encoding="utf-8"):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    rows = []
    for family in REGISTRY.collect():
        if family.name.startswith("vanta_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append((f"`{name}`", family.type, family.documentation))
    return table(("metric", "type", "meaning"), sorted(rows))


TABLES: Final[Sequence[Table]] = (
    ("docs/operations.md", "settings", settings_tables),
    ("docs/operations.md", "metrics", metrics_table),
    ("docs/rest.md", "routes", routes_table),
    ("docs/rest.md", "statuses", statuses_table),
    ("docs/rest.md", "codes", codes_table),
    ("docs/routes.md", "reference", reference),
    ("docs/routes.md", "shapes", shapes),
    ("docs/websocket.md", "close-codes", close_codes_table),
    ("docs/venues.md", "venues", venues_table),
)


def outdated() -> list[tuple[Path, str, str]]:
    """``(file, marker, new content)`` of every table that is not what the code says."""
    found: list[tuple[Path, str, str]] = []
    for name, marker, make in TABLES:
        path, content = ROOT / name, make()
        if marked(path.read_text(encoding="utf-8"), marker) != content:
            found.append((path, marker, content))
    return found


def main(arguments: Sequence[str]) -> int:
    """Write or check; returns the exit code."""
    is_check = "--check" in arguments
    found = outdated()
    for path, marker, content in found:
        if not is_check:
            text = path.read_text(encoding="utf-8")
            path.write_text(with_marked(text, marker, content), encoding="utf-8")
        said = "is out of date" if is_check else "written"
        sys.stdout.write(f"{path.relative_to(ROOT)}: {marker} {said}\n")
    return 1 if is_check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
