"""Runs of the fake services and their threads in the sandbox, as a person sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bot.sandbox.slack.people import BUILDS, TEAM_ID
from bot.sandbox.slack.server import Sandbox
from core.domain.actor import User
from core.domain.drawables import DrawableKind, SlackMessage
from core.domain.runs.run import Run, RunStatus
from tests.fakes.services import FakeServices


def new_run(
    services: FakeServices,
    *,
    channel: str = BUILDS,
    task: str = "Add a button",
    owner: str | None = None,
) -> Run:
    """A live run; `owner` is the Slack id of a person."""
    identity, now = uuid4(), datetime.now(UTC)
    run_id = f"run_{identity.hex[:12]}"
    user_id = None
    if owner is not None:
        user_id = uuid4()
        services.users[user_id] = User(
            id=user_id, name=owner, slack_team_id=TEAM_ID, slack_user_id=owner
        )
    return services.put_run(
        Run(
            id=identity,
            run_id=run_id,
            workflow_name="implement",
            task_input=task,
            status=RunStatus.RUNNING,
            created_at=now,
            updated_at=now,
            started_at=now,
            session_id=uuid4(),
            user_id=user_id,
            slack_team_id=TEAM_ID,
            slack_channel_id=channel,
            thread_key=run_id,
            max_turns=30,
        )
    )


def is_drawn(services: FakeServices, run: Run) -> bool:
    """Whether the newest version of a run, and of its notice if it has one, is shown."""
    ids = {(DrawableKind.THREAD, run.thread_key), (DrawableKind.OWNER_NOTICE, run.run_id)}
    of_run = [one for one in services.all_drawables() if one.id in ids]
    return bool(of_run) and all(one.drawn_version == one.desired_version for one in of_run)


async def wait_until_drawn(
    services: FakeServices, run: Run, *, timeout: float = 15
) -> SlackMessage:
    """The card, once it shows the newest version."""
    await services.wait_until(
        lambda: is_drawn(services, run), what=f"the drawing of {run.run_id}", timeout=timeout
    )
    return services.shown[run.run_id, "card"]


def bot_messages(sandbox: Sandbox, channel: str = "#builds") -> list[dict[str, Any]]:
    """The bot's messages in a channel, without replies."""
    return [message for message in sandbox.human.messages(channel) if message.get("bot_id")]


def bot_texts(sandbox: Sandbox, channel: str = "#builds") -> list[str]:
    """Texts of the bot's messages in a channel."""
    return [sandbox.human.text(message) for message in bot_messages(sandbox, channel)]


def bot_replies_below(sandbox: Sandbox, root: str, channel: str = "#builds") -> list[str]:
    """Texts of the bot's replies in a thread."""
    thread = sandbox.human.thread(channel, root)
    return [sandbox.human.text(message) for message in thread[1:] if message.get("bot_id")]


def slot_counts(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    """How often each slot of each thread exists, in all channels."""
    found: Counter[tuple[str, str]] = Counter()
    for messages in sandbox.workspace.messages.values():
        for message in messages.values():
            payload: Mapping[str, Any] = (message.get("metadata") or {}).get("event_payload", {})
            if payload:
                found[str(payload["thread_key"]), str(payload["slot"])] += 1
            for file in message.get("files", ()):
                found["file", str(file["name"])] += 1
    return found
