"""Workspaces, with real repositories and the real git."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from core.domain.run import CommitInfo
from core.workspace.errors import GitFailed, UnreachableRepository, translating_os_errors
from core.workspace.source import BadRepository
from core.workspace.workspaces import MissingBranch, Workspace, WorkspaceError, Workspaces

RUN_BRANCH = "signalbox/implement/run_0123456789ab"
EMPTY_HOOK = "#!/bin/sh\ntouch {marker}\n"


def git(where: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(where: Path, name: str, text: str, subject: str) -> str:
    file = where / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    git(where, "add", "-A")
    git(where, "commit", "-qm", subject)
    return git(where, "rev-parse", "HEAD")


def give_away(path: Path) -> None:
    """Make it another user's, if we may."""
    if os.geteuid() == 0:
        for inner in (path, *path.rglob("*")):
            os.lchown(inner, 12345, 12345)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two branches, in a directory with a space."""
    path = tmp_path / "the origin"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    commit(path, "readme.md", "hello\nworld\n", "Begin")
    git(path, "checkout", "-qb", "feature/limits")
    commit(path, "limits.py", "LIMIT = 1\n", "Limit")
    git(path, "checkout", "-q", "trunk")
    return path


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return Workspaces(tmp_path / "a home", git_timeout=timedelta(seconds=30))


async def prepare(
    workspaces: Workspaces, source: Path | str | None, branch: str | None = None
) -> Workspace:
    return await workspaces.prepare(
        workspace_id="ws_1",
        source=None if source is None else str(source),
        branch=branch,
        run_branch=RUN_BRANCH,
    )


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_a_clone_is_on_its_own_branch_at_the_repository_s_head(
    workspaces: Workspaces, origin: Path, form: str
) -> None:
    source = form.format(str(origin).replace(" ", "%20") if "file:" in form else origin)

    workspace = await prepare(workspaces, source)

    assert workspace.branch == RUN_BRANCH
    assert workspace.base_commit == git(origin, "rev-parse", "trunk")
    assert workspace.repo == source
    assert (workspace.path / "readme.md").read_text() == "hello\nworld\n"
    assert git(workspace.path, "remote", "get-url", "origin") == source
    assert git(workspace.path, "status", "--porcelain") == ""
    assert not (workspace.path / ".git/objects/info/alternates").exists()


async def test_a_branch_can_be_chosen(workspaces: Workspaces, origin: Path) -> None:
    workspace = await prepare(workspaces, origin, "feature/limits")

    assert workspace.base_commit == git(origin, "rev-parse", "feature/limits")
    assert (workspace.path / "limits.py").exists()


async def test_the_agent_can_commit_without_any_configuration(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    workspace = await prepare(workspaces, origin)

    (workspace.path / "new.txt").write_text("new\n")
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "nowhere")}
    git(workspace.path, "add", "-A")
    await asyncio.to_thread(
        subprocess.run, ["git", "commit", "-qm", "Work"], cwd=workspace.path, env=bare, check=True
    )

    assert await workspaces.head(workspace) != workspace.base_commit


async def test_without_a_source_it_is_an_empty_repository_on_main(
    workspaces: Workspaces,
) -> None:
    workspace = await prepare(workspaces, None)

    assert workspace.branch == "main"
    assert workspace.base_commit is None
    assert workspace.repo is None
    assert await workspaces.head(workspace) is None
    assert (await workspaces.diff(workspace, None)).files == ()


async def test_an_empty_repository_can_be_cloned(workspaces: Workspaces, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "-q", "--bare", str(empty))

    workspace = await prepare(workspaces, empty)

    assert workspace.base_commit is None
    assert workspace.branch == RUN_BRANCH


async def test_a_branch_of_an_empty_repository_is_missing(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "empty.git"))

    with pytest.raises(MissingBranch, match="no branch") as raised:
        await prepare(workspaces, tmp_path / "empty.git", "main")

    assert "empty" in raised.value.user_message


async def test_a_detached_head_is_followed(workspaces: Workspaces, origin: Path) -> None:
    lost = commit(origin, "x.txt", "x\n", "On no branch later")
    git(origin, "checkout", "-q", "--detach")
    git(origin, "branch", "-f", "trunk", "HEAD~1")

    workspace = await prepare(workspaces, origin)

    assert workspace.base_commit == lost
    assert workspace.branch == RUN_BRANCH


async def test_a_head_on_a_branch_that_is_not_there_falls_back_to_one_that_is(
    workspaces: Workspaces, origin: Path
) -> None:
    git(origin, "symbolic-ref", "HEAD", "refs/heads/gone")

    workspace = await prepare(workspaces, origin)

    assert workspace.base_commit == git(origin, "rev-parse", "feature/limits")


async def test_a_missing_branch_names_near_ones(workspaces: Workspaces, origin: Path) -> None:
    with pytest.raises(MissingBranch) as raised:
        await workspaces.check(str(origin), "feature/limit")

    assert raised.value.near == ("feature/limits",)
    assert "`feature/limits`" in raised.value.user_message


@pytest.mark.parametrize(
    "branch", ["--upload-pack=x", "-b", "a\nb", "trunk~1", "HEAD", "refs/heads/trunk", "ünï", ""]
)
async def test_hostile_branch_names_are_only_missing(
    workspaces: Workspaces, origin: Path, branch: str
) -> None:
    with pytest.raises(MissingBranch):
        await prepare(workspaces, origin, branch)


async def test_a_branch_without_a_repository_is_refused(workspaces: Workspaces) -> None:
    with pytest.raises(BadRepository, match="branch") as raised:
        await prepare(workspaces, None, "main")

    assert "--repo" in raised.value.user_message


async def test_branches_in_unicode_and_branches_that_leave_no_room_work(
    workspaces: Workspaces, origin: Path
) -> None:
    git(origin, "branch", "größe/世界")
    git(origin, "checkout", "-qb", "signalbox")

    default = await prepare(workspaces, origin)
    chosen = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch="größe/世界", run_branch="signalbox/a/b"
    )

    assert default.branch == RUN_BRANCH.replace("/", "-")
    assert chosen.base_commit == git(origin, "rev-parse", "trunk")


@pytest.mark.parametrize("kind", ["missing", "plain directory", "file", "inside"])
async def test_what_is_no_repository_is_said_to_be_none(
    workspaces: Workspaces, origin: Path, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "something"
    if kind == "plain directory":
        place.mkdir()
    if kind == "file":
        place.write_text("a file")
    if kind == "inside":
        place = origin / "subdirectory"
        place.mkdir()

    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, place)

    assert "repository" in raised.value.user_message or "directory" in raised.value.user_message
    assert await workspaces.reopen("ws_1") is None


async def test_a_host_that_does_not_answer_is_named_without_the_credentials(
    workspaces: Workspaces,
) -> None:
    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, "https://ada:s3cr3t-t0ken@127.0.0.1:9/acme/api.git")

    assert "https://127.0.0.1:9/acme/api.git" in raised.value.user_message
    assert "s3cr3t" not in f"{raised.value}{raised.value.user_message}{raised.value.__cause__!r}"


async def test_a_second_fetch_brings_what_is_new_and_forgets_what_is_gone(
    workspaces: Workspaces, origin: Path
) -> None:
    await prepare(workspaces, origin)
    newest = commit(origin, "more.txt", "more\n", "More")
    git(origin, "branch", "-qD", "feature/limits")

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert second.base_commit == newest
    assert "feature" not in git(second.path, "branch", "-r")


async def test_a_rewritten_history_is_followed(workspaces: Workspaces, origin: Path) -> None:
    await prepare(workspaces, origin)
    git(origin, "commit", "-q", "--amend", "-m", "Begin anew")

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert second.base_commit == git(origin, "rev-parse", "trunk")


async def test_many_runs_prepare_at_once_from_several_workers(
    workspaces: Workspaces, origin: Path
) -> None:
    other = Workspaces(workspaces.root, git_timeout=timedelta(seconds=30))

    made = await asyncio.gather(
        *(
            [workspaces, other][number % 2].prepare(
                workspace_id=f"ws_{number}",
                source=str(origin),
                branch=None,
                run_branch=f"signalbox/{number}",
            )
            for number in range(8)
        )
    )

    assert len({workspace.path for workspace in made}) == 8
    assert {workspace.base_commit for workspace in made} == {git(origin, "rev-parse", "trunk")}
    assert len(list((workspaces.root / "mirrors").glob("*.git"))) == 1


async def test_preparing_the_same_workspace_twice_at_once_makes_it_once(
    workspaces: Workspaces, origin: Path
) -> None:
    first, second = await asyncio.gather(prepare(workspaces, origin), prepare(workspaces, origin))

    assert first == second
    assert [path.name for path in (workspaces.root / "workspaces").iterdir()] == ["ws_1"]


async def test_a_mirror_with_locks_of_a_killed_fetch_still_works(
    workspaces: Workspaces, origin: Path
) -> None:
    await prepare(workspaces, origin)
    commit(origin, "more.txt", "more\n", "More")
    [mirror] = (workspaces.root / "mirrors").glob("*.git")
    (mirror / "packed-refs.lock").touch()
    (mirror / "refs/heads/trunk.lock").touch()

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert (second.path / "more.txt").exists()


async def test_a_damaged_mirror_is_made_again(workspaces: Workspaces, origin: Path) -> None:
    await prepare(workspaces, origin)
    [mirror] = (workspaces.root / "mirrors").glob("*.git")
    for file in (*mirror.glob("objects/??/*"), *mirror.glob("objects/pack/*.pack")):
        file.chmod(0o600)
        # A new file: the workspaces' hard links keep the old content.
        file.unlink()
        file.write_bytes(b"")
    commit(origin, "more.txt", "more\n", "More")

    second = await workspaces.prepare(
        workspace_id="ws_2", source=str(origin), branch=None, run_branch="signalbox/b"
    )

    assert (second.path / "more.txt").exists()
    assert git(second.path, "fsck") == ""


async def test_another_user_s_repository_can_be_read(workspaces: Workspaces, origin: Path) -> None:
    give_away(origin)

    workspace = await prepare(workspaces, origin)

    assert (workspace.path / "readme.md").exists()


async def test_submodules_and_hooks_of_the_source_are_left_alone(
    workspaces: Workspaces, origin: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    commit(inner, "secret.txt", "inner\n", "Inner")
    git(
        origin, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub"
    )
    git(origin, "commit", "-qm", "Add a submodule")
    marker = tmp_path / "hook ran"
    for hook in ("post-checkout", "post-update", "pre-auto-gc"):
        script = origin / ".git/hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(EMPTY_HOOK.format(marker=f"'{marker}'"))
        script.chmod(0o755)

    workspace = await prepare(workspaces, origin)

    assert list((workspace.path / "sub").iterdir()) == []
    assert not marker.exists()


async def test_a_shallow_source_works(workspaces: Workspaces, origin: Path, tmp_path: Path) -> None:
    commit(origin, "more.txt", "more\n", "More")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", "shallow")

    workspace = await prepare(workspaces, tmp_path / "shallow")
    commit(workspace.path, "new.txt", "new\n", "New")

    stat = await workspaces.diff(workspace, workspace.base_commit)
    assert [change.path for change in stat.files] == ["new.txt"]
    assert [made.subject for made in stat.commits] == ["New"]


FakeSsh = Callable[[str], Workspaces]


@pytest.fixture
def over_ssh(tmp_path: Path) -> FakeSsh:
    """Workspaces whose `ssh` is a script."""

    def make(script: str, timeout: float = 30) -> Workspaces:
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "ssh").chmod(0o755)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path / "nowhere"),
        }
        return Workspaces(
            tmp_path / "a home",
            git_timeout=timedelta(seconds=timeout),
            environment=environment,
        )

    return make


@pytest.mark.parametrize("form", ["ssh://git@host.example{}", "git@host.example:{}"])
async def test_a_repository_behind_ssh_is_cloned(
    over_ssh: FakeSsh, tmp_path: Path, form: str
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    git(plain, "init", "-q", "-b", "trunk")
    newest = commit(plain, "a.txt", "a\n", "A")
    # The last argument is the command for the other side.
    workspaces = over_ssh(
        f'echo "$@" >> "{tmp_path}/asked"\nfor last in "$@"; do :; done\nexec sh -c "$last"'
    )

    workspace = await prepare(workspaces, form.format(plain))

    assert workspace.base_commit == newest
    assert "BatchMode=yes" in (tmp_path / "asked").read_text()


async def test_a_key_that_is_refused_says_who_must_get_access(over_ssh: FakeSsh) -> None:
    workspaces = over_ssh("echo 'git@host: Permission denied (publickey).' >&2; exit 255")

    with pytest.raises(UnreachableRepository) as raised:
        await workspaces.check("git@host.example:acme/api.git")

    assert "may not read `git@host.example:acme/api.git`" in raised.value.user_message


async def test_a_remote_that_hangs_is_given_up_with_all_its_processes(
    tmp_path: Path, over_ssh: FakeSsh
) -> None:
    workspaces = over_ssh(f"sleep 300 & echo $! > '{tmp_path}/pid'; wait")
    workspaces.git_timeout = timedelta(seconds=1)

    with pytest.raises(UnreachableRepository) as raised:
        await workspaces.check("git@host.example:acme/api.git")

    assert "took too long" in raised.value.user_message
    assert not _lives(int((tmp_path / "pid").read_text()))


async def test_being_cancelled_ends_git_and_its_processes(
    tmp_path: Path, over_ssh: FakeSsh
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    workspaces = over_ssh(f"sleep 300 & echo $! > '{started}'; wait")

    asking = asyncio.create_task(workspaces.check("git@host.example:acme/api.git"))
    pid = int(await asyncio.to_thread(started.read_text))
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """Whether a process lives on; waits a little for one that was just killed."""
    try:
        psutil.Process(pid).wait(timeout=5)
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired:
        return True
    return False


async def test_git_sees_nothing_of_the_worker_s_secrets(
    tmp_path: Path, over_ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret-of-the-worker")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    workspaces = over_ssh(f"env > '{tmp_path}/seen'; exit 1")

    with pytest.raises(WorkspaceError):
        await workspaces.check("git@host.example:acme/api.git")

    seen = (tmp_path / "seen").read_text()
    assert "SLACK_BOT_TOKEN" not in seen
    assert "GIT_DIR=/nonexistent" not in seen


async def test_a_workspace_is_found_again_with_what_it_was_made_from(
    workspaces: Workspaces, origin: Path
) -> None:
    made = await prepare(workspaces, origin)
    newest = commit(made.path, "new.txt", "new\n", "New")
    (made.path / ".git/index.lock").touch()

    found = await workspaces.reopen("ws_1")

    assert found == made
    assert await workspaces.head(made) == newest
    git(made.path, "add", "-A")


async def test_an_unknown_workspace_is_not_found(workspaces: Workspaces) -> None:
    assert await workspaces.reopen("ws_unknown") is None


@pytest.mark.parametrize("name", ["../../etc", "", "a/b", "-x", ".hidden", "x" * 65, "a\nb"])
async def test_ids_that_are_paths_are_refused(workspaces: Workspaces, name: str) -> None:
    with pytest.raises(WorkspaceError):
        await workspaces.reopen(name)


async def test_a_root_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    workspaces = Workspaces(tmp_path / "file/root", git_timeout=timedelta(seconds=5))

    with pytest.raises(WorkspaceError) as raised:
        await prepare(workspaces, None)

    assert str(tmp_path) not in raised.value.user_message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("fatal: cannot write: No space left on device", "disk of the worker is full"),
        ("error: Disk quota exceeded", "disk of the worker is full"),
        ("fatal: could not create: Read-only file system", "may not write"),
        ("anything else", "Try again"),
    ],
)
def test_what_git_says_of_the_disk_reaches_the_person(said: str, expected: str) -> None:
    assert expected in GitFailed("clone", 128, said).user_message


@pytest.mark.parametrize(
    ("number", "expected"), [(28, "disk of the worker is full"), (13, "may not write")]
)
def test_what_the_file_system_refuses_reaches_the_person(number: int, expected: str) -> None:
    with pytest.raises(WorkspaceError) as raised, translating_os_errors():
        raise OSError(number, os.strerror(number), "/secret/path")

    assert expected in raised.value.user_message
    assert "/secret" not in raised.value.user_message


async def test_commits_are_listed_oldest_first(workspaces: Workspaces, origin: Path) -> None:
    workspace = await prepare(workspaces, origin)
    first = commit(workspace.path, "a.txt", "a\n", "First: ünïcode 🎉")
    second = commit(workspace.path, "b.txt", "b\n", "Second\n\nwith a body")

    stat = await workspaces.diff(workspace, workspace.base_commit)

    assert stat.commits == (
        CommitInfo(sha=first, subject="First: ünïcode 🎉"),
        CommitInfo(sha=second, subject="Second"),
    )
