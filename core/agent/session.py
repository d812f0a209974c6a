"""A running agent: the real `claude` program behind the SDK's client."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from claude_agent_sdk import ClaudeSDKClient

from core.agent.connection import Connection
from core.agent.conversation import Conversation
from core.agent.conversation_point import ConversationPoint
from core.agent.critical import CriticalCalls
from core.agent.egress.control import EgressControl
from core.agent.options import build_options, gate_file, has_network, prepare_state, socket_file
from core.agent.policy import effective_definition
from core.agent.process.ladder import end_tree
from core.agent.process.process_tree import ProcessTree, scan_tree
from core.agent.process.program import find_program, watch_program
from core.agent.program_values import OnImplausible, Rejections, usage_of_entry
from core.agent.prompt_stream import PromptStream
from core.agent.protocol import (
    AgentEnded,
    AgentSession,
    Launch,
    NetworkNotIsolated,
    TranscriptStore,
)
from core.agent.results.failure import ErrorOutput
from core.agent.server_check import ServerCheck
from core.agent.transcript_buffer import TranscriptBuffer
from core.agent.translate import Translator
from core.domain.kills.termination import ProcessIdentity
from core.domain.runs.event import AgentEvent, TurnUsage

log = logging.getLogger(__name__)

# Measured: 0.1 to 0.5 s; much more on a machine that starts many agents at once.
CONNECT_LIMIT = timedelta(seconds=45)
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


@asynccontextmanager
async def open_agent(
    launch: Launch,
    transcripts: TranscriptStore,
    *,
    on_answer: Callable[[TurnUsage], None] = lambda _answer: None,
    connect_limit: timedelta = CONNECT_LIMIT,
) -> AsyncIterator[AgentSession]:
    """Start an agent and give it its task; leaving the block ends all of its processes.

    Keep reading `events()` while a kill ladder runs: the reader learns of the end that the
    ladder waits for, and completes the transcript.

    Cancelling the block waits until the agent is closed (about 10 s at most for the processes,
    longer if the transcript cannot be stored).

    Args:
        launch: What to start.
        transcripts: Stores the session's transcript.
        on_answer: Called with each complete answer of the model, a fraction of a second after it,
            also while a tool works; until the block is left.
        connect_limit: How long the program may take to answer.

    Raises:
        AgentFailed: If the program could not be started, or did not answer within `connect_limit`.
        TranscriptMissing: If the session to be resumed is not in `transcripts`.
    """
    session = _Session(launch, transcripts, on_answer)
    try:
        await session.open(connect_limit)
        yield session
    finally:
        await _run_uninterrupted(session.close(), name=f"close agent {launch.run_id}")


class _Session:
    """The `AgentSession` of a `claude` program."""

    def __init__(
        self,
        launch: Launch,
        transcripts: TranscriptStore,
        on_answer: Callable[[TurnUsage], None],
    ) -> None:
        self.tree = ProcessTree(launch.run_id, attempt=launch.attempt)
        self._launch = launch
        credentials = launch.credentials.items()
        own = (value for name, value in credentials if not name.endswith("_URL"))
        secrets = (*own, *launch.secrets)
        self._error_output = ErrorOutput(secrets)
        rejections = Rejections(launch.run_id, launch.attempt)
        side_events: deque[AgentEvent] = deque()
        self.point = ConversationPoint()
        self._transcript_buffer = TranscriptBuffer(
            transcripts,
            session_id=launch.session_id,
            on_entry=partial(_report_answer, on_answer, on_implausible=rejections.add),
            on_main_entry=self.point.add_entry,
        )
        self.critical = CriticalCalls(launch.critical, gate=gate_file(launch), secrets=secrets)
        self._client = ClaudeSDKClient(
            build_options(
                launch,
                self._transcript_buffer,
                stderr=self._error_output.add,
                critical=self.critical,
            )
        )
        is_isolated = launch.isolation is not None
        self.servers = ServerCheck(
            self._client,
            launch.definition,
            given=effective_definition(launch.definition, is_isolated=is_isolated).mcp_servers,
            secrets=secrets,
        )
        self._root: ProcessIdentity | None = None
        prompts = PromptStream(launch.session_id)
        self._connection = Connection(
            self._client,
            prompts,
            tree=self.tree,
            transcript_buffer=self._transcript_buffer,
            error_output=self._error_output,
        )
        self._egress = (
            None
            if has_network(launch)
            else EgressControl(
                launch.run_id,
                launch.network,
                socket_path=socket_file(launch),
                model_url=launch.credentials.get("ANTHROPIC_BASE_URL"),
                on_refused=side_events.append,
            )
        )
        self._conversation = Conversation(
            launch.session_id,
            self._client,
            prompts,
            Translator(
                plan=launch.plan,
                secrets=secrets,
                cwd=str(launch.cwd),
                on_implausible=rejections.add,
            ),
            tree=self.tree,
            critical=self.critical,
            point=self.point,
            egress=self._egress,
            side_events=side_events,
            error_output=self._error_output,
            servers=self.servers,
        )
        self._watch_task: asyncio.Task[None] | None = None

    @property
    def root(self) -> ProcessIdentity:
        if self._root is None:
            raise RuntimeError("the agent is not open")
        return self._root

    @property
    def has_ended(self) -> bool:
        return self._conversation.has_ended

    @property
    def stderr_tail(self) -> str:
        return self._error_output.tail

    @property
    def lost_entries(self) -> int:
        return self._transcript_buffer.lost_entries

    async def open(self, limit: timedelta) -> None:
        """Start the program, give it its task, and wait for its first answer."""
        if self._egress is not None and self._launch.isolation is None:
            raise NetworkNotIsolated
        await asyncio.to_thread(prepare_state, self._launch)
        if self._egress is not None:
            self._egress.open()
        self.critical.open_gate()
        if self._launch.prompt:
            self._conversation.send(self._launch.prompt, self._launch.prompt_uuid)
        await self._connection.open(limit)
        self._root = find_program(await scan_tree(self.tree))
        if self._root is None:
            raise self._error_output.failure("ended as soon as it was started")
        self.tree.root = self._root
        watch = watch_program(
            self.tree, self._root, is_stream_over=lambda: self._conversation.is_stream_over
        )
        self._watch_task = asyncio.create_task(watch, name=f"watch agent {self._launch.run_id}")

    def events(self) -> AsyncIterator[AgentEvent]:
        return self._conversation.events()

    async def send(self, text: str, *, message_uuid: UUID) -> None:
        if self.has_ended:
            raise AgentEnded
        self._conversation.send(text, message_uuid)

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
        self._conversation.is_stopping = True
        if self.has_ended:
            return
        try:
            async with asyncio.timeout(INTERRUPT_LIMIT.total_seconds()):
                await self._client.interrupt()
        # The SDK raises bare exceptions if the answer does not come.
        except Exception as error:
            raise self._error_output.failure("did not take the interrupt", error) from error

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
        try:
            await self._end_processes()
        finally:
            await self._connection.close()
            await self._transcript_buffer.flush_all(limit=_FLUSH_LIMIT, outage_limit=_OUTAGE_LIMIT)

    async def _end_processes(self) -> None:
        self._conversation.is_stopping = True
        is_working = self._root is not None and not self._conversation.is_stream_over
        async with asyncio.TaskGroup() as group:
            draining = (
                group.create_task(self._conversation.drain(), name="drain agent")
                if is_working
                else None
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

    def _log_fields(self, event: str, **fields: int) -> dict[str, object]:
        run = {"run_id": self._launch.run_id, "attempt": self._launch.attempt}
        return {"event": event, **run, **fields}


def _report_answer(
    on_answer: Callable[[TurnUsage], None], entry: Any, *, on_implausible: OnImplausible
) -> None:
    answer = usage_of_entry(entry, on_implausible=on_implausible)
    if answer is not None:
        on_answer(answer)


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
