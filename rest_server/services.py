"""What a request handler may reach, in one typed place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from flask import current_app

from journal.entry import Reader
from rest_server.addresses import Addresses
from rest_server.limits import Limiter
from rest_server.metagraph import Metagraph
from rest_server.published import Published
from runtime.api_keys import KeyTable
from runtime.clock import Clock
from runtime.settings import Settings
from runtime.usage import Usage
from validator.registry import Registry

EXTENSION = "vanta-rest"


class Keys(Protocol):
    """The part of a KeyWatcher that requests need."""

    @property
    def table(self) -> KeyTable: ...

    @property
    def error(self) -> str | None: ...


class Source(Protocol):
    """Where the state comes from: the follower."""

    def current(self) -> Published | None:
        """The newest state, moved on to this very moment; None before the first one."""

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
    metagraph: Metagraph
    open_reader: Callable[[], Reader]
    registry: Registry
    warnings: list[str] = field(default_factory=list)


def services() -> Services:
    """The running application's services."""
    return cast(Services, current_app.extensions[EXTENSION])
