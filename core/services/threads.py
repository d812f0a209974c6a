"""The subjects of drawables: threads of runs, and the runs on people's Home tabs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from core.domain.runs.errors import RunNotFound
from core.domain.runs.request import RunFilter
from core.domain.runs.snapshot import CardPlace, PersonalRuns, RunSnapshot, Thread
from core.services.context import ServiceContext
from core.services.runs import snapshots
from core.services.runs.snapshots import NOTICE_KINDS
from core.store import users
from core.store.database.engine import translate_errors
from core.store.runs import run_queries, thread_read
from core.store.slack import slack_messages

# The length of each list on a person's Home tab.
_PERSONAL_LIMIT = 10


@dataclass(frozen=True)
class ThreadService:
    """Reads the subjects of drawables, each in a fixed number of queries."""

    context: ServiceContext

    async def thread(self, thread_key: str) -> Thread | None:
        """A thread with its legs; `None` if it does not exist or has no place in Slack."""
        with translate_errors():
            found = await thread_read.read(
                self.context.database.reads,
                thread_key,
                kinds=NOTICE_KINDS,
                limit=snapshots.MAX_NOTICES,
            )
        if not any(leg.has_more for leg in found):
            return _thread(thread_key, snapshots.of_legs(found))
        async with self.context.transaction() as session:
            legs = await run_queries.of_thread(session, thread_key)
            return _thread(thread_key, await snapshots.of_session_runs(session, legs))

    async def thread_up_to(self, run_id: str) -> Thread | None:
        """The thread of a run, without later legs; `None` as for `thread`."""
        async with self.context.transaction() as session:
            try:
                run = await run_queries.get(session, run_id)
            except RunNotFound:
                return None
        thread = await self.thread(run.thread_key) if run.thread_key else None
        if thread is None:
            return None
        number = next(n for n, leg in enumerate(thread.legs, start=1) if leg.run.id == run.id)
        cards = await self.cards([run_id])
        legs = (
            *thread.legs[: number - 1],
            replace(thread.legs[number - 1], card=cards.get(run_id)),
        )
        return Thread(
            thread_key=thread.thread_key,
            team_id=thread.team_id,
            channel_id=thread.channel_id,
            legs=legs,
        )

    async def urgent(self, thread_keys: Collection[str]) -> frozenset[str]:
        """Those of the threads without a run that works undisturbed.

        Their last run has ended, or is being killed, or waits for a person.
        """
        with translate_errors():
            undisturbed = await thread_read.undisturbed(
                self.context.database.reads, list(thread_keys)
            )
        return frozenset(thread_keys) - undisturbed

    async def cards(self, run_ids: Collection[str]) -> Mapping[str, CardPlace]:
        """Where the threads of these runs are in Slack, by run id; runs without one are missing."""
        async with self.context.transaction() as session:
            return await slack_messages.cards_of_runs(session, run_ids)

    async def personal_runs(self, key: str) -> PersonalRuns:
        """The newest runs of a person, and the newest live runs of all people; 10 of each.

        Args:
            key: `<team_id>:<user_id>`, the Slack ids of the workspace and the person.
        """
        team_id, _, slack_user_id = key.partition(":")
        async with self.context.transaction() as session:
            user = await users.find_by_slack_id(session, team_id=team_id, user_id=slack_user_id)
            mine = (
                await run_queries.recent(
                    session, RunFilter(mine=True), user_id=user.id, limit=_PERSONAL_LIMIT
                )
                if user is not None
                else []
            )
            live = await run_queries.recent(
                session, RunFilter(live=True), user_id=None, limit=_PERSONAL_LIMIT
            )
            found = await snapshots.of_listed_runs(session, [*mine, *live])
        return PersonalRuns(mine=tuple(found[: len(mine)]), live=tuple(found[len(mine) :]))


def _thread(thread_key: str, legs: Sequence[RunSnapshot]) -> Thread | None:
    """A thread; `None` if it has no runs or no place in Slack."""
    first = legs[0].run if legs else None
    if first is None or first.slack_channel_id is None or first.slack_team_id is None:
        return None
    return Thread(
        thread_key=thread_key,
        team_id=first.slack_team_id,
        channel_id=first.slack_channel_id,
        legs=tuple(legs),
    )
