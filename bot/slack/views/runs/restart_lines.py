"""The lines of a card about restarts: where its run comes from, and what it was restarted as."""

from __future__ import annotations

from bot.slack.mrkdwn import MRKDWN
from bot.slack.views.runs.links import ThreadLinks
from bot.words.restarts import restarted_words
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunLink, RunSnapshot

_MAX_SHOWN = 3


def restart_lines(snapshot: RunSnapshot, first: Run, links: ThreadLinks) -> list[str]:
    """The lines, each a sentence; none for a run that has nothing to do with a restart.

    Args:
        snapshot: The run of the card.
        first: The first run of its thread, which tells where the session comes from.
        links: Makes links to the threads of the other runs.
    """
    lines = []
    own = RestartOrigin.of(snapshot.run)
    origin = RestartOrigin.of(first) if own is None or own.is_fork else own
    if origin is not None:
        link = snapshot.restarted_from
        lines.append(f"⏮️ {_with_link(restarted_words(origin, MRKDWN), link, links)}")
    if snapshot.restarts:
        shown = [_named(link, links) for link in snapshot.restarts[-_MAX_SHOWN:]]
        more = len(snapshot.restarts) - len(shown)
        rest = f" and {more} more" if more else ""
        lines.append(f"⏭️ Restarted as {', '.join(shown)}{rest}")
    return lines


def _named(link: RunLink, links: ThreadLinks) -> str:
    address = links.address(link.card)
    return f"<{address}|{link.run_id}>" if address else f"`{link.run_id}`"


def _with_link(words: str, link: RunLink | None, links: ThreadLinks) -> str:
    """The words with the run that they name as a link to its thread."""
    if link is None:
        return words
    return words.replace(f"`{link.run_id}`", _named(link, links))
