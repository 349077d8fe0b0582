"""Derived API keys: the same one for ever, for registered entities only, and no trace of the secret."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.memory import MemoryJournal
from runtime.api_key_file import parse
from tests.validator.entities.people import HOTKEY, OTHER, clerk_on, entity, office
from validator.entities.keys import EntityKeys, JointTable, NoSecretError, derive
from validator.entities.secret import FILE_NAME, ServerSecret

SECRET = b"a server's secret of enough characters"


def keys(*hotkeys: str, secret: bytes | None = SECRET) -> EntityKeys:
    return EntityKeys(lambda: secret, office(*hotkeys).entities)


def test_a_key_is_derived_and_found() -> None:
    table = keys()
    text = table.text(HOTKEY)
    found = table.find(text)

    assert found is not None
    assert (found.tier, found.entity, found.allows("rest"), found.allows("ws"), found.allows("trade")) == (
        200,
        HOTKEY,
        True,
        True,
        False,
    )
    assert text == derive(SECRET, HOTKEY) == keys().text(HOTKEY)
    assert text != table.text(OTHER) != derive(SECRET + b"!", OTHER)
    assert SECRET.decode() not in text


def test_a_key_is_known_by_its_id_once_it_was_presented() -> None:
    table = keys()
    key = table.find(table.text(HOTKEY))
    assert key is not None
    assert table.get(key.id) == key
    fresh = keys()
    assert fresh.get(key.id) is None
    assert fresh.of(HOTKEY) == key
    assert fresh.get(key.id) == key


@pytest.mark.parametrize("change", [1, -1, 30])
def test_a_changed_key_opens_nothing(change: int) -> None:
    table = keys()
    text = table.text(HOTKEY)
    flipped = text[:change] + ("A" if text[change] != "A" else "B") + text[change + 1 :] if change > 0 else ""
    for wrong in (flipped, text + "A", text[:-1], text.upper(), f" {text}", text.replace(HOTKEY, OTHER)):
        assert table.find(wrong) is None


def test_a_right_key_of_an_unregistered_entity_opens_nothing() -> None:
    table = keys(OTHER)
    assert table.find(derive(SECRET, HOTKEY)) is None
    assert table.find(derive(SECRET, "a|b")) is None


def test_without_a_secret_there_are_no_keys() -> None:
    table = keys(secret=None)
    assert table.find(derive(SECRET, HOTKEY)) is None
    assert table.get("00000000") is None
    with pytest.raises(NoSecretError):
        table.text(HOTKEY)


def test_another_secret_revokes_every_key() -> None:
    secret = [SECRET]
    table = EntityKeys(lambda: secret[0], office().entities)
    text = table.text(HOTKEY)
    key = table.find(text)
    assert key is not None
    secret[0] = b"another secret of enough characters"
    assert table.find(text) is None
    assert table.get(key.id) is None


def test_an_entity_that_registers_later_is_known_at_once() -> None:
    journal = MemoryJournal()
    table = EntityKeys(lambda: SECRET, clerk_on(journal).entities)
    assert table.find(derive(SECRET, HOTKEY)) is None
    clerk_on(journal).register(entity())
    assert table.find(derive(SECRET, HOTKEY)) is not None


@given(
    st.text(max_size=300) | st.text(alphabet="vek1.5GhDr3xyEntity_-", max_size=80).map(lambda t: "vek1." + t)
)
def test_any_other_text_is_simply_unknown(text: str) -> None:
    assert keys().find(text) is None


def test_file_and_entities_are_one_table() -> None:
    table = keys()
    joint = JointTable(parse(b'{"operator": {"key": "k200", "tier": 200}}'), table)
    text = table.text(HOTKEY)
    for secret, entity_hotkey in (("k200", None), (text, HOTKEY)):
        key = joint.find(secret)
        assert key is not None
        assert key.entity == entity_hotkey
        assert joint.get(key.id) == key
    assert joint.find("unknown") is None
    assert joint.get("00000000") is None


def test_a_secret_of_our_own_is_made_once_and_kept_to_ourselves(tmp_path: Path) -> None:
    secret = ServerSecret(None, tmp_path / "data")
    assert secret.read() is None
    made = secret.make()
    path = tmp_path / "data" / FILE_NAME

    assert len(made) >= 32
    assert secret.read() == made == secret.make() == ServerSecret(None, tmp_path / "data").read()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]


def test_whoever_makes_it_at_once_ends_up_with_one(tmp_path: Path) -> None:
    made: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: made.append(ServerSecret(None, tmp_path).make())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_configured_secret_is_used_and_must_be_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VANTA_SECRET_TEST", "x" * 32)
    assert ServerSecret("env:VANTA_SECRET_TEST", tmp_path).make() == b"x" * 32
    assert os.listdir(tmp_path) == []
    (tmp_path / "short").write_text("x" * 31)
    for reference in (f"file:{tmp_path / 'short'}", "env:VANTA_SECRET_NOWHERE", "plain"):
        with pytest.raises(ValueError):
            ServerSecret(reference, tmp_path)
