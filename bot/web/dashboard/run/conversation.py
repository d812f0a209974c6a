"""The messages of a session as its conversation: author, text, and whether it has arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from bot.web.dashboard.shown_texts import shown_line, shown_text
from core.domain.runs.run import Run
from core.domain.runs.session import Message, MessageRole, MessageType
from core.services.runs.whole_runs import WholeRun

# A longer text is folded.
_FOLDED_CHARS = 900
_FOLDED_LINES = 12
# The page of the session has the whole text.
_MAX_CHARS = 6_000
_TYPE_WORDS: Mapping[MessageType, str] = MappingProxyType(
    {
        MessageType.WORKFLOW_START: "task",
        MessageType.INTERVENTION: "message",
        MessageType.APPROVAL: "approval",
        MessageType.QUESTION: "question",
        MessageType.ANSWER: "answer",
        MessageType.RESULT: "result",
    }
)


@dataclass(frozen=True, kw_only=True)
class SaidRow:
    """A message of the conversation.

    Attributes:
        key: Unique on the page.
        who: The person's name, or the agent.
        kind: What it was for.
        is_folded: Whether only its beginning is shown at first.
        delivery: Whether it has arrived, in words; empty where that is no question.
        leg: The number of its run; `None` if it has none.
        run_id: Of its run, if that is not the run of the page.
    """

    key: str
    who: str
    kind: str
    text: str
    is_agent: bool
    is_folded: bool
    delivery: str
    at: datetime
    leg: int | None
    run_id: str | None


def conversation(whole: WholeRun) -> list[SaidRow]:
    """The newest messages of the run's session, oldest first.  Pure."""
    legs = {trace.run.id: (trace.number, trace.run) for trace in whole.traces}
    return [_row(one, whole, legs) for one in whole.messages]


def _row(message: Message, whole: WholeRun, legs: Mapping[UUID, tuple[int, Run]]) -> SaidRow:
    is_agent = message.role is MessageRole.ASSISTANT
    found = None if message.run_id is None else legs.get(message.run_id)
    number, run = (None, None) if found is None else found
    author = None if message.user_id is None else whole.authors.get(message.user_id)
    text = shown_text(message.text_content, _MAX_CHARS)
    is_long = len(text) > _FOLDED_CHARS or text.count("\n") >= _FOLDED_LINES
    return SaidRow(
        key=str(message.id),
        who="Agent" if is_agent else "Signalbox" if author is None else shown_line(author.name, 80),
        kind=_TYPE_WORDS[message.message_type],
        text=text,
        is_agent=is_agent,
        is_folded=is_long,
        delivery="" if is_agent or run is None else _delivery(run),
        at=message.created_at,
        leg=number if whole.leg_count > 1 else None,
        run_id=None if run is None or run.id == whole.run.id else run.run_id,
    )


def _delivery(run: Run) -> str:
    """Whether the agent of a run was given the message that the run began with."""
    if run.started_at is not None:
        return "delivered"
    return "waits for the run to start" if run.is_live else "not delivered: the run never started"
