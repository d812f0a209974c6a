"""The team, a channel or a thread as one person sees it, for the demo page."""

from bot.sandbox.slack import people
from bot.sandbox.slack.acting_page import acting_page
from bot.sandbox.slack.api.views import view_with_state
from bot.sandbox.slack.errors import ActionRefused
from bot.sandbox.slack.people import BOT_USER_ID, Channel, Person
from bot.sandbox.slack.state import Document, Workspace


def state(workspace: Workspace, me: Person) -> Document:
    """The team, people, channels and open modals as this person sees them."""
    manifest = workspace.manifest
    return {
        "team": {"id": people.TEAM_ID, "name": people.TEAM_NAME},
        "me": me.id,
        "bot": {"id": BOT_USER_ID, "name": manifest.bot_name},
        "users": [
            {
                "id": each.id,
                "name": each.name,
                "real_name": each.real_name,
                "is_bot": each.is_bot,
                "is_admin": each.is_admin,
                "is_restricted": each.is_restricted,
                "team_id": each.team_id,
            }
            for each in workspace.people.values()
        ],
        "channels": [
            _channel(workspace, channel, me)
            for channel in workspace.channels.values()
            if me.id in channel.members or not (channel.is_private or channel.is_im)
        ],
        "commands": [
            {
                "command": each.command,
                "description": each.description,
                "usage_hint": each.usage_hint,
            }
            for each in manifest.commands
        ],
        "shortcuts": [
            {"name": each.name, "type": each.type, "callback_id": each.callback_id}
            for each in manifest.shortcuts
        ],
        "views": [
            view_with_state(view)
            for view in workspace.stacks.get(me.id, ())
            if view.page in ("", acting_page.get())
        ],
        "n": workspace.inspector.n,
    }


def _channel(workspace: Workspace, channel: Channel, me: Person) -> Document:
    return {
        "id": channel.id,
        "name": workspace.manifest.bot_name if channel.is_im else channel.name,
        "is_private": channel.is_private,
        "is_im": channel.is_im,
        "is_archived": channel.is_archived,
        "is_ext_shared": channel.is_ext_shared,
        "is_member": me.id in channel.members,
        "bot_is_member": BOT_USER_ID in channel.members,
    }


def messages(workspace: Workspace, me: Person, channel: Channel) -> list[Document]:
    """A channel's messages without replies in threads, plus this person's ephemeral ones."""
    _check_access(me, channel)
    public = [
        workspace.with_reply_counts(channel.id, message)
        for message in workspace.messages.get(channel.id, {}).values()
        if message.get("thread_ts", message["ts"]) == message["ts"]
        or message.get("subtype") == "thread_broadcast"
    ]
    own = [each for each in _own_ephemerals(workspace, me, channel) if "thread_ts" not in each]
    return sorted([*public, *own], key=lambda each: str(each["ts"]))


def thread(workspace: Workspace, me: Person, channel: Channel, ts: str) -> list[Document]:
    """A thread: the root, its replies, and this person's ephemeral messages in it."""
    _check_access(me, channel)
    root = workspace.message(channel.id, ts)
    if root is None:
        raise ActionRefused("message_not_found", ts)
    own = [each for each in _own_ephemerals(workspace, me, channel) if each.get("thread_ts") == ts]
    replies = [*workspace.replies(channel.id, ts), *own]
    session = workspace.sessions.get((channel.id, ts))
    counted = workspace.with_reply_counts(channel.id, root)
    if session is not None:
        counted = counted | {"agent_session": session}
    return [counted, *sorted(replies, key=lambda each: str(each["ts"]))]


def _own_ephemerals(workspace: Workspace, me: Person, channel: Channel) -> list[Document]:
    return [
        message
        for user, channel_id, message in workspace.ephemerals
        if user == me.id and channel_id == channel.id
    ]


def _check_access(me: Person, channel: Channel) -> None:
    if (channel.is_private or channel.is_im) and me.id not in channel.members:
        raise ActionRefused("channel_not_found", channel.name)
