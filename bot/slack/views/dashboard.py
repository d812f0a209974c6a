"""The answer to `dashboard`: a link that signs one person in."""

from __future__ import annotations

from bot.slack import text
from bot.slack.views import blocks
from bot.slack.views.message import Message

_ONCE = (
    "The link signs you in once, within ten minutes. Keep it to yourself: a person who opens it "
    "acts as you."
)
_ONLY_HERE = (
    "It opens on the server's own machine only: the setting `SIGNALBOX_PUBLIC_URL` would tell "
    "where others reach it."
)


def dashboard_message(url: str, *, is_public: bool) -> Message:
    """Draw a link that signs its reader in.

    Args:
        url: The address of the link.
        is_public: Whether other machines than the server's own reach it.
    """
    lines = [
        f"<{text.escape(url)}|Open the dashboard>",
        _ONCE,
    ]
    if not is_public:
        lines.append(_ONLY_HERE)
    return Message(text="Open the dashboard", blocks=tuple(blocks.paragraphs(lines)))


def no_dashboard_message() -> Message:
    """Say that there is none."""
    words = "This program serves no dashboard."
    return Message(text=words, blocks=tuple(blocks.paragraphs([words])))
