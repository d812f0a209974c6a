"""Which repositories may be cloned: hosts, owners, and folders on the worker.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import urlsplit

from core.domain.errors import Forbidden
from core.domain.failure_cause import FailureCause
from core.domain.reach.addresses import as_address, canonical_host, is_loopback_name, is_public

ANY_PUBLIC_HOST = "*"
# The most entries of a list that one sentence names.
_MAX_NAMED = 5


class RepositoryNotAllowed(Forbidden):
    """The settings do not allow to clone this repository.

    Attributes:
        display_url: The repository, without credentials.
        reason: Why not, as the end of a sentence.
        allowed: What may be cloned.
    """

    code = "repository_not_allowed"
    cause = FailureCause.REPOSITORY_NOT_ALLOWED

    def __init__(
        self, display_url: str, reason: str, allowed: str, *, detail: str | None = None
    ) -> None:
        super().__init__(
            f"{display_url} may not be cloned: {detail or reason}",
            user_message=f"`{display_url}` may not be cloned: {reason}. Allowed: {allowed}.",
        )
        self.display_url = display_url
        self.reason = reason
        self.allowed = allowed
        self.subject = display_url


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Where a repository on another machine is.

    Attributes:
        scheme: `https` or `ssh`.
        host: The host in its canonical form.
        port: The port, also if the address names none.
        path: The parts of the path, decoded, the last one without `.git`.
    """

    scheme: str
    host: str
    port: int
    path: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HostRule:
    """A host that settings name.

    Attributes:
        host: The canonical host.
        port: The only port that is meant; `None` is every port.
    """

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: object) -> HostRule:
        """Read an entry of `hosts`.

        Raises:
            ValueError: If it is no host; the text says how to write it.
        """
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'{text!r} is no host; write it like "git.example.com"')
        if "://" in text or "@" in text:
            raise ValueError(f'{text!r} is a URL; write only its host, like "git.example.com"')
        if text == ANY_PUBLIC_HOST:
            return cls(host=ANY_PUBLIC_HOST)
        if "/" in text:
            raise ValueError(
                f"{text!r} is more than a host; an owner belongs in `owners`, and a network "
                "must be listed host by host"
            )
        if "*" in text:
            raise ValueError(
                f'{text!r} has a wildcard; only "*" alone is possible, every host with a public '
                "address"
            )
        return cls._parse_host(text)

    @classmethod
    def _parse_host(cls, text: str) -> HostRule:
        address = as_address(text)
        if address is not None:
            return cls(host=str(address))
        try:
            parts = urlsplit(f"//{text}")
            host, port = canonical_host(parts.hostname or ""), parts.port
        except ValueError:
            host, port = None, None
        if host is None:
            hint = "" if text.isascii() else "; write it in ASCII, as xn--…"
            raise ValueError(
                f'{text!r} is no host{hint}; write it like "git.example.com", '
                '"git.example.com:8443" or "10.0.0.7"'
            )
        return cls(host=host, port=port)

    def has(self, remote: Remote) -> bool:
        """Return whether the rule names the host of a repository."""
        return self.host == remote.host and self.port in (None, remote.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port is not None else host


@dataclass(frozen=True, kw_only=True)
class OwnerRule:
    """An owner on a host, a group below one, or one repository.

    Attributes:
        path: The first parts of the paths that are meant, in lower case.
    """

    host: HostRule
    path: tuple[str, ...]

    @classmethod
    def parse(cls, text: object) -> OwnerRule:
        """Read an entry of `owners`.

        Raises:
            ValueError: If it is no owner; the text says how to write it.
        """
        if not isinstance(text, str) or "://" in text or "@" in text:
            raise ValueError(f'{text!r} is no owner; write it like "github.com/acme"')
        host, _, path = text.rstrip("/").partition("/")
        parts = tuple(part.lower() for part in path.removesuffix(".git").split("/"))
        if not path or not all(parts) or any(part in (".", "..") or "*" in part for part in parts):
            raise ValueError(
                f'{text!r} names no owner on a host; write it like "github.com/acme", or a '
                'subgroup like "gitlab.com/acme/tools"'
            )
        if "*" in host:
            raise ValueError(f"{text!r} has a wildcard; name one host")
        return cls(host=HostRule.parse(host), path=parts)

    def has(self, remote: Remote) -> bool:
        """Return whether a repository of this host belongs to the owner."""
        path = tuple(part.lower() for part in remote.path)
        is_deeper = len(path) > len(self.path)
        # "host/owner" is no repository, but "host/owner/name" may be one.
        is_repository = path == self.path and len(path) > 1
        return path[: len(self.path)] == self.path and (is_deeper or is_repository)

    def __str__(self) -> str:
        return "/".join((str(self.host), *self.path))


@dataclass(frozen=True, kw_only=True)
class RepositoryPolicy:
    """What may be cloned.

    Without `hosts` and `owners` that is every host with a public address.  With one of them it
    is only what they name: where `owners` names a host, its owners, elsewhere the hosts of
    `hosts`.  A host may have a private address only if `hosts` names it.

    Attributes:
        hosts: The hosts that are allowed; `*` is every host with a public address.  `None` if the
            settings have no such list.
        owners: The owners that are allowed, on the hosts that they name.
        local: The folders on the worker whose repositories are allowed.
    """

    hosts: tuple[HostRule, ...] | None = None
    owners: tuple[OwnerRule, ...] = ()
    local: tuple[PurePath, ...] = ()

    def require_remote(self, remote: Remote, display_url: str) -> None:
        """Check a repository on another machine, as far as its address tells.

        Raises:
            RepositoryNotAllowed: If it may not be cloned.
        """
        owners = [rule for rule in self.owners if rule.host.has(remote)]
        if owners:
            if not any(rule.has(remote) for rule in owners):
                raise self.refusal(
                    display_url, f"on {remote.host}, only certain owners are allowed"
                )
        elif not self._has_host(remote):
            raise self.refusal(display_url, f"its host {remote.host} is not allowed")
        if self.is_listed(remote):
            return
        address = as_address(remote.host)
        if is_loopback_name(remote.host) or (address is not None and not is_public(address)):
            raise self.private_refusal(display_url, remote.host)

    def require_local(self, path: PurePath, display_url: str) -> None:
        """Check a repository on the worker, as far as its path tells.

        Raises:
            RepositoryNotAllowed: If it may not be cloned.
        """
        if not any(path.is_relative_to(folder) for folder in self.local):
            reason = (
                "it is in none of the allowed folders"
                if self.local
                else "repositories on the worker itself are not allowed"
            )
            raise self.refusal(display_url, reason)

    def is_listed(self, remote: Remote) -> bool:
        """Return whether `hosts` names this host, so that its address does not matter."""
        return any(rule.has(remote) for rule in self.hosts or ())

    def refusal(
        self, display_url: str, reason: str, *, detail: str | None = None
    ) -> RepositoryNotAllowed:
        """Return the error that a repository may not be cloned, with what may be."""
        return RepositoryNotAllowed(display_url, reason, self.summary, detail=detail)

    def private_refusal(self, display_url: str, address: object) -> RepositoryNotAllowed:
        """Return the error that the host has a private address, which only the log names."""
        return self.refusal(
            display_url,
            "its host is this machine or in a private network, and not listed",
            detail=f"its host has the address {address}",
        )

    @property
    def summary(self) -> str:
        """What may be cloned, as a list in words."""
        parts: list[str] = []
        names = [f"`{rule}`" for rule in self.hosts or () if rule.host != ANY_PUBLIC_HOST]
        if self._has_any_public_host:
            parts.append("every host with a public address")
        if names:
            parts.append(f"the host{'s' if len(names) > 1 else ''} {_listed(names)}")
        if self.owners:
            parts.append(f"repositories of {_listed(f'`{rule}`' for rule in self.owners)}")
        if self.local:
            folders = _listed(f"`{folder}`" for folder in self.local)
            parts.append(f"folders on the worker: {folders}")
        if not parts:
            return "nothing"
        return "; ".join(parts if self.local else [*parts, "no folder on the worker"])

    @property
    def _has_any_public_host(self) -> bool:
        if self.hosts is None:
            return not self.owners
        return any(rule.host == ANY_PUBLIC_HOST for rule in self.hosts)

    def _has_host(self, remote: Remote) -> bool:
        return self._has_any_public_host or self.is_listed(remote)


# Every host with a public address, and no folder.
DEFAULT_POLICY = RepositoryPolicy()


def _listed(names: Iterable[str]) -> str:
    found: Sequence[str] = list(names)
    more = len(found) - _MAX_NAMED
    shown = ", ".join(found[:_MAX_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
