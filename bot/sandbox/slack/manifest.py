"""The app's manifest: scopes, events, commands, shortcuts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A slash command of the app."""

    command: str
    description: str
    usage_hint: str
    should_escape: bool


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """A shortcut of the app; `type` is "message" or "global"."""

    name: str
    type: str
    callback_id: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The part of an app manifest that controls what Slack lets the app do."""

    name: str
    bot_name: str
    scopes: frozenset[str]
    events: frozenset[str]
    commands: tuple[Command, ...]
    shortcuts: tuple[Shortcut, ...]
    has_home: bool
    has_messages_tab: bool
    is_interactive: bool
    is_agent: bool


def find_manifest() -> Path | None:
    """The path of this project's manifest: at its root, or inside an installed package."""
    for folder in (_ROOT, _ROOT / "bot"):
        if (folder / "manifest.yml").is_file():
            return folder / "manifest.yml"
    return None


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file, YAML or JSON."""
    return parse_manifest(yaml.safe_load(path.read_text(encoding="utf-8")))


def parse_manifest(document: dict[str, Any]) -> Manifest:
    """Parse a manifest given as a document."""
    features = document.get("features", {})
    settings = document.get("settings", {})
    home = features.get("app_home", {})
    name = document["display_information"]["name"]
    return Manifest(
        name=name,
        bot_name=features.get("bot_user", {}).get("display_name", name).lower().replace(" ", "-"),
        scopes=frozenset(document.get("oauth_config", {}).get("scopes", {}).get("bot", ())),
        events=frozenset(settings.get("event_subscriptions", {}).get("bot_events", ())),
        commands=tuple(
            Command(
                command=each["command"],
                description=each.get("description", ""),
                usage_hint=each.get("usage_hint", ""),
                should_escape=bool(each.get("should_escape", False)),
            )
            for each in features.get("slash_commands", ())
        ),
        shortcuts=tuple(
            Shortcut(name=each["name"], type=each["type"], callback_id=each["callback_id"])
            for each in features.get("shortcuts", ())
        ),
        has_home=bool(home.get("home_tab_enabled", False)),
        has_messages_tab=bool(home.get("messages_tab_enabled", True)),
        is_interactive=bool(settings.get("interactivity", {}).get("is_enabled", False)),
        is_agent="agent_view" in features or "assistant_view" in features,
    )


DEFAULT_MANIFEST = parse_manifest(
    {
        "display_information": {"name": "Signalbox"},
        "features": {
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True},
            "bot_user": {"display_name": "signalbox"},
            "slash_commands": [
                {
                    "command": "/workflow",
                    "description": "Run and control workflows",
                    "usage_hint": "run <workflow> <task> | status | list | kill <run> | help",
                }
            ],
            "shortcuts": [
                {
                    "name": "Run a workflow on this",
                    "type": "message",
                    "callback_id": "run_on_message",
                }
            ],
        },
        "oauth_config": {
            "scopes": {
                "bot": [
                    "app_mentions:read",
                    "channels:history",
                    "channels:read",
                    "chat:write",
                    "commands",
                    "files:write",
                    "groups:history",
                    "groups:read",
                    "im:history",
                    "im:read",
                    "im:write",
                    "reactions:write",
                    "usergroups:read",
                    "users:read",
                ]
            }
        },
        "settings": {
            "event_subscriptions": {
                "bot_events": [
                    "app_home_opened",
                    "app_mention",
                    "member_joined_channel",
                    "message.channels",
                    "message.groups",
                    "message.im",
                ]
            },
            "interactivity": {"is_enabled": True},
            "socket_mode_enabled": True,
        },
    }
)
"""The manifest to use if none is given or found."""
