"""Repositories over HTTPS and ssh: redirects, names, git's own ways to other places."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from core.domain.reach.addresses import is_public
from core.domain.reach.repositories import (
    HostRule,
    OwnerRule,
    RepositoryNotAllowed,
    RepositoryPolicy,
)
from core.workspace.errors import UnreachableRepository
from core.workspace.workspaces import Workspaces
from tests.git_server import GitServer, git_server, make_certificate
from tests.namespaces import can_unshare
from tests.unit.repositories import allowing, commit, git, prepare

pytestmark = pytest.mark.full_speed

ROOT = Path(__file__).parents[2]
NAMESPACES = ("--user", "--map-root-user", "--mount", "--net")


def published(folder: Path, name: str, *, text: str = "hello\n") -> str:
    """Publish a repository in a served folder; returns its commit."""
    work = folder.parent / f"{folder.name}-{name}"
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    newest = commit(work, "readme.md", text, "Begin")
    publish(work, folder / f"{name}.git")
    return newest


def publish(work: Path, bare: Path) -> None:
    git(work, "clone", "-q", "--bare", str(work), str(bare))
    git(bare, "update-server-info")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path)


@pytest.fixture
def server(tmp_path: Path, certificate: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served", certificate) as opened:
        yield opened


@pytest.fixture
def private(tmp_path: Path, certificate: Path) -> Iterator[GitServer]:
    """A server that no settings list."""
    with git_server(tmp_path / "private", certificate) as opened:
        yield opened


def workspaces_for(
    tmp_path: Path, policy: RepositoryPolicy, *, configuration: str = "", ssh: str | None = None
) -> Workspaces:
    """Workspaces of a worker with this git configuration, and this script as `ssh`."""
    home = tmp_path / "user"
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(configuration)
    path = os.environ["PATH"]
    if ssh is not None:
        (home / "bin").mkdir()
        (home / "bin" / "ssh").write_text(f"#!/bin/sh\n{ssh}\n")
        (home / "bin" / "ssh").chmod(0o755)
        path = f"{home}/bin:{path}"
    return Workspaces(
        tmp_path / "a home",
        git_timeout=timedelta(seconds=60),
        environment={
            "PATH": path,
            "HOME": str(home),
            "GIT_SSL_CAINFO": str(tmp_path / "certificate.pem"),
        },
        policy=policy,
    )


def follow_everything(*servers: GitServer) -> str:
    """A worker's own configuration that lets git follow redirects everywhere."""
    sections = [f' "{server.url}/"' for server in servers]
    return "".join(f"[http{section}]\n\tfollowRedirects = true\n" for section in ("", *sections))


async def refusal_of(workspaces: Workspaces, url: str) -> RepositoryNotAllowed:
    with pytest.raises(RepositoryNotAllowed) as refused:
        await prepare(workspaces, url)
    assert await workspaces.reopen("ws_1") is None
    return refused.value


async def test_a_listed_private_host_is_cloned_and_a_redirect_on_it_followed(
    tmp_path: Path, server: GitServer
) -> None:
    newest = published(server.folder, "api")
    server.redirects["/old"] = "/api.git"
    workspaces = workspaces_for(tmp_path, allowing(hosts=[server.host]))

    workspace = await prepare(workspaces, f"{server.url}/old")

    assert workspace.base_commit == newest
    assert git(workspace.path, "remote", "get-url", "origin") == f"{server.url}/old"


@pytest.mark.parametrize("hosts", [[], ["*"]])
async def test_a_redirect_to_a_refused_address_is_not_followed(
    tmp_path: Path, server: GitServer, private: GitServer, hosts: Sequence[str]
) -> None:
    published(private.folder, "secret")
    server.redirects["/api"] = f"{private.url}/secret.git"
    workspaces = workspaces_for(
        tmp_path,
        allowing(hosts=[server.host, *hosts]),
        configuration=follow_everything(server, private),
    )

    refused = await refusal_of(workspaces, f"{server.url}/api")

    assert f"`{server.url}/api` may not be cloned: it redirects to" in refused.user_message
    assert server.requests
    assert not private.requests


async def test_a_redirect_to_another_owner_is_not_followed(
    tmp_path: Path, server: GitServer
) -> None:
    published(server.folder / "evil", "api")
    server.redirects["/acme/api"] = "/evil/api.git"
    policy = RepositoryPolicy(
        hosts=(HostRule.parse(server.host),), owners=(OwnerRule.parse(f"{server.host}/acme"),)
    )

    refused = await refusal_of(workspaces_for(tmp_path, policy), f"{server.url}/acme/api")

    assert "only certain owners" in refused.user_message
    assert not [path for path in server.requests if path.startswith("/evil")]


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/x", "file:///etc", "ext::sh -c id", "https://2130706433/x"]
)
async def test_a_redirect_to_another_protocol_is_not_followed(
    tmp_path: Path, server: GitServer, target: str
) -> None:
    server.redirects["/api"] = target
    workspaces = workspaces_for(tmp_path, allowing(hosts=[server.host]))

    with pytest.raises((UnreachableRepository, RepositoryNotAllowed)) as refused:
        await prepare(workspaces, f"{server.url}/api")

    assert "redirects to" in refused.value.user_message


async def test_redirects_in_a_circle_end(tmp_path: Path, server: GitServer) -> None:
    server.redirects |= {"/a": "/b", "/b": "/a"}
    workspaces = workspaces_for(tmp_path, allowing(hosts=[server.host]))

    with pytest.raises(UnreachableRepository) as refused:
        await prepare(workspaces, f"{server.url}/a")

    assert "an address that is not followed" in refused.value.user_message


