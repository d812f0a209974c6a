"""Contact to a repository: which address git may use, after all checks.

The policy is checked on the address as it is written, on what the worker's git configuration makes
of it (`insteadOf`), on the addresses that the host's name resolves to, and on each redirect.  Git
then connects to the addresses that were checked, because the name could lead elsewhere a moment
later.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.domain.reach.repositories import Remote, RepositoryPolicy
from core.workspace.command import SSH_COMMAND, Git
from core.workspace.errors import GitFailed, UnreachableRepository
from core.workspace.repositories.local import real_repository
from core.workspace.repositories.names import check_addresses, ssh_host
from core.workspace.source import BadRepository, Source, parse_source


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A checked way to a repository, for the commands that read it.

    Attributes:
        url: The URL for git's command line.
        effective_url: What the worker's git configuration makes of it.
        secrets: Texts that must not appear in errors.
        settings: Git configuration for the commands.
        variables: Environment variables for the commands.
    """

    url: str
    effective_url: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        git: Git,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        accept: Collection[int] = (0,),
    ) -> bytes:
        """Run a git command that reads the repository.

        Raises:
            GitFailed: If it fails.
        """
        return git.run(
            *arguments,
            cwd=cwd,
            env={**(env or {}), **self.variables},
            settings=self.settings,
            accept=accept,
            secrets=self.secrets,
        )


def find_contact(git: Git, source: Source, policy: RepositoryPolicy, *, cwd: Path) -> Contact:
    """Check a repository, and say how git may reach it.

    Raises:
        RepositoryNotAllowed: If it may not be cloned.
        UnreachableRepository: If its host has no address, or the path is no directory.
    """
    source.require_allowed(policy)
    effective = _effective_source(git, source, cwd=cwd)
    if effective is not source:
        effective.require_allowed(policy)
    url, effective_url, settings = source.url, effective.url, source.settings
    if effective.path is not None:
        effective_url = str(real_repository(effective.path, policy, source.display_url))
        url = effective_url if effective is source else url
        variables = {"GIT_ALLOW_PROTOCOL": "file"}
    elif effective.remote is not None and effective.remote.scheme == "ssh":
        ssh = _checked_ssh(git, source, effective.remote, policy)
        variables = {"GIT_ALLOW_PROTOCOL": "ssh", "GIT_SSH_COMMAND": ssh}
    else:
        settings = {**settings, **_https_settings(source, effective, policy)}
        variables = {"GIT_ALLOW_PROTOCOL": "https"}
    return Contact(
        url=url,
        effective_url=effective_url,
        secrets=(*source.secrets, *effective.secrets),
        settings=settings,
        variables=variables,
    )


def _effective_source(git: Git, source: Source, *, cwd: Path) -> Source:
    """The repository that git would contact; the same object if nothing is rewritten."""
    try:
        url = git.run("ls-remote", "--get-url", "--", source.url, cwd=cwd)
        text = url.decode(errors="surrogateescape").rstrip("\n")
        return source if text == source.url else parse_source(text)
    except (GitFailed, BadRepository) as error:
        raise UnreachableRepository(
            f"{source.display_url} is rewritten: {error}",
            user_message=f"The git configuration of the worker turns `{source.display_url}` into "
            "an address that Signalbox does not support. Its log says more.",
        ) from error


def _https_settings(
    source: Source, effective: Source, policy: RepositoryPolicy
) -> Mapping[str, str]:
    remote = effective.remote
    addresses: tuple[str, ...] = ()
    if remote is not None and not policy.is_listed(remote):
        addresses = check_addresses(
            remote.host, remote.port, policy=policy, display_url=source.display_url
        )
    settings: dict[str, str] = {}
    # For the URL too: an entry of the worker's configuration for it would win otherwise.
    for section in ("http", f"http.{effective.url}"):
        settings[f"{section}.followRedirects"] = "false"
        if remote is not None and addresses:
            listed = ",".join(addresses)
            settings[f"{section}.curloptResolve"] = f"{remote.host}:{remote.port}:{listed}"
    return settings


def _checked_ssh(git: Git, source: Source, remote: Remote, policy: RepositoryPolicy) -> str:
    """The command for ssh, which connects to an address that was checked."""
    if policy.is_listed(remote):
        return SSH_COMMAND
    host = ssh_host(remote.host, remote.port, environment=git.environment)
    addresses = check_addresses(host.name, host.port, policy=policy, display_url=source.display_url)
    if host.has_proxy or not addresses:
        # The proxy resolves the name again, in a network of its own.
        return SSH_COMMAND
    # The first answer is the one that the machine has a route to (RFC 6724).
    options = ("-o", f"HostName={addresses[0]}", "-o", f"HostKeyAlias={host.key_name}")
    return shlex.join((*shlex.split(SSH_COMMAND), *options))
