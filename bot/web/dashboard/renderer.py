"""Templates to HTML."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from bot.web.dashboard.filters import FILTERS, GLOBALS
from bot.web.dashboard.navigation import NAVIGATION
from bot.web.dashboard.page import AnyPage, Content, Section, Viewer
from bot.web.dashboard.static_files import StaticFiles, static_files
from core.domain.actor import Actor

_DIGEST_CHARS = 16


@dataclass(frozen=True)
class DrawnSection:
    """A section as HTML.

    Attributes:
        digest: Changes when the HTML does.
    """

    name: str
    html: str
    digest: str


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bot.web.dashboard", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # The files do not change while the program runs.
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(GLOBALS)
    return environment


@dataclass(frozen=True)
class Renderer:
    """Draws pages.  Text from people and agents is escaped wherever it is put in.

    Attributes:
        chart_program: The address of the program that draws charts.
    """

    chart_program: str = ""
    files: StaticFiles = field(default_factory=static_files)
    environment: Environment = field(default_factory=_environment)

    def sections(self, content: Content, viewer: Viewer) -> list[DrawnSection]:
        """Draw the sections of a page.  Pure."""
        return [self._section(one, viewer) for one in content.sections]

    def _section(self, section: Section, viewer: Viewer) -> DrawnSection:
        template = self.environment.get_template(section.template)
        html = template.render({**section.values, "viewer": viewer})
        digest = hashlib.sha256(html.encode("utf-8", "replace")).hexdigest()[:_DIGEST_CHARS]
        return DrawnSection(section.name, html, digest)

    def page(
        self,
        page: AnyPage,
        content: Content,
        sections: list[DrawnSection],
        *,
        actor: Actor,
        csrf_token: str,
        url: str,
    ) -> str:
        """Draw a whole page."""
        return self._document(
            "page.html",
            title=content.title,
            page=page,
            sections=sections,
            actor=actor,
            csrf_token=csrf_token,
            chart_program=self.chart_program,
            live_url=url if page.changes and not content.is_final else None,
        )

    def message(
        self, title: str, words: str, *, advice: str = "", actor: Actor | None = None
    ) -> str:
        """Draw a page that only says something: of an error, or of the sign-in."""
        return self._document(
            "message.html", title=title, words=words, advice=advice, actor=actor, page=None
        )

    def sign_in(self, *, name: str, key: str) -> str:
        """Draw the page on which a person presses to sign in."""
        return self._document(
            "sign_in.html", title="Sign in", name=name, key=key, actor=None, page=None
        )

    def _document(self, template: str, **values: Any) -> str:
        common: Mapping[str, Any] = {"files": self.files, "navigation": NAVIGATION}
        return self.environment.get_template(template).render({**common, **values})
