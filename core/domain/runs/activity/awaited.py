"""What a running run waits for, and since when nothing was heard, as its metadata keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.domain.runs.run import Run, RunStatus

# In a run's metadata, as `Awaited.to_json` writes it.
AWAITED_KEY = "awaited"


class AwaitedKind(StrEnum):
    """What can be waited for."""

    WORKSPACE = "workspace"
    PROGRAM = "program"
    MODEL = "model"
    RETRY = "retry"
    TOOL = "tool"


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """What a run waits for.

    Attributes:
        since: When the wait began: the start of a tool call, the question to the model.
        heard_at: When the run's agent, or its worker while it prepares the run, last did anything.
        name: The tool call, or why the model is asked again.
        output_at: When the programs that the agent or its worker started last wrote anything;
            `None` if they did not, or if it is not known.
        busy_at: When they last used the processor; `None` as for `output_at`.
        watched_since: Since when the worker looks at these programs; `None` if it does not yet.
        is_output_known: Whether it can read what they write.
        expected_at: Until when silence was announced: the next try of a retry.
    """

    kind: AwaitedKind
    since: datetime
    heard_at: datetime
    name: str | None = None
    output_at: datetime | None = None
    busy_at: datetime | None = None
    watched_since: datetime | None = None
    is_output_known: bool = False
    expected_at: datetime | None = None

    @classmethod
    def of_run(cls, run: Run) -> Awaited | None:
        """Read a run's metadata; `None` for a run that no worker executes."""
        if run.status is not RunStatus.RUNNING:
            return None
        began = run.last_activity_at or run.started_at or run.updated_at
        stored = _read(run.metadata.get(AWAITED_KEY))
        # An earlier attempt's is older than the beginning of this one.
        if stored is None or stored.heard_at < began:
            return cls(kind=AwaitedKind.WORKSPACE, since=began, heard_at=began)
        return stored

    def to_json(self) -> dict[str, Any]:
        """The value in a run's metadata."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "since": self.since.isoformat(),
            "heard_at": self.heard_at.isoformat(),
            "output_at": _text(self.output_at),
            "busy_at": _text(self.busy_at),
            "watched_since": _text(self.watched_since),
            "is_output_known": self.is_output_known,
            "expected_at": _text(self.expected_at),
        }

    @property
    def life_at(self) -> datetime:
        """When the run last showed any life: an event of its agent, output, or processor time."""
        signs = (self.heard_at, self.output_at, self.busy_at)
        return max(sign for sign in signs if sign is not None)


def _read(stored: object) -> Awaited | None:
    if not isinstance(stored, Mapping):
        return None
    name = stored.get("name")
    try:
        return Awaited(
            kind=AwaitedKind(str(stored.get("kind"))),
            since=datetime.fromisoformat(str(stored.get("since"))),
            heard_at=datetime.fromisoformat(str(stored.get("heard_at"))),
            name=name if isinstance(name, str) else None,
            output_at=_time(stored.get("output_at")),
            busy_at=_time(stored.get("busy_at")),
            watched_since=_time(stored.get("watched_since")),
            is_output_known=stored.get("is_output_known") is True,
            expected_at=_time(stored.get("expected_at")),
        )
    except ValueError:
        return None


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(stored: object) -> datetime | None:
    return datetime.fromisoformat(stored) if isinstance(stored, str) else None
