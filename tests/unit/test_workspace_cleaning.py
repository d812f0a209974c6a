from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.domain.workspaces.policy import DEFAULT_DISPOSABLE
from core.domain.workspaces.stay import Stay, StayReason
from core.workspace.cleaning.cleaner import Examined, Stays
from core.workspace.errors import WorkspaceBusy
from core.workspace.workspaces import Workspace, Workspaces
from tests.limits import limit
from tests.unit import workspace_states as states
from tests.unit.carried_workspaces import workspace_files
from tests.unit.cleaned_workspaces import (
    cleaner_of,
    examined,
    leave,
    local_state,
    new_workspaces,
    restored_elsewhere,
)
from tests.unit.repositories import git, prepare

# Each takes a second, and 20 where many tests share a processor.
EXAMPLES = int(os.environ.get("CLEAN_UP_EXAMPLES", "15"))


def kept_by_later_acts(path: Path) -> dict[StayReason, set[str]]:
    """What keeps a workspace although each act alone does not, by reason.

    Content can be staged and then changed in the file, so that only the index has it.  Another
    branch can lack the rule by which a cache was ignored.
    """

    def names(*command: str) -> set[str]:
        return set(git(path, *command).splitlines())

    changed = names("diff", "--name-only")
    untracked = names("ls-files", "--others", "--exclude-standard", "--directory")
    return {
        StayReason.STAGED: changed & names("diff", "--name-only", "--cached"),
        StayReason.UNCOMMITTED: {name.rstrip("/") for name in untracked} & DEFAULT_DISPOSABLE,
    }


@pytest.mark.timeout(30 * EXAMPLES)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow],
    print_blob=True, phases=(Phase.explicit, Phase.reuse, Phase.generate),
)  # fmt: skip
@given(acts=st.lists(st.sampled_from(states.CARRIED), max_size=7))
def test_what_goes_can_be_restored_byte_for_byte(acts: list[states.Act]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cleaning-"))
    try:
        asyncio.run(check_restored(folder, acts))
    finally:
        shutil.rmtree(folder)


async def check_restored(folder: Path, acts: list[states.Act]) -> None:
    workspaces, workspace, _ = await leave(folder, acts)
    before = local_state(workspace.path)

    found = await examined(workspaces, workspace)

    assert local_state(workspace.path) == before
    if isinstance(found, Stay):
        assert found.names
        assert set(found.names) <= kept_by_later_acts(workspace.path)[found.reason], found
        return
    assert found.bundle is not None
    await cleaner_of(workspaces).remove(workspace.id)
    assert not workspace.path.exists()
    assert local_state(await restored_elsewhere(folder, workspace, found.bundle)) == before


@pytest.mark.timeout(30 * EXAMPLES)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow],
    print_blob=True, phases=(Phase.explicit, Phase.reuse, Phase.generate),
)  # fmt: skip
@given(
    acts=st.lists(st.sampled_from([*states.CARRIED, *states.HIDDEN, *states.KEEPING]), max_size=5),
    last=st.sampled_from([*states.KEEPING, *states.HIDDEN]),
)
def test_what_cannot_be_restored_stays(acts: list[states.Act], last: states.Act) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cleaning-"))
    try:
        asyncio.run(check_stays(folder, [*acts, last]))
    finally:
        shutil.rmtree(folder)


async def check_stays(folder: Path, acts: list[states.Act]) -> None:
    workspaces, workspace, _ = await leave(folder, acts)
    before = local_state(workspace.path)

    found = await examined(workspaces, workspace)

    assert local_state(workspace.path) == before
    if isinstance(found, Examined):
        # A later act has undone it; then everything is restored all the same.
        assert found.bundle is not None
        assert local_state(await restored_elsewhere(folder, workspace, found.bundle)) == before


@pytest.mark.parametrize("act", list(states.KEEPING), ids=lambda act: act.__name__)
async def test_the_reason_of_a_stay_is_named(act: states.Act, tmp_path: Path) -> None:
    workspaces, workspace, _ = await leave(tmp_path, [act])

    found = await examined(workspaces, workspace)

    assert isinstance(found, Stay)
    assert found.reason is states.KEEPING[act]
    assert found.names


async def test_a_workspace_without_anything_goes_without_a_bundle(tmp_path: Path) -> None:
    workspaces = new_workspaces(tmp_path, "a home")
    workspace = await prepare(workspaces, None)

    found = await examined(workspaces, workspace)

    assert found == Examined(bundle=None, is_delivered=True)


async def test_a_workspace_without_a_repository_is_carried(tmp_path: Path) -> None:
    workspaces = new_workspaces(tmp_path, "a home")
    workspace = await prepare(workspaces, None)
    states.commit(workspace.path, workspace.path)
    states.untracked(workspace.path, workspace.path)
    before = local_state(workspace.path)

    found = await examined(workspaces, workspace)

    assert isinstance(found, Examined)
    assert found.bundle is not None
    assert not found.is_delivered
    assert local_state(await restored_elsewhere(tmp_path, workspace, found.bundle)) == before


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("acts", "is_delivered"),
    [
        ([], True),
        ([states.commit], False),
        ([states.commit, states.push], True),
        ([states.commit, states.push, states.untracked], False),
        ([states.commit, states.commit, states.squash_merge], True),
        ([states.remote_goes_on, states.commit, states.commit, states.squash_merge], True),
        ([states.commit, states.squash_merge, states.remote_goes_on, states.commit], False),
    ],
)
async def test_delivered_is_what_the_repository_has(
    acts: list[states.Act], is_delivered: bool, tmp_path: Path
) -> None:
    workspaces, workspace, _ = await leave(tmp_path, acts)

    found = await examined(workspaces, workspace)

    assert isinstance(found, Examined)
    assert found.is_delivered is is_delivered


