"""What was recorded of a run: its events, kills, checkpoints, and its conversation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core.domain.actor import Action, Actor
from core.domain.failures.failed_attempt import FailedAttempt
from core.domain.kills.termination import Termination
from core.domain.redact import redact_field
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.event import EventKind, EventRecord
from core.domain.runs.run import Run
from core.domain.runs.work.patch import WorkPatch
from core.services.context import ServiceContext, require_permission
from core.services.runs.targets import find_run
from core.store import events, failures, patches, terminations
from core.store.runs import run_queries, tasks
from core.store.sessions import transcript_pages
from core.store.sessions.checkpoints import checkpoints
from core.store.tables.types import sanitize_text


@dataclass(frozen=True, kw_only=True)
class TranscriptEntry:
    """An entry of a conversation, as the agent program wrote it, but without secrets."""

    id: int
    entry: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NamedRun:
    """What people call a run: the task that it works on, and its number among the runs on that."""

    run_id: str
    task: str
    leg: int


@dataclass(frozen=True)
class RunRecordService:
    """Reads the records of runs.  Each method names the run as `StatusService.status` does.

    Each raises `RunNotFound`, `NotAllowed` and `Unavailable`.
    """

    context: ServiceContext

    async def run(self, target: str, *, by: Actor) -> Run:
        """The run itself."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return await find_run(session, target, by)

    async def named(self, uuid: UUID) -> NamedRun:
        """What people call the run whose row has this id."""
        async with self.context.transaction() as session:
            run = await run_queries.get_by_uuid(session, uuid)
            place = await tasks.of_run(session, run)
        return NamedRun(run_id=run.run_id, task=place.about, leg=place.leg)

    async def patch(self, target: str, *, by: Actor) -> tuple[Run, WorkPatch | None]:
        """The run, and the lines that it changed; `None` if none were kept."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            return run, await patches.of_run(session, run.id)

    async def events(
        self,
        target: str,
        *,
        by: Actor,
        after_id: int = 0,
        kinds: Collection[EventKind] | None = None,
        limit: int,
    ) -> tuple[Run, Sequence[EventRecord]]:
        """The run, and its events with an id above `after_id`, oldest first."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            return run, await events.of_run(
                session, run.id, after_id=after_id, kinds=kinds, limit=limit
            )

    async def terminations(self, target: str, *, by: Actor) -> tuple[Run, Sequence[Termination]]:
        """The run, and its kills, newest first."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            return run, await terminations.all_of_run(session, run.id)

    async def checkpoints(self, target: str, *, by: Actor) -> tuple[Run, Sequence[Checkpoint]]:
        """The run, and the checkpoints that it took, oldest first."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            return run, await checkpoints.of_run(session, run.id)

    async def failures(self, target: str, *, by: Actor) -> tuple[Run, Sequence[FailedAttempt]]:
        """The run, and its failed attempts, oldest first."""
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            return run, await failures.of_run(session, run.id)

    async def transcript(
        self, target: str, *, by: Actor, after_id: int = 0, subpath: str = "", limit: int
    ) -> tuple[Run, Sequence[TranscriptEntry]]:
        """The run, and entries of its session's conversation, oldest first.

        Args:
            target: As in `StatusService.status`.
            by: The person who asks.
            after_id: The id of the last entry that is known.
            subpath: Of a subagent's conversation; empty for the main one.
            limit: The most entries.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run = await find_run(session, target, by)
            found = await transcript_pages.page(
                session, run.session_id, subpath=subpath, after_id=after_id, limit=limit
            )
        return run, [
            TranscriptEntry(id=number, entry=_without_secrets(entry)) for number, entry in found
        ]


def _without_secrets(value: Any, name: str = "") -> Any:
    """The same JSON with its texts redacted; characters that no text can have are replaced."""
    if isinstance(value, str):
        return redact_field(name, sanitize_text(value))
    if isinstance(value, Mapping):
        return {
            sanitize_text(str(key)): _without_secrets(item, str(key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item, name) for item in value]
    return value
