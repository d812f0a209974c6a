"""What can be wrong with a request about a run, or with a write to one."""

from __future__ import annotations

from core.domain.errors import BadRequest, Conflict, NotFound
from core.domain.runs.run import MIN_RUN_ID_DIGITS, RUN_ID_PREFIX, RunStatus


class RunNotFound(NotFound):
    """No run has this id."""

    code = "run_not_found"

    def __init__(self, target: str) -> None:
        super().__init__(f"no run {target}", user_message=f"I can't find a run `{target[:40]}`.")
        self.target = target


class RunIdTooShort(NotFound):
    """A part of a run's id is too short to act on the run: a typing error would hit another one.

    Attributes:
        target: The part that was given.
    """

    code = "run_id_too_short"

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target} is too short",
            user_message=f"`{target[:40]}` is too short to act on a run: give at least "
            f"{MIN_RUN_ID_DIGITS} characters of its id after `{RUN_ID_PREFIX}`.",
        )
        self.target = target


class AmbiguousRun(NotFound):
    """The ids of several runs begin with this text."""

    code = "ambiguous_run"

    def __init__(self, target: str, matches: tuple[str, ...]) -> None:
        listed = ", ".join(f"`{match}`" for match in matches[:5])
        super().__init__(
            f"{len(matches)} runs match {target}",
            user_message=f"Several runs begin with `{target[:40]}`: {listed}. Give more digits.",
        )
        self.target = target
        self.matches = matches


class IllegalTransition(Conflict):
    """The wanted status does not follow the present one."""

    code = "illegal_transition"

    def __init__(self, run_id: str, present: RunStatus, wanted: RunStatus) -> None:
        super().__init__(
            f"{run_id} is {present}, cannot become {wanted}",
            user_message=f"Run `{run_id}` is already {present}.",
        )
        self.run_id = run_id
        self.present = present
        self.wanted = wanted


class StaleAttempt(Conflict):
    """The writer's attempt is no longer the present one: the run was taken from its worker."""

    code = "stale_attempt"

    def __init__(self, run_id: str, attempt: int) -> None:
        super().__init__(
            f"{run_id} has gone past attempt {attempt}",
            user_message=f"Run `{run_id}` was taken over by another worker.",
        )
        self.run_id = run_id
        self.attempt = attempt


class SessionBusy(Conflict):
    """The session already has a live run."""

    code = "session_busy"

    def __init__(self, live_run_id: str) -> None:
        super().__init__(
            f"session busy with {live_run_id}",
            user_message=f"This session is busy with the live run `{live_run_id}`.",
        )
        self.live_run_id = live_run_id


class AlreadyRequested(Conflict):
    """The same request has already started a run, in a concurrent or an earlier delivery."""

    code = "already_requested"

    def __init__(self, request_key: str, run_id: str) -> None:
        super().__init__(
            f"request {request_key} has started {run_id}",
            user_message=f"That has already started run `{run_id}`.",
        )
        self.request_key = request_key
        self.run_id = run_id


class OtherWorkflow(BadRequest):
    """The request names another workflow than that of the run to continue."""

    code = "other_workflow"

    def __init__(self, present: str, named: str) -> None:
        super().__init__(
            f"a run of {present}, not of {named}",
            user_message=f"That is a run of the workflow `{present}`, not of `{named}`.",
        )
        self.workflow = present
