"""Sessions (each one is a Claude conversation) and the messages in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from core.domain.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Session:
    """One Claude conversation with one or more runs; its id is also Claude's session id.

    Attributes:
        agent_name: The workflow with which it was started.
        name: How people call it; among the open sessions of an owner only one has it.
        workspace_node: The node on whose disk the last run left the workspace.
        closed_at: When it was closed, which frees its name; `None` while it is open.
    """

    id: UUID
    agent_name: str
    created_at: datetime
    name: str | None = None
    user_id: UUID | None = None
    git_repo: str | None = None
    git_branch: str | None = None
    workspace_id: str | None = None
    workspace_node: str | None = None
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it holds its name."""
        return self.closed_at is None


class MessageType(StrEnum):
    """The purpose of a message in a session."""

    WORKFLOW_START = "workflow_start"
    INTERVENTION = "intervention"
    APPROVAL = "approval"
    QUESTION = "question"
    ANSWER = "answer"
    RESULT = "result"


class MessageRole(StrEnum):
    """Whether a person or the agent is the author."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One row of `messages`: a text of a person or of the agent."""

    id: UUID
    session_id: UUID
    role: MessageRole
    message_type: MessageType
    text_content: str
    created_at: datetime
    run_id: UUID | None = None
    user_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class SessionNotFound(NotFound, LookupError):
    """No session has this id, this beginning of an id, or this name."""

    code = "session_not_found"

    def __init__(self, target: UUID | str) -> None:
        super().__init__(
            f"no session {target}",
            user_message="I can't find that session.",
        )
        self.target = target


class AmbiguousSession(NotFound):
    """Several sessions have this name, or ids that begin with this text."""

    code = "ambiguous_session"

    def __init__(self, target: str, matches: tuple[UUID, ...]) -> None:
        listed = ", ".join(f"`{str(match)[:13]}`" for match in matches[:5])
        super().__init__(
            f"{len(matches)} sessions match {target}",
            user_message=f"Several sessions are called `{target[:40]}`: {listed}. Name one by the "
            "beginning of its id.",
        )
        self.target = target
        self.matches = matches


class MessageNotFound(NotFound):
    """No message has this id."""

    code = "message_not_found"

    def __init__(self, message_id: UUID) -> None:
        super().__init__(
            f"no message {message_id}",
            user_message="I can't find that message any more.",
        )
        self.message_id = message_id
