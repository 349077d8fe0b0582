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
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from runtime.exit_codes import ExitCode

ENVIRONMENT_PREFIX: Final = "VANTA_"


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tracked account. ``hotkey`` defaults to ``<venue>:<account>``; ``account_size`` is USD."""

    account: str
    hotkey: str | None = None
    account_size: Decimal | None = None
    secrets: dict[str, str] = {}
    options: dict[str, Any] = {}


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One venue. ``urls`` maps an endpoint's role (``rest``, ``ws``, ``subgraph``, ...) to its URLs, tried
    in order. ``requests_per_s`` is our own pace; the venue's 429 slows it further."""

    urls: dict[str, list[str]] = {}
    accounts: list[AccountSettings] = []
    poll_interval_s: float = 5.0
    timeout_s: float = 10.0
    requests_per_s: float = 10.0
    options: dict[str, Any] = {}


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal.

    Fields:
        witness: file that remembers the journal's heads; best on another disk than ``data_dir``
            (default: ``<data_dir>/witness.json``).
        checkpoint_interval_s: seconds between checkpoints while entries come in.
        checkpoint_entries: entries after which a checkpoint is written sooner.
        checkpoints_kept: newest checkpoint files that are kept.
        retention_hours: entries are kept at least this long, whatever the checkpoints hold; from 25, as
            the lagged tiers look 24 hours back.
        closed_window_days: closed positions and finished orders older than this leave the State; their
            totals stay. From 121, as returns look 120 days back.
        marks_hours: history of marks that is kept, at one-minute resolution; from 25.
    """

    witness: str | None = None
    checkpoint_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    checkpoint_entries: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    checkpoints_kept: Annotated[int, msgspec.Meta(ge=2)] = 4
    retention_hours: Annotated[float, msgspec.Meta(ge=25)] = 168.0
    closed_window_days: Annotated[int, msgspec.Meta(ge=121)] = 365
    marks_hours: Annotated[float, msgspec.Meta(ge=25)] = 49.0


class RestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The REST server.

    Time: ``request_timeout_s`` in which a request must have arrived whole; ``idle_timeout_s`` after which
    a silent connection is closed; ``drain_s`` that requests in flight get at shutdown; ``poll_s`` between
    two looks at the journal when no bell rings (marks have no bell); ``stale_after_s`` without a sign of
    the reader of the journal until ``/readyz`` says no.

    Room: ``threads`` that answer requests; ``connections`` open at once; ``body_bytes`` of a request.

    Limits, each per minute: ``requests_per_minute`` per key; ``open_per_minute`` per client address on
    routes that need no key; ``failed_auth_per_minute`` per client address for wrong or missing keys (then
    429, also for a good key that has not been used from that address before). Per UTC day and key, by
    tier, where the key's own quota says nothing (a tier that is not named: no limit):
    ``requests_per_day``, ``bytes_per_day``.

    ``trusted_proxies``: addresses or networks whose ``X-Forwarded-For`` is believed.
    ``metagraph_file``: JSON list of the subnet's hotkeys, read again when it changes.
    """

    request_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 15.0
    idle_timeout_s: Annotated[int, msgspec.Meta(ge=1)] = 60
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=9)] = 8.0
    poll_s: Annotated[float, msgspec.Meta(gt=0, le=5)] = 0.25
    stale_after_s: Annotated[float, msgspec.Meta(gt=0)] = 15.0
    threads: Annotated[int, msgspec.Meta(ge=2, le=256)] = 12
    connections: Annotated[int, msgspec.Meta(ge=10)] = 1_000
    body_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 256 * 1024
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 1_200
    open_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 300
    failed_auth_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 10
    requests_per_day: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    bytes_per_day: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    trusted_proxies: list[str] = []
    metagraph_file: str | None = None


class WebSocketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The WebSocket server.

    Time: ``auth_timeout_s`` until a stranger must have authenticated; ``heartbeat_ms`` between heartbeats;
    ``ping_interval_s`` of silence before a protocol ping and ``ping_timeout_s`` until its answer (must be
    above ``slow_limit_s``); ``slow_limit_s`` that a full write buffer may take to drain; ``close_timeout_s``
    for a closing handshake; ``drain_s`` between the shutdown notice and the close.

    Room: ``write_buffer_bytes`` per subscriber before it leaves the live stream and reads pages at its own
    pace; ``buffer_limit_bytes`` that ends the connection at once; ``turn_bytes`` in one coalesced write;
    ``batch_entries`` and ``batch_bytes`` in one replay batch; ``recent_entries`` and ``recent_bytes`` per
    stream that a replay finds in memory; ``send_buffer_bytes`` of the socket (SO_SNDBUF).

    Limits: ``connections_per_key`` (the oldest leaves), ``connections`` in all and
    ``unauthenticated_per_ip`` (then 1013), ``failed_auth_per_minute`` per IP, ``messages_per_s`` and
    ``messages_burst`` that a client may send, ``control_frames_per_s`` likewise with pings counted.
    ``messages_per_day``: data messages per key and UTC day where the key's quota says nothing (0: no limit).

    ``snapshot_url`` is told to clients that cannot resume; give an absolute URL where REST has another
    origin. ``trusted_proxies``: addresses whose ``X-Forwarded-For`` is believed.
    """

    auth_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    heartbeat_ms: Annotated[int, msgspec.Meta(ge=100)] = 5_000
    ping_interval_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    ping_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    slow_limit_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    close_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.5
    write_buffer_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 128 * 1024
    buffer_limit_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024)] = 1024 * 1024
    turn_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 128 * 1024
    batch_entries: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    batch_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1024 * 1024)] = 256 * 1024
    recent_entries: Annotated[int, msgspec.Meta(ge=1)] = 2_000
    recent_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4 * 1024 * 1024
    send_buffer_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 256 * 1024
    connections_per_key: Annotated[int, msgspec.Meta(ge=1)] = 5
    connections: Annotated[int, msgspec.Meta(ge=1)] = 5_000
    unauthenticated_per_ip: Annotated[int, msgspec.Meta(ge=1)] = 200
    failed_auth_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 30
    messages_per_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    messages_burst: Annotated[int, msgspec.Meta(ge=1)] = 60
    control_frames_per_s: Annotated[int, msgspec.Meta(ge=1)] = 200
    messages_per_day: Annotated[int, msgspec.Meta(ge=0)] = 0
    snapshot_url: str = "/validator-checkpoint"
    trusted_proxies: list[str] = []

    def __post_init__(self) -> None:
        if self.ping_timeout_s <= self.slow_limit_s:  # a slow client would be called dead, not slow
            raise ValueError("ping_timeout_s must be above slow_limit_s")


class ValidatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The validator: performance ledgers.

    Fields:
        checkpoint_hours: span of a ledger checkpoint, aligned to 00:00 UTC; 6 or 12.
        window_days: ledger history that is kept; must be below ``journal.closed_window_days``, because a
            closed position is counted one by one until it is older than the window.
        settle_s: seconds that prices and orders of a minute get to arrive before the minute is counted.
        correction_hours: how far back finished checkpoints are corrected when an order turns up late;
            minute marks must be kept longer (``journal.marks_hours``).
        poll_s: longest wait between two looks at the journal when no bell rings.
    """

    checkpoint_hours: Literal[6, 12] = 6
    window_days: Annotated[int, msgspec.Meta(ge=30)] = 120
    settle_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 45.0
    correction_hours: Annotated[float, msgspec.Meta(ge=0)] = 24.0
    poll_s: Annotated[float, msgspec.Meta(gt=0, le=5)] = 0.5


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue sandboxes that ``--sandbox`` starts: ``accounts`` per venue, all drawn from ``seed``."""

    enabled: bool = False
    seed: int = 7
    accounts: int = 3


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a process of ours is told. ``repo_version`` is what positions carry on the stream."""

    api_host: str = "127.0.0.1"
    api_rest_port: int = 48888
    api_ws_port: int = 8765
    netuid: int = 8
    data_dir: Path = Path("data")
    api_keys: Path = Path("vanta_api/api_keys.json")
    log_level: str = "info"
    repo_version: str = "8.8.9"
    venues: dict[str, VenueSettings] = {}
    sandbox: SandboxSettings = SandboxSettings()
    journal: JournalSettings = JournalSettings()
    rest: RestSettings = RestSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    validator: ValidatorSettings = ValidatorSettings()

    @property
    def journal_path(self) -> Path:
        """The journal's database."""
        return self.data_dir / "journal" / "journal.sqlite3"

    @property
    def marks_path(self) -> Path:
        """The marks' database."""
        return self.data_dir / "journal" / "marks.sqlite3"

    @property
    def checkpoint_dir(self) -> Path:
        """Where checkpoints are kept."""
        return self.data_dir / "checkpoints"

    @property
    def witness_path(self) -> Path:
        """The file that remembers the journal's heads."""
        return Path(self.journal.witness) if self.journal.witness else self.data_dir / "witness.json"


