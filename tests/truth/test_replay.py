"""What workspaces measure of generated work is what the script's own account says of it.

The same work as in the generated runs, done by a shell instead of an agent, so that many more
histories can be tried.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from core.agent.options import AGENT_EMAIL
from core.domain.runs.work.diff import StartState
from core.workspace.workspaces import Workspace, Workspaces
from tests.truth.changes import changes_between
from tests.truth.check_work import diff_differences
from tests.truth.effects import RunTests
from tests.truth.origin import MAIN, RELEASE, create, offered
from tests.truth.plan import initial_state
from tests.truth.repository import RUN_BRANCH
from tests.truth.work import KINDS, Site
from tests.unit.repositories import allowing

_RUN_BRANCH = "signalbox/implement/run_0123456789ab"
_SEEDS = int(os.environ.get("TRUTH_REPLAYS", "24"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create(tmp_path_factory.mktemp("origin") / "repository", offered())


class Replay:
    """A session whose agent is a shell."""

    def __init__(self, seed: int, workspaces: Workspaces, repository: Path) -> None:
        self.rng = random.Random(f"replay {seed}")
        self.branch = self.rng.choice((MAIN, MAIN, RELEASE, None))
        self.state = initial_state(self.branch)
        self.site = Site(self.rng, self.state, count(1))
        self.workspaces = workspaces
        self.repository = repository
        self.commands: list[str] = []

    async def prepare(self) -> Workspace:
        return await self.workspaces.prepare(
            workspace_id="ws_1",
            source=None if self.branch is None else str(self.repository),
            branch=self.branch,
            run_branch=_RUN_BRANCH,
        )

    async def leg(self, workspace: Workspace) -> list[str]:
        """One run: some work, and what is measured of it and is not true."""
        commit, branches = await self.workspaces.start_state(workspace)
        start = StartState(
            commit=commit,
            branches=branches,
            at=datetime.now(UTC) - timedelta(seconds=1),
            identities=frozenset({AGENT_EMAIL}),
        )
        before = self.state.repository.copy()
        for command in self.work():
            self.commands.append(command)
            await asyncio.to_thread(_shell, workspace.path, command)
        saved = await self.workspaces.save(workspace, "a/1", only_if_uncommitted=True)
        measured = await self.workspaces.diff(workspace, start, saved=saved)
        true = changes_between(before, self.state.repository)
        return list(diff_differences(measured, true, run_branch=_RUN_BRANCH))

    def work(self) -> Iterator[str]:
        for _ in range(self.rng.randint(0, 6)):
            work = self.rng.choice(KINDS)(self.site)
            if work is None or isinstance(work[0], RunTests):
                continue
            for effect in work:
                effect.apply(self.state)
            yield " && ".join(effect.command for effect in work)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("seed", range(_SEEDS))
async def test_measured_changes_are_those_of_the_account(
    seed: int, tmp_path: Path, repository: Path
) -> None:
    workspaces = Workspaces(
        tmp_path / "home",
        git_timeout=timedelta(seconds=60),
        policy=allowing(repository.parent),
    )
    replay = Replay(seed, workspaces, repository)
    workspace = await replay.prepare()

    for _ in range(3):
        assert await replay.leg(workspace) == [], replay.commands
        replay.commands.append("# the next run")


def test_the_account_knows_the_branch_of_a_run_by_its_place() -> None:
    assert initial_state(MAIN).repository.branch == RUN_BRANCH


def _shell(path: Path, command: str) -> None:
    who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER")
           for part, value in (("NAME", "Agent"), ("EMAIL", AGENT_EMAIL))}  # fmt: skip
    subprocess.run(["bash", "-c", command], cwd=path, check=True, env={**os.environ, **who})
