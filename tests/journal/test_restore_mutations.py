"""A damaged checkpoint is refused with the field's path, and nothing on disk is changed."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from journal.restore.own import OwnCheckpoint
from journal.restore.problem import Refused
from journal.restore.source import parse, text_of
from tests.journal.mutate import Damage, damaged
from tests.journal.restored import filled, own_checkpoint, quiet, run, state_of, tree

__all__ = ["quiet"]
pytestmark = pytest.mark.usefixtures("quiet")
SEED = 20_251_120
MUTATIONS, SOAK_MUTATIONS = 400, int(os.environ.get("VANTA_SOAK_MUTATIONS", "20000"))
QUERIES = ("", "?perf_ledgers=bundle&limit_orders=by_hotkey&facts=all")


def refusal(text: bytes) -> Refused:
    """What the reader says; fails when it accepts."""
    try:
        OwnCheckpoint(parse(text_of(text, lambda *_: None))[0]).check(lambda _: None)
    except Refused as refused:
        return refused
    raise AssertionError("accepted")


def names_the_place(refused: Refused, damage: Damage) -> bool:
    """Whether the path leads to the damage: the field itself, or the section whose digest found it."""
    if damage.kind == "cut":
        return "ends in the middle" in refused.problem or refused.problem == "is empty"
    if damage.path.partition(".")[0] == "digests":
        return damage.path.endswith(refused.path) or refused.path.startswith(damage.path)
    if refused.path.startswith("digests."):
        return True
    section = refused.path.partition(".")[0].partition("[")[0]
    return damage.path.startswith(refused.path) or refused.path.startswith(damage.path) or not section


def mutate(directory: Path, count: int, seed: int) -> None:
    print(f"seed {seed}, {count} mutations")  # shown by pytest when the test fails
    chance = random.Random(seed)
    for query in QUERIES:
        text = own_checkpoint(directory / f"source{len(query)}", query)
        for damage in damaged(text, count // len(QUERIES), chance):
            refused = refusal(damage.text)
            assert names_the_place(refused, damage), f"{damage.kind} at {damage.path!r}: {refused}"


def test_hundreds_of_mutations_are_refused_where_they_are(tmp_path: Path) -> None:
    mutate(tmp_path, MUTATIONS, SEED)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_thousands_of_mutations_are_refused_where_they_are(tmp_path: Path) -> None:
    mutate(tmp_path, SOAK_MUTATIONS, random.SystemRandom().randrange(10**9))


def through_the_command(directory: Path, capsys: pytest.CaptureFixture[str], count: int, seed: int) -> None:
    print(f"seed {seed}, {count} mutations")
    data = directory / "data"
    filled(data).close()
    state_of(data)
    before = tree(data)
    text = own_checkpoint(directory / "source")
    for number, damage in enumerate(damaged(text, count, random.Random(seed))):
        path = directory / ("c.json.gz" if number % 2 else "c.json")
        path.write_bytes(gzip.compress(damage.text, 1) if number % 2 else damage.text)
        code, facts = run(capsys, path, "--data-dir", data)
        assert code == 1, damage
        assert facts["problem"]
        assert tree(data) == before


def test_the_command_leaves_the_directory_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    through_the_command(tmp_path, capsys, 100, SEED)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_command_leaves_the_directory_as_it_was_two_thousand_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    through_the_command(tmp_path, capsys, 2_000, random.SystemRandom().randrange(10**9))


def cut_everywhere(directory: Path, step: int) -> None:
    text = own_checkpoint(directory / "source", hotkeys=1)
    packed = gzip.compress(text)
    for end in range(0, len(text), step):
        assert "ends in the middle" in refusal(text[:end]).problem or end == 0
    for end in range(0, len(packed), step):
        refused = refusal(packed[:end])
        assert "gzip" in refused.problem or end < 2, refused


def test_a_checkpoint_cut_anywhere_is_refused(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, 37)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_checkpoint_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, 1)


def test_a_cut_is_located(tmp_path: Path) -> None:
    text = own_checkpoint(tmp_path / "source")
    inside = text.index(b'"order_uuid"', text.index(b'"position_uuid"') + 2000)

    assert refusal(text[:inside]).path.startswith("positions.hk0.positions[")


def test_a_flipped_bit_of_a_compressed_checkpoint_is_noticed(tmp_path: Path) -> None:
    """Whatever bit it is, unless it is one that means nothing."""
    text = own_checkpoint(tmp_path / "source", hotkeys=1)
    packed = gzip.compress(text, mtime=0)
    chance = random.Random(SEED)
    refused = 0
    for _ in range(150):
        broken = bytearray(packed)
        broken[chance.randrange(10, len(packed))] ^= 1 << chance.randrange(8)
        try:
            assert text_of(bytes(broken), lambda *_: None) == text
        except Refused:
            refused += 1
    assert refused > 140
