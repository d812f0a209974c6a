"""Words about what a person may not do."""

from __future__ import annotations

from bot.words.markup import Markup
from core.services.context import NotAllowed


def who_can(refusal: NotAllowed, markup: Markup) -> str:
    """Who may do to somebody else's run what was refused, as a sentence."""
    owner = f"{markup.person(refusal.owner)} or " if refusal.owner is not None else ""
    return f"Only {owner}an operator can {refusal.deed}."
