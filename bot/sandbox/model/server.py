"""A local Messages API that answers from scripts, for the demo and for tests.

The real `claude` program uses it like Anthropic's API.  The server stores no conversation:
each request contains everything that decides the next turn (see `conversation`).  It does
store how often a turn has failed, and a log of the requests.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from bot.sandbox.model import api_format
from bot.sandbox.model.conversation import read_conversation
from bot.sandbox.model.scenarios import SCRIPTS, choose_script, delay_of
from bot.sandbox.model.script import Conversation, Failure, FailureKind, Script, Turn

log = logging.getLogger(__name__)

API_KEY = "sk-ant-scripted-model-needs-no-key"
# The client's own timeout is far shorter.
_HANG_TIME = timedelta(days=1)
_LOGGED_REQUESTS = 2_000
# Large enough for a conversation with images or a large tool output.
_MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class LoggedRequest:
    """One logged request.

    Attributes:
        script: Name of the script that answered; `None` for a side call without tools.
        position: Index of the script's turn.
        outcome: `answered`, or the kind of failure.
        body: The request's body, if `Model.logs_bodies`.
    """

    at: datetime
    session_id: str | None
    script: str | None
    position: int
    outcome: str
    body: Mapping[str, Any] | None = None


@dataclass
class Model:
    """A running server and its settings.

    Attributes:
        url: Value for `ANTHROPIC_BASE_URL`.
        api_key: Any text would do; this one passes the program's format check.
        requests: The latest requests, oldest first.
        scripts: Scripts by name; a test may add its own.
        script: The script for every task; `None` chooses by the task's text.
        delay: Pause before each answer, unless the script or the task sets one.
        failures: Each fails one call with tools (its `times` is ignored), in order, before
            any script is consulted.
        gate: Awaited before each answer to a call with tools; `None` answers at once.
    """

    url: str = ""
    api_key: str = API_KEY
    requests: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=_LOGGED_REQUESTS))
    scripts: dict[str, Script] = field(default_factory=lambda: dict(SCRIPTS))
    script: Script | None = None
    delay: timedelta = timedelta(0)
    failures: deque[Failure] = field(default_factory=deque)
    logs_bodies: bool = False
    gate: Callable[[Conversation], Awaitable[None]] | None = None
    _failure_counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    _request_logged: asyncio.Event = field(default_factory=asyncio.Event)

    def next_turn(
        self, conversation: Conversation, session_id: str
    ) -> tuple[str, Turn, Failure | None]:
        """The script's name, its turn, and the failure to send instead, if any."""
        script = self.script or choose_script(conversation, self.scripts)
        turn = script.play(conversation)
        if self.failures:
            return script.name, turn, self.failures.popleft()
        failure = turn.failure
        if failure is None:
            return script.name, turn, None
        key = (session_id, conversation.task, conversation.position)
        self._failure_counts[key] += 1
        is_over = failure.times is not None and self._failure_counts[key] > failure.times
        return script.name, turn, None if is_over else failure

    def log_request(
        self,
        conversation: Conversation,
        body: Mapping[str, Any],
        *,
        session_id: str | None,
        script: str | None,
        outcome: str,
    ) -> None:
        """Append a request to `requests`."""
        self.requests.append(
            LoggedRequest(
                at=datetime.now(UTC),
                session_id=session_id,
                script=script,
                position=conversation.position,
                outcome=outcome,
                body=body if self.logs_bodies else None,
            )
        )
        self._request_logged.set()
        self._request_logged = asyncio.Event()

    async def wait_for_turn(self, script: str, position: int = 0) -> None:
        """Wait until this turn of a script is requested; the caller sets the time limit."""
        while not any(a.script == script and a.position >= position for a in self.requests):
            await self._request_logged.wait()