async def test_work_too_large_to_store_stays_unless_the_repository_has_it(tmp_path: Path) -> None:
    workspaces, workspace, origin = await leave(tmp_path, [])
    (workspace.path / "large").write_bytes(os.urandom(50_000))
    states.commit_all(workspace.path, origin)

    kept = await examined(workspaces, workspace, max_bytes=10_000)
    states.push(workspace.path, origin)
    pushed = await examined(workspaces, workspace, max_bytes=10_000)

    assert isinstance(kept, Stay)
    assert kept.reason is StayReason.TOO_LARGE
    assert isinstance(pushed, Examined)
    assert pushed.bundle is not None
    assert pushed.bundle.data == b""
    before = local_state(workspace.path)
    assert local_state(await restored_elsewhere(tmp_path, workspace, pushed.bundle)) == before


async def test_a_large_branch_that_was_merged_as_one_commit_goes(tmp_path: Path) -> None:
    workspaces, workspace, origin = await leave(tmp_path, [states.commit])
    (workspace.path / "large").write_text("".join(os.urandom(20).hex() + "\n" for _ in range(999)))
    states.commit_all(workspace.path, origin)
    states.squash_merge(workspace.path, origin)
    files = workspace_files(workspace.path)

    found = await examined(workspaces, workspace, max_bytes=10_000)

    assert isinstance(found, Examined)
    assert found.bundle is not None
    assert found.bundle.data == b""
    assert workspace_files(await restored_elsewhere(tmp_path, workspace, found.bundle)) == files


async def test_files_that_git_would_write_with_other_bytes_stay(tmp_path: Path) -> None:
    workspaces, workspace, _ = await leave(tmp_path, [states.carriage_returns, states.commit])
    as_written = await examined(workspaces, workspace)
    (workspace.path / "run.bat").write_bytes(b"echo 1\necho 2\n")

    other_bytes = await examined(workspaces, workspace)

    assert isinstance(as_written, Examined)
    assert other_bytes == Stay.of(StayReason.UNCOMMITTED, ["run.bat"])


async def test_an_unreachable_repository_keeps_its_workspaces(tmp_path: Path) -> None:
    workspaces, workspace, origin = await leave(tmp_path, [states.commit, states.push])
    origin.rename(tmp_path / "moved")

    found = await examined(workspaces, workspace)

    assert isinstance(found, Stay)
    assert found.reason is StayReason.UNREACHABLE


async def test_a_repository_that_lost_the_first_commit_keeps_its_workspaces(
    tmp_path: Path,
) -> None:
    workspaces, workspace, origin = await leave(tmp_path, [states.commit])
    git(origin, "checkout", "-q", "--orphan", "other")
    git(origin, "commit", "-qm", "Begin again")
    git(origin, "branch", "-D", "trunk")
    git(origin, "tag", "-d", "v0")

    found = await examined(workspaces, workspace)

    assert isinstance(found, Stay)
    assert found.reason.is_work


async def test_a_damaged_workspace_stays(tmp_path: Path) -> None:
    workspaces, workspace, _ = await leave(tmp_path, [states.untracked])
    shutil.rmtree(workspace.path / ".git" / "objects")

    found = await examined(workspaces, workspace)

    assert isinstance(found, Stay)
    assert found.reason is StayReason.UNREADABLE


async def test_an_older_copy_goes_if_the_session_has_its_work(tmp_path: Path) -> None:
    workspaces, workspace, origin = await leave(tmp_path, [states.commit])
    other = await prepare_copy(tmp_path, workspace, workspaces)
    states.commit(other.path, origin)
    newer = await cleaner_of(new_workspaces(tmp_path, "another home")).examine_newest(
        other.id, repo=other.repo
    )

    cleaner = cleaner_of(workspaces)
    found = await cleaner.examine_older(workspace.id, repo=workspace.repo, stored=newer.bundle)
    states.untracked(workspace.path, origin)

    assert found.bundle is None
    with pytest.raises(Stays) as kept:
        await cleaner.examine_older(workspace.id, repo=workspace.repo, stored=newer.bundle)
    assert kept.value.stay.reason is StayReason.UNCOMMITTED


async def prepare_copy(folder: Path, workspace: Workspace, workspaces: Workspaces) -> Workspace:
    found = await examined(workspaces, workspace)
    assert isinstance(found, Examined)
    assert found.bundle is not None
    elsewhere = new_workspaces(folder, "another home")
    restored = await elsewhere.restore(
        workspace_id=workspace.id, source=workspace.repo, bundle=found.bundle
    )
    return restored.workspace


async def test_a_run_and_a_removal_never_meet(tmp_path: Path) -> None:
    workspaces, workspace, _ = await leave(tmp_path, [])
    cleaner = cleaner_of(workspaces)

    async with workspaces.in_use(workspace.id), workspaces.in_use(f"{workspace.id}-2"):
        with pytest.raises(WorkspaceBusy):
            async with cleaner.claimed(workspace.id):
                pytest.fail("both have it")
    async with cleaner.claimed(workspace.id):
        waiting = asyncio.create_task(enter(workspaces, workspace.id))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    async with limit(10):
        await waiting


async def enter(workspaces: Workspaces, workspace_id: str) -> None:
    async with workspaces.in_use(workspace_id):
        return


async def test_what_a_cut_short_removal_leaves_is_swept(tmp_path: Path) -> None:
    workspaces, workspace, _ = await leave(tmp_path, [])
    left = workspaces.root / "removed" / "ws_1.0"
    (left / "deep").mkdir(parents=True)
    (left / "deep" / "file").write_text("x")
    (left / "deep").chmod(0o500)

    await cleaner_of(workspaces).sweep()

    assert not left.exists()
    assert workspace.path.exists()
