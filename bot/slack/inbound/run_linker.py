"""Makes the ids of runs in private answers links to their threads."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.slack.ports import CardFinder
from bot.slack.views.blocks import SECTION_LIMIT
from bot.slack.views.message import Message
from bot.slack.views.runs.links import ThreadLinks
from core.domain.errors import OpsError

# An id as code and nothing else; in a command it stays as it is, to be copied.
_RUN_ID = re.compile(r"`(?P<run_id>run_[0-9a-f]{12})`")
_FENCE = "```"
# An answer without links is better than one that comes late.
_LOOKUP_SECONDS = 2.0


@dataclass(frozen=True)
class RunLinker:
    """Links what an answer names, whichever view drew it."""

    cards: CardFinder
    links: ThreadLinks

    async def linked(self, message: Message) -> Message:
        """The message with links; as it is, if the threads cannot be found now."""
        wanted = {found["run_id"] for text in _texts(message) for found in _RUN_ID.finditer(text)}
        if not wanted or not self.links.archive_url:
            return message
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                cards = await self.cards.cards(sorted(wanted))
        except (OpsError, TimeoutError):
            return message
        addresses = {
            run_id: address
            for run_id, card in cards.items()
            if (address := self.links.address(card)) is not None
        }
        return replace(
            message,
            text=_with_links(message.text, addresses),
            blocks=tuple(_linked(block, addresses) for block in message.blocks),
        )


def _texts(message: Message) -> list[str]:
    return [message.text, *_mrkdwn_of(list(message.blocks))]


def _mrkdwn_of(content: Any) -> list[str]:
    if isinstance(content, Mapping):
        own = [content["text"]] if content.get("type") == "mrkdwn" else []
        return own + [text for part in content.values() for text in _mrkdwn_of(part)]
    if isinstance(content, list):
        return [text for part in content for text in _mrkdwn_of(part)]
    return []


def _linked(content: Any, addresses: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        changed = {key: _linked(part, addresses) for key, part in content.items()}
        if content.get("type") == "mrkdwn":
            changed["text"] = _with_links(content["text"], addresses)
        return changed
    if isinstance(content, list):
        return [_linked(part, addresses) for part in content]
    return content


def _with_links(text: str, addresses: Mapping[str, str]) -> str:
    """The text with links, unless it has code blocks, or gets too long for its block."""
    if _FENCE in text:
        return text

    def link(found: re.Match[str]) -> str:
        address = addresses.get(found["run_id"])
        # A line whose task is a link already needs no second one.
        return found[0] if address is None or address in text else f"<{address}|{found['run_id']}>"

    linked = _RUN_ID.sub(link, text)
    return linked if len(linked) <= SECTION_LIMIT else text
