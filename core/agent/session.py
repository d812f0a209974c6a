"""A running agent: the real `claude` program behind the SDK's client."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    Message,
    ResultMessage,
    SystemMessage,
    ToolUseBlock,
)

from core.agent.critical import CriticalCalls
from core.agent.failure import agent_failure
from core.agent.options import build_options, gate_file, prepare_state
from core.agent.process import process_table
from core.agent.process.ladder import ProcessTree, end_tree, scan_tree
from core.agent.prompt_stream import PromptStream
from core.agent.protocol import (
    AgentEnded,
    AgentFailed,
    AgentSession,
    Launch,
    TranscriptStore,
)
from core.agent.transcript_buffer import TranscriptBuffer
from core.agent.translate import Translator, usage_of_entry
from core.domain.kills.termination import ProcessIdentity
from core.domain.redact import redact
from core.domain.runs.event import AgentEvent, ToolFinished, TurnUsage

log = logging.getLogger(__name__)

# 0.1 to 0.5 s as measured; much more on a machine that starts many at once.
CONNECT_LIMIT = timedelta(seconds=45)
# From the end of its input to its exit: 0.03 s as measured.
EXIT_GRACE = timedelta(seconds=5)
INTERRUPT_LIMIT = timedelta(seconds=5)
# A program that is well answers within milliseconds; one that is not is to be ended all the same.
_CATCH_UP_LIMIT = timedelta(milliseconds=500)
# What was read waits for the reader of the events, who waits for nothing else.
_READER_DELAY = timedelta(milliseconds=20)
# For an agent that is closed in mid-work.
_CLOSE_GRACE = timedelta(seconds=2)
_DISCONNECT_LIMIT = timedelta(seconds=20)
# For a database that does not take a line, which may be one that it never will.
_SETTLE_LIMIT = timedelta(seconds=20)
# For one that is away: without the transcript the session cannot go on, and the end of the
# run cannot be written either.
_OUTAGE_LIMIT = timedelta(minutes=30)
_WATCH_INTERVAL = timedelta(seconds=3)
_FIRST_CONNECT_POLL = timedelta(milliseconds=10)
_MAX_CONNECT_POLL = timedelta(milliseconds=500)
_FINAL_OUTPUT_LIMIT = timedelta(seconds=2)
_MAX_STDERR_LINES = 60
_MAX_STDERR_LINE_CHARS = 500


@asynccontextmanager
async def open_agent(
    launch: Launch, transcripts: TranscriptStore, *, connect_limit: timedelta = CONNECT_LIMIT
) -> AsyncIterator[AgentSession]:
    """Start an agent and its work; at the end of the block no process of it is left.

    While a kill ladder runs, keep reading `events()`: they bring the end it waits for, and
    the last words to the transcript.

    Raises:
        AgentFailed: If the program could not be started, or did not answer.
        NoTranscript: If the session to be resumed is not in `transcripts`.
    """
    session = _Session(launch, transcripts)
    try:
        await session.open(connect_limit)
        yield session
    finally:
        await _run_uninterrupted(session.close(), name=f"close agent {launch.run_id}")


class _Session:
    def __init__(self, launch: Launch, transcripts: TranscriptStore) -> None:
        self.tree = ProcessTree(launch.run_id, attempt=launch.attempt)
        self.has_ended = False
        self._launch = launch
        self._secrets = tuple(
            value for name, value in launch.credentials.items() if not name.endswith("_URL")
        )
        self._stderr: deque[str] = deque(maxlen=_MAX_STDERR_LINES)
        self._pending_usage: deque[TurnUsage] = deque()
        self._transcript_buffer = TranscriptBuffer(transcripts, on_entry=self._on_entry)
        self.critical = CriticalCalls(
            launch.critical, gate=gate_file(launch), secrets=self._secrets
        )
        self._client = ClaudeSDKClient(
            build_options(
                launch, self._transcript_buffer, stderr=self._on_stderr, critical=self.critical
            )
        )
        self._translator = Translator(plan=launch.plan, secrets=self._secrets, cwd=str(launch.cwd))
        self._root: ProcessIdentity | None = None
        self._prompts = PromptStream(launch.session_id)
        self._connect_result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._has_result = False
        self._is_stopping = False
        self._is_stream_over = False
        # Not in a task group: that would wrap what the caller's block raises in a group.
        self._client_task: asyncio.Task[None] | None = None
        self._watch_task: asyncio.Task[None] | None = None

    @property
    def root(self) -> ProcessIdentity:
        if self._root is None:
            raise RuntimeError("the agent is not open")
        return self._root

    @property
    def stderr_tail(self) -> str:
        return redact("\n".join(self._stderr), secrets=self._secrets)

    async def open(self, limit: timedelta) -> None:
        """Start the program, and give it its task."""
        await asyncio.to_thread(prepare_state, self._launch)
        self.critical.open_gate()
        self._send_message(self._launch.prompt, self._launch.prompt_uuid)
        self._client_task = asyncio.create_task(
            self._run_client(), name=f"agent {self._launch.run_id}"
        )
        await self._wait_connected(self._client_task, limit)
        self._root = _find_agent_process(await scan_tree(self.tree))
        if self._root is None:
            raise self._failure("ended as soon as it was started")
        self.tree.root = self._root
        self._watch_task = asyncio.create_task(
            self._watch(self._root), name=f"watch agent {self._launch.run_id}"
        )

    async def events(self) -> AsyncIterator[AgentEvent]:
        try:
            async with aclosing(self._translated_events()) as translated:
                async for event in translated:
                    yield event
        except AgentFailed:
            # What it has said until then counts all the same.
            while self._pending_usage:
                yield self._pending_usage.popleft()
            raise
        while self._pending_usage:
            yield self._pending_usage.popleft()

    async def _translated_events(self) -> AsyncGenerator[AgentEvent]:
        async with aclosing(self._messages()) as messages:
            async for message in messages:
                if isinstance(message, SystemMessage) and message.subtype == "init":
                    self._check_session(str(message.data.get("session_id")))
                elif isinstance(message, AssistantMessage):
                    self._track_tool_calls(message)
                for event in self._translator.translate(message):
                    if isinstance(event, ToolFinished):
                        self.critical.end(event.tool_use_id)
                    yield event
                while self._pending_usage:
                    yield self._pending_usage.popleft()
                if isinstance(message, ResultMessage):
                    await self._handle_result(message)

    async def send(self, text: str, *, message_uuid: UUID) -> None:
        if self.has_ended:
            raise AgentEnded
        self._send_message(text, message_uuid)

    async def catch_up(self) -> None:
        if self.has_ended:
            return
        try:
            async with asyncio.timeout(_CATCH_UP_LIMIT.total_seconds()):
                # Any question: what was said before its answer has been read when that comes.
                await self._client.get_mcp_status()
        except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions
            log.info("%s: no answer in time: %s", self._launch.run_id, type(error).__name__)
        await asyncio.sleep(_READER_DELAY.total_seconds())

    async def interrupt(self) -> None:
        self._is_stopping = True
        if self.has_ended:
            return
        try:
            async with asyncio.timeout(INTERRUPT_LIMIT.total_seconds()):
                await self._client.interrupt()
        # The SDK raises bare exceptions for an answer that does not come.
        except Exception as error:
            raise self._failure("did not take the interrupt", error) from error

    async def close(self) -> None:
        """End whatever is left of it.  At most about 10 s, however hostile."""
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait({self._watch_task})
        if self._client_task is None:
            return
        self._is_stopping = True
        is_working = self._root is not None and not self._is_stream_over
        async with asyncio.TaskGroup() as group:
            draining = (
                group.create_task(self._drain_events(), name="drain agent") if is_working else None
            )
            proof = await end_tree(
                run_marker=self._launch.run_id,
                attempt=self._launch.attempt,
                root=self._root,
                known=self.tree,
                interrupt=self.interrupt if is_working else None,
                has_ended=lambda: self.has_ended,
                force=not is_working,
                interrupt_grace=_CLOSE_GRACE,
            )
            if draining is not None:
                await asyncio.wait({draining}, timeout=1)
                draining.cancel()
        if not proof.is_confirmed:
            log.error("%s: %d processes left", self._launch.run_id, len(proof.survivors))
        self._closing.set()
        if not self._connect_result.done():
            self._client_task.cancel()
        # Its process is gone, so that none of the SDK's own waits has anything to wait for.
        _, late = await asyncio.wait({self._client_task}, timeout=_DISCONNECT_LIMIT.total_seconds())
        for task in late:
            task.cancel()
        await self._transcript_buffer.flush_all(limit=_SETTLE_LIMIT, outage_limit=_OUTAGE_LIMIT)
        if self._connect_result.done():
            # Retrieved, or asyncio would warn that nobody did.
            self._connect_result.exception()

    async def _run_client(self) -> None:
        """Open and close the client in one task, whose cancellation is nobody else's."""
        try:
            await self._client.connect(self._prompts.messages())
        except Exception as error:  # noqa: BLE001 - the task's end; `_wait_connected` raises it
            self._connect_result.set_exception(
                agent_failure("could not be started", error, self.stderr_tail)
            )
            return
        self._connect_result.set_result(None)
        await self._closing.wait()
        try:
            await self._client.disconnect()
        except Exception:
            log.exception("%s: the agent's client did not close", self._launch.run_id)

    async def _wait_connected(self, connecting: asyncio.Task[None], limit: timedelta) -> None:
        """Wait for the program's first answer, as long as it lives."""
        deadline = time.monotonic() + limit.total_seconds()
        was_seen = False
        pause = _FIRST_CONNECT_POLL
        while not self._connect_result.done():
            await asyncio.wait(
                {self._connect_result, connecting},
                timeout=pause.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._connect_result.done():
                break
            living = await scan_tree(self.tree)
            if was_seen and not living:
                # What it said last may still be on its way through the SDK, which misses
                # only the exit of a program that says nothing.
                await asyncio.wait(
                    {self._connect_result}, timeout=_FINAL_OUTPUT_LIMIT.total_seconds()
                )
                if self._connect_result.done():
                    break
                raise self._failure("ended before it answered")
            was_seen = was_seen or bool(living)
            pause = min(2 * pause, _MAX_CONNECT_POLL)
            if self._transcript_buffer.is_loading:
                # The program is not started yet.
                deadline = time.monotonic() + limit.total_seconds()
            if time.monotonic() >= deadline:
                raise self._failure("did not answer when it was started")
        self._connect_result.result()

    def _send_message(self, text: str, message_uuid: UUID) -> None:
        self._translator.pending_message_ids.add(str(message_uuid))
        self._prompts.add_message(text, message_uuid)

    async def _messages(self) -> AsyncGenerator[Message]:
        """Messages until the stream ends; after the last result it has little time to."""
        stream = self._client.receive_messages()
        try:
            while True:
                limit = EXIT_GRACE.total_seconds() if self.has_ended else None
                async with asyncio.timeout(limit):
                    message = await anext(stream)
                yield message
        except StopAsyncIteration:
            pass
        except TimeoutError:
            log.warning("%s: the agent program did not exit by itself", self._launch.run_id)
        except Exception as error:
            # After a result that is an error the program exits with 1 on purpose.
            if not self._has_result:
                raise self._failure("crashed", error) from error
        self.has_ended = True
        self._is_stream_over = True
        self.critical.discard_all()

    async def _handle_result(self, result: ResultMessage) -> None:
        """After its last result an agent has nothing more to hear."""
        self._has_result = True
        # A message still on its way gets an answer of its own; after an error it does not.
        if self._translator.pending_message_ids and not result.is_error and not self._is_stopping:
            return
        if not self.has_ended:
            # Daemons of its tools are its children only as long as it lives.
            await scan_tree(self.tree)
            self.has_ended = True
            self._prompts.close()

    async def _drain_events(self) -> None:
        """Read on, so that the last of the transcript is kept and the end is heard."""
        with suppress(AgentFailed):
            async for _ in self.events():
                pass

    async def _watch(self, root: ProcessIdentity) -> None:
        """Remember who belongs to the tree, and end it if its head is gone.

        A child of a dead program can hold its output open, which would then never end.
        """
        misses = 0
        while misses < 2:
            await asyncio.sleep(_WATCH_INTERVAL.total_seconds())
            living = await scan_tree(self.tree)
            misses = 0 if root.pid in {one.pid for one in living} else misses + 1
        if not self._is_stream_over:
            log.warning("%s: the agent program is gone", self._launch.run_id)
            await end_tree(
                run_marker=self._launch.run_id,
                attempt=self._launch.attempt,
                root=root,
                known=self.tree,
                force=True,
            )

    def _track_tool_calls(self, message: AssistantMessage) -> None:
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                self.critical.begin(
                    block.id,
                    block.name,
                    block.input,
                    parent_tool_use_id=message.parent_tool_use_id,
                    message_id=message.message_id,
                )

    def _check_session(self, session_id: str) -> None:
        if session_id != str(self._launch.session_id):
            raise self._failure(f"took up another session ({session_id})")

    def _failure(self, problem: str, error: Exception | None = None) -> AgentFailed:
        return agent_failure(problem, error, self.stderr_tail)

    def _on_entry(self, entry: Any) -> None:
        usage = usage_of_entry(entry)
        if usage is not None:
            self._pending_usage.append(usage)

    def _on_stderr(self, line: str) -> None:
        self._stderr.append(line[:_MAX_STDERR_LINE_CHARS])


def _find_agent_process(living: tuple[ProcessIdentity, ...]) -> ProcessIdentity | None:
    """The one of the tree that this process started: the agent program itself."""
    for one in living:
        present = process_table.find_process(one.pid)
        if present is not None and present.parent == os.getpid():
            return one
    return None


async def _run_uninterrupted(work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Do `work` to its end, and only then be cancelled."""
    task = asyncio.create_task(work, name=name)
    was_cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            was_cancelled = error
    task.result()
    if was_cancelled is not None:
        raise was_cancelled
