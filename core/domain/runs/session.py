"""A session (one Claude conversation) and the messages people and agents leave in it."""

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
    """One Claude conversation; its id is the Claude session id and spans all its runs.

    Attributes:
        workspace_node: Node whose disk holds the workspace as the last leg left it.
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


class MessageType(StrEnum):
    """What a message is in the life of a session."""

    WORKFLOW_START = "workflow_start"
    INTERVENTION = "intervention"
    APPROVAL = "approval"
    QUESTION = "question"
    ANSWER = "answer"
    RESULT = "result"


class MessageRole(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, kw_only=True)
class Message:
    """Words of a person or of the agent."""

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
    """No session has this id."""

    code = "session_not_found"

    def __init__(self, session_id: UUID) -> None:
        super().__init__(
            f"no session {session_id}",
            user_message="I can't find that session.",
        )
        self.session_id = session_id


class MessageNotFound(NotFound):
    """No message has this id."""

    code = "message_not_found"

    def __init__(self, message_id: UUID) -> None:
        super().__init__(
            f"no message {message_id}",
            user_message="I can't find that message any more.",
        )
        self.message_id = message_id
