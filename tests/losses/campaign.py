"""Runs that lose their agent, their worker, their workspace or their whole home.

The worker is a process of its own; the rest of the core is in the test.  A run goes on unasked
where it does, otherwise a person continues it; then its tree is compared with an undisturbed one.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import Run, RunStatus
from core.domain.runs.snapshot import RunSnapshot
from core.store.fleet import attempts
from tests.core_harness import CoreHarness
from tests.limits import limit
from tests.losses.script import GO_ON, STEPS, TASK, expected_files, thirty_steps
from tests.processes import Program, model_variables, running
from tests.repositories import new_repository, repositories_beside

# A worker that is gone is missed after 45 s, and its run taken over with the next look.
_TAKEN_OVER_SECONDS = 90.0
_LEGS = 4


class Loss(StrEnum):
    """What is lost."""

    AGENT = "agent"
    WORKER = "worker"
    WORKSPACE = "workspace"
    HOME = "home"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One disturbed run, the same for the same seed.

    Attributes:
        at_call: After so many tool calls the loss comes, and a moment later.
        moment: That moment, in seconds.
    """

    seed: int
    loss: Loss
    is_isolated: bool
    at_call: int
    moment: float

    @classmethod
    def of(cls, seed: int) -> Plan:
        """The plan of a seed; four in a row have four losses, eight both ways of isolation."""
        chance = random.Random(seed)
        losses = list(Loss)
        return cls(
            seed=seed,
            loss=losses[seed % len(losses)],
            is_isolated=seed // len(losses) % 2 == 0,
            at_call=chance.randrange(1, STEPS - 1),
            moment=chance.uniform(0, 0.4),
        )

    def __str__(self) -> str:
        isolated = "isolated" if self.is_isolated else "not isolated"
        return f"seed {self.seed}: loss of the {self.loss} after call {self.at_call}, {isolated}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one plan.

    Attributes:
        problem: What is not as it must be; `None` if all is.
        is_missed: Whether the run had ended before the loss could come.
        legs: How many runs the session took.
        attempts: How many attempts its last run took.
    """

    plan: Plan
    problem: str | None
    is_missed: bool = False
    legs: int = 1
    attempts: int = 1


@dataclass
class Losses:
    """Carries out plans, one after another.

    Attributes:
        folder: For homes and repositories; it is emptied after each plan that went well.
    """

    harness: CoreHarness
    folder: Path

    def __post_init__(self) -> None:
        script = thirty_steps()
        self.harness.model.scripts[script.name] = script

    async def carry_out(self, plan: Plan) -> Result:
        """Let one run lose what the plan says, and compare what it made."""
        folder = self.folder / f"seed-{plan.seed}"
        await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            result = await self._carry_out(plan, folder)
        except TimeoutError as error:
            result = Result(plan=plan, problem=f"not over in time: {error}")
        if result.problem is None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return result

    async def _carry_out(self, plan: Plan, folder: Path) -> Result:
        repository = await asyncio.to_thread(new_repository, folder / "api")
        home = await asyncio.to_thread(_new_home, folder / "home", plan)
        async with self._worker(home) as worker:
            run = await self.harness.start(TASK, repo=str(repository))
            seen = await self.harness.wait_until(
                run,
                lambda one: one.run.tool_calls >= plan.at_call or not one.run.is_live,
                within=120,
            )
            await asyncio.sleep(plan.moment)
            is_missed = not (await self.harness.read_run(run)).run.is_live
            if plan.loss is Loss.AGENT:
                await self._kill_agent(seen.run)
                return replace(await self._finish(plan, run), is_missed=is_missed)
            worker.send(signal.SIGKILL)
            await worker.process.wait()
        if plan.loss is Loss.WORKSPACE:
            seen = await self.harness.read_run(run)
            if seen.run.workspace_path is not None:
                await _lose(Path(seen.run.workspace_path))
        elif plan.loss is Loss.HOME:
            await _lose(home)
            home = await asyncio.to_thread(_new_home, folder / "other", plan)
        async with self._worker(home):
            return replace(await self._finish(plan, run), is_missed=is_missed)

    async def _kill_agent(self, run: Run) -> None:
        async with self.harness.backend.database.sessions() as session:
            found = await attempts.of_run(session, run.id)
        agent = found[-1].agent if found else None
        if agent is not None:
            try:
                os.kill(agent.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    async def _finish(self, plan: Plan, run: Run) -> Result:
        """Continue until the work is complete; then compare it."""
        error = ""
        for leg in range(1, _LEGS + 1):
            seen = await self.harness.wait_until_ended(run, within=_TAKEN_OVER_SECONDS)
            if seen.run.status is RunStatus.COMPLETED:
                problem = await asyncio.to_thread(_difference, seen)
                return Result(plan=plan, problem=problem, legs=leg, attempts=seen.run.attempt)
            error = seen.run.error_message or ""
            request = ContinueRequest(target=run.run_id, request_key=uuid4().hex, message=GO_ON)
            continued = await self.harness.backend.runs.continue_run(
                request, by=self.harness.operator
            )
            run = continued.run
        return Result(plan=plan, problem=f"not complete: {error}", legs=_LEGS)

    @asynccontextmanager
    async def _worker(self, home: Path) -> AsyncIterator[Program]:
        variables: Mapping[str, object] = {
            **model_variables(self.harness.model),
            "DATABASE_URL": self.harness.backend.database.dsn,
        }
        async with running("worker", home, **variables) as program:
            await program.wait_until_ready()
            yield program


async def _lose(folder: Path) -> None:
    """Remove a folder, into which an agent that is not isolated may go on writing for a while."""
    async with limit(10):
        while await asyncio.to_thread(folder.exists):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _new_home(path: Path, plan: Plan) -> Path:
    path.mkdir(mode=0o700, parents=True)
    mode = "required" if plan.is_isolated else "none"
    (path / "signalbox.toml").write_text(
        f'[agent]\napi_retries = 1\nisolation = "{mode}"\n{repositories_beside(path)}'
    )
    return path


def _difference(seen: RunSnapshot) -> str | None:
    """How a finished tree differs from that of an undisturbed run; `None` if it does not."""
    workspace = Path(seen.run.workspace_path or "")
    committed = _git(workspace, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    left = _git(workspace, "status", "--porcelain")
    expected = expected_files()
    if sorted(committed) != sorted(["app.py", *expected]):
        return f"committed are {committed}"
    wrong = [
        name for name, content in expected.items()
        if _git(workspace, "show", f"HEAD:{name}") != content.strip()
    ]  # fmt: skip
    if wrong:
        return f"{len(wrong)} parts have other content, the first is {wrong[0]}"
    return f"not clean: {left}" if left else None


def _git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def without_isolation(plan: Plan) -> Plan:
    """The same plan, not isolated."""
    return replace(plan, is_isolated=False)
