"""Answers about runs that have ended, made before anybody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pydantic_core import to_json

from bot.web.api.statuses.run_status import USUAL_QUERY, etag_of, form_of
from bot.web.api.statuses.status_answer import status_fields
from core.services.runs.kept_answers import KeptAnswers
from core.services.runs.recent_runs import AnswerForm
from core.services.runs.status import StatusReport

# So many runs are looked at in one call, and so many of them answered for: a fifth of a second of
# the processor.
LOOKED_AT = 2_000
BATCH = 200


class EndedRuns(Protocol):
    """Reads and keeps the statuses of ended runs; see `StatusService`."""

    @property
    def answers(self) -> KeptAnswers:
        """What was answered."""
        ...

    async def reports(self, run_ids: Sequence[str]) -> Sequence[StatusReport]:
        """The whole statuses of several ended runs."""
        ...

    def keep(self, report: StatusReport, form: AnswerForm, *, written: bytes, etag: str) -> None:
        """Keep an answer."""
        ...


@dataclass
class AnswerKeeping:
    """Makes the usual answer about each run that has ended, and has it stored.

    Each call looks at the runs that ended last, and then at the next part of all earlier ones: of
    those, answers are missing that another edition of the program has made, or none.
    """

    runs: EndedRuns
    clock: Callable[[], datetime]
    _earlier: datetime | None = None

    async def keep_due(self) -> int:
        """Answer for runs that have no answer; returns how many those were.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        # Clocks of machines differ a little.
        kept, last = await self._keep_before(self.clock() + timedelta(days=1))
        if self._earlier is None:
            self._earlier = last
        if self._earlier is not None and kept < BATCH:
            more, self._earlier = await self._keep_before(self._earlier)
            kept += more
        return kept

    async def _keep_before(self, before: datetime) -> tuple[int, datetime | None]:
        """Answer for a part of the runs that ended before a time.

        Returns:
            How many were answered for, and when the last one that was looked at ended; `None` if
            there are no earlier ones.
        """
        seen = await self.runs.answers.ended_before(before, form_of(USUAL_QUERY), limit=LOOKED_AT)
        last = seen[-1].ended_at if len(seen) == LOOKED_AT else None
        unanswered = [one for one in seen if one.is_unanswered]
        if len(unanswered) > BATCH:
            unanswered = unanswered[:BATCH]
            last = unanswered[-1].ended_at
        if unanswered:
            await self.keep([one.run_id for one in unanswered])
        return len(unanswered), last

    async def keep(self, run_ids: Sequence[str]) -> None:
        """Answer for these runs, those that have ended; at most some hundreds.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        form = form_of(USUAL_QUERY)
        for report in await self.runs.reports(run_ids):
            written = to_json(status_fields(report, USUAL_QUERY, now=self.clock()))
            self.runs.keep(report, form, written=written, etag=etag_of(report, form))
        await self.runs.answers.store()
