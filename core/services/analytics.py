"""The history of runs: answers to questions, and the computation of days that have changed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from core.domain.actor import Action, Actor
from core.domain.analytics.report import NO_PERSON, Dimension, Question, Report
from core.services.context import ServiceContext, require_permission
from core.store import users
from core.store.analytics import days, reports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnalyticsService:
    """Answers questions to the history of runs, and keeps it."""

    context: ServiceContext

    async def report(self, question: Question, *, by: Actor) -> Report:
        """Answer a question; runs that have just ended are counted.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await reports.answer(session, question)
            if Dimension.PERSON not in question.by:
                return found
            ids = {one.person_id for one in found.groups if one.person_id is not None}
            known = await users.by_ids(session, ids - {NO_PERSON})
        named = [
            one if one.person_id is None else replace(one, person=known.get(one.person_id))
            for one in found.groups
        ]
        return replace(found, groups=named)

    async def compute_changed_days(self) -> int:
        """Compute the days that have changed, each in a transaction of its own, newest first.

        Returns:
            The number of days.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            changed = await days.marked_days(session)
        rows = 0
        for day in changed:
            async with self.context.transaction() as session:
                rows += await days.compute(session, day)
        if len(changed) > 1:
            log.info(
                "computed %s days of the history",
                len(changed),
                extra={"event": "history.computed", "days": len(changed), "rows": rows},
            )
        return len(changed)
