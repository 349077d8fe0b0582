"""Decorators that make a route read as its own documentation, one per concern.

Rule: whatever a decorator enforces it also writes into the route's ``Operation``, which the OpenAPI document
is made from; so the document cannot promise what the route does not do.

Used from the outside in: route, ``needs_key`` or ``open_to_all``, ``needs_tier``, ``query``, ``takes``,
``answers``, ``fails``, ``says``; the function's docstring is the description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from flask import Response, g

from rest_server import auth
from rest_server.answers import JSON, Answer, respond
from rest_server.errors import TEXTS, Problem
from rest_server.posted import BAD_JSON, NOT_JSON

Arguments = ParamSpec("Arguments")
View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE: Final = "__operation__"


@dataclass(frozen=True)
class Parameter:
    """A query parameter. ``schema`` is JSON Schema; an array is sent as one comma-separated value."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Success:
    """A good answer: the type of its body, its media types and headers beyond everybody's."""

    body: Any
    media_types: tuple[str, ...] = ("application/json",)
    of_state: bool = False


@dataclass
class Operation:
    """What a route does, collected from its decorators."""

    key: str = "none"  # none, optional or needed
    tier: int | None = None
    parameters: list[Parameter] = field(default_factory=list)
    successes: dict[int, Success] = field(default_factory=dict)
    failures: dict[int, list[str]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)  # path parameter → example
    body: Any = None  # type of the JSON object that must be sent; None: no body is looked at

    def fails(self, status: int, text: str | None = None) -> None:
        """Note a failure and, where it is not the usual one, its sentence."""
        texts = self.failures.setdefault(status, [])
        sentence = text or TEXTS[status][1]
        if sentence not in texts:
            texts.append(sentence)


def operation_of(view: Callable[..., Any]) -> Operation:
    """The route's operation; made when it has none yet."""
    operation = getattr(view, _ATTRIBUTE, None)
    if operation is None:
        operation = Operation()
        setattr(view, _ATTRIBUTE, operation)
    return cast(Operation, operation)


def needs_key(view: Callable[Arguments, Response]) -> Callable[Arguments, Response]:
    """Only for a good API key with the scope ``rest``; counted against the key."""
    operation = operation_of(view)
    operation.key = "needed"
    for status in (401, 403, 429):
        operation.fails(status)
    operation.fails(429, "Daily quota used up")

    @wraps(view)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        auth.require_key()
        return view(*args, **kwargs)

    return guarded


def open_to_all(view: Callable[Arguments, Response]) -> Callable[Arguments, Response]:
    """For everybody, counted against the client's address; a key is counted and checked if there is one."""
    operation = operation_of(view)
    operation.key = "optional"
    for status in (401, 403, 429):
        operation.fails(status)

    @wraps(view)
    def counted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        auth.accept_key()
        return view(*args, **kwargs)

    return counted


def needs_tier(
    tier: int, text: str
) -> Callable[[Callable[Arguments, Response]], Callable[Arguments, Response]]:
    """Only for keys of at least ``tier``; ``text`` is the 403's sentence."""

    def decorate(view: Callable[Arguments, Response]) -> Callable[Arguments, Response]:
        operation = operation_of(view)
        operation.tier = tier
        operation.fails(403, text)

        @wraps(view)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
            if auth.current_key().tier < tier:
                raise Problem(403, text, "insufficient_tier")
            return view(*args, **kwargs)

        return guarded

    return decorate


def query(name: str, description: str, **schema: Any) -> Callable[[View], View]:
    """Document a query parameter (``schema`` is its JSON Schema); reading it is the view's work."""

    def decorate(view: View) -> View:
        operation_of(view).parameters.insert(0, Parameter(name, description, schema))
        return view

    return decorate


def takes(body: Any) -> Callable[[View], View]:
    """Document the JSON object that is sent (``body`` is its type); ``posted.json_object`` reads it."""

    def decorate(view: View) -> View:
        operation = operation_of(view)
        operation.body = body
        for text in (NOT_JSON, BAD_JSON):
            operation.fails(400, text)
        return view

    return decorate


def path_example(name: str, example: str) -> Callable[[View], View]:
    """Give the document an example of a path parameter."""

    def decorate(view: View) -> View:
        operation_of(view).examples[name] = example
        return view

    return decorate


def answers(
    body: Any, status: int = 200, *, of_state: bool = False, media_types: Sequence[str] = (JSON,)
) -> Callable[[Callable[Arguments, Answer]], Callable[Arguments, Response]]:
    """The view returns an ``Answer``; ``body`` is its type. ``of_state``: with ETag, X-Sequence, X-Epoch."""

    def decorate(view: Callable[Arguments, Answer]) -> Callable[Arguments, Response]:
        operation = operation_of(view)
        operation.successes[status] = Success(body, tuple(media_types), of_state)
        if of_state:
            operation.fails(503, "The server is not ready yet")

        @wraps(view)
        def answered(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
            return respond(view(*args, **kwargs))

        return answered

    return decorate


def fails(status: int, text: str | None = None) -> Callable[[View], View]:
    """Document a failure that the view itself raises."""

    def decorate(view: View) -> View:
        operation_of(view).fails(status, text)
        return view

    return decorate


def says(status: int, text: str) -> Callable[[Callable[Arguments, Answer]], Callable[Arguments, Answer]]:
    """This route's own sentence for a failure that the view does not raise itself (500, 503)."""

    def decorate(view: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
        operation_of(view).fails(status, text)

        @wraps(view)
        def noted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
            g.sentences = {**g.get("sentences", {}), status: text}
            return view(*args, **kwargs)

        return noted

    return decorate
