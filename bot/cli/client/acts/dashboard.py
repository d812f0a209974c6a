"""What `signalbox dashboard` does: it signs a browser in, and opens it."""

from __future__ import annotations

import sys
import webbrowser
from dataclasses import dataclass

from bot.cli.client.api import ApiClient
from bot.cli.client.exit_codes import ExitCode
from bot.cli.client.output import note, say


@dataclass(frozen=True, kw_only=True)
class DashboardActs:
    """What commands about the dashboard do."""

    client: ApiClient

    async def open(self, *, opens_browser: bool) -> ExitCode:
        """Print a link that signs in as the owner of the token, and open it.

        Args:
            opens_browser: Whether to open a browser, too, if this is a terminal.
        """
        made = await self.client.post("/dashboard/links", {})
        url = f"{self.client.connection.url}{made.body['path']}"
        say(url)
        minutes = made.body["valid_seconds"] // 60
        note(f"It signs in once, within {minutes} minutes.")
        if opens_browser and sys.stdout.isatty() and not webbrowser.open(url):
            note("No browser could be opened: open the link yourself.")
        return ExitCode.DONE
