"""Killing several runs at once: what is wished, what is offered, what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.errors import BadRequest
from core.domain.runs.request import RunFilter
from core.domain.runs.run import RUN_ID_PREFIX
from core.domain.runs.snapshot import RunSnapshot

# Runs that one confirmation can cover.  A person answers for what they have read, and a form
# of Slack carries 3,000 characters of notes: a run id takes 15 of them.
MOST_AT_ONCE = 100
MAX_REASON_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class KillSelection:
    """A wish to end every live run of a kind, to be confirmed before anything happens.

    Attributes:
        wanted: Which runs; only live ones are ever meant.
    """

    wanted: RunFilter
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class KillOffer:
    """What a selection would end, if it is confirmed.

    Attributes:
        listed: The runs, oldest first; a confirmation ends these and no others.
        not_listed: More runs of the kind, beyond `MOST_AT_ONCE`.
        others: Live runs of the kind that this person may not kill.
        stopping: Runs of the kind that are being stopped already.
    """

    selection: KillSelection
    listed: tuple[RunSnapshot, ...]
    not_listed: int = 0
    others: int = 0
    stopping: int = 0


@dataclass(frozen=True, kw_only=True)
class KillManyRequest:
    """A confirmed wish to end these runs; `request_key` as in `KillRequest`."""

    run_ids: tuple[str, ...]
    force: bool = False
    reason: str | None = None
    request_key: str | None = None

    def check(self) -> None:
        """Raise `BadRequest` for what was never offered so."""
        if not self.run_ids or len(self.run_ids) > MOST_AT_ONCE:
            raise BadRequest(
                f"{len(self.run_ids)} runs to kill",
                user_message=f"Between 1 and {MOST_AT_ONCE} runs can be stopped at once. Ask "
                "again, for example with `/workflow kill --all mine`.",
            )
        if not all(run_id.startswith(RUN_ID_PREFIX) for run_id in self.run_ids):
            raise BadRequest(
                "not run ids",
                user_message="This form is broken; nothing was stopped. Close it and type the "
                "command again.",
            )


@dataclass(frozen=True, kw_only=True)
class KillManyOutcome:
    """What came of a confirmed wish; each run is in one of these, by its id.

    Attributes:
        asked: Asked to stop by this wish; those that had not begun are dead already.
        stopping: Were being stopped before.
        ended: Had ended meanwhile.
        refused: Somebody else's, and the person is no operator.
    """

    asked: tuple[str, ...] = ()
    stopping: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
