"""Settings: command line over environment (``VANTA_*``) over ``config.toml`` over defaults.

Invariant: a setting that is unknown or has a bad value is refused with its key, the value and what is
allowed. Secrets are never settings: an account names where its secret lives (``env:NAME``, ``file:PATH``).
"""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from runtime.exit_codes import ExitCode
from runtime.logs import MASK, SECRET_NAMES, masked
from runtime.sections import (
    AccountSettings,
    CollateralSettings,
    EmissionsSettings,
    EntitySettings,
    JournalSettings,
    PeerSettings,
    RestSettings,
    RulesSettings,
    SandboxSettings,
    Settings,
    ValidatorSettings,
    VenueSettings,
    WebSocketSettings,
)
from runtime.settings_checks import SettingsError, check

__all__ = [
    "ENVIRONMENT_PREFIX",
    "FLAGS",
    "AccountSettings",
    "CollateralSettings",
    "EmissionsSettings",
    "EntitySettings",
    "JournalSettings",
    "PeerSettings",
    "RestSettings",
    "RulesSettings",
    "SandboxSettings",
    "Settings",
    "SettingsError",
    "ValidatorSettings",
    "VenueSettings",
    "WebSocketSettings",
    "add_arguments",
    "dump",
    "load",
    "read_secret",
    "resolve",
]

ENVIRONMENT_PREFIX: Final = "VANTA_"

