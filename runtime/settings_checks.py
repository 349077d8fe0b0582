"""Settings that are well-formed and still make no sense: refused with key, value and what is allowed."""

from __future__ import annotations

import re
from typing import Final

from runtime.sections import Settings


class SettingsError(ValueError):
    """A setting is unknown or has a bad value; the text names key, value and what is allowed."""


def check(settings: Settings) -> None:
    """Raise SettingsError for the first setting that cannot be meant."""
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
    _check_entities(settings)


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


_PEER_URL: Final = re.compile(r"https://[^/]|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)")


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
