"""What the dashboard's page of a run says, read from its HTML as a browser shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from core.domain.actor import Actor, Origin, Role
from tests.api import ApiHarness

_MEMBER = "U0TRUTH"
_COOKIE = "__Host-signalbox_session"
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """A page.

    Attributes:
        text: All of its words, with single spaces.
        figures: The figures at its head, by their names.
        steps: The names of the steps, in order.
        commits: The first digits of the commits.
    """

    text: str
    figures: Mapping[str, str]
    steps: Sequence[str]
    commits: Sequence[str]


async def sign_in(api: ApiHarness) -> str:
    """The secret of a viewer's session."""
    api.members.roles[_MEMBER] = Role.VIEWER
    person = Actor(role=Role.VIEWER, origin=Origin.SLACK, external_id=_MEMBER, name="truth")
    link = await api.sign_ins.make_link(by=person)
    return await api.sign_ins.sign_in(link, browser="", address="")


async def run_page(api: ApiHarness, session: str, run_id: str) -> RunPage:
    """Load the page of a run."""
    headers = {"Cookie": f"{_COOKIE}={session}"}
    async with api.client.get(f"/runs/{run_id}", headers=headers) as answer:
        html = await answer.text()
        assert answer.status == 200, html
    return read_page(html)


def read_page(html: str) -> RunPage:
    """Read a page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return RunPage(
        text=_plain("".join(reader.words)),
        figures=reader.figures,
        steps=[_plain(one) for one in reader.steps],
        commits=[_plain(one) for one in reader.commits],
    )


def _plain(words: str) -> str:
    # Thousands are set apart by narrow spaces.
    return _SPACES.sub(" ", words.replace("\u202f", "")).strip()


@dataclass
class _Open:
    tag: str
    classes: frozenset[str]
    words: list[str] = field(default_factory=list)


_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr", "col"})
_HIDDEN = frozenset({"script", "style", "template", "title"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.figures: dict[str, str] = {}
        self.steps: list[str] = []
        self.commits: list[str] = []
        self._open: list[_Open] = []
        self._name = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.words.append(" ")
            return
        classes = next((value or "" for name, value in attrs if name == "class"), "")
        self._open.append(_Open(tag, frozenset(classes.split())))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Parts of pictures have no words."""

    def handle_data(self, data: str) -> None:
        if any(one.tag in _HIDDEN for one in self._open):
            return
        self.words.append(data)
        for one in self._open:
            one.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            closed = self._open.pop()
            self._close(closed)
            if closed.tag == tag:
                return

    def _close(self, closed: _Open) -> None:
        self.words.append(" ")
        words = "".join(closed.words)
        is_figure = any("run-figures" in one.classes for one in self._open)
        if closed.tag == "dt" and is_figure:
            self._name = _plain(words)
        elif closed.tag == "dd" and is_figure:
            self.figures[self._name] = _plain(words)
        elif "step-name" in closed.classes:
            self.steps.append(words)
        elif closed.tag == "code" and any("changed" in one.classes for one in self._open):
            self.commits.append(words)
