"""Follows a run to its end: its log line by line, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from bot.cli.client.api import ApiAnswer, ApiClient, run_path
from bot.cli.client.errors import ApiUnavailable, ServerUnreachable
from bot.cli.client.run_texts import is_live
from core.waiting import Backoff, retry

T = TypeVar("T")

# Between two looks at what is new, in seconds.
_PACE = 1.0
_PAGE = "500"
# A server that is started again, or whose database is, is back within this time.
PATIENCE = timedelta(minutes=3)
_BACKOFF = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=10))
# Saving and measuring the work takes three minutes at most, unless its worker dies meanwhile.
_SAVING_LIMIT = timedelta(minutes=5)

Line = Mapping[str, Any]
OnLine = Callable[[Line], object]
OnSilence = Callable[[Exception], object]


@dataclass(frozen=True, kw_only=True)
class Follower:
    """Follows runs of one server, also while it cannot be reached for a moment.

    Attributes:
        on_line: Called with each line of a log, as the API has it.
        on_silence: Called once when the server does not answer any more and the follower tries
            again.
    """

    client: ApiClient
    on_line: OnLine
    on_silence: OnSilence

    async def follow(self, run_id: str, *, after: int = 0) -> ApiAnswer:
        """Report the lines of a run's log until it has ended and its work is saved.

        The one place that knows how changes arrive: it asks each second for what is new.

        Args:
            run_id: The run.
            after: The id of the last line that is known.

        Returns:
            The status of the ended run.

        Raises:
            ServerUnreachable, ApiUnavailable: If the server could not be reached for longer
                than `PATIENCE`.
            ApiRefusal: If the API refuses, for example because the token was revoked meanwhile.
        """
        etag: str | None = None
        while True:
            after = await self.read_log(run_id, after=after)
            status = await self._patiently(
                lambda known=etag: self.client.get_changed(  # type: ignore[misc]
                    run_path(run_id, "status"), [("enhanced", "false")], etag=known
                )
            )
            if status is not None and not is_live(status.body):
                await self.read_log(run_id, after=after)
                return await self._saved_status(run_id)
            etag = etag if status is None else status.etag
            await asyncio.sleep(_PACE)

    async def read_log(self, run_id: str, *, after: int = 0) -> int:
        """Report the lines that there are, and return the id of the last one."""
        while True:
            query = [("after", str(after)), ("limit", _PAGE)]
            page = await self._patiently(
                lambda asked=query: self.client.get(  # type: ignore[misc]
                    run_path(run_id, "logs"), asked
                )
            )
            for line in page.body.get("lines", ()):
                self.on_line(line)
            after = int(page.body.get("next", after))
            if not page.body.get("has_more"):
                return after

    async def _saved_status(self, run_id: str) -> ApiAnswer:
        """The status of an ended run, once its work is saved: only then its outcome is known."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SAVING_LIMIT.total_seconds()
        while True:
            status = await self._patiently(lambda: self.client.get(run_path(run_id, "status")))
            if not status.body.get("is_saving_work") or loop.time() >= deadline:
                return status
            await asyncio.sleep(_PACE)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        has_said = False

        def say_once(error: Exception, _: float) -> None:
            nonlocal has_said
            if not has_said:
                self.on_silence(error)
            has_said = True

        return await retry(
            ask,
            on=(ServerUnreachable, ApiUnavailable),
            backoff=_BACKOFF,
            patience=PATIENCE,
            on_failure=say_once,
        )
