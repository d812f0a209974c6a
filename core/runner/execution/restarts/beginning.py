"""What a session that was forked from a checkpoint begins with, beside its conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.plan import plan_of_transcript
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import Run
from core.domain.runs.step import Step
from core.store import steps
from core.store.runs import run_queries
from core.store.sessions import messages, transcript_forks


@dataclass(frozen=True, kw_only=True)
class Fork:
    """The restart with which a session began.

    Attributes:
        first: The first run of the session.
        origin: Where it comes from.
    """

    first: Run
    origin: RestartOrigin

    @property
    def point(self) -> tuple[UUID, UUID] | None:
        """The session and the last entry of the conversation to begin with; `None` if none is."""
        if self.origin.session_id is None or self.origin.message_uuid is None:
            return None
        return UUID(self.origin.session_id), UUID(self.origin.message_uuid)


def fork_of(legs: Sequence[Run]) -> Fork | None:
    """The restart with which a session began; `None` if it began otherwise.

    Args:
        legs: The runs of the session, oldest first.
    """
    origin = RestartOrigin.of(legs[0]) if legs else None
    if origin is None or not origin.is_fork:
        return None
    return Fork(first=legs[0], origin=origin)


async def steps_at_fork(session: AsyncSession, fork: Fork) -> tuple[Step, ...]:
    """The steps of the old run as they stood at the checkpoint; empty if there was no plan.

    The conversation says how far each was; a step that was added later is not among them.
    """
    if fork.point is None:
        return ()
    old = await run_queries.get(session, fork.origin.run_id)
    lines = await transcript_forks.lines_of(session, fork.first.session_id)
    statuses = {
        item.source_id: item.status
        for item in plan_of_transcript(json.loads(line) for line in lines)
    }
    return tuple(
        replace(step, status=statuses[step.source_id])
        for step in await steps.of_run(session, old.id)
        if step.source_id in statuses
    )


async def said_at_fork(session: AsyncSession, fork: Fork) -> str:
    """What the first run of the session says to its agent."""
    # The id of a run's first message is the run's own.
    said = await messages.of_run(session, fork.first.id)
    return next(
        (message.text_content for message in said if message.id == fork.first.id),
        fork.first.task_input,
    )
