"""JSON-RPC over HTTP to a chain's node.

Rule 1: an answer that says no (``RefusedError``) is told apart from no answer (``NoAnswerError``), after
which nobody knows whether the node did what it was asked.
Rule 2: an address may hold an operator's key, so it is in no error and no log; redirects are not followed.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import msgspec
import requests

ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024  # a runtime's metadata is below 2 MB
TEXT_MAX: Final = 300  # characters of a node's own words
_CHUNK: Final = 64 * 1024


class RpcError(Exception):
    """The call did not succeed; the text names the method."""


class NoAnswerError(RpcError):
    """No usable answer: whether the node did anything is unknown."""

    def __init__(self, method: str, reason: str, *, is_rate_limit: bool = False) -> None:
        super().__init__(f"{method}: {reason}")
        self.is_rate_limit = is_rate_limit


class RefusedError(RpcError):
    """The node understood and refuses."""

    def __init__(self, method: str, code: int, text: str) -> None:
        super().__init__(f"{method}: {text[:TEXT_MAX]}")
        self.code, self.text = code, text

    @property
    def is_rate_limit(self) -> bool:
        """Whether asking again later may help."""
        return "429" in self.text


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | str | None = None
    result: Any = None
    error: _Failure | None = None


_decoder = msgspec.json.Decoder(_Answer)


class Rpc:
    """One node. Threads may share it."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._session = requests.Session()
        self._numbers = count(1)

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the call's result. Raises RefusedError, NoAnswerError."""
        number = next(self._numbers)
        answer = self._send(method, {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
        if answer.error is not None:
            data = answer.error.data
            text = f"{answer.error.message}: {data}" if data else answer.error.message
            raise RefusedError(method, answer.error.code, text)
        if answer.id != number:
            raise NoAnswerError(method, "the answer belongs to another call")
        return answer.result

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _send(self, method: str, question: dict[str, Any]) -> _Answer:
        try:
            with self._session.post(
                self._url,
                data=msgspec.json.encode(question),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout_s,
                stream=True,
                allow_redirects=False,
            ) as response:
                return _read(method, response)
        except requests.RequestException as error:  # its text would show the address
            raise NoAnswerError(method, f"the node does not answer ({type(error).__name__})") from None


def _read(method: str, response: requests.Response) -> _Answer:
    content = b""
    for chunk in response.iter_content(_CHUNK):
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise NoAnswerError(method, "the answer is too long")
    if response.status_code == 429:
        raise NoAnswerError(method, "429 too many requests", is_rate_limit=True)
    if not response.ok:
        raise NoAnswerError(method, f"the node answers {response.status_code}")
    try:
        return _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoAnswerError(method, "the answer is no JSON-RPC") from None