class SettingsError(ValueError):
    """A setting is unknown or has a bad value; the text names key, value and what is allowed."""


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
    _check(settings)
    return settings


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


def _explain(text: str, values: dict[str, Any]) -> str:
    what, _, where = text.partition(" - at `$.")
    key = where.rstrip("`")
    if match := re.search(r"unknown field `(.+)`", what):
        field = match.group(1)
        allowed = ", ".join(_fields_at(key))
        return f"unknown setting {'.'.join(filter(None, (key, field)))}: allowed here are {allowed}"
    return f"setting {key} = {_value_at(values, key)!r}: {what[:1].lower()}{what[1:]}"


def _fields_at(key: str) -> tuple[str, ...]:
    kinds: dict[str, type[msgspec.Struct]] = {
        "sandbox": SandboxSettings,
        "journal": JournalSettings,
        "rest": RestSettings,
        "websocket": WebSocketSettings,
        "validator": ValidatorSettings,
    }
    if key.startswith("venues"):
        return (AccountSettings if "accounts" in key else VenueSettings).__struct_fields__
    return kinds.get(key, Settings).__struct_fields__


def _value_at(values: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
    return values


def _check(settings: Settings) -> None:
    for key in ("api_rest_port", "api_ws_port"):
        if not 0 <= (port := getattr(settings, key)) <= 65535:
            raise SettingsError(f"setting {key} = {port}: allowed is a port from 0 to 65535")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingsError(
            f"setting log_level = {settings.log_level!r}: allowed are debug, info, warning, error"
        )
    for name, venue in settings.venues.items():
        if venue.poll_interval_s <= 0 or venue.timeout_s <= 0 or venue.requests_per_s <= 0:
            raise SettingsError(
                f"venues.{name}: poll_interval_s, timeout_s and requests_per_s must be above 0"
            )
    _check_validator(settings)


def _check_validator(settings: Settings) -> None:
    validator, journal = settings.validator, settings.journal
    if validator.window_days >= journal.closed_window_days:
        raise SettingsError(
            f"setting validator.window_days = {validator.window_days}: allowed is less than"
            f" journal.closed_window_days, {journal.closed_window_days}"
        )
    if validator.correction_hours + validator.checkpoint_hours > journal.marks_hours:
        raise SettingsError(
            f"setting validator.correction_hours = {validator.correction_hours}: with checkpoint_hours it"
            f" must not exceed journal.marks_hours, {journal.marks_hours}"
        )


def _select_venues(settings: Settings, names: str) -> Settings:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {name: settings.venues.get(name, VenueSettings()) for name in wanted}
    return msgspec.structs.replace(settings, venues=known)
