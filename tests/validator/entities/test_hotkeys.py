"""Synthetic hotkeys: what is read is exactly what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.entities.hotkeys import ID_MAX, Synthetic, is_entity_hotkey, parse, synthetic_hotkey


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("my_entity_0", ("my_entity", 0)),
        ("5GhDr3xy...abc_12", ("5GhDr3xy...abc", 12)),
        ("a_1_2", ("a_1", 2)),
        (f"a_{ID_MAX}", ("a", ID_MAX)),
    ],
)
def test_the_last_underscore_splits(text: str, parts: tuple[str, int]) -> None:
    assert parse(text) == Synthetic(*parts)


@pytest.mark.parametrize(
    "text",
    [
        *("no_number_", "plain", "_0", "", "a_01", "a_+1", "a_-1", "a_ 1", "a_1 ", "a_1.0", "a_1e3"),
        *("a_١", "a_²", f"a_{ID_MAX + 1}", "a_99999999999999999999", "a_0x1", "a_1_", "a_\n1", "a_1\n"),
    ],
)
def test_anything_else_is_not_synthetic(text: str) -> None:
    assert parse(text) is None


@given(st.text(), st.integers(0, ID_MAX))
def test_what_is_written_is_read_back(entity: str, number: int) -> None:
    found = parse(synthetic_hotkey(entity, number))
    if entity and "\n" not in entity:
        assert found == (entity, number)


@given(st.text(max_size=20))
def test_what_is_read_would_be_written_so(text: str) -> None:
    found = parse(text)
    assert found is None or synthetic_hotkey(*found) == text


@pytest.mark.parametrize("text", ["5GhDr3xy...abc", "my_entity", "a", "x" * 128, "o2:0xabc"])
def test_hotkeys_of_entities(text: str) -> None:
    assert is_entity_hotkey(text)


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a/b", "a|b", "a?b", "a#b", "a%20b", "a_0", "x" * 129, "é", "a\n", "a\x00", None, 7, ["a"]],
)
def test_what_an_entity_may_not_be_called(text: object) -> None:
    assert not is_entity_hotkey(text)
