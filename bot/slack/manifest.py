"""The Slack app manifest: unchanged for Socket Mode, with URLs filled in for HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from core.domain.errors import BadRequest

# Only for reactions to mentions.
OPTIONAL_SCOPES = frozenset({"reactions:write"})
EVENTS_PATH = "/slack/events"


def manifest_path() -> Path:
    """The path of the manifest: in the project's root, or inside the installed package."""
    package = Path(__file__).parents[1]
    at_root = package.parent / "manifest.yml"
    return at_root if at_root.exists() else package / "manifest.yml"


def load_manifest() -> dict[str, Any]:
    """The manifest as data."""
    found = yaml.safe_load(manifest_path().read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise TypeError("the manifest is not a mapping")
    return found


def bot_scopes() -> tuple[str, ...]:
    """The scopes without which the bot cannot work."""
    asked = load_manifest()["oauth_config"]["scopes"]["bot"]
    return tuple(scope for scope in asked if scope not in OPTIONAL_SCOPES)


def manifest_text(*, public_url: str | None = None) -> str:
    """The text to paste into Slack.

    Args:
        public_url: Base URL under which Slack reaches this server; `None` for Socket Mode.

    Raises:
        BadRequest: If the URL is not https.
    """
    if public_url is None:
        return manifest_path().read_text(encoding="utf-8")
    if not public_url.startswith("https://"):
        raise BadRequest(
            f"public url {public_url}",
            user_message="Slack delivers only to https addresses: give one that begins with "
            "https://.",
        )
    url = public_url.rstrip("/") + EVENTS_PATH
    manifest = load_manifest()
    settings = manifest["settings"]
    settings["socket_mode_enabled"] = False
    settings["interactivity"]["request_url"] = url
    settings["event_subscriptions"]["request_url"] = url
    for command in manifest["features"]["slash_commands"]:
        command["url"] = url
    text: str = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)
    return text
