"""Calls of the HTTP API, with its errors turned into those of commands."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
from aiohttp import hdrs
from yarl import URL

from bot.cli.client.connection import Connection
from bot.cli.client.errors import ApiRefusal, ApiUnavailable, NotSignalbox, ServerUnreachable

# As `bot.web.route` has them; loading that would cost as much as the whole command.
API_ROOT = "/api/v1"
IDEMPOTENCY_HEADER = "Idempotency-Key"
CONSOLE = "/workflows/claude-code"
# A server that is busy or far away answers in less; one that hangs shall not hang the command.
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_UNAVAILABLE = frozenset({502, 503, 504})

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ApiAnswer:
    """A successful answer.

    Attributes:
        text: The JSON as it came.
        body: The same, read.
        etag: Sent back, it spares an answer that has not changed; `None` if the route has none.
    """

    text: str
    body: Mapping[str, Any]
    etag: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Response:
    status: int
    raw: bytes
    etag: str | None


@dataclass(frozen=True)
class ApiClient:
    """Calls the API of one server."""

    connection: Connection
    http: aiohttp.ClientSession

    async def get(self, path: str, query: Query = ()) -> ApiAnswer:
        """Read something.

        Args:
            path: Below the API's root, quoted.
            query: The parameters.

        Raises:
            ServerUnreachable: If the server does not answer.
            NotSignalbox: If something else answers.
            ApiUnavailable: If it cannot answer just now.
            ApiRefusal: If it refuses.
        """
        return self._read(await self._send("GET", path, query=query))

    async def get_changed(self, path: str, query: Query, *, etag: str | None) -> ApiAnswer | None:
        """The same, or `None` if the answer is the one that had this `etag`."""
        headers: dict[str, str] = {} if etag is None else {hdrs.IF_NONE_MATCH: etag}
        response = await self._send("GET", path, query=query, headers=headers)
        return None if response.status == 304 else self._read(response)

    async def post(self, path: str, body: Mapping[str, Any]) -> ApiAnswer:
        """Do something, once: a request whose answer was lost is repeated with the same key.

        Raises:
            ServerUnreachable: If the server does not answer.
            NotSignalbox: If something else answers.
            ApiUnavailable: If it cannot answer just now.
            ApiRefusal: If it refuses.
        """
        headers = {IDEMPOTENCY_HEADER: uuid4().hex}
        try:
            response = await self._send("POST", path, body=body, headers=headers)
        except ServerUnreachable as error:
            if not error.may_have_arrived:
                raise
            response = await self._send("POST", path, body=body, headers=headers)
        return self._read(response)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Response:
        base = self.connection.url
        # What is quoted stays so: a session's name may have a slash.
        url = URL(f"{base}{API_ROOT}{path}", encoded=True).extend_query(list(query))
        try:
            async with self.http.request(
                method,
                url,
                json=body,
                headers=headers,
                proxy=self.connection.proxy,
                # Another address shall not get the token.
                allow_redirects=False,
            ) as response:
                raw, etag = await response.read(), response.headers.get(hdrs.ETAG)
                return _Response(status=response.status, raw=raw, etag=etag)
        except aiohttp.ClientConnectorError as error:
            raise ServerUnreachable(base, _reason(error), may_have_arrived=False) from error
        except TimeoutError as error:
            problem = "no answer in time"
            raise ServerUnreachable(base, problem, may_have_arrived=True) from error
        except (aiohttp.ClientError, OSError) as error:
            problem = "the connection broke"
            raise ServerUnreachable(base, problem, may_have_arrived=True) from error

    def _read(self, response: _Response) -> ApiAnswer:
        url, status = self.connection.url, response.status
        try:
            text = response.raw.decode()
            found = json.loads(text)
        except ValueError:
            found, text = None, ""
        if status == 200 and isinstance(found, dict):
            return ApiAnswer(text=text, body=found, etag=response.etag)
        if not _is_error(found) or found["error"] == "no_such_route":
            if status in _UNAVAILABLE:
                # A proxy before a server that is down.
                raise ServerUnreachable(url, f"HTTP status {status}", may_have_arrived=True)
            raise NotSignalbox(url, status)
        refusal = ApiUnavailable if status in _UNAVAILABLE else ApiRefusal
        details = found.get("details")
        raise refusal(
            status,
            found["error"],
            found["message"],
            details=details if isinstance(details, dict) else None,
            token_source=self.connection.token_source,
        )


@asynccontextmanager
async def open_client(connection: Connection) -> AsyncIterator[ApiClient]:
    """A client for one server, until the block ends."""
    async with aiohttp.ClientSession(
        headers={hdrs.AUTHORIZATION: f"Bearer {connection.token}", hdrs.ACCEPT: "application/json"},
        timeout=_TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        yield ApiClient(connection, http)


def run_path(target: str, last: str) -> str:
    """The path of something of a run, which is named as a person names it."""
    return f"{CONSOLE}/run/{quote(target, safe='')}/{last}"


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """Why no connection was made, in the operating system's words if it has any."""
    number = error.os_error.errno
    # Failed look-ups of a name have negative numbers, and words of their own.
    if number is not None and number > 0 and not isinstance(error, aiohttp.ClientSSLError):
        return os.strerror(number)
    return error.os_error.strerror or str(error.os_error)


def _is_error(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(found.get(name), str) for name in ("error", "message")
    )
