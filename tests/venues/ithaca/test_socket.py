"""The sandbox's live stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.venues.ithaca.exchange import Setup, running


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    with running(tmp_path) as ready:
        yield ready


def send(socket: ClientConnection, action: str, payload: Any = None) -> None:
    socket.send(json.dumps({"action": action, "payload": payload}))


def frame(socket: ClientConnection) -> dict[str, Any]:
    data = socket.recv(timeout=10)
    assert isinstance(data, bytes), "frames are binary"
    decoded: dict[str, Any] = json.loads(data)
    assert set(decoded) == {"error", "cause", "details", "responseType", "payload"}
    return decoded


def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Frames up to and including the first of that kind."""
    frames = [frame(socket)]
    while frames[-1]["responseType"] != kind:
        frames.append(frame(socket))
    return frames


def url(setup: Setup) -> str:
    return setup.settings.urls["ws"][0]


@pytest.mark.parametrize("shape", ["text", "object"])
def test_a_token_is_validated_in_either_shape(setup: Setup, shape: str) -> None:
    token = setup.client.socket_token(setup.accounts[0])
    with connect(url(setup)) as socket:
        send(socket, "VALIDATE_AUTH_TOKEN", token if shape == "text" else {"authToken": token})
        answer = frame(socket)
        assert (answer["responseType"], answer["error"]) == ("VALIDATE_AUTH_TOKEN_RESPONSE", False)


def test_a_wrong_token_and_an_unknown_action_are_errors(setup: Setup) -> None:
    with connect(url(setup)) as socket:
        send(socket, "VALIDATE_AUTH_TOKEN", "made-up")
        assert frame(socket)["error"]
        send(socket, "SELL_EVERYTHING")
        answer = frame(socket)
        assert (answer["responseType"], answer["error"]) == ("UNKNOWN", True)
        socket.send(b"not json")
        assert frame(socket)["responseType"] == "UNKNOWN"


def test_heartbeats_are_answered(setup: Setup) -> None:
    with connect(url(setup)) as socket:
        send(socket, "HEARTBEAT_REQUEST")
        assert frame(socket)["responseType"] == "HEARTBEAT_RESPONSE"


def test_auctions_and_own_orders_are_told(setup: Setup) -> None:
    """After some auctions: started, reports that equal what the order status says, finished, signals."""
    account = setup.accounts[0]
    with connect(url(setup)) as socket:
        send(socket, "VALIDATE_AUTH_TOKEN", setup.client.socket_token(account))
        until(socket, "VALIDATE_AUTH_TOKEN_RESPONSE")
        setup.clock.advance(40)
        frames = until(socket, "FUNDLOCK_UPDATED")
    kinds = [one["responseType"] for one in frames]
    assert kinds[0] == "AUCTION_STARTED"
    assert kinds[-3:] == ["AUCTION_FINISHED", "MM_ORDERBOOK_UPDATED", "FUNDLOCK_UPDATED"]
    reports = [one["payload"] for one in frames if one["responseType"] == "EXEC_REPORT"]
    assert reports
    for report in reports:
        count = report.pop("totalOpenOrdersCount")
        assert count >= 0
        assert report == json.loads(setup.client.order_status(account, report["orderId"]))["payload"]


def test_linked_accounts_are_told_of_when_asked_for(setup: Setup) -> None:
    """The first account may act for the second."""
    ids = {account.client_id for account in setup.sandbox.world.accounts[:2]}
    with connect(url(setup)) as socket:
        send(socket, "VALIDATE_AUTH_TOKEN", setup.client.socket_token(setup.accounts[0]))
        until(socket, "VALIDATE_AUTH_TOKEN_RESPONSE")
        send(socket, "SUBSCRIBE_ALL_LINKED_ACCOUNTS")
        send(socket, "HEARTBEAT_REQUEST")
        until(socket, "HEARTBEAT_RESPONSE")
        setup.clock.advance(120)
        frames = until(socket, "FUNDLOCK_UPDATED")
    told = {one["payload"]["clientId"] for one in frames if one["responseType"] == "EXEC_REPORT"}
    assert told == ids


def test_nothing_is_told_before_the_token(setup: Setup) -> None:
    with connect(url(setup)) as socket:
        setup.clock.advance(60)
        send(socket, "HEARTBEAT_REQUEST")
        assert frame(socket)["responseType"] == "HEARTBEAT_RESPONSE"
