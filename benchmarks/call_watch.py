"""The calls that the Slack sandbox received, with their times."""

from __future__ import annotations

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.environment import BenchEnvironment

_DRAWING = ("chat.update", "chat.postMessage")
_LOOK_SECONDS = 0.02


@dataclass
class CallWatch(ABC):
    """Follows the calls, and notes what is drawn.

    Attributes:
        calls: Number of accepted calls by method.
        refused: Number of calls that were answered with 429.
    """

    bench: BenchEnvironment
    calls: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    _seen: int = 0

    async def follow_calls(self) -> None:
        """Read the calls as they arrive, until cancelled."""
        entries = self.bench.sandbox.inspector.entries
        while True:
            now = time.monotonic()
            new = list(itertools.takewhile(lambda entry: entry.n > self._seen, reversed(entries)))
            for entry in reversed(new):
                self._seen = entry.n
                self.refused += entry.direction == "api" and entry.status == 429
                if entry.direction == "api" and entry.status == 200:
                    self.calls[entry.name] += 1
                    if entry.name in _DRAWING:
                        self._note(entry.request, now)
            await asyncio.sleep(_LOOK_SECONDS)

    def _note(self, request: Mapping[str, Any], now: float) -> None:
        metadata = request.get("metadata")
        payload = metadata["event_payload"] if isinstance(metadata, dict) else {}
        self.note_drawn(
            thread_key=str(payload.get("thread_key")),
            slot=str(payload.get("slot")),
            channel=str(request.get("channel")),
            drawn=str(request.get("blocks")),
            now=now,
        )

    @abstractmethod
    def note_drawn(
        self, *, thread_key: str, slot: str, channel: str, drawn: str, now: float
    ) -> None:
        """Note a message that was posted or updated.

        Args:
            thread_key: The key of its drawable.
            slot: Its slot.
            channel: Its channel.
            drawn: Its blocks as text.
            now: When that was seen, by the monotonic clock.
        """
