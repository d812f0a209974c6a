"""Every change in the sandbox as server-sent events, for the demo page."""

import asyncio
import contextlib
import json

from aiohttp import web

from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.inspector import Change
from bot.sandbox.slack.state import Workspace

# A comment at this interval (in seconds) shows whether the reader still exists.
COMMENT_SECONDS = 15.0


class Stream:
    """The route /_emu/stream."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._readers: set[asyncio.Queue[Change | None]] = set()

    def close(self) -> None:
        """End every stream."""
        for reader in self._readers:
            reader.put_nowait(None)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send one screen every later change that its person may see."""
        try:
            person = self._workspace.person(request.query.get("user") or None)
        except ActionRefused as refused:
            return web.json_response({"ok": False, "error": refused.error}, status=404)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        reader = self._workspace.inspector.subscribe()
        self._readers.add(reader)
        try:
            await response.prepare(request)
            await response.write(b": hello\n\n")
            # A write fails when the reader has disconnected; this is the stream's normal end.
            with contextlib.suppress(ConnectionError):
                await self._write_changes(reader, person.id, response)
        finally:
            self._readers.discard(reader)
            self._workspace.inspector.unsubscribe(reader)
        return response

    async def _write_changes(
        self, reader: asyncio.Queue[Change | None], person: str, response: web.StreamResponse
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(COMMENT_SECONDS):
                    change = await reader.get()
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if change is None:
                return
            if change.user in (None, person):
                await response.write(f"data: {json.dumps(change.as_dict())}\n\n".encode())
