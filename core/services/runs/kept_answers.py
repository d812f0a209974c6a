"""What was answered about ended runs: kept in this process, and stored for all.

It saves work only: an answer is used while the row of its run is the one that it was made of, and
is the same as the one that would be made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.domain.errors import Unavailable
from core.domain.runs.run import Run
from core.services.context import ServiceContext
from core.services.runs.recent_runs import AnswerForm, KeptAnswer, RecentRuns
from core.store.database.engine import translate_errors
from core.store.runs import status_answers, status_read
from core.store.runs.status_answers import EndedRun, StoredAnswer

log = logging.getLogger(__name__)

# Answers that come within this time are stored by one statement.
_STORE_SECONDS = 0.25
# So many are stored at once; what comes beyond is made again when it is asked for.
_MAX_PENDING = 500


@dataclass
class KeptAnswers:
    """Keeps the answers about ended runs."""

    context: ServiceContext
    cache: RecentRuns
    _pending: dict[str, dict[UUID, StoredAnswer]] = field(default_factory=dict)
    _storing: asyncio.Task[None] | None = None

    async def find(self, run_id: str, form: AnswerForm) -> KeptAnswer | None:
        """What was answered in a form, if the row of the run is still the same.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        if not self.cache.limits.is_on:
            return None
        reads = self.context.database.reads
        kept = self.cache.get(run_id, form)
        with translate_errors():
            if kept is not None:
                mark = await status_read.read_mark(reads, run_id)
                return kept if kept.mark == mark else None
            if form.edition is None:
                return None
            stored = await status_answers.read(reads, run_id, edition=form.edition)
        if stored is None:
            return None
        return KeptAnswer(mark=stored.mark, written=stored.written, etag=stored.etag)

    def keep(self, run: Run, form: AnswerForm, answer: KeptAnswer) -> None:
        """Keep an answer about an ended run, and store it soon; others change with time."""
        if not self.cache.limits.is_on or not run.status.is_final or run.is_work_pending:
            return
        self.cache.put(run, form, answer)
        if form.edition is None:
            return
        pending = self._pending.setdefault(form.edition, {})
        if len(pending) >= _MAX_PENDING:
            return
        pending[run.id] = StoredAnswer(
            run=run.id, mark=answer.mark, etag=answer.etag, written=answer.written
        )
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_soon(), name="store answers")

    async def ended_before(
        self, before: datetime, form: AnswerForm, *, limit: int
    ) -> Sequence[EndedRun]:
        """The runs that ended before a time, newest first, and whether they have an answer.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        if form.edition is None or not self.cache.limits.is_on:
            return ()
        with translate_errors():
            return await status_answers.ended_before(
                self.context.database.reads, before, edition=form.edition, limit=limit
            )

    async def store(self) -> None:
        """Store the answers that are not stored yet.

        Raises:
            Unavailable: If the database cannot be reached; they are forgotten.
        """
        pending, self._pending = self._pending, {}
        for edition, answers in pending.items():
            async with self.context.transaction() as session:
                await status_answers.save(session, list(answers.values()), edition=edition)

    async def _store_soon(self) -> None:
        await asyncio.sleep(_STORE_SECONDS)
        try:
            await self.store()
        except Unavailable as error:
            # They are made again when they are asked for.
            log.info(
                "answers about ended runs are not stored: %s",
                error,
                extra={"event": "status_answers.store_failed"},
            )

    async def close(self) -> None:
        """Store no more."""
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.wait({self._storing})
