"""auth, users, user groups, team, bots, reactions: the small methods."""

from bot.sandbox.slack import people
from bot.sandbox.slack.api.call import Call, Handler, paginate, visible_channel
from bot.sandbox.slack.delivery import events
from bot.sandbox.slack.errors import WebApiError
from bot.sandbox.slack.people import BOT_ID, BOT_USER_ID
from bot.sandbox.slack.state import Document, Workspace


def api_test(call: Call) -> Document:
    """api.test."""
    return {"args": {key: value for key, value in call.args.items() if key != "token"}}


def auth_test(call: Call) -> Document:
    """auth.test."""
    organisation = call.workspace.organisation
    return {
        "url": call.url + "/",
        "team": people.TEAM_NAME,
        "user": call.workspace.manifest.bot_name,
        "team_id": people.TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
        **(organisation.identity() if organisation is not None else {}),
    }


def user_info(call: Call) -> Document:
    """users.info."""
    person = call.workspace.people.get(call.text("user"))
    if person is None:
        raise WebApiError("user_not_found")
    return {"user": person.document(with_email="users:read.email" in call.scopes)}


def user_list(call: Call) -> Document:
    """users.list: the members of the team; people outside it are not listed."""
    found = [
        person.document(with_email="users:read.email" in call.scopes)
        for person in call.workspace.people.values()
        if not person.is_stranger
    ]
    items, metadata = paginate(call, found, default=1000)
    return {"members": items, "cache_ts": int(call.workspace.clock.now()), **metadata}


def group_list(call: Call) -> Document:
    """usergroups.list."""
    with_users = call.flag("include_users")
    groups = call.workspace.groups.values()
    return {"usergroups": [each.document(with_users=with_users) for each in groups]}


def group_users(call: Call) -> Document:
    """usergroups.users.list; a token of an organisation must say which workspace it means."""
    organisation = call.workspace.organisation
    is_org_wide = organisation is not None and organisation.is_org_wide
    if is_org_wide and call.text("team_id") != people.TEAM_ID:
        raise WebApiError("missing_argument" if not call.text("team_id") else "no_such_subteam")
    group = call.workspace.groups.get(call.text("usergroup"))
    if group is None:
        raise WebApiError("no_such_subteam")
    return {"users": list(group.members)}


def team_info(_call: Call) -> Document:
    """team.info."""
    return {
        "team": {
            "id": people.TEAM_ID,
            "name": people.TEAM_NAME,
            "domain": people.TEAM_DOMAIN,
            "email_domain": "",
            "icon": {"image_default": True},
        }
    }


def bot_info(call: Call) -> Document:
    """bots.info."""
    if call.text("bot") not in ("", BOT_ID):
        raise WebApiError("bot_not_found")
    profile = call.workspace.bot_profile()
    del profile["team_id"]
    return {"bot": profile}


def _reaction_target(call: Call, ts_name: str) -> tuple[people.Channel, Document, str]:
    channel = visible_channel(call)
    message = call.workspace.message(channel.id, call.text(ts_name))
    if message is None:
        raise WebApiError("message_not_found")
    if channel.is_archived:
        raise WebApiError("is_archived")
    name = call.text("name").strip(":")
    if not name or " " in name:
        raise WebApiError("invalid_name")
    return channel, message, name


def reaction_add(call: Call) -> Document:
    """reactions.add."""
    channel, message, name = _reaction_target(call, "timestamp")
    if not add_reaction(call.workspace, channel, message, user=BOT_USER_ID, name=name):
        raise WebApiError("already_reacted")
    return {}


def reaction_remove(call: Call) -> Document:
    """reactions.remove."""
    channel, message, name = _reaction_target(call, "timestamp")
    for reaction in message.get("reactions", []):
        if reaction["name"] == name and BOT_USER_ID in reaction["users"]:
            reaction["users"].remove(BOT_USER_ID)
            reaction["count"] -= 1
            message["reactions"] = [each for each in message["reactions"] if each["count"]]
            _announce_reaction(call.workspace, channel, message, BOT_USER_ID, name, added=False)
            return {}
    raise WebApiError("no_reaction")


def add_reaction(
    workspace: Workspace, channel: people.Channel, message: Document, *, user: str, name: str
) -> bool:
    """Add a reaction; False if this person has already added it."""
    reactions = message.setdefault("reactions", [])
    for reaction in reactions:
        if reaction["name"] == name:
            if user in reaction["users"]:
                return False
            reaction["users"].append(user)
            reaction["count"] += 1
            break
    else:
        reactions.append({"name": name, "users": [user], "count": 1})
    _announce_reaction(workspace, channel, message, user, name, added=True)
    return True


def _announce_reaction(
    workspace: Workspace,
    channel: people.Channel,
    message: Document,
    user: str,
    name: str,
    *,
    added: bool,
) -> None:
    workspace.inspector.publish_change(
        "reaction", channel=channel.id, ts=message["ts"], thread_ts=message.get("thread_ts")
    )
    event = events.reaction_event(
        added=added,
        user=user,
        reaction=name,
        channel=channel,
        message=message,
        ts=workspace.new_ts(),
    )
    workspace.emit(event, channel)


HANDLERS: dict[str, Handler] = {
    "api.test": api_test,
    "auth.test": auth_test,
    "bots.info": bot_info,
    "reactions.add": reaction_add,
    "reactions.remove": reaction_remove,
    "team.info": team_info,
    "usergroups.list": group_list,
    "usergroups.users.list": group_users,
    "users.info": user_info,
    "users.list": user_list,
}
