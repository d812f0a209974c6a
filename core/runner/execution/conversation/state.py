"""The state of a session's stored conversation before an attempt."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.run import Run
from core.domain.sessions.recovery import is_recovery
from core.domain.sessions.transcript_check import TranscriptState, state_of_transcript
from core.runner.execution.attempt import prompt_uuid_of
from core.store.sessions import transcript_pages, transcripts


async def read_state(
    session: AsyncSession, run: Run, earlier_runs: Sequence[Run]
) -> TranscriptState:
    """The state of the conversation that this attempt has to go on with.

    Args:
        session: An open database session.
        run: The run, whose present attempt begins.
        earlier_runs: The runs of its session up to this one, oldest first.
    """
    if not await transcripts.exists(session, run.session_id):
        return TranscriptState.NONE
    links = await transcript_pages.links(session, run.session_id)
    return state_of_transcript(links, _known_prompts(run, earlier_runs))


def has_been_answered(earlier_runs: Sequence[Run]) -> bool:
    """Whether an agent has had a turn in this conversation, so that there must be a transcript."""
    return any(one.turns > 0 for one in _of_conversation(earlier_runs))


def _of_conversation(earlier_runs: Sequence[Run]) -> list[Run]:
    """The runs with the present conversation: since the last recovery leg, which began a new one.

    A recovery leg whose first attempt begins has not begun it yet.
    """
    runs = list(earlier_runs)
    begun = [number for number, one in enumerate(runs) if is_recovery(one)]
    return runs[begun[-1] :] if begun else runs


def _known_prompts(run: Run, earlier_runs: Sequence[Run]) -> list[str]:
    """The ids of the prompts of the newest run with an answer, of which one must be stored."""
    answered = [one for one in _of_conversation(earlier_runs) if one.turns > 0]
    if not answered:
        return []
    newest = answered[-1]
    attempts = range(1, newest.attempt + (newest.id != run.id))
    return [str(prompt_uuid_of(newest, attempt)) for attempt in attempts]
