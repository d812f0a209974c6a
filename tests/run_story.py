"""Rows of a run as a worker leaves them: legs, steps, tool calls, messages, checkpoints, a kill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from core.domain.fleet.attempt import AttemptRecord
from core.domain.kills.termination import Phase, ProofMethod, Termination
from core.domain.runs.checkpoint import Checkpoint, CheckpointDiff, CheckpointReason
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import CostSource, Run, StopReason, Usage
from core.domain.runs.session import Message, MessageRole, MessageType
from core.domain.runs.step import Step, StepStatus
from core.store import events, steps, terminations
from core.store.database.engine import Database
from core.store.fleet import attempts
from core.store.runs import run_queries, runs
from core.store.runs.tasks import CONTINUATION_KEY
from core.store.sessions import messages, sessions
from core.store.sessions.checkpoints import checkpoints
from tests.database import new_run, new_session

TOOLS = ("Read", "Grep", "Bash", "Edit", "Bash", "Read")


def recently(**ago: float) -> datetime:
    """A time so long ago, in whole milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000) - timedelta(**ago)


@dataclass
class RunStory:
    """Writes rows of runs of one session.

    Attributes:
        at: The time at which the next thing happens.
    """

    database: Database
    at: datetime
    user_id: UUID | None = None
    task: str = "Add rate limiting to the API"
    legs: list[Run] | None = None
    session_id: UUID | None = None

    def wait(self, **length: float) -> None:
        """Let time pass."""
        self.at += timedelta(**length)

    async def leg(self, message: str | None = None, **fields: Any) -> Run:
        """A run that begins now, in the same session; the later ones continue the ones before."""
        self.legs = self.legs or []
        before = self.legs[-1] if self.legs else None
        async with self.database.sessions.begin() as session:
            if before is None:
                conversation = new_session(user_id=self.user_id)
                await sessions.add(session, conversation)
                self.session_id = conversation.id
            assert self.session_id is not None
            given = {
                "user_id": self.user_id,
                "git_repo": "https://github.com/acme/api",
                "git_branch": "main",
                "max_turns": 60,
                "created_at": self.at - timedelta(seconds=2),
                "updated_at": self.at,
                "task_input": message or self.task,
                **fields,
            }
            run = new_run(self.session_id, **given)
            if before is not None:
                key = f"{CONTINUATION_KEY}{before.run_id}:{uuid4().hex}"
                run = replace(run, parent_run_id=before.id, request_key=key)
            await runs.add(session, run)
            await messages.add(
                session,
                Message(
                    id=uuid4(),
                    session_id=self.session_id,
                    run_id=run.id,
                    user_id=self.user_id,
                    role=MessageRole.USER,
                    message_type=MessageType.WORKFLOW_START
                    if before is None
                    else MessageType.INTERVENTION,
                    text_content=message or self.task,
                    created_at=self.at - timedelta(seconds=2),
                ),
            )
            await attempts.add(
                session,
                AttemptRecord(
                    id=uuid4(),
                    run_id=run.id,
                    attempt=1,
                    worker_id="w1",
                    host="node1:boot",
                    started_at=self.at,
                    heartbeat_at=self.at,
                ),
            )
            begun = await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=self.at)
        self.legs.append(begun)
        return begun

    async def calls(self, run: Run, count: int, *, seconds: float = 3.0) -> None:
        """Tool calls one after the other; every tenth fails."""
        found = []
        for number in range(count):
            name, key = TOOLS[number % len(TOOLS)], uuid4().hex
            began = self.at
            self.wait(seconds=seconds * (0.4 + (number * 7 % 10) / 10))
            started = {"id": key, "name": name, "summary": f"{name}: part {number}"}
            ended = {"id": key, "error": number % 10 == 9, "output": "done"}
            found.append(EventRecord(kind=EventKind.TOOL_STARTED, at=began, data=started))
            found.append(EventRecord(kind=EventKind.TOOL_FINISHED, at=self.at, data=ended))
            self.wait(seconds=seconds / 3)
        async with self.database.sessions.begin() as session:
            await events.append(session, run.id, 1, found)
            await runs.change(
                session,
                run.run_id,
                attempt=1,
                now=self.at,
                turns=count // 2,
                tool_calls=count,
                tools_used=tuple(dict.fromkeys(TOOLS)),
                last_activity="Bash: make test",
                last_activity_at=self.at,
                cost_usd=Decimal("0.0123") * (count + 1),
                cost_source=CostSource.ESTIMATED,
                usage=Usage(input_tokens=1200, output_tokens=340),
            )

    async def plan(self, run: Run, names: Sequence[str], *, done: int) -> None:
        """Steps, of which so many are done and the next one is in progress."""
        assert run.started_at is not None
        each = (self.at - run.started_at) / max(done + 1, 1)
        found = []
        for number, name in enumerate(names):
            began = run.started_at + each * number
            is_done = number < done
            found.append(
                Step(
                    step_id=number + 1,
                    name=name,
                    status=StepStatus.COMPLETED
                    if is_done
                    else StepStatus.IN_PROGRESS
                    if number == done
                    else StepStatus.PENDING,
                    started_at=began if number <= done else None,
                    completed_at=began + each if is_done else None,
                    tools_used=("Bash", "Edit"),
                    tool_calls=3 if number <= done else 0,
                    result=f"{name}: all of it." if is_done else None,
                    cost_usd=Decimal("0.02") if is_done else None,
                )
            )
        async with self.database.sessions.begin() as session:
            await steps.replace(session, run.id, found)

    async def end(self, run: Run, reason: StopReason, **fields: Any) -> Run:
        """The end of a run, and what its agent said last."""
        async with self.database.sessions.begin() as session:
            ended = await runs.finish(
                session, run.run_id, attempt=1, stop_reason=reason, now=self.at, **fields
            )
            await attempts.mark_ended(session, run.id, 1, now=self.at)
            if fields.get("result"):
                await messages.add(
                    session,
                    Message(
                        id=uuid4(),
                        session_id=run.session_id,
                        run_id=run.id,
                        role=MessageRole.ASSISTANT,
                        message_type=MessageType.RESULT,
                        text_content=fields["result"],
                        created_at=self.at,
                    ),
                )
        return ended

    async def checkpoint(self, run: Run, name: str, **fields: Any) -> Checkpoint:
        """A checkpoint after a step."""
        taken = Checkpoint(
            id=uuid4(),
            run_id=run.id,
            session_id=run.session_id,
            attempt=1,
            number=0,
            taken_at=self.at,
            reason=CheckpointReason.STEP_ENDED,
            commit="c" * 40,
            step_id=1,
            step_name=name,
            head_commit="b" * 40,
            base_commit="a" * 40,
            branch="main",
            references={"refs/heads/main": "a" * 40},
            turns=12,
            cost_usd=Decimal("0.12"),
            tool_calls=9,
            diff=CheckpointDiff(files=2, added=49, removed=3),
            **fields,
        )
        async with self.database.sessions.begin() as session:
            stored = await checkpoints.add(session, taken, b"bundle")
        assert stored is not None
        return stored

    async def kill(self, run: Run, reason: str | None = "wrong branch") -> Termination:
        """A kill that was proven; the run has not ended by that."""
        async with self.database.sessions.begin() as session:
            await runs.request_kill(session, run.run_id, now=self.at)
            kill = await terminations.open_or_join(
                session,
                Termination(
                    id=uuid4(),
                    run_id=run.id,
                    phase=Phase.REQUESTED,
                    requested_at=self.at,
                    requested_by_name="Ada",
                    requested_from="slack",
                    reason=reason,
                    phases={Phase.REQUESTED: 0},
                ),
            )
            for phase, wait in (
                (Phase.ACKNOWLEDGED, 40),
                (Phase.INTERRUPTED, 95),
                (Phase.TERMINATED, 900),
            ):
                self.wait(milliseconds=wait)
                kill = await terminations.advance(session, kill.id, phase, now=self.at)
            self.wait(milliseconds=120)
            return await terminations.advance(
                session,
                kill.id,
                Phase.CONFIRMED,
                now=self.at,
                processes_seen=4,
                proof_by=ProofMethod.KERNEL_NAMESPACE,
            )

    async def newest(self) -> Run:
        """The newest run as it is stored now."""
        assert self.legs
        return await self.read(self.legs[-1])

    async def read(self, run: Run) -> Run:
        """The run as it is stored now."""
        async with self.database.sessions.begin() as session:
            return await run_queries.get(session, run.run_id)
