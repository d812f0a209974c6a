"""Pictures of charts that cannot be drawn."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, cast

from bot.charts.children import ChartChildren
from bot.charts.pictures import ChartPictures
from bot.slack.client.web_api import Slack
from bot.slack.drawing.diff import is_lost, is_worth_retrying
from bot.slack.drawing.messages.posting import Destination, Poster
from bot.slack.views.message import PictureFile
from core.domain.drawables import DrawableId, DrawableKind, SlackMessage
from tests.unit.view_helpers import NOW


@dataclass
class Store:
    """Keeps what is stored."""

    saved: list[SlackMessage] = field(default_factory=list)

    async def save_message(self, message: SlackMessage, /) -> None:
        self.saved.append(message)


async def test_a_picture_that_cannot_be_drawn_is_given_up_and_never_sent() -> None:
    store = Store()
    # Without Slack: a call to it would raise.
    slack = cast("Slack", None)
    broken = ChartChildren(command=(sys.executable, "-c", "raise SystemExit(1)"))
    poster = Poster(slack, store, ChartPictures(broken))
    spec: dict[str, Any] = {}

    row = await poster.upload(
        PictureFile(name="chart-1.png", title="Runs", alt="Runs", spec=spec),
        destination=Destination(
            drawable=DrawableId(DrawableKind.DIGEST, "1"),
            slot="picture:1",
            channel_id="C1",
            thread_ts="1.2",
            version=1,
        ),
        previous=None,
        now=NOW,
    )

    assert is_lost(row)
    assert not is_worth_retrying(row, NOW)
    assert store.saved == [row]
