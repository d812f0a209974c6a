"""Rows of runs that ended with changes, whose lines are those of a real repository."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from core.domain.runs.run import Run, StopReason
from core.domain.runs.work.diff import CommitInfo, StartState
from core.store import patches
from core.store.database.engine import Database
from core.store.runs import runs
from core.workspace.workspaces import Workspaces
from tests.database import NOW, running_run
from tests.unit.repositories import RUN_BRANCH, allowing, git

LARGE_LINES = 1_300
_CODE = "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(30))
_CHANGED = _CODE.replace("x + 7\n", "x + 70\n").replace("x + 25\n", "x - 25\n")


async def changed_run(
    database: Database, folder: Path, *, keeps_lines: bool = True, source: str | None = None
) -> Run:
    """A run with a change of each kind."""
    origin = folder / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "src").mkdir()
    (origin / "src/limits.py").write_text(_CODE)
    (origin / "old name.md").write_text("# Title\n" + "text\n" * 30)
    (origin / "gone.txt").write_text("one\ntwo\n")
    (origin / "run.sh").write_text("#!/bin/sh\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "Begin")
    workspaces = Workspaces(
        folder / "home", git_timeout=timedelta(seconds=30), policy=allowing(folder)
    )
    workspace = await workspaces.prepare(
        workspace_id="ws_1", source=str(origin), branch=None, run_branch=RUN_BRANCH
    )
    path = workspace.path
    (path / "src/limits.py").write_text(_CHANGED)
    (path / "old name.md").rename(path / "new name.md")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "Raise the <b>limit</b>")
    (path / "gone.txt").unlink()
    (path / "run.sh").chmod(0o755)
    (path / "logo.png").write_bytes(bytes(range(256)))
    (path / "evil.py").write_text("x = 'a\u202eb'  # </td><script>alert(1)</script>\nend")
    (path / "large.txt").write_text("".join(f"row {n}\n" for n in range(LARGE_LINES)))
    measured = await workspaces.measure(workspace, StartState(commit=workspace.base_commit))
    assert measured.patch is not None
    run = await running_run(
        database, task_input="Raise the limit", git_repo=source or "https://github.com/acme/api"
    )
    async with database.sessions.begin() as session:
        await runs.finish(
            session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW,
            diff=measured.diff,
        )  # fmt: skip
        if keeps_lines:
            await patches.put(session, run.id, measured.patch, now=NOW)
    assert isinstance(measured.diff.commits[0], CommitInfo)
    return run
