"""What the agent is told: its task, and what people say while it works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID


class PromptStream:
    """Words on their way to the agent program.  When they end, so does its input."""

    def __init__(self, session_id: UUID) -> None:
        self._session_id = str(session_id)
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def add_message(self, text: str, message_uuid: UUID) -> None:
        """Add a message, as a person typed it."""
        self._messages.put_nowait(
            {
                "type": "user",
                "message": {"role": "user", "content": text},
                "parent_tool_use_id": None,
                "session_id": self._session_id,
                "uuid": str(message_uuid),
            }
        )

    def close(self) -> None:
        """Say nothing more."""
        self._messages.put_nowait(None)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """The messages in the SDK's form, until the end."""
        while (message := await self._messages.get()) is not None:
            yield message
