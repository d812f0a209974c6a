"""One Web API call as the methods see it, and the checks that they share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.sandbox.slack.errors import WebApiError, invalid
from bot.sandbox.slack.people import BOT_USER_ID, Channel
from bot.sandbox.slack.state import Document, Workspace

# Fields that hold a document; a form sends them as JSON text.
_NESTED = frozenset(
    {"attachments", "blocks", "chunks", "files", "loading_messages", "metadata", "prompts", "view"}
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that passed the gate: known method, valid token, scope, rate limit, arguments.

    Attributes:
        url: The sandbox's address; links in answers begin with it.
        scopes: The scopes granted to the app.
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
        """An argument as a boolean; forms send it as text."""
        value = self.args.get(name)
        if value is None or value == "":
            return default
        return str(value).lower() in ("1", "true")

    def nested(self, name: str) -> Any:
        """An argument that is a document, sent as JSON or as text."""
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
        """The requested page size."""
        value = self.text("limit")
        if value and not value.isdecimal():
            raise WebApiError("invalid_limit")
        return min(int(value or default), 1000) or default

    def require_scope(self, scope: str) -> None:
        """Check that the app has this scope; otherwise refuse the call."""
        if scope not in self.scopes:
            raise missing_scope(scope, self.scopes)


Handler = Callable[[Call], Document]


def missing_scope(needed: str, provided: frozenset[str]) -> WebApiError:
    """The error for a scope that the app does not have."""
    return WebApiError("missing_scope", needed=needed, provided=",".join(sorted(provided)))


def visible_channel(call: Call, name: str = "channel") -> Channel:
    """The channel an argument names, if the bot can see it.

    A private channel is visible only to its members.

    Raises:
        WebApiError: `channel_not_found`.
    """
    channel = call.workspace.channels.get(call.text(name))
    if channel is None or (
        (channel.is_private or channel.is_im) and BOT_USER_ID not in channel.members
    ):
        raise WebApiError("channel_not_found")
    return channel


def readable_channel(call: Call, suffix: str) -> Channel:
    """A visible channel of a type that the app has the scope for ("read" or "history")."""
    channel = visible_channel(call)
    call.require_scope(f"{channel.scope_prefix}:{suffix}")
    return channel


def paginate(call: Call, items: list[Any], *, default: int) -> tuple[list[Any], Document]:
    """One page of a list, and the metadata with the cursor of the next."""
    start = 0
    if cursor := call.text("cursor"):
        if not cursor.startswith("next:") or not cursor[5:].isdecimal():
            raise WebApiError("invalid_cursor")
        start = int(cursor[5:])
    end = start + call.limit(default)
    following = f"next:{end}" if end < len(items) else ""
    return items[start:end], {"response_metadata": {"next_cursor": following}}
