"""Words about what a person may not do."""

from __future__ import annotations

from bot.words.markup import Markup
from core.domain.actor import User


def who_can(deed: str, owner: User | None, markup: Markup) -> str:
    """Who may do to somebody else's run what was refused, as a sentence.

    Args:
        deed: What was refused, to complete "can …".
        owner: The owner of the run; `None` if it has none.
        markup: The surface's markup.
    """
    either = f"{markup.person(owner)} or " if owner is not None else ""
    return f"Only {either}an operator can {deed}."
