"""A venue's raw answers on disk: recorded from a real account, replayed through a poller at the desk.

A capture is a directory with one JSON file per poll, named so that sorting gives the order. Bodies are
kept as text, byte for byte; credentials are never part of a Payload and so never part of a capture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from runtime.settings import AccountSettings
from venues.errors import Retryable
from venues.model import Payload
from venues.venue import VenueClient

VERSION: Final = 1


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded poll."""

    version: int = VERSION
    venue: str
    account: str
    observed_ms: int
    since_ms: int | None
    parts: dict[str, str]


class CaptureError(ValueError):
    """The directory is not a capture; the text names the file."""


def write(directory: Path, payload: Payload) -> Path:
    """Store one payload; returns its file."""
    directory.mkdir(parents=True, exist_ok=True)
    number = sum(1 for _ in directory.glob("*.json"))
    captured = Captured(
        venue=payload.venue,
        account=payload.account,
        observed_ms=payload.observed_ms,
        since_ms=payload.since_ms,
        parts={name: body.decode("utf-8", "surrogateescape") for name, body in payload.parts.items()},
    )
    path = directory / f"{number:06d}-{payload.venue}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(captured), indent=1))
    return path


def read(directory: Path) -> list[Payload]:
    """Every payload of a capture, in recorded order. Raises CaptureError."""
    files = sorted(directory.glob("*.json"))
    if not files:
        raise CaptureError(f"{directory} holds no capture: record one with python -m venues record")
    return [_payload(path) for path in files]


def _payload(path: Path) -> Payload:
    try:
        captured = msgspec.json.decode(path.read_bytes(), type=Captured)
    except msgspec.DecodeError as error:
        raise CaptureError(f"{path} is not a recorded poll: {error}") from None
    return Payload(
        venue=captured.venue,
        account=captured.account,
        observed_ms=captured.observed_ms,
        since_ms=captured.since_ms,
        parts={name: text.encode("utf-8", "surrogateescape") for name, text in captured.parts.items()},
    )


class ReplayClient:
    """A VenueClient that answers from a capture, in order, per account."""

    def __init__(self, payloads: list[Payload]) -> None:
        self._left: dict[str, list[Payload]] = {}
        for payload in payloads:
            self._left.setdefault(payload.account, []).append(payload)

    @property
    def accounts(self) -> list[AccountSettings]:
        """The accounts the capture knows."""
        return [AccountSettings(account=account) for account in self._left]

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """The account's next recorded payload, whatever ``since_ms`` asks for."""
        if not self._left.get(account.account):
            raise Retryable("the capture ends here", after_s=3600.0)
        return self._left[account.account].pop(0)

    def close(self) -> None:
        """Nothing to release."""


class RecordingClient:
    """A VenueClient that writes down what another one fetches."""

    def __init__(self, inner: VenueClient, directory: Path) -> None:
        self._inner, self._directory = inner, directory
        self.written = 0

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """Fetch through the real client and store the answer."""
        payload = self._inner.fetch(account, since_ms)
        write(self._directory, payload)
        self.written += 1
        return payload

    def close(self) -> None:
        """Close the real client."""
        self._inner.close()
