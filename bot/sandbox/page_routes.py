"""The sandbox's page: a few static files on the local Slack's server."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

PAGE = Path(__file__).parent / "page"

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)

# The page needs nothing else; text of people and agents cannot load anything.
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)


def add_page(app: web.Application) -> None:
    """Serve the page at `/`, its parts below `/page/`, and the addresses of messages.

    The list of files is read once, here: a request can only name one of them.
    """
    files = {
        path.relative_to(PAGE).as_posix(): path
        for path in sorted(PAGE.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }

    async def serve(request: web.Request) -> web.StreamResponse:
        path = files.get(request.match_info.get("name", "index.html"))
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={**_HEADERS, "Content-Type": _TYPES[path.suffix]})

    async def open_thread(request: web.Request) -> web.StreamResponse:
        """Lead the address of a message, as Slack makes it, to the message's thread in the page."""
        channel, digits = request.match_info["channel"], request.match_info["digits"]
        raise web.HTTPFound(f"/#/{channel}/{digits[:-6]}.{digits[-6:]}")

    app.router.add_get("/", serve)
    app.router.add_get(r"/archives/{channel:[A-Z0-9]+}/p{digits:\d{7,20}}", open_thread)
    app.router.add_get("/page/{name:.+}", serve)
