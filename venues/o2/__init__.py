"""O2 Exchange: a spot order book on Fuel with public reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.clock import Clock
    from runtime.settings import VenueSettings
    from venues.model import Payload, Snapshot
    from venues.venue import Sandbox, VenueClient


class O2:
    """Entry points; see ``venues.venue.Venue``."""

    name = "o2"

    def defaults(self) -> VenueSettings:
        """Mainnet. General read limits are undocumented: 10 requests a second has been polite enough."""
        from runtime.settings import VenueSettings

        return VenueSettings(
            urls={"rest": ["https://api.o2.app"], "ws": ["wss://api.o2.app/v1/ws"]},
            poll_interval_s=10.0,
            requests_per_s=10.0,
        )

    def client(self, settings: VenueSettings, clock: Clock) -> VenueClient:
        from venues.o2.client import O2Client

        return O2Client(settings, clock)

    def normalise(self, payload: Payload) -> Snapshot:
        from venues.o2.normalise import normalise

        return normalise(payload)

    def sandbox(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> Sandbox:
        from venues.o2.sandbox import O2Sandbox

        return O2Sandbox(seed=seed, accounts=accounts, origin_ms=origin_ms, clock=clock)


VENUE = O2()
