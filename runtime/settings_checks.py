"""Settings that are well-formed and still make no sense: refused with key, value and what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from runtime.sections import AccountSettings, Settings, VenueSettings

_REFERENCE: Final = re.compile(r"(env|file):.")
_HERE: Final = r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)"
_URL: Final = re.compile(rf"(https|wss)://[^/]|(http|ws)://{_HERE}")
_PEER_URL: Final = re.compile(rf"https://[^/]|http://{_HERE}")


class SettingsError(ValueError):
    """A setting is unknown or has a bad value; the text names key, value and what is allowed."""


def check(settings: Settings) -> None:
    """Raise SettingsError for the first setting that cannot be meant."""
    for path, number in _numbers("", msgspec.to_builtins(settings, enc_hook=str)):
        if not math.isfinite(number):
            raise SettingsError(f"setting {path} = {number}: allowed is a finite number")
    _check_process(settings)
    for name, venue in settings.venues.items():
        _check_venue(f"venues.{name}", venue)
    _check_secrets(settings)
    _check_validator(settings)
    _check_entities(settings)


def _numbers(path: str, value: Any) -> Iterator[tuple[str, float]]:
    """Every float with its path."""
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(f"{path}[{index}]", item)


def _check_process(settings: Settings) -> None:
    if not settings.api_host.strip():
        raise SettingsError(
            "setting api_host = '': allowed is an address or a name (0.0.0.0 is all addresses)"
        )
    for key in ("api_rest_port", "api_ws_port"):
        if not 0 <= (port := getattr(settings, key)) <= 65535:
            raise SettingsError(f"setting {key} = {port}: allowed is a port from 0 to 65535")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise SettingsError(
            f"setting log_level = {settings.log_level!r}: allowed are debug, info, warning, error"
        )
    if settings.api_ws_port == settings.api_rest_port != 0:
        raise SettingsError(
            f"setting api_ws_port = {settings.api_ws_port}: allowed is a port other than api_rest_port"
        )


def _check_venue(key: str, venue: VenueSettings) -> None:
    for name in ("poll_interval_s", "timeout_s", "requests_per_s"):
        if (value := getattr(venue, name)) <= 0:
            raise SettingsError(f"setting {key}.{name} = {value}: allowed is a number above 0")
    for role, urls in venue.urls.items():
        for index, url in enumerate(urls):
            if not _URL.match(url):
                raise SettingsError(
                    f"setting {key}.urls.{role}[{index}] = {url!r}: allowed is https:// or wss://, or http://"
                    " or ws:// on this machine"
                )
    seen: set[str] = set()
    for index, account in enumerate(venue.accounts):
        _check_account(f"{key}.accounts[{index}]", account, seen)


def _check_account(key: str, account: AccountSettings, seen: set[str]) -> None:
    if not account.account.strip():
        raise SettingsError(f"setting {key}.account = '': allowed is the account's name at the venue")
    for name, value in (("account", account.account), ("hotkey", account.hotkey)):
        if value is not None and value in seen:
            raise SettingsError(f"setting {key}.{name} = {value!r}: allowed is each account and hotkey once")
    seen |= {name for name in (account.account, account.hotkey) if name is not None}
    size = account.account_size
    if size is not None and not (size.is_finite() and size > 0):
        raise SettingsError(f"setting {key}.account_size = {size}: allowed is a number of USD above 0")


def _check_secrets(settings: Settings) -> None:
    """A secret that stands in the settings itself is refused, and not repeated in the refusal."""
    for path, value in _secrets(settings):
        if value is not None and not _REFERENCE.match(value):
            raise SettingsError(f"setting {path}: allowed is env:NAME or file:PATH, never the secret itself")


def _secrets(settings: Settings) -> Iterator[tuple[str, str | None]]:
    for name, venue in settings.venues.items():
        for index, account in enumerate(venue.accounts):
            for secret, value in account.secrets.items():
                yield f"venues.{name}.accounts[{index}].secrets.{secret}", value
    yield "emissions.api_key", settings.emissions.api_key
    yield "entities.api_key_secret", settings.entities.api_key_secret
    for number, peer in enumerate(settings.entities.peers):
        yield f"entities.peers[{number}].api_key", peer.api_key
    yield "collateral.vault_secret", settings.collateral.vault_secret
    yield "collateral.contract_secret", settings.collateral.contract_secret


def _check_entities(settings: Settings) -> None:
    entities = settings.entities
    for number, peer in enumerate(entities.peers):
        if not _PEER_URL.match(peer.url):
            raise SettingsError(
                f"setting entities.peers[{number}].url = {peer.url!r}: allowed is https://, or http:// on"
                " this machine"
            )
    if entities.max_subaccounts > entities.max_subaccounts_limit:
        raise SettingsError(
            f"setting entities.max_subaccounts = {entities.max_subaccounts}: allowed is up to"
            f" max_subaccounts_limit, {entities.max_subaccounts_limit}"
        )


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
