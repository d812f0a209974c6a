"""A dashboard that a test signs in to, and a watch over what its pages do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
)

from core.domain.actor import Actor, Origin, Role
from tests.api import ApiHarness
from tests.browser.conftest import TIMEOUT_MS

COOKIE = "signalbox_session"
# What is told about a page that fails an examination.
_SERIOUS = ("serious", "critical")


@dataclass
class Site:
    """A dashboard.

    Attributes:
        problems: Errors of pages, violations of their policy, and requests to other hosts.
        expected: Parts of messages that are no problem in this test.
    """

    api: ApiHarness
    browser: Browser
    problems: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    _contexts: list[BrowserContext] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://{self.api.host}"

    async def member(self, name: str = "U0ADA", role: Role = Role.OPERATOR) -> Actor:
        """A member of the Slack workspace with this role."""
        self.api.members.roles[name] = role
        return await self.api.members.actor_of(name)

    async def link(self, name: str = "U0ADA", role: Role = Role.OPERATOR) -> str:
        """The address of a link that signs a member in."""
        actor = await self.member(name, role)
        slack = Actor(
            role=actor.role, origin=Origin.SLACK, external_id=name, team_id="T1", name=actor.name
        )
        return f"{self.url}/sign-in?key={await self.api.sign_ins.make_link(by=slack)}"

    async def open(
        self, path: str = "/", *, name: str = "U0ADA", role: Role = Role.OPERATOR, **context: Any
    ) -> Page:
        """A page, as a member who has signed in."""
        page = await self.window(**context)
        # As the page behind a link does it, which `test_sign_in.py` tests.
        link = (await self.link(name, role)).rpartition("key=")[2]
        secret = await self.api.sign_ins.sign_in(link, browser="Mozilla/5.0", address="127.0.0.1")
        await page.context.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": secret,
                    "url": self.url,
                    "httpOnly": True,
                    "sameSite": "Lax",
                }
            ]
        )
        await page.goto(f"{self.url}{path}")
        return page

    async def window(self, **context: Any) -> Page:
        """A page of a browser that nobody has signed in."""
        opened = await self.browser.new_context(**{"reduced_motion": "reduce", **context})
        self._contexts.append(opened)
        page = await opened.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._add(str(error)))
        page.on("request", self._on_request)
        return page

    async def examine(self, page: Page) -> list[str]:
        """What keeps people from using a page, as far as a program can tell."""
        # Its program comes from outside, so it is put in past the policy of the page.
        session = await page.context.new_cdp_session(page)
        await session.send("Page.setBypassCSP", {"enabled": True})
        found = await Axe().run(page)
        await session.detach()
        return [
            f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']][:3]}"
            for one in found.response["violations"]
            if one["impact"] in _SERIOUS
        ]

    async def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            await context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._add(f"{message.text} ({message.location.get('url')})")

    def _on_request(self, request: Request) -> None:
        target = urlsplit(request.url)
        if target.scheme != "data" and target.netloc != self.api.host:
            self._add(f"request to {request.url}")

    def _add(self, problem: str) -> None:
        if not any(part in problem for part in self.expected):
            self.problems.append(problem)
