"""Limitless Exchange: prediction markets on Base, traded in YES and NO shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.clock import Clock
    from runtime.settings import VenueSettings
    from venues.model import Payload, Snapshot
    from venues.venue import Sandbox, VenueClient


class Limitless:
    """Entry points; see ``venues.venue.Venue``."""

    name = "limitless"

    def defaults(self) -> VenueSettings:
        """Mainnet. No quota is published: refilling 10 requests a second is the venue's own advice."""
        from runtime.settings import VenueSettings

        return VenueSettings(
            urls={
                "rest": ["https://api.limitless.exchange"],
                "ws": ["wss://ws.limitless.exchange"],
                "rpc": ["https://mainnet.base.org"],
            },
            poll_interval_s=10.0,
            timeout_s=30.0,
            requests_per_s=10.0,
        )

    def client(self, settings: VenueSettings, clock: Clock) -> VenueClient:
        from venues.limitless.client import LimitlessClient

        return LimitlessClient(settings, clock)

    def normalise(self, payload: Payload) -> Snapshot:
        from venues.limitless.normalise import normalise

        return normalise(payload)

    def sandbox(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> Sandbox:
        from venues.limitless.sandbox import LimitlessSandbox

        return LimitlessSandbox(seed=seed, accounts=accounts, origin_ms=origin_ms, clock=clock)


VENUE = Limitless()
