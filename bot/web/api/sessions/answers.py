"""Sessions as JSON: themselves, their legs with what each cost, and the messages in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from bot.web.api.values import cursor_of, money, person
from bot.web.route import Answer
from bot.words.markup import PLAIN
from bot.words.runs.states import state_words
from core.domain.paging import Excerpt, Page
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.session import MessageRole, MessageType, Session
from core.domain.sessions.ledger import EntrySource, LedgerEntry, LedgerSum
from core.domain.sessions.recovery import is_recovery, needs_recovery
from core.services.sessions import Leg, SaidMessage, SessionHistory, SessionOverview

_TASK_CHARS = 500


class TokensAnswer(Answer):
    """Tokens by kind; `input` is without those of the cache."""

    input: int
    output: int
    cache_read: int
    cache_creation: int


class SpentAnswer(Answer):
    """What several agent processes used; reported, estimated and unknown are never added up.

    Attributes:
        turns: The model's answers to the main agents.
        reported: US dollars that `reported_processes` reported; `null` if none did.
        estimated: US dollars that were estimated for `estimated_processes`; `null` if for none.
        unknown_processes: How many processes have an unknown cost, which is not 0.
        tokens: Of all processes whose tokens are known.
        processes_without_tokens: The number of the others.
    """

    turns: int
    processes: int
    reported: float | None
    reported_processes: int
    estimated: float | None
    estimated_processes: int
    unknown_processes: int
    tokens: TokensAnswer
    processes_without_tokens: int


class EntryAnswer(Answer):
    """What one agent process used: one attempt of a run; `null` is unknown."""

    attempt: int
    source: EntrySource
    cost: float | None
    tokens: TokensAnswer | None
    turns: int
    recorded_at: datetime


class SessionAnswer(Answer):
    """A conversation with its workspace.

    Attributes:
        is_open: Whether it holds its name; a closed one opens when it is continued.
        task: What its newest run works on, its first words; `null` without a run.
        spent: By all its runs.
        needs_recovery: Whether its conversation cannot be restored, so that only a recovery leg
            goes on.
    """

    session_id: UUID
    name: str | None
    is_open: bool
    closed_at: datetime | None
    workflow_name: str
    owner: str | None
    repository: str | None
    branch: str | None
    created_at: datetime
    task: str | None
    run_count: int
    turns: int
    spent: SpentAnswer
    newest_run_id: str | None
    newest_run_status: RunStatus | None
    can_continue: bool
    needs_recovery: bool


class SessionList(Answer):
    """A page of sessions, newest first; the figures are as in the list of runs."""

    sessions: list[SessionAnswer]
    total_count: int
    total_count_is_exact: bool
    next: str | None


class LegAnswer(Answer):
    """A run of a session.

    Attributes:
        number: Its number in the session, from 1.
        task: What it works on, its first words; of a continuation the task of the first leg.
        message: What it was started with.
        headline: The state of the run in words, as every surface shows it.
        processes: Its agent processes, one for each attempt that had one.
    """

    number: int
    run_id: str
    task: str
    message: str
    owner: str | None
    status: RunStatus
    headline: str
    stop_reason: StopReason | None
    can_continue: bool
    is_recovery: bool
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    model: str | None
    turns: int
    max_turns: int | None
    spent: SpentAnswer
    processes: list[EntryAnswer]


class LegList(Answer):
    """All legs of a session, oldest first.

    Attributes:
        spent: By all legs.
        lineage: By the session together with those from which it was forked, and all their forks.
    """

    session_id: UUID
    name: str | None
    legs: list[LegAnswer]
    spent: SpentAnswer
    lineage: SpentAnswer


class MessageAnswer(Answer):
    """Words of a person or of the agent.

    Attributes:
        author: The person's name; `None` for words of the agent.
        leg: The number of its run in the session.
    """

    message_id: UUID
    role: MessageRole
    type: MessageType
    text: str
    author: str | None
    run_id: str | None
    leg: int | None
    created_at: datetime


class MessageList(Answer):
    """A page of messages, oldest first.

    Attributes:
        previous: The `before` of the page before; `null` if this one begins the session.
        next: The `cursor` of the page after; `null` if there is none yet.
        first: The place of the first message of this page; messages before it have it as `before`.
        last: The place of the last one; what is said later has it as `cursor`.
    """

    session_id: UUID
    messages: list[MessageAnswer]
    previous: str | None
    next: str | None
    first: str | None
    last: str | None


def spent_answer(spent: LedgerSum) -> SpentAnswer:
    """A sum of the ledger as JSON.  Pure."""
    usage = spent.usage
    return SpentAnswer(
        turns=spent.turns,
        processes=spent.processes,
        reported=money(spent.reported_usd) if spent.reported else None,
        reported_processes=spent.reported,
        estimated=money(spent.estimated_usd) if spent.estimated else None,
        estimated_processes=spent.estimated,
        unknown_processes=spent.unknown,
        tokens=TokensAnswer(
            input=usage.input_tokens,
            output=usage.output_tokens,
            cache_read=usage.cache_read_tokens,
            cache_creation=usage.cache_creation_tokens,
        ),
        processes_without_tokens=spent.unknown_usage,
    )


def session_answer(overview: SessionOverview) -> SessionAnswer:
    """A session as JSON.  Pure."""
    session, total, newest = overview.session, overview.total, overview.newest
    return SessionAnswer(
        session_id=session.id,
        name=session.name,
        is_open=session.is_open,
        closed_at=session.closed_at,
        workflow_name=session.agent_name,
        owner=person(overview.owner),
        repository=session.git_repo,
        branch=session.git_branch,
        created_at=session.created_at,
        task=None if overview.about is None else overview.about[:_TASK_CHARS],
        run_count=0 if total is None else total.legs,
        turns=0 if total is None else total.turns,
        spent=spent_answer(LedgerSum() if total is None else total.spent),
        newest_run_id=None if newest is None else newest.run_id,
        newest_run_status=None if newest is None else newest.status,
        can_continue=newest is not None and newest.can_continue,
        needs_recovery=newest is not None and needs_recovery(newest),
    )


def session_list(page: Page[SessionOverview]) -> SessionList:
    """A page of sessions as JSON.  Pure."""
    return SessionList(
        sessions=[session_answer(one) for one in page.items],
        total_count=page.total,
        total_count_is_exact=page.is_total_exact,
        next=cursor_of(page.next),
    )


def leg_list(history: SessionHistory) -> LegList:
    """A session's legs as JSON.  Pure."""
    session = history.overview.session
    return LegList(
        session_id=session.id,
        name=session.name,
        legs=[_leg(leg) for leg in history.legs],
        spent=spent_answer(history.spent),
        lineage=spent_answer(history.lineage),
    )


