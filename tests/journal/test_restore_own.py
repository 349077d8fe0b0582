"""Restoring from this product's own checkpoint: everything comes back, and what was altered is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from journal.__main__ import main
from journal.restore.own import OwnCheckpoint
from journal.restore.problem import Refused
from journal.restore.shape import HEAD, LedgerCheckpoint
from journal.restore.source import parse, text_of
from tests.journal.restored import MADE_MS, NONCE, own_checkpoint, quiet, run, served_from, state_of, tree
from validator.ledger.checkpoint import Checkpoint

__all__ = ["quiet"]
WHERE = ("epoch", "sequence", "sequences", "digests")  # where a node is, not what it knows


pytestmark = pytest.mark.usefixtures("quiet")


def content(text: bytes) -> dict[str, Any]:
    """What the checkpoint says, without where it was made."""
    found = json.loads(text)
    digests = {name: digest for name, digest in found["digests"].items() if name != "head"}
    return {name: value for name, value in found.items() if name not in WHERE} | {"digests": digests}


@pytest.mark.parametrize("query", ["", "?perf_ledgers=bundle", "?limit_orders=by_hotkey"])
def test_serve_restore_serve_gives_the_same_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    text = own_checkpoint(tmp_path / "source", query)
    (tmp_path / "c.json").write_bytes(text)
    code, facts = run(capsys, tmp_path / "c.json", "--data-dir", tmp_path / "data")

    assert (code, facts["warnings"], facts["restored"]) == (0, [], True)
    again = served_from(tmp_path / "target", tmp_path / "data", query)
    assert content(again) == content(text)
    assert json.loads(again)["epoch"] == facts["epoch"] != json.loads(text)["epoch"]
    assert facts["counts"]["positions"] == 9


def test_with_facts_every_registered_fact_and_ledger_entry_comes_back_to_the_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = own_checkpoint(tmp_path / "source", "?facts=all")
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(text))
    assert run(capsys, tmp_path / "c.json.gz", "--data-dir", tmp_path / "data")[0] == 0
    state = state_of(tmp_path / "data")

    assert content(served_from(tmp_path / "target", tmp_path / "data", "?facts=all")) == content(text)
    assert state.latest["registry"]["nonce|a::b"].body == NONCE
    assert len([key for key in state.latest["ledger"] if key.startswith("perf|")]) == 9


def test_a_checkpoint_of_a_restored_node_can_be_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [own_checkpoint(tmp_path / "source")]
    for turn in range(3):
        (tmp_path / "c.json").write_bytes(texts[-1])
        data = tmp_path / f"data{turn}"
        assert run(capsys, tmp_path / "c.json", "--data-dir", data)[0] == 0
        texts.append(served_from(tmp_path / f"world{turn}", data))

    assert all(content(text) == content(texts[0]) for text in texts)
    starts = [json.loads(text)["sequences"]["positions"] for text in texts]
    assert all(later > earlier + 999_999 for earlier, later in pairwise(starts))


def test_white_space_and_the_order_of_hotkeys_do_not_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(own_checkpoint(tmp_path / "source"))
    found["positions"] = dict(reversed(found["positions"].items()))
    (tmp_path / "c.json").write_text("\ufeff" + json.dumps(found, indent=2), encoding="utf-8")

    assert run(capsys, tmp_path / "c.json", "--data-dir", tmp_path / "data")[0] == 0


def test_whole_numbers_that_javascript_wrote_without_a_fraction_fit(tmp_path: Path) -> None:
    text = own_checkpoint(tmp_path / "source")
    rewritten = re.sub(rb'":(-?[1-9][0-9]*|0)[.]0([,}])', rb'":\1\2', text)

    assert rewritten != text
    assert OwnCheckpoint(parse(rewritten)[0]).check(lambda _: None).is_own


def test_what_was_taken_out_or_changed_is_refused_although_its_shape_is_right(tmp_path: Path) -> None:
    whole = json.loads(own_checkpoint(tmp_path / "source", "?facts=all"))

    def refused(change: Any) -> str:
        found = json.loads(json.dumps(whole))
        change(found)
        with pytest.raises(Refused) as caught:
            OwnCheckpoint(parse(json.dumps(found).encode())[0]).check(lambda _: None)
        return caught.value.path

    assert refused(lambda c: c["positions"].pop("hk1")) == "positions"
    assert refused(lambda c: c["positions"]["hk1"]["positions"].pop()) == "positions"
    assert refused(lambda c: c["positions"]["hk1"]["positions"][0].update(realized_pnl=1.5)) == "positions"
    assert refused(lambda c: c["eliminations"].clear()) == "eliminations"
    assert refused(lambda c: c["perf_ledgers"]["hk0"]["cps"][0].pop("equity_ret")) == "perf_ledgers"
    assert refused(lambda c: c["limit_orders"]["BTCUSD"].pop("hk0")) == "limit_orders"
    assert refused(lambda c: c["facts"]["registry"].pop("nonce|a::b")) == "facts"
    assert refused(lambda c: c["archived"]["hk1"]["BTCUSD"].update(growth=9.0)) == "archived"
    assert refused(lambda c: c["challengeperiod"]["hk2"].update(bucket="MAINCOMP")) == "challengeperiod"
    assert refused(lambda c: c.update(version="9.9.9")) == "digests.head"
    assert refused(lambda c: c.update(new=1)) == "new"
    assert refused(lambda c: c["digests"].pop("positions")) == "digests.positions"


def test_a_digest_file_beside_the_checkpoint_is_heeded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = own_checkpoint(tmp_path / "source")
    path, beside = tmp_path / "c.json", tmp_path / "c.json.sha256"
    path.write_bytes(text)
    beside.write_text(f"{hashlib.sha256(text + b' ').hexdigest()}  c.json\n")
    code, facts = run(capsys, path, "--data-dir", tmp_path / "data")
    assert (code, "digest" in facts["problem"]) == (1, True)

    beside.write_text(f"{hashlib.sha256(text).hexdigest()}  c.json\n")
    assert run(capsys, path, "--data-dir", tmp_path / "data", "--dry-run")[0] == 0
    beside.write_text("what?\n")
    assert run(capsys, path, "--data-dir", tmp_path / "data")[0] == 1
    assert not (tmp_path / "data").exists()


def test_every_kind_of_wrong_file_has_its_own_explanation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = own_checkpoint(tmp_path / "source")
    packed = gzip.compress(text)
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0x10
    cases = {
        b"": "empty",
        b" \n": "empty",
        b"<!DOCTYPE html><html>": "web page",
        b'{"error":"Unauthorized access"}': "server's error",
        b"[1, 2]": "begins with {",
        b"nonsense": "malformed",
        text[: len(text) // 2]: "ends in the middle",
        packed[: len(packed) // 2]: "ends in the middle of its gzip data",
        bytes(damaged): "",
        b"\x28\xb5\x2f\xfd" + text: "zstd",
        zlib.compress(text): "malformed",
        text + b"x": "trailing",
        b'{"positions":' + b"[" * 100_000: "nested too deeply",
        json.dumps(json.dumps(json.dumps("x"))).encode(): "text inside a text",
        text.replace(b'"dd":10.5', b'"dd":Infinity'): "Infinity",
        text.replace(b"hk0", b"h\xff0"): "UTF-8",
    }
    for number, (written, problem) in enumerate(cases.items()):
        path = tmp_path / f"c{number}"
        path.write_bytes(written)
        code, facts = run(capsys, path, "--data-dir", tmp_path / "data")
        assert code == 1, facts
        assert problem.lower() in facts["problem"].lower(), facts
    assert not (tmp_path / "data").exists()


def test_a_text_inside_a_text_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = own_checkpoint(tmp_path / "source")
    (tmp_path / "c").write_text(json.dumps(text.decode()))
    assert run(capsys, tmp_path / "c", "--data-dir", tmp_path / "data")[0] == 0


def test_a_misleading_name_is_only_remarked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = own_checkpoint(tmp_path / "source")
    for name, written in (("c.json", gzip.compress(text)), ("c.json.gz", text)):
        (tmp_path / name).write_bytes(written)
        code, facts = run(capsys, tmp_path / name, "--data-dir", tmp_path / "data", "--dry-run")
        assert code == 0
        assert [name in warning for warning in facts["warnings"]] == [True]


def test_gzip_members_in_a_row_are_one_text(tmp_path: Path) -> None:
    text = own_checkpoint(tmp_path / "source")
    packed = gzip.compress(text[:1000]) + gzip.compress(text[1000:])

    assert text_of(packed, lambda *_: None) == text
    assert text_of(gzip.compress(packed), lambda *_: None) == text


def test_a_dry_run_changes_nothing_and_says_what_it_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.json").write_bytes(own_checkpoint(tmp_path / "source"))
    data = tmp_path / "data"
    code, facts = run(capsys, tmp_path / "c.json", "--data-dir", data, "--dry-run")
    assert (code, facts["dry_run"], facts["restored"], facts["created_ms"]) == (0, True, False, MADE_MS)
    assert not data.exists()

    run(capsys, tmp_path / "c.json", "--data-dir", data)
    state_of(data)
    before = tree(data)
    code, facts = run(capsys, tmp_path / "c.json", "--data-dir", data, "--dry-run")
    assert (code, facts["replaces_positions"]) == (0, 9)
    assert tree(data) == before


def test_the_reader_knows_every_field_that_the_ledger_writes() -> None:
    written = set(Checkpoint.__struct_fields__) - {"extra"}
    assert set(LedgerCheckpoint.__struct_fields__) == written


def test_the_head_is_what_the_sections_are_not(tmp_path: Path) -> None:
    found = json.loads(own_checkpoint(tmp_path / "source"))
    assert set(found) == {*HEAD, *(name for name in found["digests"] if name != "head"), "digests"}


def test_prose_for_people_names_the_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = own_checkpoint(tmp_path / "source").replace(b'"order_type":"SHORT"', b'"order_type":7', 1)
    (tmp_path / "c.json").write_bytes(text)
    code = main(["restore", str(tmp_path / "c.json"), "--data-dir", str(tmp_path / "data")])
    printed = capsys.readouterr()

    assert code == 1
    assert "order_type: expected `str`, got `int`; nothing was changed" in printed.err
