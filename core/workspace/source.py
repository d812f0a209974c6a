"""A repository's address: which forms people may use, and which part is safe to show."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import SplitResult, quote, unquote, urlsplit

from core.domain.errors import BadRequest
from core.domain.reach.addresses import canonical_host
from core.domain.reach.repositories import Remote, RepositoryPolicy

_MAX_CHARS = 2_000
_ACCEPTED_FORMS = (
    "Give an `https://…` or `ssh://…` URL, `git@host:path`, or the absolute path of a repository "
    "on the worker."
)
_SCP_LIKE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)@([A-Za-z0-9][A-Za-z0-9.-]*):([^:\s-][^\s]*)")
_TRANSPORT_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"https": 443, "ssh": 22})


class BadRepository(BadRequest):
    """The text is not an address of a supported form."""

    code = "bad_repository"

    def __init__(self, detail: str, *, user_message: str = _ACCEPTED_FORMS) -> None:
        super().__init__(f"bad repository: {detail}", user_message=user_message)
        self.detail = detail


class BranchWithoutRepository(BadRepository):
    """A branch is named, but no repository that has it."""

    code = "branch_without_repository"

    def __init__(self, branch: str) -> None:
        super().__init__(
            "branch without repository",
            user_message=f"The branch `{branch[:80]}` was named without a repository to take it "
            "from.",
        )
        self.branch = branch


@dataclass(frozen=True, kw_only=True)
class Source:
    """A repository as a person named it.

    Attributes:
        url: The address without credentials, for git's command line and the clone's `origin`.
        display_url: The address for rows, logs and people.
        path: The repository's path, if it is on this machine.
        remote: Where the repository is, if it is on another machine.
        secrets: Texts of the credentials, which must not appear anywhere.
        settings: Git configuration with the credentials, for the environment of a git process.
    """

    url: str
    display_url: str
    path: Path | None = None
    remote: Remote | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def require_allowed(self, policy: RepositoryPolicy) -> None:
        """Check the address, without contact to its host or the disk.

        Raises:
            RepositoryNotAllowed: If the policy does not allow to clone it.
        """
        if self.path is not None:
            policy.require_local(self.path, self.display_url)
        elif self.remote is not None:
            policy.require_remote(self.remote, self.display_url)


def parse_source(text: str) -> Source:
    """Parse the address that a person typed.

    Raises:
        BadRepository: If it is neither an absolute path nor a URL of a supported form.
    """
    address = text.strip()
    if not address or len(address) > _MAX_CHARS:
        raise BadRepository(f"{len(address)} characters")
    if _has_control_char(address) or any(0xD800 <= ord(char) < 0xE000 for char in address):
        raise BadRepository("control character")
    if address.startswith("-"):
        raise BadRepository("begins like an option")
    if _TRANSPORT_HELPER.match(address):
        raise BadRepository("transport helper")
    if "://" in address:
        return _from_url(address)
    if address.startswith(("/", "~/")):
        path = Path(address).expanduser()
        return Source(url=str(path), display_url=str(path), path=_without_dots(path))
    found = _SCP_LIKE.fullmatch(address)
    if found:
        remote = _remote("ssh", found[2], None, found[3])
        return Source(url=address, display_url=address, remote=remote)
    raise BadRepository("neither URL nor absolute path")


def _from_url(address: str) -> Source:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadRepository("malformed URL") from error
    scheme = parts.scheme.lower()
    if scheme == "file":
        return _from_file(parts)
    if scheme not in ("https", "ssh"):
        raise BadRepository(
            f"protocol {scheme[:20]}",
            user_message=f"Repositories are not read over `{scheme[:20]}`. {_ACCEPTED_FORMS}",
        )
    if parts.query or parts.fragment or len(parts.path) < 2 or not host or port == 0:
        raise BadRepository("URL without a path, with a query, or with port 0")
    host_and_port = parts.netloc.rpartition("@")[2]
    if not _HOST.fullmatch(host_and_port.removesuffix(f":{port}").removesuffix(":")):
        raise BadRepository("host name")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if _has_control_char(user + password):
        raise BadRepository("control character")
    # Git decodes the whole URL for ssh; the part after the host must be safe in both forms.
    remote = _remote(scheme, host, port, unquote(parts.path))
    if scheme == "https":
        return _from_https(f"https://{host_and_port}{parts.path}", user, password, remote)
    if user and not _USER.fullmatch(user):
        raise BadRepository("user name")
    url = f"ssh://{user}{'@' if user else ''}{host_and_port}{parts.path}"
    return Source(url=url, display_url=url, remote=remote, secrets=(password,) if password else ())


def _remote(scheme: str, host: str, port: int | None, path: str) -> Remote:
    canonical = canonical_host(host)
    if canonical is None:
        raise BadRepository(
            "host name",
            user_message=f"`{host[:80]}` is no host. Write an address as four decimal numbers "
            f"(`192.0.2.1`), and a name in ASCII (`xn--…`). {_ACCEPTED_FORMS}",
        )
    parts = [part for part in path.split("/") if part]
    if not parts or _has_control_char(path) or "\\" in path:
        raise BadRepository("path with a control character or a backslash")
    _refuse_dots(parts)
    return Remote(
        scheme=scheme,
        host=canonical,
        port=port or _DEFAULT_PORTS[scheme],
        path=(*parts[:-1], parts[-1].removesuffix(".git")),
    )


def _without_dots(path: Path) -> Path:
    _refuse_dots(path.parts)
    return path


def _refuse_dots(parts: Iterable[str]) -> None:
    # Each program reads them in its own way: as part of the text, or along symbolic links.
    if any(part in (".", "..") for part in parts):
        raise BadRepository(
            "path with dots",
            user_message=f"Write the path without `.` and `..` parts. {_ACCEPTED_FORMS}",
        )


def _from_file(parts: SplitResult) -> Source:
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or _has_control_char(path):
        raise BadRepository("file URL with a host or a control character")
    url = f"file://{quote(path)}"
    return Source(url=url, display_url=url, path=_without_dots(Path(path)))


def _from_https(url: str, user: str, password: str, remote: Remote) -> Source:
    if not user and not password:
        return Source(url=url, display_url=url, remote=remote)
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Source(
        url=url,
        display_url=url,
        remote=remote,
        secrets=tuple(secret for secret in (password, user, token) if secret),
        settings={f"http.{url}.extraHeader": f"Authorization: Basic {token}"},
    )


def _has_control_char(text: str) -> bool:
    return any(ord(char) < 32 or ord(char) == 127 for char in text)