def message_list(session: Session, found: Excerpt[SaidMessage]) -> MessageList:
    """A page of messages as JSON.  Pure."""
    return MessageList(
        session_id=session.id,
        messages=_messages(found.items),
        previous=cursor_of(found.previous),
        next=cursor_of(found.next),
        first=cursor_of(found.first),
        last=cursor_of(found.last),
    )


def _leg(leg: Leg) -> LegAnswer:
    snapshot, run = leg.snapshot, leg.snapshot.run
    return LegAnswer(
        number=leg.number,
        run_id=run.run_id,
        task=(run.task_input if snapshot.about is None else snapshot.about)[:_TASK_CHARS],
        message=run.task_input[:_TASK_CHARS],
        owner=person(snapshot.owner),
        status=run.status,
        headline=state_words(snapshot, PLAIN),
        stop_reason=run.stop_reason,
        can_continue=run.can_continue,
        is_recovery=is_recovery(run),
        created_at=run.created_at,
        started_at=run.started_at,
        completed_at=run.completed_at,
        model=run.ai_model,
        turns=run.turns,
        max_turns=run.max_turns,
        spent=spent_answer(leg.spent),
        processes=[_entry(entry) for entry in leg.entries],
    )


def _entry(entry: LedgerEntry) -> EntryAnswer:
    usage = entry.usage
    return EntryAnswer(
        attempt=entry.attempt,
        source=entry.source,
        cost=money(entry.cost_usd),
        tokens=None
        if usage is None
        else TokensAnswer(
            input=usage.input_tokens,
            output=usage.output_tokens,
            cache_read=usage.cache_read_tokens,
            cache_creation=usage.cache_creation_tokens,
        ),
        turns=entry.turns,
        recorded_at=entry.recorded_at,
    )


def _messages(said: Sequence[SaidMessage]) -> list[MessageAnswer]:
    return [
        MessageAnswer(
            message_id=one.message.id,
            role=one.message.role,
            type=one.message.message_type,
            text=one.message.text_content,
            author=person(one.author),
            run_id=one.run_id,
            leg=one.leg,
            created_at=one.message.created_at,
        )
        for one in said
    ]
