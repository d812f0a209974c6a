"""The conversation with which a restarted run begins."""

from __future__ import annotations

from core.domain.runs.restarts.errors import ConversationGone
from core.domain.runs.run import Run
from core.runner.execution.ledgers.ledger import Ledger
from core.runner.execution.restarts.beginning import fork_of
from core.store.runs import run_queries
from core.store.sessions import transcript_forks


async def fork_conversation(ledger: Ledger, run: Run) -> None:
    """Give a session that was forked from a checkpoint its conversation up to there, once.

    A later attempt finds it, with what the agent has added to it.

    Raises:
        ConversationGone: If the old conversation is not stored up to the checkpoint any more.
    """
    if run.parent_run_id is None:
        return
    async with ledger.context.transaction() as session:
        fork = fork_of(await run_queries.legs_of_session(session, run.session_id))
        if fork is None or fork.origin.checkpoint is None:
            return
        is_there = fork.point is not None and await transcript_forks.fork(
            session, source=fork.point[0], target=run.session_id, up_to=fork.point[1]
        )
    if not is_there:
        raise ConversationGone(fork.origin.run_id)
