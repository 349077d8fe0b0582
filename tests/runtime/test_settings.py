"""Settings: who overrides whom, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import Settings, SettingsError, dump, load, read_secret

CONFIG = """
api_rest_port = 1000
[venues.o2]
poll_interval_s = 2.5
[[venues.o2.accounts]]
account = "0xabc"
account_size = "2500.50"
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_documentation() -> None:
    settings = load([], {}, prog="x")

    assert (settings.api_host, settings.api_rest_port, settings.api_ws_port) == ("127.0.0.1", 48888, 8765)
    assert settings.api_keys == Path("vanta_api/api_keys.json")


def test_command_line_over_environment_over_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    environ = {"VANTA_API_REST_PORT": "2000", "VANTA_API_WS_PORT": "2001"}
    settings = load(["--api-ws-port", "3001"], environ, prog="x")

    assert settings.api_rest_port == 2000
    assert settings.api_ws_port == 3001
    assert settings.venues["o2"].poll_interval_s == 2.5
    assert str(settings.venues["o2"].accounts[0].account_size) == "2500.50"


def test_nested_settings_from_the_environment() -> None:
    assert load([], {"VANTA_SANDBOX__SEED": "11"}, prog="x").sandbox.seed == 11


@pytest.mark.parametrize(
    ("argv", "environ", "config", "words"),
    [
        (["--api-rest-port", "x"], {}, "", ("api_rest_port", "'x'", "int")),
        (["--api-rest-port", "70000"], {}, "", ("api_rest_port", "70000", "65535")),
        (["--log-level", "loud"], {}, "", ("log_level", "loud", "warning")),
        ([], {"VANTA_API_HOTS": "x"}, "", ("api_hots", "api_host")),
        ([], {}, "[rest]\nnope = 1", ("rest.nope", "allowed")),
        ([], {}, "[venues.o2]\npoll_interval_s = -1", ("venues.o2", "above 0")),
        ([], {}, "[[venues.o2.accounts]]\nacount = 1", ("acount", "account")),
        ([], {}, "this is not toml", ("config.toml", "read")),
        (["--config", "missing.toml"], {}, "", ("missing.toml", "not there")),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(
    argv: list[str],
    environ: dict[str, str],
    config: str,
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if config:
        (tmp_path / "config.toml").write_text(config)
    with pytest.raises(SystemExit) as exit_:
        load(argv, environ, prog="x")
    said = capsys.readouterr().err

    assert exit_.value.code == 2
    assert said.count("\n") == 1
    for word in words:
        assert word in said


def test_resolved_settings_survive_a_round_trip(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    settings = load(["--venues", "o2"], {}, prog="x")
    dump(settings, tmp_path / "run" / "settings.json")

    assert load(["--settings", str(tmp_path / "run" / "settings.json")], {}, prog="x") == settings


def test_venues_selects_and_drops_the_others(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)

    assert list(load(["--venues", "ostium"], {}, prog="x").venues) == ["ostium"]


def test_secrets_come_from_environment_or_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc\n")

    assert read_secret("env:K", {"K": "v"}) == "v"
    assert read_secret(f"file:{tmp_path / 'key'}") == "abc"
    with pytest.raises(ValueError, match="env:NAME or file:PATH"):
        read_secret("0x1234")
    with pytest.raises(ValueError, match="env:MISSING"):
        read_secret("env:MISSING", {})


def test_settings_error_is_a_value_error() -> None:
    assert issubclass(SettingsError, ValueError)
    assert Settings().repo_version
