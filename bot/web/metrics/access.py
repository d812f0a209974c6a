"""Who may read the metrics: this machine, the holder of a token, or everybody by a switch."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

_SCHEME = "bearer"
# A request with one of these came through a proxy, from anywhere.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
_HOW_TO_OPEN = (
    "Metrics are open only on this machine. Set `[metrics] token` in signalbox.toml and send it as "
    "a bearer token, or set `[metrics] open = true`."
)


@dataclass(frozen=True, kw_only=True)
class MetricsAccess:
    """The rule for one process.

    Attributes:
        token: If set, every request must bear it, also one from this machine.
        is_open: Without a token: whether everybody who reaches the server may read.
    """

    token: str | None = None
    is_open: bool = False

    def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to a request that may not read; `None` if it may."""
        if self.token is not None:
            if _bears(request, self.token):
                return None
            return web.Response(
                status=HTTPStatus.UNAUTHORIZED,
                text="Send the `[metrics] token` of signalbox.toml as `Authorization: Bearer …`.",
                headers={"WWW-Authenticate": 'Bearer realm="signalbox metrics"'},
            )
        if self.is_open or is_from_this_machine(request):
            return None
        return web.Response(status=HTTPStatus.FORBIDDEN, text=_HOW_TO_OPEN)


def is_from_this_machine(request: web.Request) -> bool:
    """Whether a client on this machine asks for this machine, with no proxy between.

    The `Host` counts too: a page from elsewhere whose name leads to 127.0.0.1 is not this machine.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return (
        isinstance(peer, tuple)
        and _is_loopback(str(peer[0]))
        and _is_loopback(urlsplit(f"//{request.host}").hostname or "")
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _bears(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # Bytes: text beyond ASCII cannot be compared in constant time.
    is_right = hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
    return is_right and scheme.lower() == _SCHEME
