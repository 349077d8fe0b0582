"""What a request handler may reach, in one typed place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from flask import current_app

from journal.entry import Reader
from journal.state import Latest
from rest_server.addresses import Addresses
from rest_server.audit import AuditLog
from rest_server.entity_desk import EntityDesk
from rest_server.limits import Limiter
from rest_server.metagraph import Metagraph
from rest_server.metagraph_node import NodeMetagraph
from rest_server.published import Published
from runtime.api_keys import ApiKey
from runtime.clock import Clock
from runtime.settings import Settings
from runtime.usage import Usage
from validator.assets import Assets
from validator.collateral.service import Collateral
from validator.orders.desk import Desk
from validator.registry import Registry

EXTENSION = "vanta-rest"


class Table(Protocol):
    """All keys that are good now."""

    def find(self, secret: str) -> ApiKey | None: ...


class Keys(Protocol):
    """Where keys come from: the watched file, and entities."""

    @property
    def table(self) -> Table: ...

    @property
    def error(self) -> str | None: ...


class Source(Protocol):
    """Where the state comes from: the follower."""

    def current(self) -> Published | None:
        """The newest state, moved on to this very moment; None before the first one."""

    def newest_of(self, stream: str, hotkey: str) -> list[tuple[str, Latest]]:
        """The newest entry of each of the hotkey's keys, as of now. Raises JournalError."""

    def problem(self) -> str | None:
        """Why the state must not be trusted (None: it is caught up and alive)."""


@dataclass(frozen=True)
class Services:
    """Everything behind the routes. ``open_reader`` gives the calling thread its own journal reader."""

    settings: Settings
    clock: Clock
    keys: Keys
    usage: Usage
    limiter: Limiter
    addresses: Addresses
    source: Source
    metagraph: Metagraph | NodeMetagraph
    open_reader: Callable[[], Reader]
    registry: Registry
    collateral: Collateral
    assets: Assets
    entities: EntityDesk
    development: Desk
    audit: AuditLog
    warnings: list[str] = field(default_factory=list)


def services() -> Services:
    """The running application's services."""
    return cast(Services, current_app.extensions[EXTENSION])
