"""Which of the drawables that wait for their turn are looked at again."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bot.slack.drawing.drawing import Drawer
from core.domain.drawables import DrawableId
from core.domain.errors import Unavailable

log = logging.getLogger(__name__)


async def look_at_urgent(drawing: Drawer, outdated: Sequence[DrawableId]) -> None:
    """Look again at waiting drawables for which somebody waits: what they wait for may change.

    This runs at every poll, so it makes one query for all drawables of a kind.  An error of a query
    leaves its kind in the usual order.

    Raises:
        Unavailable: If the database cannot be reached.
    """
    waiting = [drawable for drawable in outdated if drawable in drawing.waiting]
    for name in {drawable.kind for drawable in waiting}:
        find_urgent = drawing.kinds[name].find_urgent
        if find_urgent is None:
            continue
        keys = [drawable.key for drawable in waiting if drawable.kind == name]
        try:
            urgent = await find_urgent(keys)
        except Unavailable:
            raise
        except Exception:
            # Everything else is drawn all the same.
            log.exception(
                "urgent drawables of the kind %s cannot be found",
                name,
                extra={"event": "urgent_drawables.read_failed", "kind": name},
            )
            continue
        for key in urgent:
            drawing.look_again(DrawableId(name, key))
