"""Correct the usage of a run from its transcript, if its agent reported no totals.

A worker writes the usage of a run once a second, but each transcript entry within 50 to 300 ms.
So the row lags behind the transcript if the worker dies or the agent is killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.program_values import usage_of_entry
from core.domain.price import estimate_usd, plausible_usd
from core.domain.runs.changes import RunChanges
from core.domain.runs.event import TurnUsage
from core.domain.runs.run import CostSource, Run, Usage
from core.domain.runs.step import MAX_TOOLS
from core.runner.execution.answers import (
    Cost,
    count_answer_once,
    estimated_cost,
    sum_of_answers,
    turns_of_answers,
)
from core.runner.execution.attempt import prompt_uuid_of
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
    calls: dict[str, str] = {}
    for answer in answers:
        count_answer_once(largest, answer)
        calls.update(answer.calls)
    raised: RunChanges = {}
    turns = turns_of_answers(largest.values())
    if turns > run.turns:
        raised["turns"] = turns
    if len(calls) > run.tool_calls:
        raised["tool_calls"] = len(calls)
        tools = dict.fromkeys((*run.tools_used, *calls.values()))
        raised["tools_used"] = tuple(tools)[:MAX_TOOLS]
    reported = sum_of_answers(largest.values())
    if reported is None:
        if turns > run.turns:
            # The tokens of an answer that was not counted yet are unknown, and so is the sum.
            raised["usage"], raised["cost_usd"], raised["cost_source"] = Usage(), None, None
        return raised
    missing = reported.minus(run.usage)
    if missing != Usage():
        raised["usage"] = run.usage + missing
        raised["cost_usd"], raised["cost_source"] = _cost(run, largest, missing)
    return raised


def _cost(run: Run, answers: Mapping[str, TurnUsage], missing: Usage) -> Cost:
    """The known cost plus that of the missing usage; unknown if either part is.

    Which answers are missing is unknown.  If all are of one model, the missing usage counts with
    their mean size.  Otherwise all answers are estimated anew, unless more is known already.
    """
    total, source = estimated_cost(answers.values(), model=run.ai_model)
    is_none_counted = run.usage == Usage()
    if is_none_counted or total is None:
        return total, source
    if run.cost_usd is None:
        return None, None
    models = {answer.model or run.ai_model for answer in answers.values()}
    if len(models) > 1:
        return max(run.cost_usd, total), CostSource.ESTIMATED
    added = estimate_usd(next(iter(models)), missing, requests=len(answers))
    cost = None if added is None else plausible_usd(run.cost_usd + added)
    return cost, None if cost is None else CostSource.ESTIMATED
