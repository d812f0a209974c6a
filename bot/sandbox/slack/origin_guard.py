"""Keeps web pages of elsewhere away from the sandbox.

It listens on this machine without a password, and what is said to it may start a real agent.
A page in the person's browser could otherwise post to it, or read it through a name that
was made to point here.
"""

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_same_origin(*, url: str, host: str, origin: str | None) -> bool:
    """Whether a request was meant for the sandbox, and by no other site's page.

    Args:
        url: Where the sandbox is.
        host: The request's Host.
        origin: The request's Origin; only browsers send one.
    """
    own = urlsplit(url).hostname
    names = _LOOPBACK if own in _LOOPBACK else {own}
    # Any port: it may have been forwarded.
    if urlsplit(f"//{host}").hostname not in names:
        return False
    return origin is None or origin in (f"http://{host}", f"https://{host}")


def guard(url: str) -> Middleware:
    """A middleware that refuses every other request."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_same_origin(url=url, host=request.host, origin=request.headers.get("Origin")):
            raise web.HTTPForbidden(text="the sandbox answers its own page only")
        return await handler(request)

    return refuse
