"""Repositories on the worker: whatever leads out of the listed folders is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.domain.reach.repositories import RepositoryNotAllowed
from core.workspace.errors import UnreachableRepository
from core.workspace.workspaces import Workspaces
from tests.unit.repositories import allowing, commit, git, prepare, workspaces

__all__ = ["workspaces"]


@pytest.fixture
def listed(tmp_path: Path, workspaces: Workspaces) -> Path:
    """The only folder that is listed."""
    folder = tmp_path / "listed"
    folder.mkdir()
    workspaces.policy = allowing(folder)
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A repository outside of it."""
    return repository(tmp_path / "secret")


def repository(path: Path) -> Path:
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    commit(path, "readme.md", f"{path}\n", "Begin")
    return path


async def assert_refused(workspaces: Workspaces, source: Path | str) -> None:
    with pytest.raises(RepositoryNotAllowed) as refused:
        await prepare(workspaces, source)

    assert "out of the allowed folders" in refused.value.user_message
    assert "secret" not in refused.value.user_message.removeprefix(f"`{source}`")
    assert await workspaces.reopen("ws_1") is None


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_a_link_out_of_the_folder_is_refused(
    workspaces: Workspaces, listed: Path, secret: Path, form: str
) -> None:
    (listed / "api").symlink_to(secret)
    (listed / "up").symlink_to(listed.parent)

    await assert_refused(workspaces, form.format(listed / "api"))
    await assert_refused(workspaces, form.format(listed / "up" / "secret"))
    # Whether something is there is not told either.
    await assert_refused(workspaces, form.format(listed / "up" / "missing"))


async def test_a_link_within_the_folder_is_followed(workspaces: Workspaces, listed: Path) -> None:
    (listed / "api").symlink_to(repository(listed / "real"))

    workspace = await prepare(workspaces, listed / "api")

    assert (workspace.path / "readme.md").is_file()
    assert git(workspace.path, "remote", "get-url", "origin") == str(listed / "api")


async def test_a_listed_folder_may_itself_be_a_link(
    workspaces: Workspaces, listed: Path, tmp_path: Path
) -> None:
    repository(listed / "api")
    (tmp_path / "link").symlink_to(listed)
    workspaces.policy = allowing(tmp_path / "link")

    assert (await prepare(workspaces, tmp_path / "link" / "api")).base_commit


@pytest.mark.parametrize(
    "kind",
    ["git link", "git file", "bare beside", "objects", "pack", "refs", "commondir", "alternates"],
)
async def test_a_repository_that_leads_to_another_one_is_refused(
    workspaces: Workspaces, listed: Path, secret: Path, kind: str
) -> None:
    path = listed / "api"
    inside = path / ".git"
    if kind in ("git link", "git file", "bare beside"):
        path.mkdir()
    else:
        repository(path)
    match kind:
        case "git link":
            inside.symlink_to(secret / ".git")
        case "git file":
            inside.write_text(f"gitdir: {secret}/.git\n")
        case "bare beside":
            (listed / "api.git").symlink_to(secret / ".git")
        case "objects" | "refs":
            (inside / kind).rename(inside / "before")
            (inside / kind).symlink_to(secret / ".git" / kind)
        case "pack":
            (inside / "objects" / "pack").rmdir()
            (inside / "objects" / "pack").symlink_to(secret / ".git" / "objects" / "pack")
        case "commondir":
            (inside / "commondir").write_text(f"{secret}/.git\n")
        case "alternates":
            alternates = inside / "objects" / "info" / "alternates"
            alternates.write_text(f"# ours\n{secret}/.git/objects\n")

    await assert_refused(workspaces, path)


async def test_objects_borrowed_within_the_folder_are_allowed(
    workspaces: Workspaces, listed: Path
) -> None:
    original = repository(listed / "original")
    git(listed, "clone", "-q", "--shared", str(original), str(listed / "api"))

    assert (await prepare(workspaces, listed / "api")).base_commit


async def test_a_missing_directory_of_a_listed_folder_is_named(
    workspaces: Workspaces, listed: Path
) -> None:
    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, listed / "missing")

    assert "has no directory" in raised.value.user_message
