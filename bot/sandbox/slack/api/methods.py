"""The Web API methods the sandbox knows: the scopes and the rate tier of each.

Numbers and scopes come from Slack's reference; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Method:
    """One Web API method.

    Attributes:
        tier: 1 to 4; 5 is Slack's "special", see `rate_limits`.
        scopes: Any one of these allows the call; empty if it needs none.
        required: Arguments whose absence Slack refuses at once.
        is_for_app_token: Whether the method takes the app-level token, and only that one.
    """

    tier: int
    scopes: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    is_for_app_token: bool = False


def _any_scope(*scopes: str) -> frozenset[str]:
    return frozenset(scopes)


_WRITE = _any_scope("chat:write")
_READ = _any_scope("channels:read", "groups:read", "im:read", "mpim:read")
_HISTORY = _any_scope("channels:history", "groups:history", "im:history", "mpim:history")
_OPEN = _any_scope("channels:manage", "groups:write", "im:write", "mpim:write")
_USERS = _any_scope("users:read")
_GROUPS = _any_scope("usergroups:read")
_FILES = _any_scope("files:write")
_REACTIONS = _any_scope("reactions:write")
_ASSISTANT = _any_scope("assistant:write")

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "agents.sessions.rename": Method(3, _WRITE, ("channel_id", "title")),
        "agents.sessions.setStatus": Method(3, _WRITE, ("channel_id", "status")),
        "api.test": Method(4),
        "apps.connections.open": Method(3, is_for_app_token=True),
        "assistant.threads.setStatus": Method(5, _WRITE, ("channel_id", "thread_ts", "status")),
        "assistant.threads.setSuggestedPrompts": Method(4, _ASSISTANT, ("channel_id", "prompts")),
        "assistant.threads.setTitle": Method(4, _ASSISTANT, ("channel_id", "thread_ts", "title")),
        "auth.test": Method(5),
        "bots.info": Method(3, _USERS),
        "chat.appendStream": Method(4, _WRITE, ("channel", "ts")),
        "chat.delete": Method(3, _WRITE, ("channel", "ts")),
        "chat.getPermalink": Method(5, required=("channel", "message_ts")),
        "chat.postEphemeral": Method(4, _WRITE, ("channel", "user")),
        "chat.postMessage": Method(5, _WRITE, ("channel",)),
        "chat.startStream": Method(2, _WRITE, ("channel",)),
        "chat.stopStream": Method(2, _WRITE, ("channel", "ts")),
        "chat.update": Method(3, _WRITE, ("channel", "ts")),
        "conversations.history": Method(3, _HISTORY, ("channel",)),
        "conversations.info": Method(3, _READ, ("channel",)),
        "conversations.join": Method(3, _any_scope("channels:join"), ("channel",)),
        "conversations.list": Method(2, _READ),
        "conversations.members": Method(4, _READ, ("channel",)),
        "conversations.open": Method(3, _OPEN),
        "conversations.replies": Method(3, _HISTORY, ("channel", "ts")),
        "files.completeUploadExternal": Method(4, _FILES, ("files",)),
        "files.getUploadURLExternal": Method(4, _FILES, ("filename", "length")),
        "reactions.add": Method(3, _REACTIONS, ("name", "channel", "timestamp")),
        "reactions.remove": Method(2, _REACTIONS, ("name",)),
        "team.info": Method(3, _any_scope("team:read")),
        "usergroups.list": Method(2, _GROUPS),
        "usergroups.users.list": Method(2, _GROUPS, ("usergroup",)),
        "users.conversations": Method(3, _READ),
        "users.info": Method(4, _USERS, ("user",)),
        "users.list": Method(2, _USERS),
        "views.open": Method(4, required=("view",)),
        "views.publish": Method(4, required=("user_id", "view")),
        "views.push": Method(4, required=("view",)),
        "views.update": Method(4, required=("view",)),
    }
)
