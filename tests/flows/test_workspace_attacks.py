"""What an agent leaves in its workspace against the worker's own git, confined and not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from core.workspace.work import worktree
from core.workspace.work.untrusted_files import copy_untrusted
from core.workspace.workspaces import Workspace, WorkspaceError, Workspaces
from tests.isolation import isolation

LABEL = "run_0123456789ab/1"
LIMIT = timedelta(seconds=60)


def shell(where: Path, script: str) -> str:
    """Run what an agent could run."""
    identity = {f"GIT_{who}_{what}": "a@example.org"
                for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=where, env=os.environ | identity, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


def confined_in(home: Path, environment: Mapping[str, str] | None = None) -> Workspaces:
    return Workspaces(home, git_timeout=LIMIT, confine=isolation().confine, environment=environment)


@pytest.fixture(params=["confined", "open"])
def workspaces(request: pytest.FixtureRequest, home: Path) -> Workspaces:
    is_confined = request.param == "confined"
    return confined_in(home) if is_confined else Workspaces(home, git_timeout=LIMIT)


@pytest.fixture
def confined(home: Path) -> Workspaces:
    return confined_in(home)


async def new_workspace(workspaces: Workspaces, name: str = "ws_1") -> Workspace:
    found = await workspaces.prepare(workspace_id=name, source=None, branch=None, run_branch="x")
    shell(found.path, "echo 1 > mine; git add .; git commit -qm mine")
    return found


async def read_everything(workspaces: Workspaces, workspace: Workspace) -> str:
    """Do what a worker does when a run ends, and return all that it tells."""
    saved = await workspaces.save(workspace, LABEL)
    diff = await workspaces.diff(workspace, None)
    bundle = await workspaces.bundle(workspace, since=None, saved=str(saved["commit"]))
    return f"{saved} {diff} {bundle}"


def plant_nested_repository(path: Path, victim: Path) -> None:
    """Let a nested repository that is in the index name a program as its filter.

    Only a file of the same size with another time is read, and so filtered, at any speed.
    """
    shell(path, f"""
        git init -q vendor
        cd vendor
        echo '* filter=own' > .gitattributes
        echo 1 > file
        git add .
        git commit -qm nested
        git config filter.own.clean 'sh -c "echo owned >> {victim}; cat"'
        cd ..
        git -c filter.own.clean=cat add vendor
        git commit -qm 'with vendor'
        echo changed >> vendor/file
        touch -d 2001-01-01 vendor/.gitattributes
    """)  # fmt: skip


async def test_a_nested_repository_runs_no_filter_of_its_own(
    workspaces: Workspaces, home: Path
) -> None:
    victim = home / "signalbox.toml"
    workspace = await new_workspace(workspaces)
    plant_nested_repository(workspace.path, victim)

    told = await read_everything(workspaces, workspace)

    assert not victim.exists()
    assert "with vendor" in told
    assert "160000 commit" in shell(workspace.path, f"git ls-tree refs/signalbox/{LABEL} vendor")


async def test_a_filter_that_is_run_all_the_same_reaches_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, inside = home / "signalbox.toml", home / "workspaces" / "ws_1" / "ran"
    victim.write_text("# original\n")
    monkeypatch.setattr(worktree.WorkTree, "_forget_nested_repositories", lambda _self: None)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-never")
    confined = confined_in(home, {**os.environ, "SSH_AUTH_SOCK": "/run/agent.sock"})
    workspace = await new_workspace(confined)
    plant_nested_repository(workspace.path, victim)
    shell(workspace.path, f"""
        git -C vendor config filter.own.clean \
            'sh -c "touch {inside}; cat {victim} /proc/1/environ > {inside}; ls /proc >> {inside}
                    echo owned >> {victim}; env >> {inside}; cat"'
    """)  # fmt: skip

    await read_everything(confined, workspace)

    seen = inside.read_text(errors="replace")
    assert "PATH=" in seen, "the filter did not run, so this shows nothing"
    assert victim.read_text() == "# original\n"
    assert "original" not in seen
    assert "xoxb-never" not in seen
    assert "agent.sock" not in seen
    assert str(os.getpid()) not in seen.split()


def link_reflog(path: Path, home: Path) -> None:
    log = f".git/logs/refs/signalbox/{LABEL}"
    shell(path, f"""
        git config core.logAllRefUpdates always
        git config user.name 'A $(touch {home}/owned)'
        mkdir -p {Path(log).parent}
        ln -s {home}/victim {log}
    """)  # fmt: skip


def link_reference_folder(path: Path, home: Path) -> None:
    shell(path, f"mkdir -p .git/refs/signalbox; mkdir {home}/out; "
                f"ln -s {home}/out .git/refs/signalbox/{LABEL.partition('/')[0]}")  # fmt: skip


def link_foreign_objects(path: Path, home: Path) -> None:
    other = home / "workspaces" / "victim" / ".git"
    shell(path, f"""
        for number in $(seq 0 255); do
            folder=objects/$(printf %02x $number)
            [ -e .git/$folder ] || ln -s {other}/$folder .git/$folder
        done
        ln -s {other}/refs/heads/main .git/refs/heads/stolen
        echo 'ref: refs/heads/stolen' > .git/HEAD
    """)  # fmt: skip


def link_exclude(path: Path, home: Path) -> None:
    shell(path, f"mkdir -p .git/info; ln -sf {home}/victim .git/info/exclude; touch guess wrong")


ATTACKS = [link_reflog, link_reference_folder, link_foreign_objects, link_exclude]


async def plant(
    workspaces: Workspaces, home: Path, attack: Callable[[Path, Path], None]
) -> Workspace:
    other = await new_workspace(workspaces, "victim")
    shell(
        other.path, "for n in $(seq 40); do echo $n > f$n; done; git add .; git commit -qm SECRET"
    )
    (home / "victim").write_text("guess\n")
    workspace = await new_workspace(workspaces)
    attack(workspace.path, home)
    return workspace


@pytest.mark.parametrize("attack", ATTACKS)
async def test_links_in_the_repository_are_refused(
    workspaces: Workspaces, home: Path, attack: Callable[[Path, Path], None]
) -> None:
    workspace = await plant(workspaces, home, attack)

    for act in (workspaces.save(workspace, LABEL), workspaces.diff(workspace, None),
                workspaces.bundle(workspace, since=None)):  # fmt: skip
        with pytest.raises(WorkspaceError, match="leads elsewhere"):
            await act


@pytest.mark.parametrize("attack", ATTACKS)
async def test_links_that_appear_after_the_check_lead_nowhere(
    confined: Workspaces,
    home: Path,
    attack: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace = await plant(confined, home, attack)
    monkeypatch.setattr(worktree, "require_own_repository", lambda _path: None)

    told = []
    for act in (confined.save(workspace, LABEL), confined.diff(workspace, None),
                confined.bundle(workspace, since=None)):  # fmt: skip
        try:
            told.append(str(await act))
        except WorkspaceError as error:
            told.append(str(error))

    assert "SECRET" not in " ".join(told)
    assert (home / "victim").read_text() == "guess\n"
    assert not (home / "out").is_dir() or not list((home / "out").iterdir())
    if attack is link_exclude:
        assert "guess" in told[1]
        assert "wrong" in told[1]


@pytest.mark.parametrize("part", ["info/exclude", "refs/heads/pipe", "objects/pack/pipe.pack"])
async def test_a_pipe_in_the_repository_is_refused_at_once(
    workspaces: Workspaces, part: str
) -> None:
    workspace = await new_workspace(workspaces)
    pipe = workspace.path / ".git" / part
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)

    with pytest.raises(WorkspaceError, match="leads elsewhere"):
        await workspaces.diff(workspace, None)


async def test_a_hook_may_be_a_link(workspaces: Workspaces) -> None:
    workspace = await new_workspace(workspaces)
    shell(workspace.path, "mkdir .git/hooks; ln -s ../../scripts/check .git/hooks/pre-commit")

    assert [file.path for file in (await workspaces.diff(workspace, None)).files] == ["mine"]


async def test_an_endless_index_is_not_copied(workspaces: Workspaces) -> None:
    workspace = await new_workspace(workspaces)
    os.truncate(workspace.path / ".git" / "index", 2**43)

    assert [file.path for file in (await workspaces.diff(workspace, None)).files] == ["mine"]


def test_only_plain_files_are_copied(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("1")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("22")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    os.mkfifo(tmp_path / "pipe")

    copied = {
        name: copy_untrusted(tmp_path, name, tmp_path / "copy", max_bytes=1)
        for name in ("plain", "real/file", "linked/file", "link", "pipe", "none", "real")
    }

    assert copied == dict.fromkeys(copied, False) | {"plain": True}
    assert copy_untrusted(tmp_path, "real/file", tmp_path / "copy", max_bytes=2)
