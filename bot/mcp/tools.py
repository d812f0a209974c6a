"""What the tools do: one call of a service each, with the rights of the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from bot.mcp.arguments import (
    ContinueWorkflow,
    GetWorkflowStatus,
    KillWorkflow,
    ListRuns,
    RestartWorkflow,
    RunWorkflow,
)
from bot.mcp.results import (
    KillResult,
    RestartResult,
    RunResult,
    RunsResult,
    StartedResult,
    kill_result,
    restart_preview_result,
    restarted_result,
    run_result,
    started_result,
    status_result,
)
from core.domain.actor import Actor
from core.domain.feed import ChangeKind
from core.domain.kills.termination import Phase
from core.domain.runs.request import (
    ContinueRequest,
    KillRequest,
    Place,
    RunFilter,
    StartRequest,
)
from core.domain.runs.restarts.request import RestartMode, RestartRequest
from core.domain.runs.run import WaitingOn
from core.domain.runs.snapshot import RunSnapshot
from core.services.context import Clock
from core.services.feed import FeedService
from core.services.runs.restarts.service import RestartService
from core.services.runs.runs import RunService
from core.services.runs.status import StatusService

Watch = Callable[[RunSnapshot], Awaitable[None]]
FindPlace = Callable[[], Place | None]
# What only a person can give; a client that waits for the end should hear of it.
_NEEDS_PERSON = frozenset({WaitingOn.APPROVAL, WaitingOn.QUESTION, WaitingOn.BUDGET})


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The tools.  Each method raises an `OpsError` for what a caller can correct.

    Attributes:
        place: Finds the channel in which runs without a thread get one; `None` for nowhere.
    """

    runs: RunService
    restarts: RestartService
    statuses: StatusService
    feed: FeedService
    clock: Clock
    place: FindPlace = lambda: None

    async def run_workflow(self, given: RunWorkflow, *, by: Actor) -> StartedResult:
        """Start a run."""
        request = StartRequest(
            workflow=given.workflow_name,
            task=given.message,
            request_key=_request_key(given.idempotency_key, by),
            place=self.place(),
            repo=given.repository_url,
            branch=given.git_branch,
            model=given.model,
            max_turns=given.max_turns,
            budget_usd=given.budget,
            timeout=given.timeout,
            session_name=given.session_name,
            new_session=given.new_session,
        )
        return started_result(await self.runs.start(request, by=by))

    async def get_workflow_status(
        self, given: GetWorkflowStatus, *, by: Actor, watch: Watch
    ) -> RunResult:
        """A run as it stands, perhaps after a wait; `watch` hears of each change meanwhile."""
        seen = await self.runs.snapshot(given.run_id, by=by)
        seen = await self._wait(
            seen, by=by, watch=watch, seconds=given.wait_seconds, is_over=_is_over
        )
        run_id = seen.run.run_id
        report = await self.statuses.status(run_id, by=by)
        if report.run.version != seen.run.version:
            seen = await self.runs.snapshot(run_id, by=by)
        return status_result(seen, report, now=self.clock(), with_steps=given.include_steps)

    async def list_runs(self, given: ListRuns, *, by: Actor) -> RunsResult:
        """The newest runs."""
        run_filter = RunFilter(
            live=given.state == "live",
            failed=given.state == "failed",
            workflow=given.workflow_name,
        )
        found = await self.runs.list_runs(run_filter, by=by, limit=given.limit)
        now = self.clock()
        return RunsResult(runs=[run_result(one, now=now) for one in found])

    async def continue_workflow(self, given: ContinueWorkflow, *, by: Actor) -> StartedResult:
        """Start the next run of a session."""
        request = ContinueRequest(
            target=given.run_id,
            request_key=_request_key(given.idempotency_key, by),
            additional_turns=given.additional_turns,
            message=given.message,
            budget_usd=given.budget,
            model=given.model,
            recovers=given.recovery,
        )
        return started_result(await self.runs.continue_run(request, by=by, place=self.place()))

    async def restart_workflow(self, given: RestartWorkflow, *, by: Actor) -> RestartResult:
        """Restart an ended run, or say what that would do."""
        request = RestartRequest(
            target=given.run_id,
            request_key=_request_key(given.idempotency_key, by),
            checkpoint=given.checkpoint,
            mode=RestartMode.FILES if given.files_only else RestartMode.FORK,
            message=given.message,
        )
        if given.preview:
            return restart_preview_result(await self.restarts.preview(request, by=by))
        started = await self.restarts.restart(request, by=by, place=self.place())
        return restarted_result(started)

    async def kill_workflow(self, given: KillWorkflow, *, by: Actor, watch: Watch) -> KillResult:
        """Kill a run, and wait for the proof."""
        kill = await self.runs.kill(
            KillRequest(
                target=given.run_id,
                force=given.force,
                reason=given.reason,
                request_key=f"mcp:{uuid4().hex}",
            ),
            by=by,
        )
        seen = await self.runs.snapshot(given.run_id, by=by)
        seen = await self._wait(
            seen, by=by, watch=watch, seconds=given.wait_seconds, is_over=_is_killed
        )
        latest = seen.termination or kill
        return kill_result(seen, latest, run_result(seen, now=self.clock()).summary)

    async def _wait(
        self,
        seen: RunSnapshot,
        *,
        by: Actor,
        watch: Watch,
        seconds: int,
        is_over: Callable[[RunSnapshot], bool],
    ) -> RunSnapshot:
        """Wait until `is_over`, or until the time is up; returns the newest snapshot."""
        if seconds == 0 or is_over(seen):
            return seen
        run_id = seen.run.run_id
        try:
            async with (
                asyncio.timeout(seconds),
                self.feed.subscribe(kinds={ChangeKind.RUN}, subjects={run_id}) as changes,
            ):
                # The first item says that the subscription holds: nothing is missed from then on.
                async for _ in changes:
                    seen = await self.runs.snapshot(run_id, by=by)
                    if is_over(seen):
                        break
                    await watch(seen)
        except TimeoutError:
            # What was seen last is the answer.
            return seen
        return seen


def _is_over(seen: RunSnapshot) -> bool:
    run = seen.run
    has_ended = not run.is_live and not run.is_work_pending
    return has_ended or run.waiting_on in _NEEDS_PERSON


def _is_killed(seen: RunSnapshot) -> bool:
    if seen.termination is not None and seen.termination.phase is Phase.UNCONFIRMED:
        return True
    # The status follows the proof a moment later.
    return not seen.run.is_live


def _request_key(idempotency_key: str | None, by: Actor) -> str:
    """The request's id: the client's own, which holds for this caller only, or a new one."""
    if idempotency_key is None:
        return f"mcp:{uuid4().hex}"
    return f"mcp:{by.external_id or by.origin}:{idempotency_key}"
