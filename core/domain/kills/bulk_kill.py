"""Bulk kills: the selection of runs, its preview, the confirmed request, and its result."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.errors import BadRequest
from core.domain.runs.request import RunFilter
from core.domain.runs.run import RUN_ID_PREFIX
from core.domain.runs.snapshot import RunSnapshot

# The number of runs that one confirmation can cover.  A person must be able to read what they
# confirm, and a Slack form stores 3,000 characters of private data, 15 for each run id.
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
    """The runs that a person wants to kill; nothing happens before they confirm it.

    Attributes:
        run_filter: Which runs are meant; runs that have ended never are.
    """

    run_filter: RunFilter
    force: bool = False
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class KillPreview:
    """The runs that a selection would kill, for the person to confirm.

    Attributes:
        runs: The runs, oldest first; a confirmation kills these and no others.
        omitted_count: The number of further matching runs, beyond `MAX_BULK_KILL_RUNS`.
        forbidden_count: The number of matching live runs that this person may not kill.
        stopping_count: The number of matching runs that are being killed already.
    """

    selection: KillSelection
    runs: tuple[RunSnapshot, ...]
    omitted_count: int = 0
    forbidden_count: int = 0
    stopping_count: int = 0


@dataclass(frozen=True, kw_only=True)
class BulkKillRequest:
    """A confirmed request to kill these runs; `request_key` as in `KillRequest`."""

    run_ids: tuple[str, ...]
    force: bool = False
    reason: str | None = None
    request_key: str | None = None

    def check(self) -> None:
        """Check that the request can come from a preview.

        Raises:
            BadRequest: If the number of runs or an id is impossible.
        """
        if not self.run_ids or len(self.run_ids) > MAX_BULK_KILL_RUNS:
            raise BadBulkKill(len(self.run_ids))
        strange = tuple(one for one in self.run_ids if not one.startswith(RUN_ID_PREFIX))
        if strange:
            raise NotRunIds(strange)


@dataclass(frozen=True, kw_only=True)
class BulkKillResult:
    """The result of a confirmed request: each run's id is in exactly one of the groups.

    Attributes:
        requested: Runs that this request kills; those that had not started are killed already.
        already_stopping: Runs whose kill was requested earlier.
        already_ended: Runs that have ended meanwhile.
        forbidden: Runs of other people, if the person is not an operator.
    """

    requested: tuple[str, ...] = ()
    already_stopping: tuple[str, ...] = ()
    already_ended: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
