"""The HTTP routes of Slack itself: the Web API, response_urls, uploads, sockets."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.sandbox.event_wait import wait_for_event
from bot.sandbox.slack.api.files import store_upload
from bot.sandbox.slack.api.gate import Answer, Gate
from bot.sandbox.slack.delivery.responses import respond
from bot.sandbox.slack.delivery.socket_mode import SocketMode
from bot.sandbox.slack.errors import WebApiError
from bot.sandbox.slack.faults import Faults
from bot.sandbox.slack.state import Document, Workspace

log = logging.getLogger(__name__)

# The longest time to hold a call without an answer; the caller or the sandbox may end it first.
MAX_HANG_SECONDS = 120.0


async def read_arguments(request: web.Request) -> Document:
    """The arguments of a call: from the query, then a form or JSON body, which take precedence.

    Raises:
        WebApiError: `invalid_json` or `json_not_object`.
    """
    args: Document = dict(request.query)
    if request.method == "GET" or not request.can_read_body:
        return args
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            raise WebApiError("invalid_json") from None
        if not isinstance(body, dict):
            raise WebApiError("json_not_object")
        return args | body
    return args | dict(await request.post())


def read_token(request: web.Request, args: Mapping[str, Any]) -> str:
    """The token from the header or from the arguments."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else str(args.get("token") or "")


class AppRoutes:
    """The routes an app talks to."""

    def __init__(
        self, *, workspace: Workspace, gate: Gate, faults: Faults, sockets: SocketMode
    ) -> None:
        self._workspace = workspace
        self._gate = gate
        self._faults = faults
        self._sockets = sockets
        self._closing = asyncio.Event()

    def add_routes(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_route("*", "/api/{method}", self.api)
        app.router.add_get("/link/", self._sockets.link)
        app.router.add_post("/response/{name}", self.response)
        app.router.add_post("/upload/{file}", self.upload)

    def close(self) -> None:
        """Release every call that is held without an answer."""
        self._closing.set()

    async def api(self, request: web.Request) -> web.StreamResponse:
        """One Web API call."""
        try:
            args = await read_arguments(request)
        except WebApiError as refused:
            self._workspace.inspector.add_problem(
                refused.error, request.match_info["method"], "the body of the call"
            )
            return web.json_response(refused.document())
        token = read_token(request, args)
        args.pop("token", None)
        answer = self._gate.call(request.match_info["method"], args, token)
        return await self._send_answer(request, answer)

    async def _send_answer(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.page is not None:
            return web.Response(text=answer.page, content_type="text/html", status=answer.status)
        if answer.connection_fault is None:
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        if answer.connection_fault == "timeout":
            ended = await wait_for_event(self._closing, MAX_HANG_SECONDS)
            log.debug("a call had no answer until %s", "the end" if ended else "its time was up")
        if answer.connection_fault == "cut_body":
            return await _truncated_response(request, json.dumps(answer.body).encode())
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=499)

    async def response(self, request: web.Request) -> web.StreamResponse:
        """Handle a post to a response_url."""
        fault = self._faults.take("response_url")
        if fault is not None and fault.kind.isdecimal():
            return web.json_response({"ok": False}, status=int(fault.kind))
        if fault is not None and fault.kind in ("timeout", "reset"):
            return await self._send_answer(
                request, Answer(status=0, body={}, connection_fault=fault.kind)
            )
        try:
            body = await request.json()
        except ValueError:
            body = None
        if isinstance(body, dict) and self._gate.has_unknown_block(body):
            status, answer = 400, {"ok": False, "error": "invalid_blocks"}
        else:
            status, answer = respond(self._workspace, request.match_info["name"], body)
        self._workspace.inspector.log(
            "api",
            "response_url",
            status=status,
            error=None if status == 200 else str(answer["error"]),
            ms=0,
            request=body,
            response=answer,
        )
        if fault is not None:
            return await self._send_answer(
                request, Answer(status=0, body={}, connection_fault="reset")
            )
        return web.json_response(answer, status=status)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Receive the bytes of a file."""
        fault = self._faults.take("upload")
        if fault is not None and not fault.is_applied:
            if fault.kind in ("timeout", "reset"):
                return await self._send_answer(
                    request, Answer(status=0, body={}, connection_fault=fault.kind)
                )
            return web.Response(status=int(fault.kind) if fault.kind.isdecimal() else 500)
        if not store_upload(self._workspace, request.match_info["file"], await request.read()):
            return web.Response(status=404, text="no such upload")
        if fault is not None:
            return await self._send_answer(
                request, Answer(status=0, body={}, connection_fault="reset")
            )
        return web.Response(text=f"OK - {request.content_length}")


async def _truncated_response(request: web.Request, body: bytes) -> web.StreamResponse:
    """Start to send an answer, then cut the connection before its end."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response
