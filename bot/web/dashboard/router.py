"""The routes of the pages: read, admit, load, draw; and an error is a page, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from aiohttp import web

from bot.web.advice import ADVICE
from bot.web.auditor import Auditor
from bot.web.authentication import Authentication, secret_of
from bot.web.cookies import remember_page
from bot.web.dashboard.headers import PAGE_HEADERS
from bot.web.dashboard.page import AnyPage, AnyPart, PageCall, Viewer
from bot.web.dashboard.renderer import Renderer
from bot.web.errors import error_response, failure_response, status_of
from bot.web.reading import read_path, read_query
from bot.web.router import require_role
from bot.words.advice import with_advice
from core.domain.actor import Actor
from core.domain.errors import OpsError
from core.domain.sign_in import csrf_token_of
from core.domain.token import TokenRefused

log = logging.getLogger(__name__)

_SIGN_IN_WORDS = (
    "Type /workflow dashboard in Slack: it answers, only to you, with a link that signs this "
    "browser in. On the server's own machine, run signalbox dashboard."
)


@dataclass(frozen=True)
class PageRouter:
    """Answers requests for pages.

    Attributes:
        on_page: Called before a page is shown to somebody who is signed in.
    """

    pages: Sequence[AnyPage]
    renderer: Renderer
    authentication: Authentication
    auditor: Auditor
    on_page: Callable[[], None]

    def routes(self) -> list[web.RouteDef]:
        """The routes of all pages and of their parts."""
        return [
            *(
                web.get(part.path, _PartEndpoint(part, self).handle, allow_head=False)
                for page in self.pages
                for part in page.parts
            ),
            *(web.get(page.path, _PageEndpoint(page, self).handle) for page in self.pages),
        ]

    async def call_of(
        self, page: AnyPage | AnyPart, request: web.Request, *, url: str
    ) -> PageCall[Any, Any]:
        """Admit a request for a page, and read it.

        Raises:
            TokenRefused: If nobody is signed in.
            Forbidden: If the person may not see the page.
            BadRequest: If the address is not valid.
            Unavailable: If the database or Slack cannot be reached.
        """
        actor = await self.authentication.actor_of(request, page.action)
        await require_role(actor, page.role, page.action, self.auditor)
        return PageCall(
            actor=actor,
            path=read_path(request, page.path_parameters),
            query=read_query(request, page.query),
            url=url,
        )

    def error_page(self, error: OpsError, actor: Actor | None = None) -> web.Response:
        """An error as a page."""
        if isinstance(error, TokenRefused):
            return html_response(
                self.renderer.message(
                    "Sign in", "Nobody is signed in here.", advice=_SIGN_IN_WORDS
                ),
                status=HTTPStatus.UNAUTHORIZED,
            )
        status = status_of(error)
        title = {
            HTTPStatus.NOT_FOUND: "Not found",
            HTTPStatus.FORBIDDEN: "Not allowed",
            HTTPStatus.SERVICE_UNAVAILABLE: "Not available now",
        }.get(status, "This does not work")
        words = self.renderer.message(title, with_advice(error, ADVICE), actor=actor)
        return html_response(words, status=status)

    def defect_page(self, error: Exception, request: web.Request) -> web.Response:
        """A defect as a page, with a reference that the log has too."""
        reference = uuid4().hex[:12]
        resource = request.match_info.route.resource
        log.error(
            "a page failed, reference %s: %s %s",
            reference,
            request.method,
            "" if resource is None else resource.canonical,
            exc_info=error,
            extra={"event": "page.failed", "reference": reference},
        )
        words = f"Something went wrong here. The log of the server has it as {reference}."
        return html_response(
            self.renderer.message("Something went wrong", words, advice="Load the page again."),
            status=HTTPStatus.INTERNAL_SERVER_ERROR,
        )


@dataclass(frozen=True)
class _PageEndpoint:
    """A page for aiohttp."""

    page: AnyPage
    router: PageRouter

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request, in any case."""
        router = self.router
        actor: Actor | None = None
        try:
            call = await router.call_of(self.page, request, url=request.path_qs)
            actor = call.actor
            router.on_page()
            content = await self.page.load(call)
            sections = router.renderer.sections(content, Viewer.of(actor, content))
            return html_response(
                router.renderer.page(
                    self.page,
                    content,
                    sections,
                    actor=actor,
                    csrf_token=csrf_token_of(secret_of(request) or ""),
                    url=call.url,
                )
            )
        except OpsError as error:
            response = router.error_page(error, actor)
            if isinstance(error, TokenRefused):
                remember_page(response, request)
            return response
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - the end of the request, which logs it
            return router.defect_page(error, request)


@dataclass(frozen=True)
class _PartEndpoint:
    """A part of a page for aiohttp."""

    part: AnyPart
    router: PageRouter

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, in any case."""
        try:
            call = await self.router.call_of(self.part, request, url=request.path_qs)
            return await self.part.answer(call, request)
        except OpsError as error:
            return error_response(error)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - the end of the request, which logs it
            return failure_response(error, request)


def html_response(html: str, *, status: int = HTTPStatus.OK) -> web.Response:
    """A page as an answer; characters that no encoding has are replaced."""
    response = web.Response(
        body=html.encode("utf-8", "replace"),
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers=PAGE_HEADERS,
    )
    response.enable_compression()
    return response
