"""One Web API call as the method modules see it, and what they all need to know first."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.errors import WebApiError, invalid
from bot.sandbox.slack.people import BOT_USER_ID, Channel
from bot.sandbox.slack.state import Document, Workspace

# Fields that hold a document; in a form they arrive as JSON text.
_NESTED = frozenset(
    {"attachments", "blocks", "chunks", "files", "loading_messages", "metadata", "prompts", "view"}
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that passed the gate: known method, good token, scope, rate limit, arguments.

    Attributes:
        url: Where the sandbox is reached; links in answers begin with it.
        scopes: What the app was granted.
    """

    workspace: Workspace
    method: str
    args: Document
    url: str
    scopes: frozenset[str]
    warnings: list[str]

    def text(self, name: str) -> str:
        """An argument as text; empty when it is missing."""
        value = self.args.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An argument as a boolean; forms write it as text."""
        value = self.args.get(name)
        if value is None or value == "":
            return default
        return str(value).lower() in ("1", "true")

    def nested(self, name: str) -> Any:
        """An argument that is a document, however it was sent."""
        value = self.args.get(name)
        if isinstance(value, str) and name in _NESTED:
            if not value:
                return None
            try:
                return json.loads(value)
            except ValueError:
                if name == "blocks":
                    raise WebApiError("invalid_blocks_format") from None
                raise invalid(
                    "invalid_arguments", [f"must be valid JSON [json-pointer:/{name}]"]
                ) from None
        return value

    def limit(self, default: int) -> int:
        """The page size that was asked for."""
        value = self.text("limit")
        if value and not value.isdecimal():
            raise WebApiError("invalid_limit")
        return min(int(value or default), 1000) or default

    def require_scope(self, scope: str) -> None:
        """Refuse unless the app has this scope."""
        if scope not in self.scopes:
            raise missing_scope(scope, self.scopes)


Handler = Callable[[Call], Document]


def missing_scope(needed: str, provided: frozenset[str]) -> WebApiError:
    """The app lacks a scope."""
    return WebApiError("missing_scope", needed=needed, provided=",".join(sorted(provided)))


def visible_channel(call: Call, name: str = "channel") -> Channel:
    """The channel an argument names, as far as the bot may know of it.

    Private channels the bot is not in do not exist for it.

    Raises:
        SlackRefused: `channel_not_found`.
    """
    channel = call.workspace.channels.get(call.text(name))
    if channel is None or (
        (channel.is_private or channel.is_im) and BOT_USER_ID not in channel.members
    ):
        raise WebApiError("channel_not_found")
    return channel


def readable_channel(call: Call, suffix: str) -> Channel:
    """A visible channel of a kind the app has the scope for ("read" or "history")."""
    channel = visible_channel(call)
    call.require_scope(f"{channel.scope_prefix}:{suffix}")
    return channel


def paginate(call: Call, items: list[Any], *, default: int) -> tuple[list[Any], Document]:
    """One page of a list and the metadata that leads to the next."""
    start = 0
    if cursor := call.text("cursor"):
        if not cursor.startswith("next:") or not cursor[5:].isdecimal():
            raise WebApiError("invalid_cursor")
        start = int(cursor[5:])
    end = start + call.limit(default)
    following = f"next:{end}" if end < len(items) else ""
    return items[start:end], {"response_metadata": {"next_cursor": following}}
