"""What the commands about sessions do through the API, and what they print."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from bot.cli.client.api import ApiAnswer, ApiClient
from bot.cli.client.errors import BadArgument
from bot.cli.client.exit_codes import ExitCode
from bot.cli.client.output import output_width, say
from bot.cli.sessions.texts import (
    changed_text,
    messages_text,
    session_list_text,
    session_text,
)


@dataclass(frozen=True, kw_only=True)
class SessionSelection:
    """Which sessions to list; what is not set restricts nothing."""

    mine: bool = False
    is_open: bool | None = None
    limit: int = 20
    cursor: str | None = None

    def query(self) -> list[tuple[str, str]]:
        """The parameters of the API's list."""
        return [
            ("limit", str(self.limit)),
            *([("mine", "true")] if self.mine else []),
            *([] if self.is_open is None else [("open", str(self.is_open).lower())]),
            *([] if self.cursor is None else [("cursor", self.cursor)]),
        ]


@dataclass(frozen=True, kw_only=True)
class SessionActs:
    """What commands about sessions do.

    Attributes:
        as_json: Whether to print the API's JSON, for programs, and nothing else on standard output.
    """

    client: ApiClient
    as_json: bool

    async def listed(self, selection: SessionSelection) -> ExitCode:
        """List sessions."""
        found = await self.client.get("/sessions", selection.query())
        now, width = datetime.now(UTC), output_width()
        self._print(found, session_list_text(found.body, now=now, width=width))
        return ExitCode.DONE

    async def show(self, target: str) -> ExitCode:
        """Show a session with its legs."""
        path = _path(target)
        session = await self.client.get(path)
        legs = await self.client.get(f"{path}/legs")
        text = session_text(session.body, legs.body, width=output_width())
        # The legs have the sums, too.
        self._print(legs, text)
        return ExitCode.DONE

    async def messages(self, target: str, *, limit: int, before: str | None) -> ExitCode:
        """Print the last messages of a session, or those before a place."""
        query = [("limit", str(limit)), ("newest", "true")]
        query += [] if before is None else [("before", before)]
        found = await self.client.get(f"{_path(target)}/messages", query)
        text = messages_text(found.body)
        if found.body.get("previous"):
            text += f"\n\n--before {found.body['previous']} shows earlier ones."
        self._print(found, text)
        return ExitCode.DONE

    async def rename(self, target: str, name: str) -> ExitCode:
        """Give a session another name."""
        changed = await self.client.post(f"{_path(target)}/rename", {"name": name})
        self._print(changed, changed_text(changed.body))
        return ExitCode.DONE

    async def set_open(self, target: str, *, is_open: bool) -> ExitCode:
        """Close a session, or open it again."""
        act = "reopen" if is_open else "close"
        changed = await self.client.post(f"{_path(target)}/{act}", {})
        self._print(changed, changed_text(changed.body))
        return ExitCode.DONE

    def _print(self, answer: ApiAnswer, text: str) -> None:
        say(answer.text if self.as_json else text)


def _path(target: str) -> str:
    if not target.strip():
        raise BadArgument("SESSION", "needs a name or an id.")
    return f"/sessions/{quote(target, safe='')}"
