"""Four sandboxes as one arrangement: where each listens, what its world is, how pollers reach it.

Invariant: the worlds' origin and seed are written down at the first start, so that after a restart every
sandbox tells the same story and no poller sees a different past.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from runtime.clock import Clock
from runtime.settings import SandboxSettings, Settings
from venues.venue import NAMES, load
from venues.world import DAY_MS, HISTORY_DAYS, HOUR_MS

FILE: Final = "sandbox.json"


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What every sandbox of a data directory is drawn from."""

    origin_ms: int
    seed: int
    accounts: int


class OtherWorld(ValueError):
    """The data directory belongs to other sandboxes than the ones asked for."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """One sandbox to start: ``python -m venues`` with these arguments."""

    venue: str
    arguments: tuple[str, ...]


def arrange(settings: Settings, clock: Clock) -> tuple[Settings, list[Arranged]]:
    """The settings with every selected venue pointing at its sandbox, and the sandboxes to start.

    ``settings.venues`` names the selected venues; none means all four. Raises OtherWorld.
    """
    world = settle_world(settings.data_dir / FILE, settings.sandbox, clock)
    secrets = settings.data_dir / "sandbox-secrets"
    venues, sandboxes = {}, []
    names = list(settings.venues) or list(NAMES)
    for name, port in zip(names, free_ports(len(names)), strict=True):
        sandbox = load(name).sandbox(
            seed=world.seed, accounts=world.accounts, origin_ms=world.origin_ms, clock=clock
        )
        secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
        venues[name] = sandbox.settings(f"http://127.0.0.1:{port}", secrets)
        sandboxes.append(Arranged(name, _arguments(name, port, world)))
    return msgspec.structs.replace(settings, venues=venues), sandboxes


def settle_world(path: Path, wanted: SandboxSettings, clock: Clock) -> World:
    """The world written in ``path``; made and written when there is none."""
    if path.is_file():
        world = msgspec.json.decode(path.read_bytes(), type=World)
        if (world.seed, world.accounts) != (wanted.seed, wanted.accounts):
            raise OtherWorld(
                f"{path} belongs to seed {world.seed} with {world.accounts} accounts: use those, "
                "another --data-dir, or remove the directory"
            )
        return world
    world = World(origin_ms=default_origin_ms(clock.now_ms()), seed=wanted.seed, accounts=wanted.accounts)
    path.write_bytes(msgspec.json.encode(world))
    return world


def default_origin_ms(now_ms: int) -> int:
    """Three weeks before the last full hour."""
    return now_ms // HOUR_MS * HOUR_MS - HISTORY_DAYS * DAY_MS


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; kept bound together while choosing, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _arguments(name: str, port: int, world: World) -> tuple[str, ...]:
    values = {"port": port, "seed": world.seed, "accounts": world.accounts, "origin-ms": world.origin_ms}
    return ("sandbox", name, *(part for key, value in values.items() for part in (f"--{key}", str(value))))
