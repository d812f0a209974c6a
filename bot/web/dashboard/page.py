"""A page of the dashboard: one value from which its route, its HTML and its live updates come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from core.domain.actor import Action, Actor, Role
from core.domain.feed import ChangeKind

PathT = TypeVar("PathT", bound=BaseModel)
QueryT = TypeVar("QueryT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class PageCall(Generic[PathT, QueryT]):
    """A request for a page that was read and admitted.

    Attributes:
        url: The path and the query as they were asked for.
    """

    actor: Actor
    path: PathT
    query: QueryT
    url: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page, which is sent again to those who look at it when it changes.

    Attributes:
        name: Unique on the page; the `id` of its element.
        template: Its file below `templates/`.
        values: What the template shows.  It also gets `viewer`.
    """

    name: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a page shows at a time; the same for everybody but for what they may do.

    Attributes:
        title: Of the window; plain text.
        owners: The owners of the runs that it shows, who may do more with them than others.
        subjects: The only subjects of changes that matter to it; `None` if all may.
        is_final: Whether it cannot change any more, so that there is nothing to follow.
    """

    title: str
    sections: Sequence[Section]
    owners: frozenset[UUID] = frozenset()
    subjects: frozenset[str] | None = None
    is_final: bool = False


@dataclass(frozen=True, kw_only=True)
class Part(Generic[PathT, QueryT]):
    """Something that the script of a page loads by itself, or that a person downloads.

    Attributes:
        path: Below the root, with the fields of `path_parameters` in braces.
        name: Unique.
        answer: Makes the answer; what it raises is answered as JSON, like an error of the API.
    """

    path: str
    name: str
    path_parameters: type[PathT]
    query: type[QueryT]
    answer: Callable[[PageCall[PathT, QueryT], web.Request], Awaitable[web.StreamResponse]]
    role: Role = Role.VIEWER
    action: Action = Action.VIEW


# Pages have parts with parameters of many types.
AnyPart = Part[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Page(Generic[PathT, QueryT]):
    """A page.

    Attributes:
        path: Below the root, with the fields of `path_parameters` in braces.
        name: Unique.
        nav: The entry of the navigation that leads to it or to its list.
        load: Reads what it shows.  It may depend on the actor only as `is_personal` says.
        changes: The kinds of changes after which it is read again; none for a page without live
            updates.
        is_personal: Tells from a query whether what is shown depends on who asks, beside their
            rights; such pages are not read once for several people.
        has_charts: Whether it needs the program that draws charts.
        parts: What it loads by itself.
    """

    path: str
    name: str
    nav: str
    path_parameters: type[PathT]
    query: type[QueryT]
    load: Callable[[PageCall[PathT, QueryT]], Awaitable[Content]]
    role: Role = Role.VIEWER
    action: Action = Action.VIEW
    changes: frozenset[ChangeKind] = frozenset()
    is_personal: Callable[[QueryT], bool] = field(default=lambda _: False)
    has_charts: bool = False
    parts: Sequence[AnyPart] = ()


# A table holds pages with parameters of many types.
AnyPage = Page[Any, Any]


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page, as far as it matters to what is drawn; pages are drawn once for each.

    Attributes:
        user_id: Only if they own one of the runs that are shown.
    """

    role: Role
    user_id: UUID | None

    @classmethod
    def of(cls, actor: Actor, content: Content) -> Viewer:
        """The same value for all people to whom the content looks the same."""
        is_owner = actor.user_id is not None and actor.user_id in content.owners
        return cls(role=actor.role, user_id=actor.user_id if is_owner else None)