@asynccontextmanager
async def open_model(
    *, host: str = "127.0.0.1", port: int = 0, script: Script | None = None
) -> AsyncIterator[Model]:
    """Serve until the block ends; `port` 0 takes any free one."""
    model = Model(script=script)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    api = _Api(model)
    app.router.add_post("/v1/messages", api.messages)
    app.router.add_post("/v1/messages/count_tokens", api.count_tokens)
    # A handler that hangs on purpose must end with its client and at shutdown.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        url_host = f"[{host}]" if ":" in host else host
        model.url = f"http://{url_host}:{runner.addresses[0][1]}"
        log.info("scripted model at %s", model.url)
        yield model
    finally:
        await runner.cleanup()


class _Api:
    def __init__(self, model: Model) -> None:
        self.model = model

    async def messages(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        try:
            body = json.loads(raw)
            conversation = read_conversation(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error_response(
                Failure(status=400, error_type="invalid_request_error", message="malformed request")
            )
        session_id = _session_id_of(request, body)
        if not body.get("tools"):
            self.model.log_request(
                conversation, body, session_id=session_id, script=None, outcome="answered"
            )
            return await self._answer(request, body, raw, conversation, Turn(text="Scripted work"))
        name, turn, failure = self.model.next_turn(conversation, session_id or "")
        if self.model.gate is not None:
            await self.model.gate(conversation)
        outcome = failure.kind.value if failure else "answered"
        self.model.log_request(
            conversation, body, session_id=session_id, script=name, outcome=outcome
        )
        await asyncio.sleep(self._delay(turn, conversation).total_seconds())
        if failure is None or failure.kind is FailureKind.CUT:
            is_cut = failure is not None
            return await self._answer(request, body, raw, conversation, turn, is_cut=is_cut)
        if failure.kind is FailureKind.HANG:
            await asyncio.sleep(_HANG_TIME.total_seconds())
        if failure.kind is FailureKind.GARBAGE:
            return web.Response(text="<html>not what you asked for", content_type="text/html")
        return _error_response(failure)

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        return web.json_response({"input_tokens": len(raw) // 4})

    async def _answer(
        self,
        request: web.Request,
        body: Mapping[str, Any],
        raw: str,
        conversation: Conversation,
        turn: Turn,
        *,
        is_cut: bool = False,
    ) -> web.StreamResponse:
        messages: list[Any] = body.get("messages") or []
        is_first = not any(m.get("role") == "assistant" for m in messages)
        answer = api_format.message(
            turn,
            conversation,
            model=str(body.get("model")),
            request_chars=len(raw),
            new_chars=len(raw) if is_first else sum(len(json.dumps(m)) for m in messages[-1:]),
        )
        if not body.get("stream"):
            return _error_response(Failure()) if is_cut else web.json_response(answer)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        chunks = [api_format.encode(event) for event in api_format.events(answer)]
        # The client may have been killed in the meantime.
        with suppress(ConnectionResetError):
            await response.prepare(request)
            if is_cut:
                await response.write(b"".join(chunks[: max(len(chunks) // 2, 1)]))
                if request.transport is not None:
                    request.transport.close()
                return response
            await response.write(b"".join(chunks))
            await response.write_eof()
        return response

    def _delay(self, turn: Turn, conversation: Conversation) -> timedelta:
        if turn.delay is not None:
            return turn.delay
        requested = delay_of(conversation)
        return self.model.delay if requested is None else requested


def _session_id_of(request: web.Request, body: Mapping[str, Any]) -> str | None:
    """The program's session id: in a header, or in the metadata of older programs."""
    header = request.headers.get("X-Claude-Code-Session-Id")
    return header or str((body.get("metadata") or {}).get("user_id") or "") or None


def _error_response(failure: Failure) -> web.Response:
    headers = dict(failure.headers)
    if failure.should_retry is not None:
        headers["x-should-retry"] = "true" if failure.should_retry else "false"
    if failure.body is not None:
        return web.Response(text=failure.body, status=failure.status, headers=headers)
    return web.json_response(api_format.error(failure), status=failure.status, headers=headers)
