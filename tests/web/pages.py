"""Pages of the dashboard as a browser gets them, without a browser."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser

from core.domain.actor import Actor, Origin, Role
from tests.api import ApiHarness


@dataclass(frozen=True)
class ReadPage:
    """A page.

    Attributes:
        words: Its text, on one line.
    """

    status: int
    html: str
    words: str


@dataclass(frozen=True)
class Reader:
    """Somebody who is signed in."""

    api: ApiHarness
    secret: str

    async def read(self, path: str) -> ReadPage:
        """A page."""
        headers = {"Cookie": f"__Host-signalbox_session={self.secret}"}
        async with self.api.client.get(path, headers=headers) as answer:
            html = await answer.text()
            return ReadPage(status=answer.status, html=html, words=words_of(html))


async def signed_in(api: ApiHarness, role: Role, name: str = "U0ADA") -> Reader:
    """A member with this role."""
    api.members.roles[name] = role
    actor = Actor(role=role, origin=Origin.SLACK, external_id=name, team_id="T1", name="Ada")
    link = await api.sign_ins.make_link(by=actor)
    return Reader(api, await api.sign_ins.sign_in(link, browser="Mozilla/5.0", address="::1"))


def words_of(html: str) -> str:
    """The text of a page."""
    parser = _Texts()
    parser.feed(html)
    return " ".join(" ".join(parser.found).split())


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)