async def test_objects_are_not_taken_from_a_place_that_the_server_names(
    tmp_path: Path, server: GitServer, private: GitServer
) -> None:
    published(server.folder, "api")
    published(private.folder, "api")
    objects = server.folder / "api.git" / "objects"
    for loose in list(objects.glob("??/*")) + list(objects.glob("pack/*")):
        loose.unlink()
    (objects / "info").mkdir(exist_ok=True)
    (objects / "info" / "http-alternates").write_text(f"{private.url}/api.git/objects/\n")
    workspaces = workspaces_for(
        tmp_path,
        allowing(hosts=[server.host]),
        configuration=follow_everything(server, private),
    )

    with pytest.raises(UnreachableRepository):
        await prepare(workspaces, f"{server.url}/api.git")

    assert any(path.endswith("http-alternates") for path in server.requests)
    assert not private.requests


async def test_submodules_are_not_cloned(
    tmp_path: Path, server: GitServer, private: GitServer
) -> None:
    newest = published(private.folder, "secret")
    work = tmp_path / "hostile"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    for number, url in enumerate((f"{private.url}/secret.git", str(private.folder / "secret.git"))):
        git(work, "config", "-f", ".gitmodules", f"submodule.s{number}.path", f"s{number}")
        git(work, "config", "-f", ".gitmodules", f"submodule.s{number}.url", url)
        git(work, "update-index", "--add", "--cacheinfo", f"160000,{newest},s{number}")
    git(work, "add", ".gitmodules")
    git(work, "commit", "-qm", "Hostile")
    publish(work, server.folder / "hostile.git")
    workspaces = workspaces_for(
        tmp_path,
        allowing(hosts=[server.host]),
        configuration="[submodule]\n\trecurse = true\n[fetch]\n\trecurseSubmodules = true\n",
    )

    workspace = await prepare(workspaces, f"{server.url}/hostile.git")

    assert (workspace.path / ".gitmodules").is_file()
    assert not list((workspace.path / "s0").iterdir())
    assert not list((workspace.path / "s1").iterdir())
    assert not (workspace.path / ".git" / "modules").exists()
    assert not private.requests


async def test_what_the_git_configuration_makes_of_an_address_is_checked_too(
    tmp_path: Path, server: GitServer
) -> None:
    newest = published(server.folder, "api")
    rewriting = f'[url "{server.url}/"]\n\tinsteadOf = https://git.example/\n'
    workspaces = workspaces_for(tmp_path, allowing(hosts=["git.example"]), configuration=rewriting)

    await refusal_of(workspaces, "https://git.example/api.git")

    assert not server.requests
    workspaces.policy = allowing(hosts=["git.example", server.host])
    assert (await prepare(workspaces, "https://git.example/api.git")).base_commit == newest


async def test_a_name_with_a_private_address_is_refused(tmp_path: Path) -> None:
    name = socket.gethostname()
    try:
        answers = socket.getaddrinfo(name, 443)
    except OSError:
        pytest.skip("this machine's own name has no address")
    if all(is_public(ip_address(str(answer[4][0]).partition("%")[0])) for answer in answers):
        pytest.skip("this machine's own name has a public address")

    workspaces = workspaces_for(tmp_path, allowing(hosts=["*"]), ssh="exit 1")
    for url in (f"https://{name}/api", f"git@{name}:api"):
        refused = await refusal_of(workspaces, url)

        assert "in a private network" in refused.user_message
        assert str(answers[0][4][0]) not in refused.user_message


async def test_an_ssh_alias_of_a_private_host_is_refused(tmp_path: Path) -> None:
    script = f'echo "$@" >> "{tmp_path}/calls"\n[ "$1" = -G ] && echo "hostname 10.0.0.7"'
    workspaces = workspaces_for(tmp_path, allowing(hosts=["*"]), ssh=script)

    await refusal_of(workspaces, "git@alias:acme/api")

    assert (tmp_path / "calls").read_text().splitlines() == ["-G -- alias"]


async def test_a_name_without_an_address_is_unreachable(tmp_path: Path) -> None:
    workspaces = workspaces_for(tmp_path, allowing(hosts=["*"]))

    with pytest.raises(UnreachableRepository) as raised:
        await prepare(workspaces, "https://nowhere.invalid/api")

    assert "finds no address of `nowhere.invalid`" in raised.value.user_message


@pytest.mark.skipif(
    not (can_unshare(*NAMESPACES) and shutil.which("ip")), reason="needs namespaces and `ip`"
)
def test_a_name_that_changes_its_address_after_the_check_leads_to_the_checked_one(
    tmp_path: Path, certificate: Path
) -> None:
    public = published(tmp_path / "public", "api", text="public\n")
    secret = published(tmp_path / "secret", "api", text="secret\n")

    done = subprocess.run(
        ["unshare", *NAMESPACES, sys.executable, "-m", "tests.rebinding", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    pinned, unpinned, ssh = done.stdout.splitlines() or [done.stderr, "", ""]
    assert pinned == public, done.stderr
    # Without the pin, git would have gone where the name leads now.
    assert unpinned == secret, done.stderr
    assert ssh.endswith("-o HostName=8.8.8.8 -o 'HostKeyAlias=[public.example]:2222'")
