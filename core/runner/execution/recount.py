"""What an agent had used that gave no account of its own, by its transcript.

A worker writes its figures twice a second, and each line of the transcript within 50 to 150 ms:
when it dies, the row is behind.  And an agent that is killed has said its last without being heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.translate import usage_of_entry
from core.domain.price import estimate_usd
from core.domain.runs.changes import RunChanges
from core.domain.runs.event import TurnUsage
from core.domain.runs.run import CostSource, Run, Usage
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.progress import count_answer_once
from core.store.runs import run_queries, runs
from core.store.sessions import transcripts


async def recount(session: AsyncSession, run: Run, *, now: datetime) -> Run:
    """Raise a run's figures to what the transcript has of all its attempts; never lower them.

    Nothing is added to the transcript meanwhile, so what follows in this transaction (the next
    attempt, or the end) begins with all that the agent is known to have used.

    Returns:
        The run as it now stands.
    """
    # As it stands: its worker may have written since the caller looked.
    present = await run_queries.get_for_update(session, run.run_id)
    prompts = [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt + 1)]
    lines = await transcripts.answers_since(session, run.session_id, prompts)
    answers = (usage_of_entry(line) for line in lines)
    raised = raised_usage(present, (answer for answer in answers if answer is not None))
    return await runs.change(session, run.run_id, now=now, **raised) if raised else present


def raised_usage(run: Run, answers: Iterable[TurnUsage]) -> RunChanges:
    """Those of a run's fields that say less than these answers do, as they should be.

    Args:
        run: With what was counted.
        answers: Of all its attempts; of one that was cut off the largest counts.
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
    """What was known and what is missing together, at the price of the last answer's model.

    Unknown with known is unknown.
    """
    models = [answer.model for answer in answers.values() if answer.model]
    model = models[-1] if models else run.ai_model
    # It is not known which answers are missing: they are taken to be of the mean size.
    added_cost = estimate_usd(model, missing, requests=len(answers))
    known = run.cost_usd if run.usage != Usage() else Decimal(0)
    if added_cost is None or known is None:
        return None, None
    return known + added_cost, CostSource.ESTIMATED
