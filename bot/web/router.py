"""The router: each route of the table with its authentication, authorisation and validation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from aiohttp import hdrs, web
from multidict import CIMultiDict

from bot.web.auditor import Auditor
from bot.web.authentication import Authentication
from bot.web.docs_page import docs_page
from bot.web.errors import API_HEADERS, error_response, failure_response
from bot.web.openapi import document_of
from bot.web.reading import read_body, read_path, read_query
from bot.web.request_errors import InvalidRequest, RoleTooLow, ServerStopping
from bot.web.route import (
    API_ROOT,
    IDEMPOTENCY_HEADER,
    LAST_EVENT_HEADER,
    MAX_KEY_CHARS,
    Answer,
    AnyRoute,
    Call,
    CheckedAnswer,
    Method,
    Streaming,
)
from bot.web.streams.gate import StreamGate
from bot.web.streams.respond import send_stream
from core.domain.actor import SYSTEM, Action, Actor, Role
from core.domain.errors import OpsError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ANY_ETAG = "*"
_NO_ETAGS: frozenset[str] = frozenset()
_DOCS_PATH = f"{API_ROOT}/docs"
_DOCUMENT_PATH = f"{API_ROOT}/openapi.json"


def api_routes(
    table: Sequence[AnyRoute],
    *,
    authentication: Authentication,
    auditor: Auditor,
    gate: StreamGate,
    public_url: str | None,
) -> list[web.RouteDef]:
    """The routes of a table for aiohttp, with the document of the table and its page.

    The caller closes the gate when the application shuts down.
    """

    # To make it takes half a second of the CPU, which no start should wait for.
    @cache
    def document() -> dict[str, Any]:
        return document_of(table, public_url=public_url)

    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(document), headers=API_HEADERS)

    async def docs(_: web.Request) -> web.Response:
        page = docs_page(await asyncio.to_thread(document))
        return web.Response(text=page, content_type="text/html", headers=_PAGE_HEADERS)

    return [
        web.get(_DOCUMENT_PATH, openapi),
        web.get(_DOCS_PATH, docs),
        *(
            _definition(route, _Endpoint(route, authentication, auditor, gate).handle)
            for route in table
        ),
    ]


# The page needs its own style and nothing else.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def _definition(route: AnyRoute, handler: Handler) -> web.RouteDef:
    path = f"{API_ROOT}{route.path}"
    if route.method is Method.GET:
        # The head of a stream says nothing, and would have to be made like the stream.
        return web.get(path, handler, allow_head=not route.is_stream)
    return web.route(route.method, path, handler)


@dataclass(frozen=True)
class _Endpoint:
    """A route for aiohttp."""

    route: AnyRoute
    authentication: Authentication
    auditor: Auditor
    gate: StreamGate

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, in any case."""
        try:
            return await self._answer(request, await self._actor_of(request))
        except OpsError as error:
            return error_response(error)
        except (web.HTTPException, web.RequestPayloadError):
            # The server answers them.
            raise
        except Exception as error:  # noqa: BLE001 - the end of the request, which logs it
            return failure_response(error, request)

    async def _actor_of(self, request: web.Request) -> Actor:
        if self.route.is_public:
            return SYSTEM
        actor = await self.authentication.actor_of(request, self.route.action)
        await require_role(actor, self.route.role, self.route.action, self.auditor)
        return actor

    async def _answer(self, request: web.Request, actor: Actor) -> web.StreamResponse:
        route = self.route
        call = await _call(route, request, actor)
        if isinstance(route.handler, Streaming):
            with self.gate.place(request, route.role) as place:
                async with route.handler.open(call) as chunks:
                    if chunks is None:
                        return web.Response(status=HTTPStatus.NO_CONTENT, headers=API_HEADERS)
                    return await send_stream(request, chunks, place)
        if route.waits is None or not route.waits(call.query):
            return _success(route, request, await route.handler(call))
        with self.gate.place(request, route.role) as place:
            async with place.lasting():
                return _success(route, request, await route.handler(call))
        # The wait was ended: by the end of the token, or of this process.
        await self._actor_of(request)
        raise ServerStopping


async def require_role(actor: Actor, needed: Role, action: Action, auditor: Auditor) -> None:
    """Check that an actor has at least the needed role; a refusal is audited.

    Raises:
        RoleTooLow: If they have a lower one.
        Unavailable: If the database cannot be reached.
    """
    if actor.role < needed:
        await auditor.audit_refusal(actor, action, reason="role")
        raise RoleTooLow(actor.role, needed)


async def _call(
    route: AnyRoute, request: web.Request, actor: Actor
) -> Call[Answer, Answer, Answer]:
    """Read a request.

    Raises:
        BadRequest: If a part of it is not valid.
    """
    known = request.if_none_match
    return Call(
        actor=actor,
        path=read_path(request, route.path_parameters),
        query=read_query(request, route.query),
        body=await read_body(request, route.body) if route.has_body else route.body(),
        request_key=_request_key(request, actor),
        last_event_id=request.headers.get(LAST_EVENT_HEADER),
        known_etags=frozenset([one.value for one in known]) if known else _NO_ETAGS,
    )


def _request_key(request: web.Request, actor: Actor) -> str:
    """A key of the request that no request of another caller has; a GET needs none."""
    given = request.headers.get(IDEMPOTENCY_HEADER)
    if given is None:
        return "" if request.method == hdrs.METH_GET else f"api:{uuid4().hex}"
    if not (0 < len(given) <= MAX_KEY_CHARS and given.isascii() and given.isprintable()):
        raise InvalidRequest(
            [(IDEMPOTENCY_HEADER, f"has 1 to {MAX_KEY_CHARS} printable ASCII characters")]
        )
    owner = actor.user_id or actor.external_id
    return f"api:{owner}:{given}"


def _success(route: AnyRoute, request: web.Request, answer: Answer | CheckedAnswer) -> web.Response:
    headers = _JSON_HEADERS.copy()
    if answer.etag is not None:
        headers[hdrs.ETAG] = f'W/"{answer.etag}"'
        known = request.if_none_match
        if known and any(one.value in (answer.etag, _ANY_ETAG) for one in known):
            del headers[hdrs.CONTENT_TYPE]
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=_written(route, answer), headers=headers)


# As aiohttp keeps headers: it takes a copy as it is.
_JSON_HEADERS = CIMultiDict({**API_HEADERS, hdrs.CONTENT_TYPE: "application/json"})


def _written(route: AnyRoute, answer: Answer | CheckedAnswer) -> bytes:
    if isinstance(answer, CheckedAnswer):
        return answer.written
    return answer.model_dump_json(exclude_unset=route.omits_unset).encode()
