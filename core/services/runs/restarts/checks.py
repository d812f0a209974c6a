"""The checks before a restart: is everything still there that the new run needs?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.agent.definitions.catalog import Catalog
from core.agent.definitions.stored import (
    StoredDefinition,
    UnreadableDefinition,
    read_stored,
    stored_form,
)
from core.domain.actor import Actor, Role
from core.domain.reach.repositories import RepositoryNotAllowed, RepositoryPolicy
from core.domain.runs.checkpoint import Checkpoint, NotStored
from core.domain.runs.restarts.origin import DEFINITION_KEY
from core.domain.runs.restarts.preview import Problem, ProblemKind
from core.domain.runs.restarts.request import DefinitionChoice, RestartMode, RestartRequest
from core.domain.runs.run import Run
from core.domain.runs.work.diff import DiffStat
from core.domain.workflow import UnknownWorkflow, WorkflowDefinition
from core.services.runs.restarts.points import RestartPoint
from core.store import definitions
from core.store.sessions import transcript_forks
from core.store.sessions.checkpoints import checkpoints
from core.workspace.source import BadRepository, parse_source


class WorkspaceProbe(Protocol):
    """Looks at repositories and workspaces from this process."""

    @property
    def is_of_worker(self) -> bool:
        """Whether this process executes runs: what it cannot reach, they cannot reach either."""
        ...

    async def problem(self, source: str) -> str | None:
        """Why a repository cannot be read, as a sentence; `None` if it can."""
        ...

    async def lacks(self, source: str, commit: str) -> bool:
        """Whether a repository says that it has no such commit."""
        ...

    async def changes_since(
        self, node: str, workspace_id: str, checkpoint: Checkpoint
    ) -> DiffStat | None:
        """What was changed in a workspace since a checkpoint; `None` if it is not on this disk."""
        ...


@dataclass(frozen=True, kw_only=True)
class FoundDefinition:
    """The definition that a restart follows.

    Attributes:
        used: The definition; `None` if there is none to follow.
        choice: Which one it is.
        digest: The digest of the stored definition, if that is followed.
        has_both: Whether the present and the stored definition differ, and both can be followed.
        problems: What is to be told about it.
    """

    used: WorkflowDefinition | None
    choice: DefinitionChoice
    digest: str | None = None
    has_both: bool = False
    problems: Sequence[Problem] = ()


async def find_definition(
    session: AsyncSession, request: RestartRequest, run: Run, *, catalog: Catalog, by: Actor
) -> FoundDefinition:
    """Find the definition to follow: the present one, unless the stored one is asked for."""
    present = _present(catalog, run)
    kept = await _stored(session, run)
    stored = None
    if kept is not None:
        try:
            stored = read_stored(kept)
        except UnreadableDefinition:
            kept = None
    if request.definition is DefinitionChoice.STORED:
        return _follow_stored(run, present, stored, kept, by)
    if present is None:
        way = (
            " An operator can restart it with the definition that is stored with the run."
            if stored is not None
            else ""
        )
        gone = Problem(
            kind=ProblemKind.WORKFLOW_GONE,
            sentence=f"There is no workflow `{run.workflow_name}` any more.{way}",
        )
        return FoundDefinition(used=None, choice=DefinitionChoice.CURRENT, problems=[gone])
    has_both = stored is not None and stored.prompt != present.prompt
    changed = (
        [_changed(run, followed="as it is now")]
        if kept is not None and kept.digest != stored_form(present).digest
        else []
    )
    return FoundDefinition(
        used=present, choice=DefinitionChoice.CURRENT, has_both=has_both, problems=changed
    )


def _follow_stored(
    run: Run,
    present: WorkflowDefinition | None,
    stored: WorkflowDefinition | None,
    kept: StoredDefinition | None,
    by: Actor,
) -> FoundDefinition:
    if stored is None or kept is None:
        missing = Problem(
            kind=ProblemKind.DEFINITION_NOT_STORED,
            sentence=f"The definition that `{run.run_id}` followed is not stored. Restart it with "
            "the present one.",
        )
        return FoundDefinition(used=None, choice=DefinitionChoice.STORED, problems=[missing])
    problems: list[Problem] = []
    if present is None and by.role < Role.OPERATOR:
        problems.append(
            Problem(
                kind=ProblemKind.WORKFLOW_GONE,
                sentence=f"The workflow `{run.workflow_name}` was removed. Only an operator can "
                "restart a run of it.",
            )
        )
    elif present is None and stored.mcp_servers:
        names = ", ".join(f"`{name}`" for name in stored.mcp_servers)
        problems.append(
            Problem(
                kind=ProblemKind.SERVERS_GONE,
                sentence=f"The MCP servers of the removed workflow are not stored, so the new run "
                f"has none: {names}.",
                is_blocking=False,
            )
        )
    elif present is not None and kept.digest != stored_form(present).digest:
        problems.append(_changed(run, followed="with the instructions that the run had"))
    return FoundDefinition(
        used=stored,
        choice=DefinitionChoice.STORED,
        digest=kept.digest,
        has_both=present is not None and stored.prompt != present.prompt,
        problems=problems,
    )


def _changed(run: Run, *, followed: str) -> Problem:
    return Problem(
        kind=ProblemKind.WORKFLOW_CHANGED,
        sentence=f"The workflow `{run.workflow_name}` was changed since this run; the new run "
        f"follows it {followed}. Tools and rights are always the present ones.",
        is_blocking=False,
    )


def _present(catalog: Catalog, run: Run) -> WorkflowDefinition | None:
    try:
        return catalog.get(run.workflow_name)
    except UnknownWorkflow:
        return None


async def _stored(session: AsyncSession, run: Run) -> StoredDefinition | None:
    digest = run.metadata.get(DEFINITION_KEY)
    if not isinstance(digest, str):
        return None
    found = await definitions.find(session, digest)
    return (
        None if found is None else StoredDefinition(digest=digest, name=found[0], content=found[1])
    )


async def stored_problems(
    session: AsyncSession, request: RestartRequest, point: RestartPoint
) -> list[Problem]:
    """What the database lacks of a point."""
    checkpoint = point.checkpoint
    if checkpoint is None:
        return []
    problems: list[Problem] = []
    if request.mode is RestartMode.FORK:
        if checkpoint.message_uuid is None:
            problems.append(
                Problem(
                    kind=ProblemKind.NOT_ANSWERED_YET,
                    sentence=f"At checkpoint @{checkpoint.number} the agent had not said anything "
                    "yet. Restart from the start, or from another checkpoint.",
                )
            )
        elif not await _has_conversation(session, checkpoint.session_id, checkpoint.message_uuid):
            problems.append(
                Problem(
                    kind=ProblemKind.NO_CONVERSATION,
                    sentence="The conversation is not stored any more up to checkpoint "
                    f"@{checkpoint.number}. Restart from the start, which needs none.",
                )
            )
    has_objects = checkpoint.is_restorable_anywhere and (
        await checkpoints.has_bundles(session, checkpoint.id)
    )
    if not has_objects and request.mode is RestartMode.FORK:
        problems.append(
            Problem(
                kind=ProblemKind.OBJECTS_MISSING,
                sentence=f"The files of checkpoint @{checkpoint.number} "
                f"{_WHY_NOT_STORED[checkpoint.not_stored]}.",
            )
        )
    if checkpoint.is_call_open:
        problems.append(
            Problem(
                kind=ProblemKind.CALL_OPEN,
                sentence="A tool call was under way at this checkpoint: the files may have a part "
                "of what it did, which the conversation does not know of.",
                is_blocking=False,
            )
        )
    return problems


_WHY_NOT_STORED = {
    NotStored.TOO_LARGE: "were too large to be stored in the database; they are only in the old "
    "workspace",
    NotStored.FAILED: "could not be stored in the database",
    None: "are not stored in the database any more",
}


async def _has_conversation(session: AsyncSession, session_id: UUID, message_uuid: UUID) -> bool:
    return await transcript_forks.has_entry(session, session_id, message_uuid)


async def repository_problems(
    point: RestartPoint, *, policy: RepositoryPolicy, probe: WorkspaceProbe
) -> list[Problem]:
    """What is the matter with the repository, as far as this machine can tell.

    Outside of any transaction: it may take seconds.
    """
    source = point.root.git_repo
    if source is None:
        return []
    try:
        parse_source(source).require_allowed(policy)
    except (RepositoryNotAllowed, BadRepository) as error:
        return [Problem(kind=ProblemKind.REPOSITORY_NOT_ALLOWED, sentence=error.user_message)]
    unreachable = await probe.problem(source)
    if unreachable is not None:
        return [
            Problem(
                kind=ProblemKind.REPOSITORY_UNREACHABLE,
                sentence=unreachable,
                # A worker elsewhere may have access that this process lacks.
                is_blocking=probe.is_of_worker,
            )
        ]
    checkpoint = point.checkpoint
    base = point.root.initial_commit_hash if checkpoint is None else checkpoint.base_commit
    if base is not None and await probe.lacks(source, base):
        return [
            Problem(
                kind=ProblemKind.BASE_COMMIT_GONE,
                sentence=f"The repository no longer has commit `{base[:12]}`, on which the work "
                "stands. Push that commit to any branch of it, then restart.",
            )
        ]
    return []
