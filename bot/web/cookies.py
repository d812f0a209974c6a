"""The cookie of a browser's session, and the proof that the dashboard's own page sent a request."""

from __future__ import annotations

import hmac
import re
from urllib.parse import quote, unquote, urlsplit

from aiohttp import hdrs, web

from core.domain.errors import Forbidden
from core.domain.sign_in import LINK_LIFETIME, SESSION_LIFETIME, SESSION_PREFIX, csrf_token_of

CSRF_HEADER = "X-CSRF-Token"
_NAME = "signalbox_session"
# Browsers take a cookie of this name only over HTTPS, and only for exactly this host.
_SECURE_NAME = "__Host-signalbox_session"
_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_MAX_CHARS = 200
SIGN_IN_PATH = "/sign-in"
_PAGE_NAME = "signalbox_page"
_PAGE = re.compile(r"/(?:[!-.0-\[\]-~][!-\[\]-~]*)?", re.ASCII)
_MAX_PAGE_CHARS = 1000


class CrossSiteRequest(Forbidden):
    """A request with a session's cookie did not come from a page of the dashboard."""

    code = "cross_site_request"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"cross-site request refused: {detail}",
            user_message="This request did not come from a page of the dashboard, so nothing was "
            "done.",
        )


def session_cookie(request: web.Request) -> str | None:
    """The secret of the session in a request's cookie; `None` if there is none."""
    secret = request.cookies.get(_SECURE_NAME) or request.cookies.get(_NAME) or ""
    return secret if secret.startswith(SESSION_PREFIX) and len(secret) <= _MAX_CHARS else None


def set_session_cookie(response: web.StreamResponse, secret: str, *, is_secure: bool) -> None:
    """Give a browser its session.  No script can read it, and no other site's page can use it.

    Args:
        response: The answer to the browser.
        secret: The secret of the session.
        is_secure: Whether browsers reach this server over HTTPS.
    """
    response.set_cookie(
        _SECURE_NAME if is_secure else _NAME,
        secret,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        secure=is_secure,
        samesite="Lax",
    )


def delete_session_cookie(response: web.StreamResponse, *, is_secure: bool) -> None:
    """Take the session from a browser."""
    response.del_cookie(
        _SECURE_NAME if is_secure else _NAME,
        path="/",
        httponly=True,
        secure=is_secure,
        samesite="Lax",
    )


def remember_page(response: web.StreamResponse, request: web.Request) -> None:
    """Let the browser come back to this page once somebody has signed in."""
    if len(request.path_qs) <= _MAX_PAGE_CHARS:
        response.set_cookie(
            _PAGE_NAME,
            quote(request.path_qs, safe=""),
            max_age=int(LINK_LIFETIME.total_seconds()),
            path=SIGN_IN_PATH,
            httponly=True,
            samesite="Lax",
        )


def remembered_page(request: web.Request) -> str:
    """The page to which a browser comes back; the first page if there is none."""
    page = unquote(request.cookies.get(_PAGE_NAME, ""))
    # A second slash would begin the name of another host.
    return page if _PAGE.fullmatch(page) else "/"


def forget_page(response: web.StreamResponse, request: web.Request) -> None:
    """Do not come back again."""
    if _PAGE_NAME in request.cookies:
        response.del_cookie(_PAGE_NAME, path=SIGN_IN_PATH, httponly=True, samesite="Lax")


def require_same_site(request: web.Request, secret: str, *, public_url: str | None) -> None:
    """Check that a request which changes something was sent by a page of this session.

    Raises:
        CrossSiteRequest: If its origin is another one, or if it lacks the token of the session.
    """
    if request.method in _SAFE_METHODS:
        return
    require_own_origin(request, public_url=public_url)
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token_of(secret).encode()):
        raise CrossSiteRequest("its token is missing or wrong")


def require_own_origin(request: web.Request, *, public_url: str | None) -> None:
    """Check that a page of this server sent a request.

    Raises:
        CrossSiteRequest: If it says that another one did, or says nothing.
    """
    host = _host_of(request.headers.get(hdrs.ORIGIN, ""))
    own = {request.host.lower(), "" if public_url is None else _host_of(public_url)} - {""}
    if host not in own:
        raise CrossSiteRequest(f"its origin is {host[:100] or 'not told'}")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
