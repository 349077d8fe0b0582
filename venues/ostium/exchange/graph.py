"""The subgraph's GraphQL endpoint: The Graph's dialect over the exchange's tables.

``where`` knows every scalar field with the usual suffixes, ``first`` is 100 unless told (1000 at most),
lists are ordered by id unless told. A ``Bytes`` variable is compared as bytes, a ``String`` one as it is:
whoever passes a trader as a string must write it in lower case.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from graphql import DocumentNode, ExecutionResult, GraphQLError, execute, parse, specified_rules, validate
from graphql.validation import VariablesInAllowedPositionRule

from venues.ostium.exchange import graph_schema
from venues.ostium.exchange.engine import Exchange
from venues.ostium.exchange.tables import Tables

Row = dict[str, Any]

MOST: Final = 1000
COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "_gt": operator.gt, "_lt": operator.lt, "_gte": operator.ge, "_lte": operator.le,
}  # fmt: skip
MOST_SKIPPED: Final = 5000


def answer(exchange: Exchange, text: str, variables: Mapping[str, Any] | None) -> Row:
    """The reply to one request: ``{"data": ..}`` or ``{"errors": [{"message": ..}]}``."""
    try:
        document = _document(text)
    except GraphQLError as error:
        return {"errors": [{"message": error.message}]}
    if isinstance(document, str):
        return {"errors": [{"message": document}]}
    result = execute(_SCHEMA, document, root_value=Tables(exchange), variable_values=dict(variables or {}))
    assert isinstance(result, ExecutionResult)
    if result.errors:
        return {"errors": [{"message": error.message} for error in result.errors]}
    return {"data": result.data}


@lru_cache(maxsize=256)
def _document(text: str) -> DocumentNode | str:
    """The parsed query, or what is wrong with it."""
    document = parse(text)
    rules = [rule for rule in specified_rules if rule is not VariablesInAllowedPositionRule]
    errors = validate(_SCHEMA, document, rules)
    return errors[0].message if errors else document


def _resolver(many: str) -> Callable[..., list[Row]]:
    table = "meta_datas" if many == "metaDatas" else many
    types = graph_schema.scalars_of(graph_schema.ROOTS[many][1])

    def resolve(tables: Tables, _info: Any, **arguments: Any) -> list[Row]:
        first, skip = arguments.get("first"), arguments.get("skip") or 0
        first = graph_schema.DEFAULT if first is None else first
        if not 1 <= first <= MOST:
            raise GraphQLError(
                f"The value of the `first` argument must be between 1 and {MOST}, but is {first}"
            )
        if not 0 <= skip <= MOST_SKIPPED:
            raise GraphQLError(
                f"The value of the `skip` argument must be between 0 and {MOST_SKIPPED}, but is {skip}"
            )
        where = arguments.get("where") or {}
        conditions = [_condition(name, wanted, types) for name, wanted in where.items()]
        key = arguments.get("orderBy") or "id"
        is_descending = arguments.get("orderDirection") == "desc"
        newest = skip + first if key == "executedAt" and is_descending else None
        found = getattr(tables, table)(where, newest)
        rows = [row for row in found if all(holds(row) for holds in conditions)]
        rows.sort(key=lambda row: row["id"])
        rows.sort(key=lambda row: _rank(row[key], types[key]), reverse=is_descending)
        return rows[skip : skip + first]

    return resolve


def _one(many: str) -> Callable[..., Row | None]:
    find = _resolver(many)

    def resolve(tables: Tables, info: Any, **arguments: Any) -> Row | None:
        found = find(tables, info, first=1, skip=0, where={"id": arguments["id"]})
        return found[0] if found else None

    return resolve


def _rank(value: Any, kind: str) -> tuple[bool, Any]:
    if value is None:
        return False, 0
    return True, int(value) if kind == "BigInt" else value


def _condition(name: str, wanted: Any, types: Mapping[str, str]) -> Callable[[Row], bool]:
    """What one entry of ``where`` asks of a row: ``leverage_gt: 1000``."""
    field, suffix_used = next(
        (name[: len(name) - len(suffix)], suffix)
        for suffix in sorted(graph_schema.SUFFIXES, key=len, reverse=True)
        if name.endswith(suffix) and name[: len(name) - len(suffix)] in types
    )
    if suffix_used in ("_in", "_not_in"):
        members = set(wanted or ())
        return lambda row: (row[field] in members) == (suffix_used == "_in")
    if suffix_used in ("", "_not"):
        return lambda row: (row[field] == wanted) == (suffix_used == "")
    kind, compare = types[field], COMPARISONS[suffix_used]
    if wanted is None:
        return lambda row: False
    bound = _rank(wanted, kind)
    return lambda row: row[field] is not None and compare(_rank(row[field], kind), bound)


_SCHEMA: Final = graph_schema.build(
    {many: _resolver(many) for many in graph_schema.ROOTS}, {many: _one(many) for many in graph_schema.ROOTS}
)
