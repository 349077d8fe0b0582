"""A small Substrate runtime for tests: its metadata of version 14, made from nothing, and its values.

What is made here is read by ``scalecodec`` too, so that it is not only our own reader who understands it.
"""

from __future__ import annotations

from typing import Any, Final

from validator.collateral.scale import compact, unsigned

SPEC_VERSION: Final = 321
TRANSACTION_VERSION: Final = 4
GENESIS: Final = bytes.fromhex("2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03")
SYSTEM, SUBTENSOR = 0, 7
REMARK, MOVE_STAKE, TRANSFER_STAKE = 0, 85, 86

Fields = list[tuple[str | None, int]]


def text(value: str) -> bytes:
    """A string."""
    return compact(len(value.encode())) + value.encode()


def many(items: list[bytes]) -> bytes:
    """A list."""
    return compact(len(items)) + b"".join(items)


def maybe(item: bytes | None) -> bytes:
    """An optional value."""
    return b"\0" if item is None else b"\1" + item


NO_TEXTS: Final = many([])


class Types:
    """Types, numbered as they are added."""

    def __init__(self) -> None:
        self.encoded: list[bytes] = []

    def _add(
        self, definition: bytes, path: str = "", parameters: list[tuple[str, int | None]] | None = None
    ) -> int:
        number = len(self.encoded)
        names = many([text(part) for part in path.split("::")] if path else [])
        given = many([text(n) + maybe(None if t is None else compact(t)) for n, t in parameters or []])
        self.encoded.append(compact(number) + names + given + definition + NO_TEXTS)
        return number

    def primitive(self, index: int) -> int:
        return self._add(b"\5" + bytes([index]))

    def composite(self, path: str, fields: Fields, **parameters: int) -> int:
        return self._add(b"\0" + _fields(fields), path, list(parameters.items()))

    def variant(self, path: str, cases: list[tuple[str, int, Fields]], **parameters: int) -> int:
        encoded = many([text(n) + _fields(f) + bytes([i]) + NO_TEXTS for n, i, f in cases])
        return self._add(b"\1" + encoded, path, list(parameters.items()))

    def sequence(self, item: int) -> int:
        return self._add(b"\2" + compact(item))

    def array(self, item: int, length: int) -> int:
        return self._add(b"\3" + unsigned(length, 4) + compact(item))

    def tuple(self, items: list[int]) -> int:
        return self._add(b"\4" + many([compact(item) for item in items]))

    def compact(self, item: int) -> int:
        return self._add(b"\6" + compact(item))


def _fields(fields: Fields) -> bytes:
    return many(
        [maybe(None if n is None else text(n)) + compact(t) + maybe(text("T")) + NO_TEXTS for n, t in fields]
    )


