"""Asset selection over HTTP: once and for good, whoever sends what how often."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import pytest

from journal.entry import UnavailableError
from rest_server.app import create_app
from runtime.settings import CollateralSettings
from tests.rest_server.world import Make, World, strict_json
from tests.validator.collateral.people import (
    COLD,
    HOT,
    OTHER,
    OTHER_HOT,
    collateral_settings,
    signed_body,
)
from validator.signing import encode_address

SELECT: Final = "/asset-selection"
HOT_ADDRESS: Final = HOT.ss58_address


def selection(asset_class: Any = "forex", **changes: Any) -> dict[str, Any]:
    """A selection as the command-line client signs it; ``changes`` are signed too."""
    fields = {
        "asset_selection": asset_class,
        "miner_coldkey": COLD.ss58_address,
        "miner_hotkey": HOT_ADDRESS,
    }
    return signed_body(changes.pop("signer", COLD), {**fields, **changes})


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, strict_json(answer.data)["error"]


def selections(world: World) -> dict[str, str]:
    found: dict[str, str] = world.get("/miner-selections", "k0").get_json()["miner_selections"]
    return found


def test_a_selection_counts_and_is_shown_everywhere(world: World) -> None:
    answer = world.post(SELECT, selection())

    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "successfully_processed": True,
            "success_message": f"Miner {HOT_ADDRESS} successfully selected asset class: forex",
            "error_message": "",
        },
    )
    assert world.get("/miner-selections", "k0").get_json() == {
        "miner_selections": {HOT_ADDRESS: "forex"},
        "total_miners": 1,
        "timestamp": world.now,
    }


@pytest.mark.parametrize("sent", ["Forex", "FOREX", "forex"])
def test_the_class_is_repeated_as_it_was_sent_and_kept_in_small_letters(world: World, sent: str) -> None:
    answer = world.post(SELECT, selection(sent))
    assert answer.get_json()["success_message"].endswith(f"asset class: {sent}")
    assert selections(world) == {HOT_ADDRESS: "forex"}


@pytest.mark.parametrize("again", ["forex", "crypto"])
def test_a_selection_is_for_good_also_after_a_restart(world: World, again: str) -> None:
    world.post(SELECT, selection())
    for _ in range(2):
        answer = world.post(SELECT, selection(again))
        assert (answer.status_code, answer.get_json()) == (
            200,
            {
                "successfully_processed": False,
                "error_message": "Asset class already selected: forex. Cannot change selection.",
            },
        )
        world.start()
    assert selections(world) == {HOT_ADDRESS: "forex"}


@pytest.mark.parametrize("asset_class", ["", "stocks", "indices", "forex ", "crypto,forex", 5, 1.5])
def test_only_configured_classes_can_be_selected(world: World, asset_class: Any) -> None:
    answer = world.post(SELECT, selection(asset_class))
    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "successfully_processed": False,
            "error_message": "Invalid asset class. Valid options are: crypto, forex",
        },
    )
    assert selections(world) == {}


def test_other_classes_can_be_configured(make_world: Make) -> None:
    classes = ("crypto", "forex", "indices", "equities")
    world = make_world(settings_changes={"collateral": CollateralSettings(asset_classes=classes)})
    with world.directory.joinpath("owners.json").open("w") as file:
        json.dump({}, file)
    assert error_of(world.post(SELECT, selection("indices")))[0] == 403  # nobody owns anything here

    usual = collateral_settings(world.directory)
    fields = {name: getattr(usual, name) for name in usual.__struct_fields__}
    other = make_world(
        settings_changes={"collateral": CollateralSettings(**{**fields, "asset_classes": classes})}
    )
    assert other.post(SELECT, selection("indices")).get_json()["successfully_processed"]
    bad = other.post(SELECT, selection("stocks")).get_json()["error_message"]
    assert bad == "Invalid asset class. Valid options are: crypto, forex, indices, equities"


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "0x00"},
        {"signature": "zz" * 64},
        {"signature": None},
        {"miner_coldkey": "x"},
        {"miner_coldkey": encode_address(COLD.public_key, 0)},
        {"miner_coldkey": encode_address(bytes(32)), "signature": bytes(63).hex() + "80"},
        {"miner_hotkey": OTHER_HOT.ss58_address},
        {"asset_selection": "crypto"},
        {"asset_selection": True},
        {"asset_selection": None},
        {"asset_selection": ["forex"]},
    ],
)
def test_what_the_coldkey_did_not_sign_is_refused(world: World, change: dict[str, Any]) -> None:
    answer = world.post(SELECT, {**selection(), **change})
    assert error_of(answer) == (401, "Invalid signature. Asset selection request unauthorized")
    assert selections(world) == {}


@pytest.mark.parametrize(
    "change", [{"signer": OTHER, "miner_coldkey": OTHER.ss58_address}, {"miner_hotkey": "x"}]
)
def test_only_the_owner_selects(world: World, change: dict[str, Any]) -> None:
    answer = world.post(SELECT, selection(**change))
    assert error_of(answer) == (403, "Coldkey does not own the specified hotkey")


def test_missing_fields_are_named_in_order(world: World) -> None:
    names = ("asset_selection", "miner_coldkey", "miner_hotkey", "signature")
    for index, name in enumerate(names):
        body = {"other": 1, **dict.fromkeys(names[:index], "x")}
        assert error_of(world.post(SELECT, body)) == (400, f"Missing required field: {name}")


def test_bad_bodies_are_refused(world: World) -> None:
    assert error_of(world.post(SELECT, b"{}")) == (400, "Invalid JSON body")
    assert error_of(world.post(SELECT, b"[1]")) == (400, "Invalid JSON body")
    answer = world.post(SELECT, b"{}", content_type="text/plain")
    assert error_of(answer) == (400, "Content-Type must be application/json")
    assert "outdated" in error_of(world.post(SELECT, {"version": "1.0.4"}))[1]
    assert world.get(SELECT, None).status_code == 405


def test_of_selections_at_once_the_first_counts(world: World) -> None:
    """Two servers on one journal, several threads, two classes: one answer says yes, and it is kept."""
    other = create_app(world.services())
    barrier, done = threading.Barrier(6), list[tuple[str, bool]]()

    def select(number: int) -> None:
        asset_class = ("forex", "crypto")[number % 2]
        client = (world.app, other)[number // 2 % 2].test_client()
        barrier.wait()
        body = client.post(SELECT, json=selection(asset_class)).get_json()
        done.append((asset_class, body["successfully_processed"]))

    threads = [threading.Thread(target=select, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    winners = [asset_class for asset_class, is_done in done if is_done]

    assert len(done) == 6
    assert len(winners) == 1
    assert selections(world) == {HOT_ADDRESS: winners[0]}


def test_the_list_needs_a_key(world: World) -> None:
    assert error_of(world.get("/miner-selections", None))[0] == 401


def test_a_journal_that_takes_nothing_is_503(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise UnavailableError("no room left")

    monkeypatch.setattr(world.journal, "append", refuse)
    assert error_of(world.post(SELECT, selection())) == (503, "Asset selection data not available")
    monkeypatch.setattr(world.app.extensions["vanta-rest"].assets, "everything", refuse)
    assert error_of(world.get("/miner-selections")) == (503, "Asset selection data not available")


def test_our_own_mistakes_have_the_usual_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a secret")

    assets = world.app.extensions["vanta-rest"].assets
    monkeypatch.setattr(assets, "select", broken)
    monkeypatch.setattr(assets, "everything", broken)
    text = "Internal server error processing asset selection"
    assert error_of(world.post(SELECT, selection())) == (500, text)
    text = "Internal server error retrieving miner selections"
    assert error_of(world.get("/miner-selections")) == (500, text)


def test_the_command_line_client_is_served(world: World) -> None:
    """Version 3.0.3: its version in the body, no key, and what it reads of the answer."""
    body = json.dumps({**selection("crypto"), "version": "3.0.3"}).encode()
    answer = world.client.post(SELECT, data=body, headers={"Content-Type": "application/json"}).get_json()

    assert answer.get("successfully_processed") is True
    assert (answer.get("error_message") or answer.get("error")) is None or answer["error_message"] == ""


def test_the_documented_example_is_answered_like_one(world: World) -> None:
    """Without a version, with ``0x`` before the signature."""
    body = selection()
    body["signature"] = "0x" + body["signature"]
    assert set(body) == {"asset_selection", "miner_coldkey", "miner_hotkey", "signature"}
    assert set(world.post(SELECT, body).get_json()) == {
        "successfully_processed",
        "success_message",
        "error_message",
    }
