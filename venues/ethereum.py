"""The one door to eth-account.

Importing it raises Python's recursion limit to 100,000, with which a deeply nested answer of a venue would
overrun the C stack and kill the process instead of raising RecursionError. The limit is put back here, so
nothing else may import eth-account (``tests/test_architecture.py`` checks it).
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()

from eth_account import Account  # noqa: E402 - the limit must be read before
from eth_account.messages import SignableMessage, encode_typed_data  # noqa: E402

sys.setrecursionlimit(_limit)

__all__ = ["Account", "SignableMessage", "encode_typed_data"]