class Runtime:
    """The runtime's metadata in ``metadata``; keyword arguments change it.

    ``extensions``: (name, type of what is carried, type of what is signed) in place of the usual ones.
    """

    def __init__(self, *, subtensor: int = SUBTENSOR, extra_extension: str | None = None) -> None:
        self.subtensor = subtensor
        self.types = types = Types()
        self.u8, self.u16, self.u32 = types.primitive(3), types.primitive(4), types.primitive(5)
        self.u64, self.u128 = types.primitive(6), types.primitive(7)
        self.string, self.empty = types.primitive(2), types.tuple([])
        self.bytes32, self.bytes64 = types.array(self.u8, 32), types.array(self.u8, 64)
        self.account = types.composite("sp_core::crypto::AccountId32", [(None, self.bytes32)])
        self.hash = types.composite("primitive_types::H256", [(None, self.bytes32)])
        self.blob = types.sequence(self.u8)
        self.alpha = types.composite("subtensor_runtime_common::AlphaCurrency", [(None, self.u64)])
        self.calls = self._calls()
        self.extensions = self._extensions(extra_extension)
        self.transaction = self._transaction()
        self.events = self._events()
        self.metadata = self._metadata()

    def _calls(self) -> dict[str, int]:
        types, account, netuid = self.types, self.account, self.u16
        system = types.variant("frame_system::pallet::Call", [("remark", REMARK, [("remark", self.blob)])])
        move: Fields = [
            ("origin_hotkey", account),
            ("destination_hotkey", account),
            ("origin_netuid", netuid),
            ("destination_netuid", netuid),
            ("alpha_amount", self.alpha),
        ]
        transfer: Fields = [
            ("destination_coldkey", account),
            ("hotkey", account),
            ("origin_netuid", netuid),
            ("destination_netuid", netuid),
            ("alpha_amount", self.alpha),
        ]
        subtensor = types.variant(
            "pallet_subtensor::pallet::Call",
            [("move_stake", MOVE_STAKE, move), ("transfer_stake", TRANSFER_STAKE, transfer)],
        )
        return {"System": system, "SubtensorModule": subtensor}

    def _extensions(self, extra: str | None) -> list[tuple[str, int, int]]:
        types, empty = self.types, self.empty
        nothing = types.composite("frame_system::extensions::CheckNonZeroSender", [])
        cases: list[tuple[str, int, Fields]] = [("Immortal", 0, [])]
        cases += [(f"Mortal{n}", n, [(None, self.u8)]) for n in range(1, 256)]
        era = types.variant("sp_runtime::generic::era::Era", cases)
        mortality = types.composite("frame_system::extensions::CheckMortality", [(None, era)])
        nonce = types.composite("frame_system::extensions::CheckNonce", [(None, types.compact(self.u32))])
        payment = types.composite("ChargeTransactionPayment", [(None, types.compact(self.u128))])
        mode = types.variant("frame_metadata_hash_extension::Mode", [("Disabled", 0, []), ("Enabled", 1, [])])
        metadata_hash = types.composite("frame_metadata_hash_extension::CheckMetadataHash", [("mode", mode)])
        some_hash = types.variant(
            "Option", [("None", 0, []), ("Some", 1, [(None, self.bytes32)])], T=self.bytes32
        )
        found = [
            ("CheckNonZeroSender", nothing, empty),
            ("CheckSpecVersion", nothing, self.u32),
            ("CheckTxVersion", nothing, self.u32),
            ("CheckGenesis", nothing, self.hash),
            ("CheckMortality", mortality, self.hash),
            ("CheckNonce", nonce, empty),
            ("CheckWeight", nothing, empty),
            ("ChargeTransactionPayment", payment, empty),
            ("CheckMetadataHash", metadata_hash, some_hash),
        ]
        return [*found, (extra, self.u8, empty)] if extra else found

    def _transaction(self) -> int:
        types = self.types
        index = types.compact(self.empty)
        address = types.variant(
            "sp_runtime::multiaddress::MultiAddress",
            [
                ("Id", 0, [(None, self.account)]),
                ("Index", 1, [(None, index)]),
                ("Raw", 2, [(None, self.blob)]),
                ("Address32", 3, [(None, self.bytes32)]),
            ],
        )
        sr25519 = types.composite("sp_core::sr25519::Signature", [(None, self.bytes64)])
        ed25519 = types.composite("sp_core::ed25519::Signature", [(None, self.bytes64)])
        signature = types.variant(
            "sp_runtime::MultiSignature",
            [("Ed25519", 0, [(None, ed25519)]), ("Sr25519", 1, [(None, sr25519)])],
        )
        call = types.variant(
            "node_subtensor_runtime::RuntimeCall",
            [
                ("System", SYSTEM, [(None, self.calls["System"])]),
                ("SubtensorModule", self.subtensor, [(None, self.calls["SubtensorModule"])]),
            ],
        )
        extra = types.tuple([carried for _, carried, _ in self.extensions])
        return types.composite(
            "sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic",
            [(None, self.blob)],
            Address=address,
            Call=call,
            Signature=signature,
            Extra=extra,
        )

    def _events(self) -> int:
        types, account = self.types, self.account
        system = types.variant(
            "frame_system::pallet::Event",
            [("ExtrinsicSuccess", 0, [("weight", self.u64)]), ("ExtrinsicFailed", 1, [("error", self.u32)])],
        )
        stake: Fields = [
            (None, account),
            (None, account),
            (None, self.u64),
            (None, self.u64),
            (None, self.u16),
            (None, self.u64),
        ]
        subtensor = types.variant(
            "pallet_subtensor::pallet::Event", [("StakeAdded", 2, stake), ("StakeRemoved", 3, stake)]
        )
        event = types.variant(
            "node_subtensor_runtime::RuntimeEvent",
            [("System", SYSTEM, [(None, system)]), ("SubtensorModule", self.subtensor, [(None, subtensor)])],
        )
        phase = types.variant(
            "frame_system::Phase",
            [("ApplyExtrinsic", 0, [(None, self.u32)]), ("Finalization", 1, []), ("Initialization", 2, [])],
        )
        topics = types.sequence(self.hash)
        return types.sequence(
            types.composite(
                "frame_system::EventRecord", [("phase", phase), ("event", event), ("topics", topics)]
            )
        )

    def _metadata(self) -> bytes:
        types = self.types
        apis = types.sequence(types.tuple([types.array(self.u8, 8), self.u32]))
        version = types.composite(
            "sp_version::RuntimeVersion",
            [
                ("spec_name", self.string),
                ("impl_name", self.string),
                ("authoring_version", self.u32),
                ("spec_version", self.u32),
                ("impl_version", self.u32),
                ("apis", apis),
                ("transaction_version", self.u32),
                ("system_version", self.u8),
            ],
        )
        system = self._pallet(
            "System", SYSTEM, [("Events", None, self.events)], [("Version", version, VERSION)]
        )
        owner = ("Owner", (2, self.account), self.account)
        subtensor = self._pallet("SubtensorModule", self.subtensor, [owner], [])
        extensions = [text(n) + compact(a) + compact(b) for n, a, b in self.extensions]
        transaction = compact(self.transaction) + b"\4" + many(extensions)
        runtime = types.composite("node_subtensor_runtime::Runtime", [])
        body = many(types.encoded) + many([system, subtensor]) + transaction + compact(runtime)
        return b"meta\x0e" + body

    def _pallet(
        self,
        name: str,
        index: int,
        storage: list[tuple[str, tuple[int, int] | None, int]],
        constants: list[tuple[str, int, bytes]],
    ) -> bytes:
        items = [_storage_item(*item) for item in storage]
        values = [text(n) + compact(t) + compact(len(v)) + v + NO_TEXTS for n, t, v in constants]
        calls, none = maybe(compact(self.calls[name])), maybe(None)
        return b"".join(
            (text(name), maybe(text(name) + many(items)), calls, none, many(values), none, bytes([index]))
        )


def _storage_item(name: str, key: tuple[int, int] | None, value: int) -> bytes:
    if key is None:
        kind = b"\0" + compact(value)
    else:
        hasher, key_type = key
        kind = b"\1" + compact(1) + bytes([hasher]) + compact(key_type) + compact(value)
    return text(name) + b"\0" + kind + compact(0) + NO_TEXTS


VERSION: Final = b"".join(
    (
        text("node-subtensor"),
        text("node-subtensor"),
        unsigned(1, 4),
        unsigned(SPEC_VERSION, 4),
        unsigned(1, 4),
        many([bytes(range(8)) + unsigned(5, 4)]),
        unsigned(TRANSACTION_VERSION, 4),
        unsigned(1, 1),
    )
)


def oracle(metadata: bytes) -> tuple[Any, Any]:
    """The metadata as ``scalecodec`` reads it: (runtime configuration, metadata)."""
    from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
    from scalecodec.type_registry import load_type_registry_preset

    runtime: Any = RuntimeConfigurationObject(ss58_format=42)
    runtime.update_type_registry(load_type_registry_preset("core"))
    read = runtime.create_scale_object("MetadataVersioned", data=ScaleBytes(metadata))
    read.decode()
    runtime.add_portable_registry(read)
    return runtime, read
