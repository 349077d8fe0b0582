"""The documentation keeps its word: what it names is there, what is there is named, what it shows works."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from api_manager import worker_specs
from runtime.exit_codes import ExitCode
from runtime.settings import FLAGS, AccountSettings, Settings, VenueSettings
from tests import docs_tables
from tests.docs_markdown import ROOT, anchors, blocks, documents, links
from tests.docs_routes import openapi, operations
from tests.docs_settings import keys
from vanta_api import messages
from vanta_api.close_codes import CLOSE_CODES
from vanta_api.messages import Subscribe, decode_server_frame
from venues.sandboxes import Arranged
from venues.venue import NAMES

DOCS: Final = ROOT / "docs"
OPERATIONS, REST, ROUTES, WEBSOCKET, VENUES = (
    (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("operations", "rest", "routes", "websocket", "venues")
)
BLOCKS: Final = [block for path in documents() for block in blocks(path)]
ANSWERS: Final = re.compile(r"frame: (\w+)")
CLIENT_FRAMES: Final = {"ping", "subscribe", "unsubscribe"}


# --- tables made from the code --------------------------------------------------------------------------


def test_every_generated_table_is_up_to_date() -> None:
    """Fix with ``python -m tests.docs_tables``."""
    outdated = [f"{path.relative_to(ROOT)}: {marker}" for path, marker, _ in docs_tables.outdated()]
    assert not outdated, f"run python -m tests.docs_tables, it rewrites {', '.join(outdated)}"


def test_the_tables_command_says_what_is_out_of_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs_tables.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "key", [*keys(), *(f"venues.<name>.{name}" for name in VenueSettings.__struct_fields__)]
)
def test_every_setting_is_documented(key: str) -> None:
    section, _, name = key.rpartition(".")
    heading = f"### `[{section}]`" if section else "### Top level"
    table = OPERATIONS.partition(heading)[2].partition("\n### ")[0]
    assert f"| `{name}` |" in table


@pytest.mark.parametrize("route", [f"{method} {path}" for method, path, _ in operations(openapi())])
def test_every_route_is_documented_with_its_statuses(route: str) -> None:
    method, _, path = route.partition(" ")
    section = ROUTES.partition(f"## {route}\n")[2].partition("\n## ")[0]
    assert route in REST
    for status in openapi()["paths"][path][method.lower()]["responses"]:
        if int(status) not in (400, 413, 431, 500):
            assert f"| {status} |" in section


# --- names that must be there ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    assert f"| {int(code)} | {code.name} |" in OPERATIONS


@pytest.mark.parametrize("name", NAMES)
def test_every_venue_has_a_section_and_a_readme(name: str) -> None:
    assert re.search(rf"^## {name}$", VENUES, re.MULTILINE | re.IGNORECASE)
    assert f"venues/{name}/README.md" in VENUES
    assert re.search(rf"^\| {name} \|", VENUES, re.MULTILINE)


def test_every_worker_is_documented() -> None:
    venue = VenueSettings(accounts=[AccountSettings(account="0x1")])
    settings = Settings(venues={"o2": venue})
    names = [
        spec.name for spec in worker_specs(settings, [Arranged("o2", ("sandbox", "o2"))], Path("x.json"))
    ]

    assert len(names) >= 5
    for name in names:
        assert f"| `{name.replace('-o2', '-<venue>')}` |" in OPERATIONS, f"no row for the worker {name}"


@pytest.mark.parametrize("code", CLOSE_CODES)
def test_every_close_code_is_documented(code: int) -> None:
    assert f"| {code} | `{CLOSE_CODES[code].name}` |" in WEBSOCKET


def test_every_error_code_of_the_stream_is_documented() -> None:
    """Codes that reach a client: those the server puts into error frames."""
    silent = {"UNKNOWN_TYPE", "NOTHING_SUBSCRIBED", "FRAME_TOO_LARGE"}  # answered by silence or by 1009
    found = set()
    for path in [*(ROOT / "ws_server").glob("*.py"), *(ROOT / "vanta_api").glob("*_frames.py")]:
        found |= _upper_words(path)
    found |= _upper_words(ROOT / "vanta_api" / "messages.py")
    found |= {"CONNECTIONS", "FAILED_KEYS", "UNAUTHENTICATED"}  # reasons that are written in upper case

    assert "INVALID_API_KEY" in found
    for code in found - silent:
        assert f"| `{code}` |" in WEBSOCKET, f"no row for {code}"


def _upper_words(path: Path) -> set[str]:
    """Upper-case words among the arguments of calls that make errors."""
    words = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name in ("error", "FrameError"):
            constants = [one.value for one in node.args if isinstance(one, ast.Constant)]
            words |= {c for c in constants if isinstance(c, str) and re.fullmatch(r"[A-Z_]{4,}", c)}
    return words


@pytest.mark.parametrize("flag", [*FLAGS, "--config", "--venues"])
def test_every_option_of_the_manager_is_a_documented_setting_or_shown(flag: str) -> None:
    told = OPERATIONS + VENUES
    key = FLAGS[flag][0] if flag in FLAGS else None
    assert flag in told or f"| `{key}` |" in OPERATIONS


def test_make_targets_are_documented() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert "run" in targets
    for target in set(targets) - {"help"}:
        assert f"`make {target}`" in OPERATIONS, target


# --- frames ---------------------------------------------------------------------------------------------


def frames() -> dict[str, dict[str, Any]]:
    """Every frame that ``vanta_api.messages`` makes, by the name of what makes it."""
    body = b'{"order":{}}'
    made = {
        "auth_reply": messages.auth_reply(
            current_sequence=1, tier=100, epoch="e", oldest_sequence=1, recovered=True, heads={}
        ),
        "error": messages.error("text", "CODE"),
        "data_frame": messages.data_frame(1, 2, b'{"position":{},"miner_repo_version":"","repo_version":""}'),
        "filtered_frame": messages.filtered_frame(
            2, 2, b'{"position":{},"miner_repo_version":"","repo_version":""}', 1
        ),
        "stream_frame": messages.stream_frame("orders", 1, 2, body),
        "filtered_stream_frame": messages.filtered_stream_frame("orders", 2, 2, body, 1),
        "batch_frame": messages.batch_frame([b"{}"]),
        "heartbeat": messages.heartbeat(1, "e", 2),
        "pong": messages.pong(1.0, 2),
        "subscription_status": messages.subscription_status(Subscribe(all=True, sender_timestamp=1), 2),
        "server_shutdown": messages.server_shutdown(1, 2, 3),
        "resync_required": messages.resync_required("trimmed", 1, 2),
    }
    return {name: json.loads(frame) for name, frame in made.items()}


def test_every_frame_has_an_example_of_its_real_shape() -> None:
    examples = {
        found.group(1): json.loads(block.text)
        for block in BLOCKS
        if block.path == DOCS / "websocket.md" and (found := ANSWERS.fullmatch(block.order))
    }

    assert set(examples) == set(frames())
    for name, frame in frames().items():
        assert list(examples[name]) == list(frame), name
        assert decode_server_frame(json.dumps(examples[name])).type == frame.get("type")
        if "data" in frame:
            assert set(examples[name]["data"]) == set(frame["data"]), name


def test_no_frame_maker_is_missing_here() -> None:
    """A function of ``vanta_api.messages`` that returns bytes makes a frame, and has to be in ``frames``."""
    makers = {
        name for name in messages.__all__ if getattr(messages, name, None).__class__.__name__ == "function"
    }
    readers = {"decode_auth", "decode_request", "decode_server_frame"}
    errors = {"invalid_key", "insufficient_tier", "replaced"}  # an error and a close code each
    assert makers - readers - errors == set(frames())


def test_every_example_of_a_clients_frame_is_accepted() -> None:
    for block in BLOCKS:
        if block.path == DOCS / "websocket.md" and block.language == "json" and not block.order:
            known = json.loads(block.text)
            read = messages.decode_auth if "api_key" in known else messages.decode_request
            assert read(block.text) is not None
    for kind in CLIENT_FRAMES:
        assert f'"type": "{kind}"' in WEBSOCKET


# --- links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} in {path.name}"
        assert not anchor or anchor in anchors(target), f"{link} in {path.name}: no such heading"


def test_every_document_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md" or not path.exists():
            continue
        seen.add(path)
        waiting += [
            (path.parent / link.partition("#")[0]).resolve() for link in links(path) if "://" not in link
        ]
    assert seen >= set(documents())
