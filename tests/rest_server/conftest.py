"""Worlds and live servers for REST tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from rest_server.http_server import HttpServer
from runtime.settings import RestSettings
from tests.rest_server.world import Make, World


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    """Access logs are tested where they matter."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Make]:
    """A function that makes worlds and closes them at the end."""
    worlds: list[World] = []

    def make(**changes: Any) -> World:
        directory = tmp_path / str(len(worlds))
        directory.mkdir()
        worlds.append(World(directory, **changes))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Make) -> World:
    """A world with nothing in it."""
    return make_world()


@pytest.fixture
def live(world: World) -> Iterator[HttpServer]:
    """The world's application on a real socket."""
    server = HttpServer(world.app, "127.0.0.1", 0, RestSettings(threads=4))
    server.start()
    yield server
    server.drain(2)
