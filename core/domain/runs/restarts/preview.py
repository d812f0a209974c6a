"""What a restart would do: the point, what the new run will not have, and what is in its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.domain.runs.checkpoint import Checkpoint, CheckpointDiff
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode
from core.domain.runs.run import CostSource, Run
from core.domain.runs.session import Message
from core.domain.runs.step import Step
from core.domain.runs.work.diff import CommitInfo, DiffStat


class ProblemKind(StrEnum):
    """What is in the way of a restart, or what should be known before it."""

    NO_CONVERSATION = "no_conversation"
    NOT_ANSWERED_YET = "not_answered_yet"
    OBJECTS_MISSING = "objects_missing"
    REPOSITORY_NOT_ALLOWED = "repository_not_allowed"
    REPOSITORY_UNREACHABLE = "repository_unreachable"
    BASE_COMMIT_GONE = "base_commit_gone"
    WORKFLOW_GONE = "workflow_gone"
    WORKFLOW_CHANGED = "workflow_changed"
    DEFINITION_NOT_STORED = "definition_not_stored"
    SERVERS_GONE = "servers_gone"
    CALL_OPEN = "call_open"
    OVER_LIMIT = "over_limit"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding of the checks before a restart.

    Attributes:
        sentence: What it is, for people, in words that hold on every surface.
        is_blocking: Whether the restart is refused; otherwise it is only told.
    """

    kind: ProblemKind
    sentence: str
    is_blocking: bool = True


@dataclass(frozen=True, kw_only=True)
class Discarded:
    """What came after the point, and what the new run begins without.

    Attributes:
        runs: The runs that began after it, oldest first.
        steps: The steps that were begun or finished after it.
        messages: What people said after it, oldest first.
        commits: The commits that were made after it, newest first.
        omitted_commits: How many older ones are not in `commits`.
        files: What differs between the point and the newest state of the files, measured where
            the workspace is; `None` if it is not on this machine.
        diff_then: What the run had changed at the point; `None` if that is unknown.
        diff_now: What it has changed in the end; `None` if that is unknown.
        spent_usd: The cost after the point, as far as it is known; `None` if it is unknown.
        total_usd: The known cost of the whole session.
        cost_source: Whether `total_usd` was reported; `None` if it is unknown.
    """

    runs: Sequence[Run] = ()
    steps: Sequence[Step] = ()
    messages: Sequence[Message] = ()
    commits: Sequence[CommitInfo] = ()
    omitted_commits: int = 0
    files: DiffStat | None = None
    diff_then: CheckpointDiff | None = None
    diff_now: DiffStat | None = None
    spent_usd: Decimal | None = None
    total_usd: Decimal | None = None
    cost_source: CostSource | None = None


@dataclass(frozen=True, kw_only=True)
class RestartPreview:
    """What a restart would do; nothing is done yet.

    Attributes:
        run: The run that was named.
        origin: The run that the point belongs to: it is the first run of all for a restart from
            the start, and otherwise the one in which the checkpoint was taken.
        task: The task that the new run works on.
        checkpoint: The point; `None` is the start.
        checkpoints: All checkpoints that one can restart from, oldest first.
        base_commit: The commit at which a restart from the start begins; `None` if the repository
            had none.
        problems: What is in the way, and what should be known.
        definition: Which definition the new run will follow.
        has_both_definitions: Whether the present definition differs from the one that the run
            used, and both can be chosen.
    """

    run: Run
    origin: Run
    mode: RestartMode
    task: str
    discarded: Discarded
    checkpoint: Checkpoint | None = None
    checkpoints: Sequence[Checkpoint] = ()
    base_commit: str | None = None
    problems: Sequence[Problem] = ()
    definition: DefinitionChoice = DefinitionChoice.CURRENT
    has_both_definitions: bool = False

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """The problems that are in the way."""
        return tuple(problem for problem in self.problems if problem.is_blocking)
