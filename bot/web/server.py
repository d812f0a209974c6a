"""The HTTP server: what no handler answers is refused in the one shape of all errors.

That is what is not valid HTTP, what aiohttp refuses itself, and what an exception left unanswered.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from bot.web.errors import (
    defect_response,
    http_error_response,
    malformed_response,
    unreadable_body_response,
)

log = logging.getLogger(__name__)

_MAX_LOGGED_CHARS = 100


class ApiRunner(web.AppRunner):
    """Runs an application; each connection is served by an `ApiRequestHandler`."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        # There is no public way to another class for connections.
        made = await super()._make_server()
        return _ApiServer(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )


class _ApiServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return ApiRequestHandler(self, loop=self._loop, **self._kwargs)


class ApiRequestHandler(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Read bytes; an error in a body reaches the handler that waits for the rest of it.

        aiohttp queues such an error behind the request, whose handler would wait for ever.
        """
        super().data_received(data)
        request = self._current_request
        if request is None or request.content.is_eof() or not self._messages:
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            # The connection ends with the answer; nothing that follows can be understood.
            self._lingering_time = 0.0
            request.content.set_exception(web.RequestPayloadError("the body is not valid"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log an error, answer it, and close the connection.

        Raises:
            ConnectionError: If a part of another answer was sent already.
        """
        if request.writer.output_size > 0:
            # This logs the error, and raises.
            return super().handle_error(request, status, exc, message)
        response: web.Response
        has_gone = isinstance(exc, ConnectionError) and self.transport is None
        if has_gone or isinstance(exc, web.RequestPayloadError):
            _log_malformed(exc)
            response = unreadable_body_response()
        elif status < 500:
            _log_malformed(exc)
            response = malformed_response(is_too_long=isinstance(exc, LineTooLong))
        else:
            response = defect_response(exc, method=request.method, route="")
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; a refusal of aiohttp gets the one shape, a page of our own stays."""
        if (
            isinstance(resp, web.HTTPException)
            and resp.status >= 400
            and resp.content_type == "text/plain"
        ):
            resp = http_error_response(resp)
        return await super().finish_response(request, resp, start_time)


def _log_malformed(error: BaseException | None) -> None:
    """One line without a traceback; the rest of such an error quotes what was sent."""
    words = str(getattr(error, "message", "") or error).partition("\n")[0]
    log.info(
        "a request was not valid HTTP: %s",
        words[:_MAX_LOGGED_CHARS],
        extra={"event": "http_request.malformed"},
    )
