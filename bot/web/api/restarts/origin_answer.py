"""Where a restarted run comes from, as JSON."""

from __future__ import annotations

from typing import Any

from bot.web.route import Answer
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.request import RestartMode


class RestartOriginAnswer(Answer):
    """The point from which a run was restarted.

    Attributes:
        run_id: The run to which the point belongs.
        mode: `fork` for a session of its own, `files` for the same session with older files.
        checkpoint: The checkpoint's number; `null` for the start of the run.
        step: The name of the checkpoint's step, if it has one.
    """

    run_id: str
    mode: RestartMode
    checkpoint: int | None
    step: str | None


def origin_fields(origin: RestartOrigin | None) -> dict[str, Any] | None:
    """The fields of a `RestartOriginAnswer`; `None` for a run that was not restarted."""
    if origin is None:
        return None
    return {
        "run_id": origin.run_id,
        "mode": origin.mode,
        "checkpoint": origin.checkpoint,
        "step": origin.step,
    }
