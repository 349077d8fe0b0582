"""``python -m runtime.api_keys``: the only writer of an existing key file."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.api_keys import KeyWatcher, load
from runtime.api_keys_cli import main
from runtime.clock import FakeClock
from runtime.exit_codes import ExitCode
from runtime.usage import Usage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api_keys.json"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def add(capsys: pytest.CaptureFixture[str], path: Path, user: str, *more: str) -> dict[str, Any]:
    code, out, err = run(capsys, "add", user, "--tier", 50, "--file", path, "--json", *more)
    assert (code, err) == (ExitCode.OK, "")
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_add_prints_a_working_key_once_and_nothing_else_does(
    capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    made = add(capsys, path, "desk", "--label", "a desk", "--trade-pairs", "vanta", "--scopes", "rest,ws")
    key = load(path).find(made["key"])

    assert key is not None
    assert (key.tier, key.label, key.trade_pairs, key.allows("trade")) == (50, "a desk", "vanta", False)
    assert path.stat().st_mode & 0o777 == 0o600
    for command in ("list", "check", "usage"):
        for style in ((), ("--json",)):
            _, out, err = run(capsys, command, "--file", path, *style)
            assert made["key"] not in out + err


def test_a_hashed_key_works_and_is_not_in_the_file(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    made = add(capsys, path, "desk", "--hashed")

    assert load(path).find(made["key"]) is not None
    assert made["key"] not in path.read_text()


def test_revoke_takes_a_user_or_an_id_and_keeps_the_rest(
    capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    made = [add(capsys, path, user) for user in ("one", "two", "three")]
    assert run(capsys, "revoke", "one", "--file", path)[0] == ExitCode.OK
    assert run(capsys, "revoke", made[1]["id"], "--file", path)[0] == ExitCode.OK

    assert [key.user for key in load(path)] == ["three"]
    code, out, err = run(capsys, "revoke", "one", "--file", path)
    assert (code, out) == (ExitCode.FAILED, "")
    assert "no user or key id 'one'" in err


def test_a_running_server_takes_a_command_line_change(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    watcher = KeyWatcher(path, FakeClock())
    capsys.readouterr()  # its complaint that there is no file yet
    made = add(capsys, path, "desk")
    assert watcher.poll_once()
    assert watcher.table.find(made["key"]) is not None


def test_the_previous_file_is_kept_beside_and_permissions_stay(
    capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    add(capsys, path, "one")
    path.chmod(0o640)
    before = path.read_bytes()
    add(capsys, path, "two")

    backup = path.with_name("api_keys.json.bak")
    assert backup.read_bytes() == before
    assert path.stat().st_mode & 0o777 == backup.stat().st_mode & 0o777 == 0o640
    assert {entry for entry in os.listdir(path.parent) if "tmp" in entry} == set()


def test_a_symbolic_link_stays_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real.json")
    add(capsys, link, "one")

    assert link.is_symlink()
    assert len(load(tmp_path / "real.json")) == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"a": "k", "a": "l"}'])
def test_a_file_that_is_not_understood_is_never_rewritten(
    capsys: pytest.CaptureFixture[str], path: Path, content: str
) -> None:
    path.write_text(content)
    for arguments in (("add", "desk", "--tier", "0"), ("revoke", "a"), ("check",)):
        code, out, err = run(capsys, *arguments, "--file", path)
        assert (code, out) == (ExitCode.FAILED, "")
        assert err.count("\n") == 1

    assert path.read_text() == content


@pytest.mark.parametrize(
    "arguments", [("--expires", "yesterday"), ("--scopes", "all"), ("--expires", "2001-01-01")]
)
def test_add_refuses_what_would_not_work(
    capsys: pytest.CaptureFixture[str], path: Path, arguments: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, "add", "desk", "--tier", 0, "--file", path, *arguments)

    assert (code, out) == (ExitCode.FAILED, "")
    assert err.startswith("api_keys: ")
    assert not path.exists()


def test_add_refuses_a_user_who_has_a_key(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    add(capsys, path, "desk")
    before = path.read_bytes()

    assert run(capsys, "add", "desk", "--tier", 0, "--file", path)[0] == ExitCode.FAILED
    assert path.read_bytes() == before


def test_check_names_refused_entries_and_reads_a_key_from_stdin(
    capsys: pytest.CaptureFixture[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text('{"good": "k", "bad": {"key": "l", "tier": "100"}}')
    code, out, _ = run(capsys, "check", "--file", path, "--json")
    assert code == ExitCode.FAILED
    assert json.loads(out)["keys"] == 1

    monkeypatch.setattr(sys, "stdin", io.StringIO("k\n"))
    assert run(capsys, "check", "--stdin", "--file", path)[:2] == (ExitCode.OK, "good: tier 100\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("l\n"))
    assert run(capsys, "check", "--stdin", "--file", path)[0] == ExitCode.FAILED


def test_usage_merges_the_workers_and_names_users(
    capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path
) -> None:
    made = add(capsys, path, "desk")
    for worker in ("rest", "ws"):
        counters = Usage(tmp_path / "data" / "usage", worker, FakeClock())
        counters.count(made["id"], requests=2, bytes=10, messages=1)
        counters.close()
    _, out, _ = run(capsys, "usage", "--json", "--file", path, "--data-dir", tmp_path / "data")

    assert json.loads(out) == [
        {
            "day": "2025-06-15",
            "key_id": made["id"],
            "requests": 4,
            "bytes": 20,
            "messages": 2,
            "user": "desk",
        }
    ]


def test_two_commands_at_once_lose_nothing(path: Path) -> None:
    command = [sys.executable, "-m", "runtime.api_keys", "add", "--tier", "0", "--file", str(path)]
    running = [subprocess.Popen([*command, f"user{n}"], stdout=subprocess.DEVNULL) for n in range(4)]

    assert [process.wait(30) for process in running] == [0, 0, 0, 0]
    assert len(load(path)) == 4


def test_a_wrong_command_line_exits_with_two() -> None:
    command = [sys.executable, "-m", "runtime.api_keys", "explode"]

    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == ExitCode.USAGE
