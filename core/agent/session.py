"""A running agent: the real `claude` program behind the SDK's client."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
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

from core.agent.connection import Connection
from core.agent.critical import CriticalCalls
from core.agent.egress.control import EgressControl
from core.agent.failure import agent_failure
from core.agent.options import (
    build_options,
    gate_file,
    has_network,
    prepare_state,
    socket_file,
)
from core.agent.process import process_table
from core.agent.process.ladder import end_tree
from core.agent.process.process_tree import ProcessTree, scan_tree
from core.agent.prompt_stream import PromptStream
from core.agent.protocol import (
    AgentEnded,
    AgentFailed,
    AgentSession,
    Launch,
    NetworkNotIsolated,
    TranscriptStore,
)
from core.agent.transcript_buffer import TranscriptBuffer
from core.agent.translate import Translator, usage_of_entry
from core.domain.kills.termination import ProcessIdentity
from core.domain.redact import redact
from core.domain.runs.event import AgentEvent, ToolFinished

log = logging.getLogger(__name__)

# Measured: 0.1 to 0.5 s; much more on a machine that starts many agents at once.
CONNECT_LIMIT = timedelta(seconds=45)
# From the end of the program's input to its exit.  Measured: 0.03 s.
EXIT_GRACE = timedelta(seconds=5)
INTERRUPT_LIMIT = timedelta(seconds=5)
# A healthy program answers within milliseconds, and a hung one is ended anyway.
_CATCH_UP_LIMIT = timedelta(milliseconds=500)
# After the program's answer, the reader of `events()` still has to process what was read before.
_READER_DELAY = timedelta(milliseconds=20)
# How long an agent that is closed while it works may take to end after the interrupt.
_CLOSE_GRACE = timedelta(seconds=2)
# How long to retry entries that the store rejects; it may reject them forever.
_FLUSH_LIMIT = timedelta(seconds=20)
# How long to wait for an unreachable database.  Without the transcript the session cannot be
# continued, and the end of the run cannot be written either until the database is back.
_OUTAGE_LIMIT = timedelta(minutes=30)
_WATCH_INTERVAL = timedelta(seconds=3)
_MAX_STDERR_LINES = 60
_MAX_STDERR_LINE_CHARS = 500


@asynccontextmanager
async def open_agent(
    launch: Launch, transcripts: TranscriptStore, *, connect_limit: timedelta = CONNECT_LIMIT
) -> AsyncIterator[AgentSession]:
    """Start an agent and give it its task; leaving the block ends all of its processes.

    Keep reading `events()` while a kill ladder runs: the reader learns of the end that the
    ladder waits for, and completes the transcript.

    Cancelling the block waits until the agent is closed (about 10 s at most for the processes,
    longer if the transcript cannot be stored).

    Raises:
        AgentFailed: If the program could not be started, or did not answer within `connect_limit`.
        TranscriptMissing: If the session to be resumed is not in `transcripts`.
    """
    session = _Session(launch, transcripts)
    try:
        await session.open(connect_limit)
        yield session
    finally:
        await _run_uninterrupted(session.close(), name=f"close agent {launch.run_id}")


class _Session:
    """The `AgentSession` of a `claude` program."""

    def __init__(self, launch: Launch, transcripts: TranscriptStore) -> None:
        self.tree = ProcessTree(launch.run_id, attempt=launch.attempt)
        self.has_ended = False
        self._launch = launch
        credentials = launch.credentials.items()
        own = (value for name, value in credentials if not name.endswith("_URL"))
        self._secrets = (*own, *launch.secrets)
        self._stderr: deque[str] = deque(maxlen=_MAX_STDERR_LINES)
        self._pending: deque[AgentEvent] = deque()
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
        self._connection = Connection(
            self._client,
            self._prompts,
            tree=self.tree,
            transcript_buffer=self._transcript_buffer,
            stderr_tail=lambda: self.stderr_tail,
        )
        self._egress = (
            None
            if has_network(launch)
            else EgressControl(
                launch.run_id,
                launch.network,
                socket_path=socket_file(launch),
                model_url=launch.credentials.get("ANTHROPIC_BASE_URL"),
                on_refused=self._pending.append,
            )
        )
        self._has_result = False
        self._is_stopping = False
        self._is_stream_over = False
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
        """Start the program, give it its task, and wait for its first answer."""
        if self._egress is not None and self._launch.isolation is None:
            raise NetworkNotIsolated
        await asyncio.to_thread(prepare_state, self._launch)
        if self._egress is not None:
            self._egress.open()
        self.critical.open_gate()
        self._send_message(self._launch.prompt, self._launch.prompt_uuid)
        await self._connection.open(limit)
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
            # The usage up to the failure counts, too.
            for event in self._last_events():
                yield event
            raise
        for event in self._last_events():
            yield event

    def _last_events(self) -> Iterator[AgentEvent]:
        if self._egress is not None:
            self._egress.tell_counts()
        while self._pending:
            yield self._pending.popleft()

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
                while self._pending:
                    yield self._pending.popleft()
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
                # Any request does: the program answers in order, so everything that it sent
                # before the answer has been read when the answer arrives.
                await self._client.get_mcp_status()
        except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions
            log.info(
                "%s: no answer in time: %s",
                self._launch.run_id,
                type(error).__name__,
                extra=self._log_fields("agent.catch_up_failed"),
            )
        await asyncio.sleep(_READER_DELAY.total_seconds())

    async def interrupt(self) -> None:
        self._is_stopping = True
        if self.has_ended:
            return
        try:
            async with asyncio.timeout(INTERRUPT_LIMIT.total_seconds()):
                await self._client.interrupt()
        # The SDK raises bare exceptions if the answer does not come.
        except Exception as error:
            raise self._failure("did not take the interrupt", error) from error

    async def close(self) -> None:
        """End all processes of the agent, and store the rest of its transcript.

        The processes take about 10 s at most, even if they resist.
        """
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait({self._watch_task})
        try:
            await self._close_connection()
        finally:
            if self._egress is not None:
                await self._egress.close()

    async def _close_connection(self) -> None:
        if not self._connection.is_started:
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
            log.error(
                "%s: %d processes left",
                self._launch.run_id,
                len(proof.survivors),
                extra=self._log_fields("process_tree.survived", count=len(proof.survivors)),
            )
        await self._connection.close()
        await self._transcript_buffer.flush_all(limit=_FLUSH_LIMIT, outage_limit=_OUTAGE_LIMIT)

    def _send_message(self, text: str, message_uuid: UUID) -> None:
        self._translator.pending_message_ids.add(str(message_uuid))
        self._prompts.add_message(text, message_uuid)

    async def _messages(self) -> AsyncGenerator[Message]:
        """Yield messages until the stream ends, at most `EXIT_GRACE` after the last result."""
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
            log.warning(
                "%s: the agent program did not exit on its own",
                self._launch.run_id,
                extra=self._log_fields("agent.exit_timed_out"),
            )
        except Exception as error:
            # After an error result the program exits with status 1 on purpose.
            if not self._has_result:
                raise self._failure("crashed", error) from error
        self.has_ended = True
        self._is_stream_over = True
        self.critical.discard_all()

    async def _handle_result(self, result: ResultMessage) -> None:
        """Close the program's input if this result is its last one."""
        self._has_result = True
        # A message that is not consumed yet gets a result of its own, except after an error.
        if self._translator.pending_message_ids and not result.is_error and not self._is_stopping:
            return
        if not self.has_ended:
            # Daemons that its tools left are its children only as long as it lives.
            await scan_tree(self.tree)
            self.has_ended = True
            self._prompts.close()

    async def _drain_events(self) -> None:
        """Read the remaining events, so that the transcript is complete and the end noticed."""
        with suppress(AgentFailed):
            async for _ in self.events():
                pass

    async def _watch(self, root: ProcessIdentity) -> None:
        """Keep the process tree up to date, and end it if the agent program has died.

        A child of the dead program can hold its output open, so that the stream would never end.
        Two scans in a row must miss the program before it counts as dead.
        """
        misses = 0
        while misses < 2:
            await asyncio.sleep(_WATCH_INTERVAL.total_seconds())
            living = await scan_tree(self.tree)
            misses = 0 if root.pid in {process.pid for process in living} else misses + 1
        if not self._is_stream_over:
            log.warning(
                "%s: the agent program is gone",
                self._launch.run_id,
                extra=self._log_fields("agent.died", pid=root.pid),
            )
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

    def _log_fields(self, event: str, **fields: int) -> dict[str, object]:
        run = {"run_id": self._launch.run_id, "attempt": self._launch.attempt}
        return {"event": event, **run, **fields}

    def _on_entry(self, entry: Any) -> None:
        usage = usage_of_entry(entry)
        if usage is not None:
            self._pending.append(usage)

    def _on_stderr(self, line: str) -> None:
        self._stderr.append(line[:_MAX_STDERR_LINE_CHARS])


def _find_agent_process(living: tuple[ProcessIdentity, ...]) -> ProcessIdentity | None:
    """Find the agent program itself: the process of the tree whose parent is this process."""
    for identity in living:
        process = process_table.find_process(identity.pid)
        if process is not None and process.parent == os.getpid():
            return identity
    return None


async def _run_uninterrupted(work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Finish `work` even if this task is cancelled; the cancellation is raised afterwards."""
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
