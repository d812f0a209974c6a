"""Correct the usage of a run from its transcript, if its agent reported no totals.

A worker writes the usage of a run twice a second, but each transcript entry within 50 to 150 ms.
So the row lags behind the transcript if the worker dies or the agent is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.program_values import usage_of_entry
from core.domain.price import estimate_usd, plausible_usd
from core.domain.runs.changes import RunChanges
from core.domain.runs.event import TurnUsage
from core.domain.runs.run import CostSource, Run, Usage
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.progress import count_answer_once
from core.store.runs import run_queries, runs
from core.store.sessions import transcripts


async def recount(session: AsyncSession, run: Run, *, now: datetime) -> Run:
    """Raise the usage of a run to what the transcript shows of all its attempts; never lower it.

    Call it in the transaction that ends or requeues the attempt: the transcript does not grow
    any more then, so the next attempt starts from the complete usage.

    Returns:
        The run, changed if it lagged behind.
    """
    # Read again: the worker may have written since the caller read the run.
    present = await run_queries.get_for_update(session, run.run_id)
    prompts = [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt + 1)]
    lines = await transcripts.answers_since(session, run.session_id, prompts)
    answers = (usage_of_entry(line) for line in lines)
    raised = raised_usage(present, (answer for answer in answers if answer is not None))
    return await runs.change(session, run.run_id, now=now, **raised) if raised else present


def raised_usage(run: Run, answers: Iterable[TurnUsage]) -> RunChanges:
    """The fields of a run that must rise to account for these answers, with their new values.

    Args:
        run: The run with its present usage.
        answers: The answers of all its attempts; of several with one id the largest counts.
    """
    largest: dict[str, TurnUsage] = {}
    for answer in answers:
        count_answer_once(largest, answer)
    reported = sum((answer.usage for answer in largest.values()), Usage())
    turns = sum(not answer.is_subagent for answer in largest.values())
    raised: RunChanges = {}
    if turns > run.turns:
        raised["turns"] = turns
    missing = reported.minus(run.usage)
    if missing != Usage():
        raised["usage"] = run.usage + missing
        raised["cost_usd"], raised["cost_source"] = _cost(run, largest, missing)
    return raised


def _cost(
    run: Run, answers: Mapping[str, TurnUsage], missing: Usage
) -> tuple[Decimal | None, CostSource | None]:
    """The known cost plus that of the missing usage, at the price of the last answer's model.

    It is unknown if either part is, or if the sum cannot be true.
    """
    models = [answer.model for answer in answers.values() if answer.model]
    model = models[-1] if models else run.ai_model
    # Which answers are missing is unknown, so they count with the mean size.
    added_cost = estimate_usd(model, missing, requests=len(answers))
    known = run.cost_usd if run.usage != Usage() else Decimal(0)
    if added_cost is None or known is None:
        return None, None
    cost = plausible_usd(known + added_cost)
    return cost, None if cost is None else CostSource.ESTIMATED
