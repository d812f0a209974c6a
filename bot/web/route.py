"""A route of the HTTP API: one value from which the router, the checks and the document come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from core.domain.actor import Action, Actor, Role

API_ROOT = "/api/v1"
# A repeated request with the same key has no further effect.
IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 128
LAST_EVENT_HEADER = "Last-Event-ID"


class Parameters(BaseModel):
    """Base of the parameters of a path and of a query; names that are not known are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LenientParameters(BaseModel):
    """Base of parameters and bodies of the older API, whose clients may send further names."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Answer(BaseModel):
    """Base of everything that is answered."""

    model_config = ConfigDict(frozen=True)
    _etag: str | None = PrivateAttr(default=None)

    @property
    def etag(self) -> str | None:
        """What changes when the answer does in substance; `None` if the answer has no such mark."""
        return self._etag

    def with_etag(self, etag: str) -> Self:
        """The same answer with a mark, of letters, digits, dots and hyphens."""
        self._etag = etag
        return self


@dataclass(frozen=True, kw_only=True)
class CheckedAnswer:
    """An answer that is written already, and needs no check: it was made from domain values.

    Checking and then writing each answer of a busy route takes as long as making it.

    Attributes:
        written: JSON, the same as if the route's answer was made and written.
        etag: As of `Answer`.
    """

    written: bytes
    etag: str | None = None


class NoParameters(Parameters):
    """A route without parameters in its path, in its query, or in its body."""


class Method(StrEnum):
    """The methods that routes have."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"


PathT = TypeVar("PathT", bound=BaseModel)
QueryT = TypeVar("QueryT", bound=BaseModel)
BodyT = TypeVar("BodyT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[PathT, QueryT, BodyT]):
    """A request that was read and admitted.

    Attributes:
        request_key: The same for each repetition of a request with an `Idempotency-Key`, and
            unique otherwise; empty for a GET without one.
        last_event_id: The header `Last-Event-ID`; `None` if there is none.
        known_etags: The marks of `If-None-Match`.
    """

    actor: Actor
    path: PathT
    query: QueryT
    body: BodyT
    request_key: str
    last_event_id: str | None = None
    known_etags: frozenset[str] = frozenset()


# A stream while it is open: the chunks to send; `None` if there is nothing to stream any more.
OpenStream = AbstractAsyncContextManager[AsyncGenerator[bytes, None] | None]


@dataclass(frozen=True)
class Streaming(Generic[PathT, QueryT, BodyT]):
    """The handler of a route that answers with server-sent events.

    Attributes:
        open: Opens the stream of a call; what it raises is answered like any error, because
            nothing was sent yet.  The block lasts as long as the stream.
    """

    open: Callable[[Call[PathT, QueryT, BodyT]], OpenStream]


@dataclass(frozen=True, kw_only=True)
class Route(Generic[PathT, QueryT, BodyT]):
    """One operation of the API.

    Attributes:
        path: Below `API_ROOT`, with the fields of `path_parameters` in braces.
        name: Unique; the `operationId` of the document.
        summary: A line for people.
        tag: The heading under which the document lists it.
        role: The lowest role that may call it; `NONE` needs no token.  Services check further.
        action: What a refusal for the role is audited as.
        answer: What it answers if it succeeds, with the status 200.  Of a stream: the data of its
            events, each in the field that has the event's name.
        has_etag: Whether its answers have an `ETag`, and a repeated request can get 304.
        waits: Tells from a query whether the answer may come late; such requests are limited like
            streams.  `None` if it never does.
        omits_unset: Whether fields of the answer that were not set are left out.
        description: More for people, in the document; may be empty.
    """

    method: Method
    path: str
    name: str
    summary: str
    tag: str
    role: Role
    action: Action
    path_parameters: type[PathT]
    query: type[QueryT]
    body: type[BodyT]
    answer: type[Answer]
    handler: (
        Callable[[Call[PathT, QueryT, BodyT]], Awaitable[Answer | CheckedAnswer]]
        | Streaming[PathT, QueryT, BodyT]
    )
    has_etag: bool = False
    waits: Callable[[QueryT], bool] | None = None
    omits_unset: bool = False
    description: str = ""

    @property
    def has_body(self) -> bool:
        """Whether it reads a body."""
        return not issubclass(self.body, NoParameters)

    @property
    def is_stream(self) -> bool:
        """Whether it answers with server-sent events."""
        return isinstance(self.handler, Streaming)

    @property
    def may_stay_open(self) -> bool:
        """Whether a request can last, so that there is a limit on how many do."""
        return self.is_stream or self.waits is not None

    @property
    def is_public(self) -> bool:
        """Whether it needs no token."""
        return self.role is Role.NONE


# A table holds routes with parameters of many types.
AnyRoute = Route[Any, Any, Any]


class ErrorAnswer(Answer):
    """What every refused or failed request is answered with.

    Attributes:
        error: A stable word for programs.
        message: What happened and what to do next, for people.
        details: Facts about the error, by name; which ones depends on `error`.
    """

    error: str
    message: str
    details: dict[str, Any] | None = None


# The statuses that any route can answer with, beside 200.
ERROR_STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
