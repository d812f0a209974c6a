"""The conversation with a running agent: the messages of people in, the agent's events out."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress
from datetime import timedelta
from uuid import UUID

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeSDKClient,
    Message,
    ResultMessage,
    SystemMessage,
)

from core.agent.conversation_point import ConversationPoint
from core.agent.critical import CriticalCalls
from core.agent.egress.control import EgressControl
from core.agent.process.process_tree import ProcessTree, scan_tree
from core.agent.program_values import blocks, identifier, tool_call
from core.agent.prompt_stream import PromptStream
from core.agent.protocol import AgentFailed
from core.agent.results.failure import ErrorOutput
from core.agent.server_check import ServerCheck
from core.agent.translate import Translator
from core.domain.runs.event import AgentEvent, ToolFinished

log = logging.getLogger(__name__)

# From the end of the program's input to its exit.  Measured: 0.03 s.
EXIT_GRACE = timedelta(seconds=5)


class Conversation:
    """Passes messages to the agent, reads what it answers, and notices when it is done.

    Attributes:
        has_ended: Whether the agent is done: its last result has arrived, or its stream has ended.
        is_stream_over: Whether the agent's stream has ended.
        is_stopping: Whether the agent was asked to stop, so that its next result is the last.
    """

    def __init__(
        self,
        session_id: UUID,
        client: ClaudeSDKClient,
        prompts: PromptStream,
        translator: Translator,
        *,
        tree: ProcessTree,
        critical: CriticalCalls,
        point: ConversationPoint,
        egress: EgressControl | None,
        side_events: deque[AgentEvent],
        error_output: ErrorOutput,
        servers: ServerCheck,
    ) -> None:
        """Begin with nothing sent and nothing read.

        Args:
            session_id: The session that the agent has to take up.
            client: The SDK's client of the agent program.
            prompts: What the client sends to the program; closed after the last result.
            translator: Turns the program's messages into events.
            tree: The agent's processes.
            critical: Hears of every tool call.
            point: Hears of those of the main agent.
            egress: Counts the hosts that were refused; `None` for an agent with open network.
            side_events: Events that do not arrive as messages: refused hosts.
            error_output: What the program wrote about its failures.
            servers: Finds the MCP servers that did not connect.
        """
        self.has_ended = False
        self.is_stream_over = False
        self.is_stopping = False
        self._session_id = str(session_id)
        self._client = client
        self._prompts = prompts
        self._translator = translator
        self._tree = tree
        self._critical = critical
        self._point = point
        self._egress = egress
        self._side_events = side_events
        self._error_output = error_output
        self._servers = servers
        self._has_result = False

    def send(self, text: str, message_uuid: UUID) -> None:
        """Queue a message for the agent; a `MessageConsumed` event confirms it."""
        self._translator.pending_message_ids.add(str(message_uuid))
        self._prompts.add_message(text, message_uuid)

    async def events(self) -> AsyncIterator[AgentEvent]:
        """Yield what happens until the agent's stream ends, see `AgentSession.events`."""
        try:
            async with aclosing(self._translated_events()) as translated:
                async for event in translated:
                    yield event
        except AgentFailed:
            # The refusals up to the failure count, too.
            for event in self._last_events():
                yield event
            raise
        for event in self._last_events():
            yield event

    async def drain(self) -> None:
        """Read the remaining events, so that the transcript is complete and the end noticed."""
        with suppress(AgentFailed):
            async for _ in self.events():
                pass

    def _last_events(self) -> Iterator[AgentEvent]:
        if self._egress is not None:
            self._egress.tell_counts()
        while self._side_events:
            yield self._side_events.popleft()

    async def _translated_events(self) -> AsyncGenerator[AgentEvent]:
        async with aclosing(self._messages()) as messages:
            async for message in messages:
                if isinstance(message, SystemMessage) and message.subtype == "init":
                    self._check_session(message.data.get("session_id"))
                    for failed in await self._servers.failures(message.data.get("mcp_servers")):
                        yield failed
                elif isinstance(message, AssistantMessage):
                    self._track_tool_calls(message)
                for event in self._translator.translate(message):
                    if isinstance(event, ToolFinished):
                        self._critical.end(event.tool_use_id)
                    yield event
                while self._side_events:
                    yield self._side_events.popleft()
                if isinstance(message, ResultMessage):
                    await self._handle_result(message)

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
                self._tree.run_marker,
                extra={
                    "event": "agent.exit_timed_out",
                    "run_id": self._tree.run_marker,
                    "attempt": self._tree.attempt,
                },
            )
        except Exception as error:
            # After an error result the program exits with status 1 on purpose.
            if not self._has_result:
                raise self._error_output.failure("crashed", error) from error
        self.has_ended = True
        self.is_stream_over = True
        self._critical.discard_all()
        self._point.end()

    async def _handle_result(self, result: ResultMessage) -> None:
        """Close the program's input if this result is its last one."""
        self._has_result = True
        # A message that is not consumed yet gets a result of its own, except after an error.
        if self._translator.pending_message_ids and not result.is_error and not self.is_stopping:
            return
        if not self.has_ended:
            # Daemons that its tools left are its children only as long as it lives.
            await scan_tree(self._tree)
            self.has_ended = True
            self._prompts.close()

    def _track_tool_calls(self, message: AssistantMessage) -> None:
        for block in blocks(message.content):
            call = tool_call(block)
            if call is not None:
                answer_id = identifier(message.message_id)
                if message.parent_tool_use_id is None:
                    self._point.announce(call.id, call.name, call.input, answer_id=answer_id)
                self._critical.begin(
                    call.id,
                    call.name,
                    call.input,
                    parent_tool_use_id=identifier(message.parent_tool_use_id),
                    message_id=answer_id,
                )

    def _check_session(self, session_id: object) -> None:
        if session_id != self._session_id:
            name = identifier(session_id) or "without an id"
            raise self._error_output.failure(f"took up another session ({name})")
