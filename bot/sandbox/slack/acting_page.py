"""Which open page of the demo a request comes from.

In Slack a modal is on the screen that opened it.  A person can have several pages open here, so
each load of the page gives itself an id and sends it along.
"""

from contextvars import ContextVar

from aiohttp import web
from aiohttp.typedefs import Handler

_HEADER = "X-Sandbox-Page"
# Empty for who is no page, such as a test.
acting_page: ContextVar[str] = ContextVar("acting_page", default="")


@web.middleware
async def remember_page(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Remember the page while its request is handled; each request has a context of its own."""
    acting_page.set(request.headers.get(_HEADER, ""))
    return await handler(request)
