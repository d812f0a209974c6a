"""Charts as PNG, for surfaces that cannot draw them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.charts.children import ChartChildren, ChartsFailed, Work
from bot.charts.specs import Spec

_LENGTH = struct.Struct(">I")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ChartPictures:
    """Draws charts in a child process."""

    children: ChartChildren = field(default_factory=ChartChildren)

    async def draw(self, specs: Sequence[Spec]) -> list[bytes]:
        """The PNG of each chart.

        Raises:
            ChartsFailed: If one of them cannot be drawn.
        """
        printed = await self.children.run(Work.PICTURES, json.dumps(list(specs)).encode())
        pictures: list[bytes] = []
        while printed:
            (length,) = _LENGTH.unpack_from(printed.ljust(_LENGTH.size, b"\0"))
            picture, printed = printed[_LENGTH.size :][:length], printed[_LENGTH.size + length :]
            pictures.append(picture)
        if len(pictures) != len(specs) or not all(one.startswith(_SIGNATURE) for one in pictures):
            raise ChartsFailed("pictures: not as many as charts")
        return pictures
