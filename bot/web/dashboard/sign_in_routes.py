"""Signing in and out.

A link only shows a page with a button: programs that look at links in messages open them too, and
must not use them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aiohttp import hdrs, web

from bot.web.authentication import Authentication
from bot.web.cookies import (
    SIGN_IN_PATH,
    delete_session_cookie,
    forget_page,
    remembered_page,
    require_own_origin,
    require_same_site,
    session_cookie,
    set_session_cookie,
)
from bot.web.dashboard.router import PageRouter, html_response
from core.domain.actor import Action, Actor
from core.domain.errors import OpsError
from core.domain.sign_in import LinkProblem, LinkRefused, Person

_SIGN_OUT_PATH = "/sign-out"
_MAX_KEY_CHARS = 200


class SignIns(Protocol):
    """Signs browsers in and out; see `SignInService`."""

    async def preview(self, secret: str) -> Person:
        """For whom a link is."""
        ...

    async def sign_in(self, secret: str, *, browser: str, address: str) -> str:
        """Begin a session; returns its secret."""
        ...

    async def sign_out(self, secret: str, *, by: Actor) -> None:
        """End a session."""
        ...


@dataclass(frozen=True)
class SignInRoutes:
    """Answers requests to sign in and out.

    Attributes:
        public_url: The address at which browsers reach this server; `None` if it is not set.
    """

    sign_ins: SignIns
    router: PageRouter
    authentication: Authentication
    public_url: str | None

    def routes(self) -> list[web.RouteDef]:
        """The routes of this module."""
        return [
            web.get(SIGN_IN_PATH, self._ask),
            web.post(SIGN_IN_PATH, self._sign_in),
            web.post(_SIGN_OUT_PATH, self._sign_out),
        ]

    @property
    def _is_secure(self) -> bool:
        return (self.public_url or "").startswith("https://")

    async def _ask(self, request: web.Request) -> web.Response:
        try:
            key = _key(request.query.get("key"))
            person = await self.sign_ins.preview(key)
        except OpsError as error:
            return self.router.error_page(error)
        return html_response(self.router.renderer.sign_in(name=person.name, key=key))

    async def _sign_in(self, request: web.Request) -> web.Response:
        try:
            require_own_origin(request, public_url=self.public_url)
            given = (await request.post()).get("key")
            secret = await self.sign_ins.sign_in(
                _key(given),
                browser=request.headers.get(hdrs.USER_AGENT, ""),
                address=request.remote or "",
            )
        except OpsError as error:
            return self.router.error_page(error)
        response = web.Response(status=303, headers={hdrs.LOCATION: remembered_page(request)})
        forget_page(response, request)
        set_session_cookie(response, secret, is_secure=self._is_secure)
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        secret = session_cookie(request)
        try:
            if secret is not None:
                require_same_site(request, secret, public_url=self.public_url)
                actor = await self.authentication.actor_of(request, Action.VIEW)
                await self.sign_ins.sign_out(secret, by=actor)
                self.authentication.forget_secret(secret)
        except OpsError as error:
            return self.router.error_page(error)
        response = web.json_response({"signed_out": True})
        delete_session_cookie(response, is_secure=self._is_secure)
        return response


def _key(given: object) -> str:
    """The secret of a link in a request.

    Raises:
        LinkRefused: If there is none.
    """
    if not isinstance(given, str) or not given or len(given) > _MAX_KEY_CHARS:
        raise LinkRefused(LinkProblem.UNKNOWN)
    return given
