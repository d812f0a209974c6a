"""The connection to the agent program: the SDK's client, opened and closed in one task."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

from claude_agent_sdk import ClaudeSDKClient

from core.agent.process.process_tree import ProcessTree, scan_tree
from core.agent.prompt_stream import PromptStream
from core.agent.results.failure import ErrorOutput
from core.agent.transcript_buffer import TranscriptBuffer

log = logging.getLogger(__name__)

_DISCONNECT_LIMIT = timedelta(seconds=20)
# A program answers after some 0.5 s; only one that ends first is noticed by a scan.
_FIRST_POLL = timedelta(milliseconds=100)
_MAX_POLL = timedelta(milliseconds=500)
_FINAL_OUTPUT_LIMIT = timedelta(seconds=2)


class Connection:
    """Connects and disconnects a client in a task of its own, so that cancellations stay in it.

    The task is in no task group: a group would wrap the exceptions of the caller's block.
    """

    def __init__(
        self,
        client: ClaudeSDKClient,
        prompts: PromptStream,
        *,
        tree: ProcessTree,
        transcript_buffer: TranscriptBuffer,
        error_output: ErrorOutput,
    ) -> None:
        self._client = client
        self._prompts = prompts
        self._tree = tree
        self._transcript_buffer = transcript_buffer
        self._error_output = error_output
        self._connect_result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_started(self) -> bool:
        """Whether `open` was called, so that there may be processes."""
        return self._task is not None

    async def open(self, limit: timedelta) -> None:
        """Start the program, and wait for its first answer.

        Raises:
            AgentFailed: If the program exits first, or takes longer than `limit`; the time in
                which the SDK loads the transcript does not count.
        """
        self._task = asyncio.create_task(self._run_client(), name=f"agent {self._tree.run_marker}")
        deadline = time.monotonic() + limit.total_seconds()
        was_seen = False
        pause = _FIRST_POLL
        while not self._connect_result.done():
            await asyncio.wait(
                {self._connect_result, self._task},
                timeout=pause.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._connect_result.done():
                break
            living = await scan_tree(self._tree)
            if was_seen and not living:
                # Its last output may still be on its way through the SDK.  The SDK notices an
                # exit unless the program wrote nothing.
                await asyncio.wait(
                    {self._connect_result}, timeout=_FINAL_OUTPUT_LIMIT.total_seconds()
                )
                if self._connect_result.done():
                    break
                raise self._error_output.failure("ended before it answered")
            was_seen = was_seen or bool(living)
            pause = min(2 * pause, _MAX_POLL)
            if self._transcript_buffer.is_loading:
                # The program is not started yet.
                deadline = time.monotonic() + limit.total_seconds()
            if time.monotonic() >= deadline:
                raise self._error_output.failure("did not answer when it was started")
        self._connect_result.result()

    async def close(self) -> None:
        """Disconnect the client of a program whose processes are gone."""
        if self._task is None:
            return
        self._closing.set()
        if not self._connect_result.done():
            self._task.cancel()
        # The program is gone, so the SDK's own waits end quickly.
        _, late = await asyncio.wait({self._task}, timeout=_DISCONNECT_LIMIT.total_seconds())
        for task in late:
            task.cancel()
        if self._connect_result.done():
            # Retrieve the exception, or asyncio warns that nobody did.
            self._connect_result.exception()

    async def _run_client(self) -> None:
        try:
            await self._client.connect(self._prompts.messages())
        except Exception as error:  # noqa: BLE001 - the task's end; `open` raises it
            self._connect_result.set_exception(
                self._error_output.failure("could not be started", error)
            )
            return
        self._connect_result.set_result(None)
        await self._closing.wait()
        try:
            await self._client.disconnect()
        except Exception:
            log.exception(
                "%s: the agent's client did not close",
                self._tree.run_marker,
                extra={
                    "event": "agent_client.close_failed",
                    "run_id": self._tree.run_marker,
                    "attempt": self._tree.attempt,
                },
            )
