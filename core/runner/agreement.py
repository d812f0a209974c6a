"""The check that rows, ledger, history and transcripts agree, on the newest of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.program_values import usage_of_entry
from core.domain.agreement import Agreement, Disagreement, Source, ledger_disagreements
from core.domain.runs.run import CostSource, Run
from core.runner.execution.attempt import prompt_uuid_of
from core.runner.execution.usage.recount import raised_usage
from core.store import ledger
from core.store.analytics import agreement
from core.store.database.engine import Database, translate_errors
from core.store.sessions import transcripts

RUNS = 200
# A conversation can be long.
TRANSCRIPTS = 20
DAYS = 14
EVENTS = 10_000


@dataclass(frozen=True)
class AgreementCheck:
    """Compares what is stored several times."""

    database: Database

    async def run(self) -> Agreement:
        """Look at the newest runs and days; nothing is changed.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        with translate_errors():
            async with self.database.sessions() as session:
                # All of it as of one moment.
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                await session.execute(text("SET TRANSACTION READ ONLY"))
                ended = await agreement.newest_ended(session, limit=RUNS)
                found = await self._of_ledger(session, ended)
                days = await agreement.computed_days(session, limit=DAYS)
                found += await agreement.day_disagreements(session, days)
                orphans = await agreement.orphans(session, limit=EVENTS)
                newest = await agreement.are_newest(session, ended)
                told = [run for run in ended if run.id in newest and run.started_at][:TRANSCRIPTS]
                for run in told:
                    found += await _of_transcript(session, run)
        return Agreement(
            runs=len(ended),
            transcripts=len(told),
            days=len(days),
            orphans=orphans,
            disagreements=found,
        )

    async def _of_ledger(self, session: AsyncSession, runs: Sequence[Run]) -> list[Disagreement]:
        entries = await ledger.of_runs(session, [run.id for run in runs])
        return [
            found for run in runs for found in ledger_disagreements(run, entries.get(run.id, ()))
        ]


async def _of_transcript(session: AsyncSession, run: Run) -> list[Disagreement]:
    """Where the transcript shows more than the row: what was not counted.

    Tokens only of estimated costs: what an agent reported stands.
    """
    prompts = [prompt_uuid_of(run, attempt) for attempt in range(1, run.attempt + 1)]
    lines = await transcripts.answers_since(session, run.session_id, prompts)
    answers = [answer for line in lines if (answer := usage_of_entry(line)) is not None]
    raised = raised_usage(run, answers)
    found: list[tuple[str, object, object]] = []
    if "turns" in raised:
        found.append(("turns", run.turns, raised["turns"]))
    if "usage" in raised and run.cost_source is CostSource.ESTIMATED:
        found.append(("tokens", run.usage, raised["usage"]))
    return [
        Disagreement(
            subject=run.run_id,
            what=what,
            in_one=Source.ROW,
            one=row,
            in_other=Source.TRANSCRIPT,
            other=shown,
        )
        for what, row, shown in found
    ]
