"""Protects the sandbox from web pages of other sites.

The sandbox listens on this machine without a password, and a request to it may start a real
agent.  Without this check, a page in the person's browser could post to it, or read it through
a host name that resolves to this machine.
"""

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_same_origin(*, url: str, host: str, origin: str | None) -> bool:
    """Whether a request is addressed to the sandbox and does not come from another site's page.

    Args:
        url: The sandbox's address.
        host: The request's Host header.
        origin: The request's Origin header; only browsers send one.
    """
    own = urlsplit(url).hostname
    names = _LOOPBACK if own in _LOOPBACK else {own}
    # Any port: it may be forwarded.
    if urlsplit(f"//{host}").hostname not in names:
        return False
    return origin is None or origin in (f"http://{host}", f"https://{host}")


def guard(url: str) -> Middleware:
    """A middleware that refuses requests from other origins."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_same_origin(url=url, host=request.host, origin=request.headers.get("Origin")):
            raise web.HTTPForbidden(text="the sandbox answers its own page only")
        return await handler(request)

    return refuse
