"""The entry of an attempt's agent process in the ledger: from its progress, or its transcript."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.program_values import usage_of_entry
from core.domain.runs.event import TurnUsage
from core.domain.runs.run import Run, Usage
from core.domain.sessions.ledger import EntrySource, LedgerEntry
from core.runner.execution.attempt import Attempt, prompt_uuid_of
from core.runner.execution.usage.recount import raised_usage
from core.store import ledger
from core.store.fleet import attempts
from core.store.sessions import transcripts


def entry_of_progress(attempt: Attempt, *, now: datetime) -> LedgerEntry | None:
    """What the agent of an attempt has used so far; `None` if no agent was started."""
    progress, run = attempt.progress, attempt.run
    is_silent = not progress.has_answers and progress.result is None
    if attempt.opened.agent is None and is_silent:
        return None
    cost_usd, source = progress.attempt_cost
    usage = progress.attempt_usage
    return LedgerEntry(
        run_id=run.id,
        session_id=run.session_id,
        attempt=run.attempt,
        source=EntrySource.of_cost(cost_usd, source),
        cost_usd=cost_usd,
        # Every answer has some tokens: none at all means that nothing is known.
        usage=None if usage == Usage() else usage,
        turns=progress.attempt_turns,
        recorded_at=now,
    )


async def record_progress(session: AsyncSession, attempt: Attempt, *, now: datetime) -> None:
    """Write the entry of an attempt's agent, if it has one that is not stored yet."""
    entry = entry_of_progress(attempt, now=now)
    if entry is not None:
        await ledger.put(session, entry)


async def recount_entry(session: AsyncSession, run: Run, *, now: datetime) -> None:
    """Raise the entry of a run's present attempt to what the transcript shows.

    Call it with `recount`, in the transaction that ends or requeues the attempt.  What the agent
    reported stands.
    """
    known = await ledger.get(session, run.id, run.attempt)
    if known is not None and known.source is EntrySource.REPORTED:
        return
    prompt = prompt_uuid_of(run, run.attempt)
    lines = await transcripts.answers_since(session, run.session_id, [prompt])
    answers = [answer for line in lines if (answer := usage_of_entry(line)) is not None]
    if known is None and not answers and not await _had_agent(session, run):
        return
    begun = known or LedgerEntry(
        run_id=run.id,
        session_id=run.session_id,
        attempt=run.attempt,
        source=EntrySource.UNKNOWN,
        cost_usd=None,
        usage=None,
        turns=0,
        recorded_at=now,
    )
    await ledger.put(session, raised_entry(begun, run, answers, now=now))


def raised_entry(
    entry: LedgerEntry, run: Run, answers: Iterable[TurnUsage], *, now: datetime
) -> LedgerEntry:
    """The entry with all these answers of its agent; it is never lowered.  Pure."""
    own = replace(
        run,
        turns=entry.turns,
        usage=entry.usage or Usage(),
        cost_usd=entry.cost_usd,
        cost_source=entry.cost_source,
    )
    raised = raised_usage(own, answers)
    cost_usd = raised.get("cost_usd", entry.cost_usd)
    usage = raised.get("usage", entry.usage)
    return replace(
        entry,
        turns=raised.get("turns", entry.turns),
        usage=None if usage == Usage() else usage,
        cost_usd=cost_usd,
        source=EntrySource.of_cost(cost_usd, raised.get("cost_source", entry.cost_source)),
        recorded_at=now,
    )


async def _had_agent(session: AsyncSession, run: Run) -> bool:
    """Whether an agent program was started for the present attempt, as far as is known."""
    found = await attempts.of_run(session, run.id)
    return any(one.attempt == run.attempt and one.agent is not None for one in found)
