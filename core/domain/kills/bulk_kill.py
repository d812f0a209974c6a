"""Killing several runs at once: what is wished, what is offered, what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.errors import BadRequest
from core.domain.runs.request import RunFilter
from core.domain.runs.run import RUN_ID_PREFIX
from core.domain.runs.snapshot import RunSnapshot

# Runs that one confirmation can cover.  A person answers for what they have read, and a form
# of Slack carries 3,000 characters of notes: a run id takes 15 of them.
MAX_BULK_KILL_RUNS = 100
MAX_REASON_CHARS = 300


class BadBulkKill(BadRequest):
    """No runs to stop are named, or more than `MAX_BULK_KILL_RUNS`."""

    code = "bad_bulk_kill"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} runs to kill",
            user_message=f"Between 1 and {MAX_BULK_KILL_RUNS} runs can be stopped at once; nothing "
            "was stopped.",
        )
        self.count = count


class NotRunIds(BadRequest):
    """Something that is named as a run to stop is no run id."""

    code = "not_run_ids"

    def __init__(self, found: tuple[str, ...]) -> None:
        super().__init__(
            "not run ids",
            user_message="Something that was to be stopped is no run id; nothing was stopped.",
        )
        self.found = found


@dataclass(frozen=True, kw_only=True)
class KillSelection:
    """A wish to end every live run of a kind, to be confirmed before anything happens.

    Attributes:
        run_filter: Which runs; only live ones are ever meant.
    """

    run_filter: RunFilter
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class KillPreview:
    """What a selection would end, if it is confirmed.

    Attributes:
        runs: The runs, oldest first; a confirmation ends these and no others.
        not_listed: More runs of the kind, beyond `MAX_BULK_KILL_RUNS`.
        forbidden_count: Live runs of the kind that this person may not kill.
        stopping_count: Runs of the kind that are being stopped already.
    """

    selection: KillSelection
    runs: tuple[RunSnapshot, ...]
    omitted_count: int = 0
    forbidden_count: int = 0
    stopping_count: int = 0


@dataclass(frozen=True, kw_only=True)
class BulkKillRequest:
    """A confirmed wish to end these runs; `request_key` as in `KillRequest`."""

    run_ids: tuple[str, ...]
    force: bool = False
    reason: str | None = None
    request_key: str | None = None

    def check(self) -> None:
        """Raise `BadRequest` for what was never offered so."""
        if not self.run_ids or len(self.run_ids) > MAX_BULK_KILL_RUNS:
            raise BadBulkKill(len(self.run_ids))
        strange = tuple(one for one in self.run_ids if not one.startswith(RUN_ID_PREFIX))
        if strange:
            raise NotRunIds(strange)


@dataclass(frozen=True, kw_only=True)
class BulkKillResult:
    """What came of a confirmed wish; each run is in one of these, by its id.

    Attributes:
        requested: Asked to stop by this wish; those that had not begun are dead already.
        already_stopping: Were being stopped before.
        already_ended: Had ended meanwhile.
        forbidden: Somebody else's, and the person is no operator.
    """

    requested: tuple[str, ...] = ()
    already_stopping: tuple[str, ...] = ()
    already_ended: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
