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
from core.agent.failure import failed
from core.agent.history import History
from core.agent.options import build_options, gate_of, prepare_state
from core.agent.process import process_table
from core.agent.process.ladder import Tree, end_tree, look_at
from core.agent.protocol import (
    AgentEnded,
    AgentFailed,
    AgentSession,
    Launch,
    TranscriptStore,
)
from core.agent.speech import Speech
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
_READ_OUT = timedelta(milliseconds=20)
# For an agent that is closed in mid-work.
_CLOSE_GRACE = timedelta(seconds=2)
_DISCONNECT_LIMIT = timedelta(seconds=20)
# For a database that does not take a line, which may be one that it never will.
_SETTLE_LIMIT = timedelta(seconds=20)
# For one that is away: without the transcript the session cannot go on, and the end of the
# run cannot be written either.
_AWAY_PATIENCE = timedelta(minutes=30)
_WATCH_EVERY = timedelta(seconds=3)
_CONNECT_WATCH_FIRST = timedelta(milliseconds=10)
_CONNECT_WATCH = timedelta(milliseconds=500)
_LAST_WORDS = timedelta(seconds=2)
_STDERR_LINES = 60
_STDERR_LINE = 500


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
        await _through_cancellation(session.close(), name=f"close agent {launch.run_id}")


