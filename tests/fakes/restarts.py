"""Restarts in memory: what was asked for is kept, and previews tell what they are given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from uuid import uuid4

from core.domain.actor import Actor
from core.domain.runs.checkpoint import Checkpoint
from core.domain.runs.request import Place, StartResult
from core.domain.runs.restarts.errors import RunStillLive
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.preview import Discarded, Problem, RestartPreview
from core.domain.runs.restarts.request import RestartRequest
from core.domain.runs.run import RunStatus
from tests.fakes.services import FakeServices


@dataclass
class FakeRestarts:
    """Restarts the runs of other fakes.

    Attributes:
        asked: The requests that started something.
        problems: What each preview tells.
        checkpoints: What one can restart from besides the start.
    """

    services: FakeServices
    asked: list[RestartRequest] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()

    async def preview(self, request: RestartRequest, *, by: Actor) -> RestartPreview:
        """What a restart would do."""
        seen = await self.services.snapshot(request.target, by=by)
        if seen.run.is_live:
            raise RunStillLive(seen.run.run_id)
        return RestartPreview(
            run=seen.run,
            origin=seen.run,
            mode=request.mode,
            task=seen.run.task_input,
            discarded=Discarded(),
            checkpoint=next(
                (one for one in self.checkpoints if one.number == request.checkpoint), None
            ),
            checkpoints=self.checkpoints,
            problems=self.problems,
        )

    async def restart(
        self, request: RestartRequest, *, by: Actor, place: Place | None = None
    ) -> StartResult:
        """Start a copy of the run in the same channel."""
        assert place is not None
        preview = await self.preview(request, by=by)
        self.asked.append(request)
        identity = uuid4()
        run_id = f"run_{identity.hex[:12]}"
        origin = RestartOrigin(run_id=preview.run.run_id, checkpoint=request.checkpoint)
        made = replace(
            preview.run,
            id=identity,
            run_id=run_id,
            thread_key=run_id,
            status=RunStatus.PENDING,
            stop_reason=None,
            completed_at=None,
            session_id=uuid4(),
            parent_run_id=preview.run.id,
            metadata=origin.to_metadata(),
        )
        return StartResult(run=self.services.put_run(made), is_new=True)
