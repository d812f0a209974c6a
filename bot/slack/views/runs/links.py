"""Links to the threads of runs in Slack, and to their pages on the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from core.domain.runs.snapshot import CardPlace


@dataclass(frozen=True, kw_only=True)
class ThreadLinks:
    """Makes links in mrkdwn.

    Attributes:
        archive_url: The beginning of the addresses of messages; empty if it is not known.
        dashboard_url: The address of the dashboard; empty if it is not known.
    """

    archive_url: str = ""
    dashboard_url: str = ""

    def page(self, run_id: str) -> str | None:
        """The address of a run's page on the dashboard; `None` if it is not known."""
        return f"{self.dashboard_url.rstrip('/')}/runs/{run_id}" if self.dashboard_url else None

    def address(self, card: CardPlace | None) -> str | None:
        """The address of a thread; `None` if it is not known."""
        if card is None or not self.archive_url:
            return None
        return f"{self.archive_url}/{card.channel_id}/p{card.message_ts.replace('.', '')}"

    def to_thread(self, card: CardPlace | None, escaped: str) -> str:
        """An escaped text as a link to a thread; the text alone if the address is not known."""
        address = self.address(card)
        return f"<{address}|{escaped}>" if address and escaped else escaped


def archive_url(team_url: str) -> str:
    """The beginning of the addresses of messages in a workspace; empty if its own is not known."""
    return f"{team_url.rstrip('/')}/archives" if team_url else ""


NO_LINKS = ThreadLinks()