class _Session:
    def __init__(self, launch: Launch, transcripts: TranscriptStore) -> None:
        self.tree = Tree(launch.run_id, attempt=launch.attempt)
        self.has_ended = False
        self._launch = launch
        self._secrets = tuple(
            value for name, value in launch.credentials.items() if not name.endswith("_URL")
        )
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._usages: deque[TurnUsage] = deque()
        self._history = History(transcripts, heard=self._heard_entry)
        self.critical = CriticalCalls(launch.critical, gate=gate_of(launch), secrets=self._secrets)
        self._client = ClaudeSDKClient(
            build_options(launch, self._history, stderr=self._heard, critical=self.critical)
        )
        self._translator = Translator(plan=launch.plan, secrets=self._secrets, cwd=str(launch.cwd))
        self._root: ProcessIdentity | None = None
        self._speech = Speech(launch.session_id)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._has_result = False
        self._is_stopping = False
        self._is_exhausted = False
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
        self._say(self._launch.prompt, self._launch.prompt_uuid)
        self._client_task = asyncio.create_task(
            self._hold_client(), name=f"agent {self._launch.run_id}"
        )
        await self._connected(self._client_task, limit)
        self._root = _child(await look_at(self.tree))
        if self._root is None:
            raise self._failure("ended as soon as it was started")
        self.tree.root = self._root
        self._watch_task = asyncio.create_task(
            self._watch(self._root), name=f"watch agent {self._launch.run_id}"
        )

    async def events(self) -> AsyncIterator[AgentEvent]:
        try:
            async with aclosing(self._told()) as told:
                async for event in told:
                    yield event
        except AgentFailed:
            # What it has said until then counts all the same.
            while self._usages:
                yield self._usages.popleft()
            raise
        while self._usages:
            yield self._usages.popleft()

    async def _told(self) -> AsyncGenerator[AgentEvent]:
        async with aclosing(self._messages()) as messages:
            async for message in messages:
                if isinstance(message, SystemMessage) and message.subtype == "init":
                    self._check_session(str(message.data.get("session_id")))
                elif isinstance(message, AssistantMessage):
                    self._mark_calls(message)
                for event in self._translator.translate(message):
                    if isinstance(event, ToolFinished):
                        self.critical.end(event.tool_use_id)
                    yield event
                while self._usages:
                    yield self._usages.popleft()
                if isinstance(message, ResultMessage):
                    await self._take_result(message)

    async def send(self, text: str, *, message_uuid: UUID) -> None:
        if self.has_ended:
            raise AgentEnded
        self._say(text, message_uuid)

    async def catch_up(self) -> None:
        if self.has_ended:
            return
        try:
            async with asyncio.timeout(_CATCH_UP_LIMIT.total_seconds()):
                # Any question: what was said before its answer has been read when that comes.
                await self._client.get_mcp_status()
        except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions
            log.info("%s: no answer in time: %s", self._launch.run_id, type(error).__name__)
        await asyncio.sleep(_READ_OUT.total_seconds())

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
        is_working = self._root is not None and not self._is_exhausted
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(self._drain(), name="drain agent") if is_working else None
            proof = await end_tree(
                cookie=self._launch.run_id,
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
        if not self._opened.done():
            self._client_task.cancel()
        # Its process is gone, so that none of the SDK's own waits has anything to wait for.
        _, late = await asyncio.wait({self._client_task}, timeout=_DISCONNECT_LIMIT.total_seconds())
        for task in late:
            task.cancel()
        await self._history.settle(limit=_SETTLE_LIMIT, patience=_AWAY_PATIENCE)
        if self._opened.done():
            self._opened.exception()  # Looked at, or asyncio would complain that nobody did.

    async def _hold_client(self) -> None:
        """Open and close the client in one task, whose cancellation is nobody else's."""
        try:
            await self._client.connect(self._speech.messages())
        except Exception as error:  # noqa: BLE001 - the task's end; `_connected` raises it
            self._opened.set_exception(failed("could not be started", error, self.stderr_tail))
            return
        self._opened.set_result(None)
        await self._closing.wait()
        try:
            await self._client.disconnect()
        except Exception:
            log.exception("%s: the agent's client did not close", self._launch.run_id)

    async def _connected(self, connecting: asyncio.Task[None], limit: timedelta) -> None:
        """Wait for the program's first answer, as long as it lives."""
        deadline = time.monotonic() + limit.total_seconds()
        was_seen = False
        pause = _CONNECT_WATCH_FIRST
        while not self._opened.done():
            await asyncio.wait(
                {self._opened, connecting},
                timeout=pause.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._opened.done():
                break
            living = await look_at(self.tree)
            if was_seen and not living:
                # What it said last may still be on its way through the SDK, which misses
                # only the exit of a program that says nothing.
                await asyncio.wait({self._opened}, timeout=_LAST_WORDS.total_seconds())
                if self._opened.done():
                    break
                raise self._failure("ended before it answered")
            was_seen = was_seen or bool(living)
            pause = min(2 * pause, _CONNECT_WATCH)
            if self._history.is_loading:
                # The program is not started yet.
                deadline = time.monotonic() + limit.total_seconds()
            if time.monotonic() >= deadline:
                raise self._failure("did not answer when it was started")
        self._opened.result()

    def _say(self, text: str, message_uuid: UUID) -> None:
        self._translator.awaited.add(str(message_uuid))
        self._speech.say(text, message_uuid)

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
        self._is_exhausted = True
        self.critical.abandon()

    async def _take_result(self, result: ResultMessage) -> None:
        """After its last result an agent has nothing more to hear."""
        self._has_result = True
        # A message still on its way gets an answer of its own; after an error it does not.
        if self._translator.awaited and not result.is_error and not self._is_stopping:
            return
        if not self.has_ended:
            # Daemons of its tools are its children only as long as it lives.
            await look_at(self.tree)
            self.has_ended = True
            self._speech.end()

    async def _drain(self) -> None:
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
            await asyncio.sleep(_WATCH_EVERY.total_seconds())
            living = await look_at(self.tree)
            misses = 0 if root.pid in {one.pid for one in living} else misses + 1
        if not self._is_exhausted:
            log.warning("%s: the agent program is gone", self._launch.run_id)
            await end_tree(
                cookie=self._launch.run_id,
                attempt=self._launch.attempt,
                root=root,
                known=self.tree,
                force=True,
            )

    def _mark_calls(self, message: AssistantMessage) -> None:
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                self.critical.begin(
                    block.id,
                    block.name,
                    block.input,
                    agent=message.parent_tool_use_id,
                    answer=message.message_id,
                )

    def _check_session(self, session_id: str) -> None:
        if session_id != str(self._launch.session_id):
            raise self._failure(f"took up another session ({session_id})")

    def _failure(self, what: str, error: Exception | None = None) -> AgentFailed:
        return failed(what, error, self.stderr_tail)

    def _heard_entry(self, entry: Any) -> None:
        usage = usage_of_entry(entry)
        if usage is not None:
            self._usages.append(usage)

    def _heard(self, line: str) -> None:
        self._stderr.append(line[:_STDERR_LINE])


def _child(living: tuple[ProcessIdentity, ...]) -> ProcessIdentity | None:
    """The one of the tree that this process started: the agent program itself."""
    for one in living:
        present = process_table.resident(one.pid)
        if present is not None and present.parent == os.getpid():
            return one
    return None


async def _through_cancellation(work: Coroutine[Any, Any, None], *, name: str) -> None:
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
