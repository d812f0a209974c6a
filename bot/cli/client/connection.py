"""Where a command finds its server and its token: the environment, or the home of this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bot.assembly.web.local_access import LocalAccess, access_file, read_access
from bot.cli.client.errors import BadArgument, BadServerUrl, NoToken
from bot.cli.client.settings import ClientSettings, proxy_of_environment

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FROM_ENVIRONMENT = "SIGNALBOX_TOKEN"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A server, and what admits to it.

    Attributes:
        url: The base URL, without a slash at its end.
        token_source: Where the token comes from, in words; never the token.
        proxy: The address of the HTTP proxy on the way; `None` for the direct way.
    """

    url: str
    token: str = field(repr=False)
    token_source: str
    proxy: str | None = field(default=None, repr=False)


def find_connection(settings: ClientSettings) -> Connection:
    """The server that is meant, and a token for it.

    Without `SIGNALBOX_URL` it is the server of this machine.  Its token goes to no other server.

    Raises:
        BadServerUrl: If `SIGNALBOX_URL` is no address.
        BadArgument: If the token can be none.
        NoToken: If there is no token.
    """
    local = read_access(settings.home)
    url = settings.url or (local.url if local else f"http://127.0.0.1:{settings.port}")
    parts = _split(url)
    token, source = settings.token, _FROM_ENVIRONMENT
    if token is None and local is not None and _origin(parts) == _origin(_split(local.url)):
        token, source = local.token, str(access_file(settings.home))
    if token is None:
        raise NoToken(url, _hint(settings, local))
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise BadArgument(_FROM_ENVIRONMENT, "holds characters that no token has.")
    is_near = is_loopback(parts.hostname or "")
    return Connection(
        url=url.rstrip("/"),
        token=token,
        token_source=source,
        proxy=None if is_near else proxy_of_environment(parts.scheme, parts.hostname or ""),
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its address or by its name."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    """Read the URL of a server.

    Raises:
        BadServerUrl: If it is none.
    """
    try:
        parts = urlsplit(url)
        is_server = bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:
        raise BadServerUrl from None
    has_more = parts.username is not None or parts.query or parts.fragment
    if parts.scheme not in _DEFAULT_PORTS or not is_server or has_more or _has_blank(url):
        raise BadServerUrl
    return parts


def _has_blank(text: str) -> bool:
    return any(character.isspace() or not character.isprintable() for character in text)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _hint(settings: ClientSettings, local: LocalAccess | None) -> str:
    """What to do without a token."""
    if local is not None:
        return (
            f"Set {_FROM_ENVIRONMENT}; an admin makes one with `signalbox token create`. The token "
            "of this machine is for the server of this machine only."
        )
    path = access_file(settings.home)
    if _is_there(path):
        return (
            f"{path} is damaged, or other users may read it: start `signalbox up` again, which "
            "replaces it."
        )
    return (
        f"`signalbox up` writes one for this machine's user ({path}). For another server set "
        "SIGNALBOX_URL and SIGNALBOX_TOKEN; an admin makes tokens with `signalbox token create`."
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Another user's home.
        return False
