"""A chart on a page, with what people have who cannot see it: a sentence and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from bot.charts.specs import Spec


@dataclass(frozen=True, kw_only=True)
class ShownChart:
    """A chart with its table.

    Attributes:
        name: Unique on the page, of letters and hyphens.
        label: What is to be seen, in a sentence or two.
        spec: Drawn in the colours of the page.
        head: The table's columns; the first one names the rows.
        rows: The figures as people read them; empty if they are unknown.
        note: How to read the chart, if its title does not say it.
    """

    name: str
    title: str
    label: str
    spec: Spec
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    @property
    def spec_json(self) -> Markup:
        """The spec as the content of a `script`, which nothing in it can end."""
        return htmlsafe_json_dumps(self.spec, separators=(",", ":"))
