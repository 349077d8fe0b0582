"""The shape every venue has: learn one, know all.

``venues/<name>/__init__.py`` holds one object ``VENUE`` that satisfies ``Venue``; everything heavy is
imported inside its methods, so that naming a venue costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from aiohttp import web

    from runtime.clock import Clock
    from runtime.settings import AccountSettings, VenueSettings
    from venues.model import Payload, Snapshot

NAMES: Final = ("ithaca", "o2", "limitless", "ostium")


class VenueClient(Protocol):
    """Talks to one venue. One client serves all accounts of a poller worker; ``fetch`` may be called
    from several threads at once. Raises only venues.errors."""

    def fetch(self, account: AccountSettings, since_ms: int | None) -> Payload:
        """Everything ``normalise`` needs for this account, read completely or not at all.

        ``since_ms`` None asks for the whole history; otherwise fills older than it may be left out
        (the poller subtracts a safety overlap itself).
        """

    def close(self) -> None: ...


class Sandbox(Protocol):
    """A small exchange that speaks the venue's wire protocol. Its world is a pure function of
    (seed, accounts, origin_ms, time) and of what clients sent: started again, it tells the same story."""

    app: web.Application

    def settings(self, base_url: str, secrets_dir: Path) -> VenueSettings:
        """How a poller reaches it: URLs, accounts, and references to secrets written to ``secrets_dir``."""


class Venue(Protocol):
    """One venue's entry points."""

    name: str

    def defaults(self) -> VenueSettings:
        """The real venue's URLs and sensible pace."""

    def client(self, settings: VenueSettings, clock: Clock) -> VenueClient: ...

    def normalise(self, payload: Payload) -> Snapshot:
        """Pure. Raises Broken with the field path when the payload has not the documented shape."""

    def sandbox(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> Sandbox: ...


def load(name: str) -> Venue:
    """Return the venue of that name. Raises ValueError naming the ones there are."""
    if name not in NAMES:
        raise ValueError(f"unknown venue {name!r}: choose from {', '.join(NAMES)}")
    return cast(Venue, import_module(f"venues.{name}").VENUE)
