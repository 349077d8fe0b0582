"""Every way of starting it wrongly: one clear line, the documented exit code, nothing left running."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.stack import ROOT, stack, until
from venues.sandboxes import free_ports


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "api_manager.py"), *arguments],
        cwd=directory,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def clear_line(said: str) -> str:
    """The one line for the user (logs are JSON lines)."""
    lines = [line for line in said.splitlines() if line and not line.startswith("{")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


def test_without_serve_it_prints_help_and_exits_2(tmp_path: Path) -> None:
    done = run(tmp_path)

    assert done.returncode == 2
    assert "--api-rest-port" in done.stdout


def test_help_names_every_documented_option(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    options = (
        "--serve",
        "--api-host",
        "--api-rest-port",
        "--api-ws-port",
        "--netuid",
        "--config",
        "--data-dir",
    )

    assert done.returncode == 0
    for option in (*options, "--api-keys", "--venues", "--sandbox"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--serve", "--venues", "nasdaq"), ("nasdaq", "ostium")),
        (("--serve", "--api-rest-port", "many"), ("api_rest_port", "many")),
        (("--serve", "--config", "none.toml"), ("none.toml",)),
    ],
)
def test_bad_settings_exit_2(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)

    assert done.returncode == 2
    for word in words:
        assert word in clear_line(done.stderr)


def test_a_port_in_use_exits_3_and_its_owner_lives(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        done = run(tmp_path, "--serve", "--api-rest-port", str(port))
        socket.create_connection(("127.0.0.1", port)).close()

    assert done.returncode == 3
    assert f"{port} is in use" in clear_line(done.stderr)


def test_an_unwritable_data_directory_exits_3(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a directory")
    done = run(tmp_path, "--serve")

    assert done.returncode == 3
    assert "data directory" in clear_line(done.stderr)


def test_another_manager_on_the_same_directory_exits_3(tmp_path: Path) -> None:
    with stack(tmp_path, "--venues", "o2") as running:
        rest, ws = free_ports(2)
        again = run(tmp_path, "--serve", "--api-rest-port", str(rest), "--api-ws-port", str(ws))

        assert again.returncode == 3
        assert "another api_manager" in clear_line(again.stderr)
        assert running.try_get("/readyz") is not None


def test_an_unreachable_venue_takes_nothing_down(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[venues.o2]\npoll_interval_s = 0.3\nurls = { rest = ["http://127.0.0.1:9"] }\n'
        '[[venues.o2.accounts]]\naccount = "0x' + "ab" * 32 + '"\n'
    )
    (tmp_path / "api_keys.json").write_text(
        '{"me": {"key": "k100", "tier": 100}, "admin": {"key": "k200", "tier": 200}}'
    )
    with stack(tmp_path, "--config", str(tmp_path / "config.toml"), sandbox=False) as running:
        unwell = until(
            lambda: running.get("/api/health", 200)["facts"].get("poll-o2", {}).get("unwell"),
            20,
            "the account being named",
        )

        assert "o2:0x" + "ab" * 32 in unwell
        assert running.get("/miner-positions") == {}


def test_a_broken_keys_file_keeps_the_server_up(tmp_path: Path) -> None:
    (tmp_path / "api_keys.json").write_text("{ this is not json")
    with stack(tmp_path, "--venues", "o2") as running:
        (tmp_path / "api_keys.json").write_text('{"me": {"key": "k100", "tier": 100}}')
        until(lambda: running.try_get("/miner-positions") is not None, 5, "the repaired file being read")


def test_it_stops_with_0_when_asked(tmp_path: Path) -> None:
    with stack(tmp_path, "--venues", "o2") as running:
        assert running.stop() == 0
        assert running.workers() == {}
