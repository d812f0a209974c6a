"""A run of four steps with a checkpoint after each, to be restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from bot.sandbox.model.script import Conversation, Script, ToolCall, Turn, bash, play_in_order
from core.domain.runs.checkpoint import Checkpoint, CheckpointReason
from core.domain.runs.request import StartResult
from core.domain.runs.restarts.request import RestartRequest
from core.domain.runs.run import Run
from core.store.sessions.checkpoints import checkpoints
from tests.core_harness import CoreHarness
from tests.limits import limit

STEPS = ("One", "Two", "Three", "Four")
TASK = "[scenario: four-steps] Do four things"
TELL = "[scenario: tell] What do you know?"


class FourSteps:
    """The script of these runs: each step writes and commits a file, and waits for its checkpoint.

    A run that is asked again tells what it knows.
    """

    def __init__(self, core_harness: CoreHarness) -> None:
        self._harness = core_harness
        self.session_id: UUID | None = None
        self._is_open = False
        self._held_after: int | None = None
        self._released = asyncio.Event()
        model = core_harness.model
        model.logs_bodies = True
        model.gate = self._wait_for_checkpoint
        model.scripts["tell"] = Script(
            name="tell",
            description="changes nothing",
            play=play_in_order(Turn(text="## Summary\n\nI know what was said before.")),
        )
        model.scripts["four-steps"] = Script(
            name="four-steps", description="four steps", play=play_in_order(*_turns())
        )

    async def start(self, **overrides: Any) -> Run:
        """Start it."""
        run = await self._harness.start(TASK, **overrides)
        self.session_id = run.session_id
        return run

    async def run(self, **overrides: Any) -> Run:
        """Run it to its end."""
        run = await self.start(**overrides)
        return (await self._harness.wait_until_ended(run, within=90)).run

    async def wait_for_steps(self, number: int) -> None:
        """Wait until so many steps have their checkpoint."""
        async with limit(60):
            while len(await self._step_checkpoints()) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def open(self) -> None:
        """Let later runs go on without waiting for checkpoints."""
        self._is_open = True
        self._released.set()

    def hold_after(self, step: int) -> None:
        """Begin no step after this one until `open`."""
        self._held_after = step

    async def _wait_for_checkpoint(self, conversation: Conversation) -> None:
        """Before a step begins, the checkpoint of the step before it is there."""
        number, is_begin = divmod(conversation.position - 1, 2)
        if self._is_open or conversation.position < 3 or is_begin or self.session_id is None:
            return
        await self.wait_for_steps(number)
        if self._held_after is not None and number >= self._held_after:
            await self._released.wait()

    async def _step_checkpoints(self) -> Sequence[Checkpoint]:
        found = await checkpoints_of(self._harness, self.session_id or uuid4())
        return [one for one in found if one.reason is CheckpointReason.STEP_ENDED]


async def checkpoints_of(core_harness: CoreHarness, session_id: UUID) -> list[Checkpoint]:
    """The checkpoints of a session, oldest first."""
    async with core_harness.backend.database.sessions() as session:
        return await checkpoints.of_session(session, session_id)


async def restart(core_harness: CoreHarness, run: Run, **fields: Any) -> StartResult:
    """Restart a run; each call is a new request unless a `request_key` is given."""
    request = RestartRequest(**{"target": run.run_id, "request_key": uuid4().hex, **fields})
    return await core_harness.backend.restarts.restart(request, by=core_harness.operator)


def heard_by_model(core_harness: CoreHarness, session_id: UUID) -> list[str]:
    """What people and tools said in the newest request of a session, in order."""
    requests = [
        one
        for one in core_harness.model.requests
        if one.script is not None and one.session_id == str(session_id) and one.body
    ]
    return [words for message in requests[-1].body["messages"] for words in _words(message)]  # type: ignore[index]


def first_heard_by_model(core_harness: CoreHarness, session_id: UUID) -> list[str]:
    """What people and tools had said in the first request of a session, in order."""
    request = next(
        one
        for one in core_harness.model.requests
        if one.script is not None and one.session_id == str(session_id) and one.body
    )
    return [words for message in request.body["messages"] for words in _words(message)]  # type: ignore[index]


def _words(message: Mapping[str, Any]) -> list[str]:
    if message["role"] == "system":
        return []
    content = message["content"]
    if isinstance(content, str):
        return [content]
    read: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
        "text": lambda block: str(block["text"]),
        "tool_use": lambda block: f"call {block['name']} {block['input']}",
        "tool_result": lambda block: f"result {_text(block.get('content'))}",
    }
    return [
        read[block["type"]](block)
        for block in content
        if block["type"] in read and not str(block.get("text", "")).startswith("<system-reminder>")
    ]


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return str(content)


def _turns() -> list[Turn]:
    turns = [
        Turn(
            text="I begin.",
            calls=tuple(
                ToolCall("TaskCreate", {"subject": name, "description": name, "activeForm": name})
                for name in STEPS
            ),
        )
    ]
    for number, _ in enumerate(STEPS, start=1):
        turns += [
            Turn(calls=(_update(number, "in_progress"), _work(number))),
            Turn(calls=(_update(number, "completed"),)),
        ]
    return [*turns, Turn(text="## Summary\n\nAll four steps are done, each with a commit.")]


def _update(number: int, status: str) -> ToolCall:
    return ToolCall("TaskUpdate", {"taskId": str(number), "status": status})


def _work(number: int) -> ToolCall:
    """A committed file, and changes that are not committed."""
    command = (
        f"echo {number} > step-{number}.txt && git add step-{number}.txt "
        f"&& git commit -qm 'Step {number}' && echo {number} >> notes.txt && echo did {number}"
    )
    return bash(command, f"Step {number}")
