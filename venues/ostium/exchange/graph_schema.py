"""The subgraph's types: entities, and for each the filters and orderings that The Graph derives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
)

SUFFIXES: Final = ("", "_not", "_gt", "_lt", "_gte", "_lte", "_in", "_not_in")
DEFAULT: Final = 100

Resolver = Callable[..., Any]

FIELDS: Final[dict[str, dict[str, str]]] = {
    "Group": {
        "ID!": "id",
        "String!": "name",
        "BigInt!": "minLeverage maxLeverage maxCollateralP longCollateral shortCollateral",
    },
    "Fee": {"ID!": "id", "BigInt!": "minLevPos oracleFee liqFeeP"},
    "Pair": {
        "ID!": "id",
        "String!": "from to",
        "Bytes!": "feed",
        "BigInt!": "maxLeverage minLeverage overnightMaxLeverage longOI shortOI maxOI makerFeeP takerFeeP"
        " makerMaxLeverage spreadP lastTradePrice totalOpenTrades totalOpenLimitOrders accFundingLong"
        " accFundingShort curFundingLong curFundingShort lastFundingRate lastFundingBlock"
        " maxFundingFeePerBlock hillInflectionPoint hillPosScale hillNegScale springFactor sFactorUpScaleP"
        " sFactorDownScaleP accRollover curRollover rolloverFeePerBlock lastRolloverBlock",
        "Group!": "group",
        "Fee!": "fee",
    },
    "Trade": {
        "ID!": "id",
        "String!": "tradeID tradeType",
        "Bytes!": "trader",
        "Pair!": "pair",
        "Boolean!": "isOpen isBuy isDayTrade closeInitiated",
        "BigInt!": "index collateral notional tradeNotional leverage highestLeverage openPrice"
        " takeProfitPrice stopLossPrice funding rollover timestamp",
        "BigInt": "closePrice",
    },
    "Limit": {
        "ID!": "id",
        "String!": "uniqueId limitType",
        "String": "orderId",
        "Bytes!": "trader",
        "Pair!": "pair",
        "Boolean!": "isBuy isActive executionStarted",
        "BigInt!": "collateral notional tradeNotional leverage openPrice takeProfitPrice stopLossPrice"
        " block initiatedAt updatedAt",
    },
    "Order": {
        "ID!": "id",
        "String!": "orderType orderAction initiatedTx",
        "String": "tradeID limitID cancelReason executedTx",
        "Bytes!": "trader builder",
        "Pair!": "pair",
        "Boolean!": "isBuy isPending isCancelled",
        "BigInt!": "devFee vaultFee oracleFee liquidationFee fundingFee rolloverFee builderFee initiatedAt"
        " initiatedBlock",
        "BigInt": "price priceAfterImpact priceImpactP collateral notional tradeNotional leverage"
        " profitPercent totalProfitPercent amountSentToTrader closePercent executedAt executedBlock",
    },
    "MetaData": {"ID!": "id", "BigInt!": "liqMarginThresholdP"},
}
ROOTS: Final = {
    "pairs": ("pair", "Pair"),
    "trades": ("trade", "Trade"),
    "limits": ("limit", "Limit"),
    "orders": ("order", "Order"),
    "metaDatas": ("metaData", "MetaData"),
}


def _read_bytes(value: Any) -> str:
    text = str(value).lower()
    if not text.startswith("0x") or any(digit not in "0123456789abcdef" for digit in text[2:]):
        raise GraphQLError(f"Failed to decode `Bytes` value: `{value}`")
    return text


def _read_number(value: Any) -> str:
    text = str(value)
    digits = text.removeprefix("-")
    if isinstance(value, bool) or not (digits.isascii() and digits.isdigit()):
        raise GraphQLError(f"Failed to decode `BigInt` value: `{value}`")
    return text


_SCALARS: Final[dict[str, GraphQLScalarType]] = {
    "ID": GraphQLID,
    "String": GraphQLString,
    "Boolean": GraphQLBoolean,
    "Bytes": GraphQLScalarType("Bytes", serialize=str, parse_value=_read_bytes),
    "BigInt": GraphQLScalarType("BigInt", serialize=str, parse_value=_read_number),
}
_DIRECTION: Final = GraphQLEnumType("OrderDirection", {"asc": "asc", "desc": "desc"})
_POLICY: Final = GraphQLEnumType("_SubgraphErrorPolicy_", {"allow": "allow", "deny": "deny"})


def scalars_of(entity: str) -> dict[str, str]:
    """``{field: scalar type}`` of an entity."""
    rows = ((f, kind.rstrip("!")) for kind, names in FIELDS[entity].items() for f in names.split())
    return {f: kind for f, kind in rows if kind in _SCALARS}


def build(many: Mapping[str, Resolver], one: Mapping[str, Resolver]) -> GraphQLSchema:
    """The schema with ``many``'s resolvers on the lists and ``one``'s on the single rows (both by the
    list's name)."""
    types: dict[str, GraphQLObjectType] = {}
    for entity in FIELDS:
        types[entity] = GraphQLObjectType(entity, _fields(entity, types))
    query: dict[str, GraphQLField] = {}
    policy = GraphQLArgument(_POLICY)
    for name, (single, entity) in ROOTS.items():
        rows = GraphQLNonNull(GraphQLList(GraphQLNonNull(types[entity])))
        query[name] = GraphQLField(rows, {**_arguments(entity), "subgraphError": policy}, many[name])
        row_id = GraphQLArgument(GraphQLNonNull(GraphQLID))
        query[single] = GraphQLField(types[entity], {"id": row_id, "subgraphError": policy}, one[name])
    return GraphQLSchema(GraphQLObjectType("Query", query))


def _fields(entity: str, types: Mapping[str, GraphQLObjectType]) -> dict[str, GraphQLField]:
    fields: dict[str, GraphQLField] = {}
    for kind, names in FIELDS[entity].items():
        named = _SCALARS.get(kind.rstrip("!")) or types[kind.rstrip("!")]
        for name in names.split():
            find = _pair_of if kind == "Pair!" else None
            fields[name] = GraphQLField(GraphQLNonNull(named) if kind.endswith("!") else named, resolve=find)
    return fields


def _pair_of(row: Mapping[str, Any], info: Any) -> Any:
    """Rows name their pair by its number."""
    return info.root_value.pair(row["pair"])


def _arguments(entity: str) -> dict[str, GraphQLArgument]:
    scalars = scalars_of(entity)
    filters = {
        f"{name}{suffix}": GraphQLInputField(
            GraphQLList(GraphQLNonNull(_SCALARS[kind])) if suffix.endswith("in") else _SCALARS[kind]
        )
        for name, kind in scalars.items()
        for suffix in SUFFIXES
    }
    ordering = GraphQLEnumType(f"{entity}_orderBy", {name: name for name in scalars})
    return {
        "where": GraphQLArgument(GraphQLInputObjectType(f"{entity}_filter", filters)),
        "first": GraphQLArgument(GraphQLInt),
        "skip": GraphQLArgument(GraphQLInt),
        "orderBy": GraphQLArgument(ordering),
        "orderDirection": GraphQLArgument(_DIRECTION),
    }
