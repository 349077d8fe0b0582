"""The subgraph's dialect: filters, paging, ordering, variables and errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.venues.ostium.worlds import LIVE_MS, sandbox_at
from venues.ostium import queries
from venues.ostium.exchange import graph
from venues.ostium.sandbox import OstiumSandbox


@pytest.fixture(scope="module")
def sandbox() -> OstiumSandbox:
    return sandbox_at(LIVE_MS)


def ask(sandbox: OstiumSandbox, text: str, **variables: Any) -> Any:
    """The data of an answer that must have no errors."""
    answer = graph.answer(sandbox.exchange, text, variables)
    assert "errors" not in answer, answer
    return answer["data"]


def failure(sandbox: OstiumSandbox, text: str, **variables: Any) -> str:
    answer = graph.answer(sandbox.exchange, text, variables)
    assert "data" not in answer
    message: str = answer["errors"][0]["message"]
    return message


def test_a_list_has_100_rows_unless_told(sandbox: OstiumSandbox) -> None:
    assert len(ask(sandbox, "{ orders { id } }")["orders"]) == 100
    assert len(ask(sandbox, "{ orders(first: 3) { id } }")["orders"]) == 3


@pytest.mark.parametrize(
    ("argument", "bounds"),
    [("first: 1001", "1 and 1000"), ("first: 0", "1 and 1000"), ("skip: 5001", "0 and 5000")],
)
def test_paging_has_bounds(sandbox: OstiumSandbox, argument: str, bounds: str) -> None:
    assert bounds in failure(sandbox, f"{{ orders({argument}) {{ id }} }}")


def test_pages_follow_each_other(sandbox: OstiumSandbox) -> None:
    text = (
        "query q($skip: Int) { orders(first: 40, skip: $skip, orderBy: executedAt, orderDirection: desc)"
        " { id executedAt } }"
    )
    pages = [ask(sandbox, text, skip=skip)["orders"] for skip in (0, 40, 80)]
    rows = [row for page in pages for row in page]

    assert len({row["id"] for row in rows}) == 120
    assert [int(r["executedAt"]) for r in rows] == sorted((int(r["executedAt"]) for r in rows), reverse=True)


@pytest.mark.parametrize(("first", "skip"), [(1, 0), (7, 0), (25, 13), (1000, 0), (50, 5000)])
def test_the_newest_orders_are_the_same_however_they_are_found(
    sandbox: OstiumSandbox, first: int, skip: int
) -> None:
    text = (
        "query q($t: Bytes, $f: Int, $s: Int) {{ orders(where: {{trader: $t, isPending: false{more}}},"
        " first: $f, skip: $s, orderBy: executedAt, orderDirection: desc) {{ id executedAt }} }}"
    )
    variables = {"t": sandbox.wallets[0].address, "f": first, "s": skip}

    quick = ask(sandbox, text.format(more=""), **variables)
    thorough = ask(sandbox, text.format(more=', id_not: "none"'), **variables)

    assert quick == thorough
    assert len(quick["orders"]) > 0 or skip == 5000


def test_numbers_are_strings_and_compared_as_numbers(sandbox: OstiumSandbox) -> None:
    found = ask(sandbox, "{ trades(first: 1000, where: {leverage_gt: 1000}) { leverage isOpen index } }")[
        "trades"
    ]

    assert found
    assert all(isinstance(row["leverage"], str) and int(row["leverage"]) > 1000 for row in found)
    assert all(isinstance(row["isOpen"], bool) for row in found)


def test_every_suffix_filters(sandbox: OstiumSandbox) -> None:
    all_ids = {row["id"] for row in ask(sandbox, "{ pairs(first: 1000) { id } }")["pairs"]}

    def ids(where: str) -> set[str]:
        return {
            row["id"]
            for row in ask(sandbox, f"{{ pairs(first: 1000, where: {{{where}}}) {{ id }} }}")["pairs"]
        }

    assert ids('id_in: ["0", "4"]') == {"0", "4"}
    assert ids('id_not_in: ["0", "4"]') == all_ids - {"0", "4"}
    assert ids('to_not: "USD"') == {"4", "13", "14", "15", "16", "17"}
    assert ids("maxLeverage_gte: 20000") | ids("maxLeverage_lt: 20000") == all_ids
    assert ids("maxLeverage_lte: 10000") & ids("maxLeverage_gt: 10000") == set()


def test_a_bytes_variable_is_compared_as_bytes_and_a_string_as_it_is(sandbox: OstiumSandbox) -> None:
    trader = sandbox.wallets[0].address
    shouted = "0x" + trader[2:].upper()
    as_bytes = "query q($t: Bytes!) { trades(where: {trader: $t}, first: 1000) { id } }"
    as_string = "query q($t: String!) { trades(where: {trader: $t}, first: 1000) { id } }"

    whole = ask(sandbox, as_bytes, t=trader)["trades"]
    assert whole
    assert ask(sandbox, as_bytes, t=shouted)["trades"] == whole
    assert ask(sandbox, as_string, t=trader)["trades"] == whole
    assert ask(sandbox, as_string, t=shouted)["trades"] == []


def test_single_rows_and_rows_by_id(sandbox: OstiumSandbox) -> None:
    order = ask(sandbox, "{ orders(first: 1) { id orderAction } }")["orders"][0]

    assert (
        ask(sandbox, "query q($i: ID!) { order(id: $i) { id orderAction } }", i=order["id"])["order"] == order
    )
    assert ask(sandbox, queries.ORDER_BY_ID, order_id=order["id"])["orders"][0]["id"] == order["id"]
    assert ask(sandbox, queries.ORDER_BY_ID, order_id="0")["orders"] == []
    assert ask(sandbox, '{ trade(id: "no") { id } }')["trade"] is None
    assert ask(sandbox, queries.META_DATAS) == {"metaDatas": [{"liqMarginThresholdP": "25"}]}
    assert ask(sandbox, queries.PAIR_DETAILS, pair_id="1")["pair"]["from"] == "ETH"


def test_orders_are_found_by_the_transaction_that_asked_for_them(sandbox: OstiumSandbox) -> None:
    rows = ask(sandbox, "{ orders(first: 2) { id initiatedTx } }")["orders"]
    found = ask(sandbox, queries.ORDERS_BY_TX, hashes=[row["initiatedTx"] for row in rows])["orders"]

    assert {row["id"] for row in found} == {row["id"] for row in rows}


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{ trades { nope } }", {}),
        ("{ nobody { id } }", {}),
        ("{ trades(where: {nope: 1}) { id } }", {}),
        ("{ trades ", {}),
        ("query q($t: Bytes!) { trades(where: {trader: $t}) { id } }", {}),
        ("query q($t: Bytes!) { trades(where: {trader: $t}) { id } }", {"t": "0xnothex"}),
        ("{ trades(where: {leverage_gt: \"ten\"}) { id } }", {}),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_an_error(
    sandbox: OstiumSandbox, text: str, variables: dict[str, Any]
) -> None:
    assert failure(sandbox, text, **variables)


def test_every_document_we_send_is_understood(sandbox: OstiumSandbox) -> None:
    trader = sandbox.wallets[0].address
    variables = {
        "trader": trader, "first": 5, "skip": 0, "until": "1762000000", "pair_id": "0",
        "order_id": "1001", "trade_id": "1001", "hashes": [],
    }  # fmt: skip
    texts = [value for value in vars(queries).values() if isinstance(value, str)]
    documents = [text for text in texts if text.startswith("query ")]
    documents.append(queries.orders_of_trades(["1001", 'odd " id']))

    assert len(documents) == 13
    for document in documents:
        needed = {name: value for name, value in variables.items() if f"${name}" in document}
        ask(sandbox, document, **needed)


def test_an_accounts_own_rows_only(sandbox: OstiumSandbox) -> None:
    trader = sandbox.wallets[1].address
    data = ask(sandbox, queries.ACCOUNT, trader=trader, first=1000, skip=0)

    assert {row["trader"] for rows in data.values() for row in rows} == {trader}
    assert all(row["isOpen"] for row in data["trades"])
    assert not any(row["isPending"] for row in data["settled"])
