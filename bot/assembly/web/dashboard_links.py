"""Links to the dashboard: where people reach it, and how they sign in."""

from __future__ import annotations

from dataclasses import dataclass

from bot.web.api.dashboard.routes import sign_in_path
from core.domain.actor import Actor
from core.services.sign_ins import SignInService


@dataclass
class DashboardLinks:
    """Makes links that sign people in.

    Attributes:
        public_url: `SIGNALBOX_PUBLIC_URL`; `None` if it is not set.
        local_url: Where this machine reaches the server; empty until it listens.
    """

    sign_ins: SignInService
    public_url: str | None
    local_url: str = ""

    async def sign_in_url(self, *, by: Actor) -> str:
        """The address of a new link for this person.

        Raises:
            NotAllowed: If the person may not view runs.
            Unavailable: If the database cannot be reached.
        """
        base = (self.public_url or self.local_url).rstrip("/")
        return base + sign_in_path(await self.sign_ins.make_link(by=by))
