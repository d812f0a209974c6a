"""What a running run waits for, and since when nothing was heard, as its metadata keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.domain.runs.run import Run, RunStatus

# In a run's metadata:
# {"kind": "tool", "name": "Bash: make test", "since": "2026-…", "heard_at": "2026-…",
#  "output_at": "2026-…", "busy_at": null}.
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
        output_at: When the programs that the agent started last wrote anything; `None` if they
            did not, or if it is not known.
        busy_at: When they last used the processor; `None` as for `output_at`.
    """

    kind: AwaitedKind
    since: datetime
    heard_at: datetime
    name: str | None = None
    output_at: datetime | None = None
    busy_at: datetime | None = None

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
            "output_at": None if self.output_at is None else self.output_at.isoformat(),
            "busy_at": None if self.busy_at is None else self.busy_at.isoformat(),
        }


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
        )
    except ValueError:
        return None


def _time(stored: object) -> datetime | None:
    return datetime.fromisoformat(stored) if isinstance(stored, str) else None