# command-line flag → (settings key, help)
FLAGS: Final[dict[str, tuple[str, str]]] = {
    "--api-host": ("api_host", "host both servers bind to (default: 127.0.0.1)"),
    "--api-rest-port": ("api_rest_port", "port of the REST server (default: 48888)"),
    "--api-ws-port": ("api_ws_port", "port of the WebSocket server (default: 8765)"),
    "--netuid": ("netuid", "subnet whose metagraph names the hotkeys (default: 8)"),
    "--data-dir": ("data_dir", "directory of the journal, checkpoints and run files (default: data)"),
    "--api-keys": ("api_keys", "API keys file (default: vanta_api/api_keys.json)"),
    "--log-level": ("log_level", "debug, info, warning or error (default: info)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options every process of ours understands."""
    for flag, (key, text) in FLAGS.items():
        parser.add_argument(flag, dest=key, default=None, help=text)
    parser.add_argument(
        "--config", default=None, help="TOML file with settings (default: config.toml if there)"
    )
    parser.add_argument(
        "--venues", default=None, help="comma-separated venues to poll (default: all configured)"
    )
    parser.add_argument(
        "--settings", default=None, help=argparse.SUPPRESS
    )  # resolved settings of the manager


def load(argv: Sequence[str], environ: Mapping[str, str], *, prog: str) -> Settings:
    """Parse a worker's command line. Exits with code 2 and one clear line when something is wrong."""
    parser = argparse.ArgumentParser(prog=prog)
    add_arguments(parser)
    arguments = parser.parse_args(list(argv))
    try:
        return resolve(arguments, environ)
    except SettingsError as error:
        parser.exit(ExitCode.USAGE, f"{prog}: {error}\n")


def resolve(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Merge command line, environment, file and defaults. Raises SettingsError."""
    if arguments.settings:
        return _convert(_read_file(Path(arguments.settings)))
    values = _read_config(arguments.config or environ.get(ENVIRONMENT_PREFIX + "CONFIG"))
    _merge(values, _from_environment(environ))
    _merge(values, {k: v for k, _ in FLAGS.values() if (v := getattr(arguments, k, None)) is not None})
    settings = _convert(values)
    return settings if arguments.venues is None else _select_venues(settings, arguments.venues)


def dump(settings: Settings, path: Path) -> None:
    """Write resolved settings so that a worker started with ``--settings PATH`` gets exactly these."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(msgspec.to_builtins(settings, enc_hook=str)))


def read_secret(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the secret that ``env:NAME`` or ``file:PATH`` points to. Raises ValueError naming it."""
    scheme, _, rest = reference.partition(":")
    values = os.environ if environ is None else environ
    if scheme == "env" and values.get(rest):
        return values[rest].strip()
    if scheme == "file" and Path(rest).is_file():
        return Path(rest).read_text(encoding="utf-8").strip()
    if scheme not in ("env", "file"):
        raise ValueError("a secret must be given as env:NAME or file:PATH, never as itself")
    raise ValueError(f"secret {reference} is not there: set the variable or create the file")


def _read_config(path: str | None) -> dict[str, Any]:
    if path is None:
        return _read_file(Path("config.toml")) if Path("config.toml").is_file() else {}
    if not Path(path).is_file():
        raise SettingsError(f"config file {path!r} is not there: give an existing TOML file with --config")
    return _read_file(Path(path))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            values: dict[str, Any] = msgspec.json.decode(text)
            return values
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """``VANTA_API_HOST=x`` → api_host; ``VANTA_REST__RATE=5`` → rest.rate. Unknown names: refused later."""
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if (
            name.startswith(ENVIRONMENT_PREFIX)
            and name not in _OWN_VARIABLES
            and not name.startswith(_SECRETS)
        ):
            *parents, last = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            target = values
            for parent in parents:
                target = target.setdefault(parent, {})
                if not isinstance(target, dict):
                    raise SettingsError(f"variable {name}: another one sets {parent} as a whole; keep one")
            if isinstance(target.get(last), dict):
                raise SettingsError(f"variable {name}: others set parts of {last}; keep those or this one")
            target[last] = value
    return values


_OWN_VARIABLES: Final = frozenset({"VANTA_CONFIG", "VANTA_READY_FD", "VANTA_MANAGER_PID", "VANTA_LIFE_FD"})
_SECRETS: Final = ("VANTA_SECRET_", "VANTA_SOAK_")  # room for env:VANTA_SECRET_... and for test counts


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _convert(values: dict[str, Any]) -> Settings:
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), values)) from None
    check(settings)
    return settings


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


def _explain(text: str, values: dict[str, Any]) -> str:
    what, _, where = text.partition(" - at `$.")
    key = _with_venue(where.rstrip("`"), values)
    if match := re.search(r"unknown field `(.+)`", what):
        field = match.group(1)
        allowed = ", ".join(_fields_at(key))
        return f"unknown setting {'.'.join(filter(None, (key, field)))}: allowed here are {allowed}"
    shown = MASK if SECRET_NAMES.search(key) else repr(masked(_value_at(values, key)))[:200]
    return f"setting {key} = {shown}: {what[:1].lower()}{what[1:]}"


def _with_venue(key: str, values: dict[str, Any]) -> str:
    """The key with the venue's name where msgspec only says that it is some venue's."""
    if not key.startswith(_SOME_VENUE):
        return key
    for name, venue in values["venues"].items():
        try:
            msgspec.convert(venue, VenueSettings, strict=False)
        except msgspec.ValidationError:
            return f"venues.{name}{key.removeprefix(_SOME_VENUE)}"
    return key


_SOME_VENUE: Final = "venues[...]"


def _fields_at(key: str) -> tuple[str, ...]:
    kinds: dict[str, type[msgspec.Struct]] = {
        "sandbox": SandboxSettings,
        "journal": JournalSettings,
        "rest": RestSettings,
        "websocket": WebSocketSettings,
        "validator": ValidatorSettings,
        "rules": RulesSettings,
        "emissions": EmissionsSettings,
        "collateral": CollateralSettings,
        "entities": EntitySettings,
    }
    if key.startswith("entities.peers"):
        return PeerSettings.__struct_fields__
    if key.startswith("venues"):
        return (AccountSettings if "accounts" in key else VenueSettings).__struct_fields__
    return kinds.get(key, Settings).__struct_fields__


def _value_at(values: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(values, dict) and part != "...":
            values = values.get(part)
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
    return values


def _select_venues(settings: Settings, names: str) -> Settings:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {name: settings.venues.get(name, VenueSettings()) for name in wanted}
    return msgspec.structs.replace(settings, venues=known)
