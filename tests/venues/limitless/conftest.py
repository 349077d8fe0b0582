"""One served sandbox for the tests that only read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.venues.limitless.serving import Served, served


@pytest.fixture(scope="module")
def place() -> Iterator[Served]:
    """A sandbox standing still at the start of its live time, with one account of each kind of access."""
    with served() as running:
        yield running


@pytest.fixture
def moving() -> Iterator[Served]:
    """A sandbox of its own, for tests that move time or arm faults."""
    with served(accounts=2) as running:
        yield running
