"""The stream of messages to the agent: its task, and what people send while it works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID


class PromptStream:
    """A queue of messages to the agent program.  Closing it closes the program's input."""

    def __init__(self, session_id: UUID) -> None:
        self._session_id = str(session_id)
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def add_message(self, text: str, message_uuid: UUID) -> None:
        """Add a message of a person.  `message_uuid` becomes its id in the transcript."""
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
        """End the stream after the messages that are queued."""
        self._messages.put_nowait(None)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages in the SDK's format until the stream is closed."""
        while (message := await self._messages.get()) is not None:
            yield message
