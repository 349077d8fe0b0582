"""Ithaca: options, binaries and forwards matched in auctions, each contract netted to one position."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.clock import Clock
    from runtime.settings import VenueSettings
    from venues.model import Payload, Snapshot
    from venues.venue import Sandbox, VenueClient


class Ithaca:
    """Entry points; see ``venues.venue.Venue``."""

    name = "ithaca"

    def defaults(self) -> VenueSettings:
        """Production on Arbitrum One. No rate limit is documented; auctions make quick polling pointless."""
        from runtime.settings import VenueSettings

        return VenueSettings(
            urls={
                "rest": ["https://app.ithacaprotocol.io/api/v1"],
                "ws": ["wss://app.ithacaprotocol.io/wss"],
                "calc": ["https://app.ithacaprotocol.io/api/calc"],
                "subgraph": ["https://api.studio.thegraph.com/query/43740/ithaca-arbitrum/v1.1.0"],
            },
            poll_interval_s=10.0,
            timeout_s=30.0,
            requests_per_s=10.0,
        )

    def client(self, settings: VenueSettings, clock: Clock) -> VenueClient:
        from venues.ithaca.client import IthacaClient

        return IthacaClient(settings, clock)

    def normalise(self, payload: Payload) -> Snapshot:
        from venues.ithaca.normalise import normalise

        return normalise(payload)

    def sandbox(self, *, seed: int, accounts: int, origin_ms: int, clock: Clock) -> Sandbox:
        from venues.ithaca.sandbox import IthacaSandbox

        return IthacaSandbox(seed=seed, accounts=accounts, origin_ms=origin_ms, clock=clock)


VENUE = Ithaca()
