"""A run's thread in the sandbox, as a person sees and uses it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.person import interactions
from bot.sandbox.slack.person.human import Human
from tests.limits import patient

MessageDocument = Mapping[str, Any]

BUILDS = "#builds"
# A run of the scripted model takes 2 to 5 s on an idle machine.
DEFAULT_TIMEOUT = 45.0
# The words on the card of a completed run: a clean outcome, or something left to do.
COMPLETED_WORDS = ("Completed", "Finished")


@dataclass
class Card:
    """A run's thread as a person sees it in the channel."""

    human: Human
    ts: str
    channel: str = BUILDS

    @property
    def messages(self) -> list[MessageDocument]:
        """The card and its replies."""
        return list(self.human.thread(self.channel, self.ts))

    @property
    def text(self) -> str:
        """The card's present text."""
        return self.human.text(self.messages[0])

    @property
    def replies(self) -> list[str]:
        """The text of each reply, including messages with files."""
        return [self.human.text(reply) for reply in self.messages[1:]]

    @property
    def labels(self) -> list[str]:
        """The labels of the card's buttons."""
        return self.human.labels(self.messages[0])

    def bot_replies(self) -> list[str]:
        """The texts of the bot's replies."""
        return [self.human.text(reply) for reply in self.messages[1:] if reply.get("bot_id")]

    async def wait_for_text(self, words: str, *, within: float = DEFAULT_TIMEOUT) -> str:
        """Wait until the card shows these words."""
        return await self.human.wait_for(
            lambda: self.text if words in self.text else None,
            timeout=patient(within),
            what=f"{words!r} on the card",
        )

    async def wait_until_completed(self, *, within: float = DEFAULT_TIMEOUT) -> str:
        """Wait until the card shows that the run ended by itself, with whatever outcome."""
        return await self.human.wait_for(
            lambda: self.text if any(words in self.text for words in COMPLETED_WORDS) else None,
            timeout=patient(within),
            what="the end on the card",
        )

    async def wait_for_button(self, label: str, *, within: float = DEFAULT_TIMEOUT) -> None:
        """Wait until the card has a button."""
        await self.human.wait_for(
            lambda: label in self.labels, timeout=patient(within), what=f"the button {label!r}"
        )

    async def wait_for_turns_left(self, *, within: float = DEFAULT_TIMEOUT) -> str:
        """Wait for the button that continues for the turns that were left; returns its label."""
        return await self.human.wait_for(
            lambda: next((label for label in self.labels if "turns left)" in label), None),
            timeout=patient(within),
            what="the button with the turns left",
        )

    async def wait_for_reply(self, words: str, *, within: float = DEFAULT_TIMEOUT) -> str:
        """Wait until the bot has posted these words below the card."""
        return await self.human.wait_for(
            lambda: next((text for text in self.bot_replies() if words in text), None),
            timeout=patient(within),
            what=f"{words!r} in the thread",
        )

    async def press(self, label: str, *, user: str | None = None) -> None:
        """Press a button of the card."""
        await self.human.click(self.channel, self.ts, label=label, user=user)

    def screenshot(self) -> MessageDocument:
        """The present card, for `press_stale`."""
        return copy.deepcopy(self.messages[0])

    async def press_stale(
        self, seen: MessageDocument, label: str, *, user: str | None = None
    ) -> None:
        """Press a button of an earlier state of the card."""
        workspace = self.human._workspace
        await self.human._block_interactions.click(
            workspace.person(user),
            workspace.channel(self.channel),
            self.ts,
            interactions.find_element(seen["blocks"], label=label, action_id=None),
        )

    async def say(self, words: str, *, user: str | None = None) -> MessageDocument:
        """Write a reply."""
        return await self.human.say(self.channel, words, thread_ts=self.ts, user=user)
