"""The App Home: a button to run a workflow, all live runs and a person's own ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.slack import ids
from bot.slack.views import blocks
from bot.slack.views.message import Block, View
from bot.slack.views.runs.links import NO_LINKS, ThreadLinks
from bot.slack.views.runs.rows import run_rows
from core.domain.runs.run import Run
from core.domain.runs.snapshot import RunSnapshot

_MAX_ROWS = 10
_LINES_LIMIT = 6500


def home_view(
    *,
    mine: Sequence[RunSnapshot],
    live: Sequence[RunSnapshot],
    now: datetime,
    links: ThreadLinks = NO_LINKS,
) -> View:
    """Draw the Home tab of one person.

    Each live run has a button.  What a person may do to somebody else's run is decided when it is
    pressed, and a form asks first.

    Args:
        mine: The person's own runs, newest first; the first 10 are shown.
        live: The live runs, newest first; the first 10 are shown.
        now: The current time, for elapsed times.
        links: Makes the tasks links to the threads.
    """
    # A live run of the person is in both lists; its button is in the first one.
    live_ids = {snapshot.run.id for snapshot in live[:_MAX_ROWS]}
    own_ids = {snapshot.run.id for snapshot in mine}
    owners = {snapshot.run.user_id for snapshot in mine if snapshot.run.user_id is not None}

    def is_own(run: Run) -> bool:
        return run.id in own_ids or run.user_id in owners

    def section(
        title: str, runs: Sequence[RunSnapshot], empty_text: str, *, has_buttons: bool
    ) -> list[Block]:
        rows = run_rows(
            runs[:_MAX_ROWS],
            now=now,
            links=links,
            can_kill=lambda run: has_buttons or run.id not in live_ids,
            is_own=is_own,
            limit=_LINES_LIMIT,
        )
        return [blocks.header(title), *(rows or [blocks.section(empty_text)])]

    run_button = blocks.button(
        "Run a workflow…", action_id=ids.OPEN_RUN_FORM, value=ids.RUN_FORM, style="primary"
    )
    drawn: list[Block] = [
        blocks.header("Signalbox"),
        blocks.section(
            "Runs Claude Code workflows and shows what they do. Started here, a run has its thread "
            "in our direct messages; started with `/workflow run` in a channel that I am in, it "
            "has it there."
        ),
        blocks.actions(ids.HOME_ACTIONS, [run_button]),
        *section("Live now", live, "Nothing is running or waiting.", has_buttons=True),
        *section("Your runs", mine, "You have not started a run yet.", has_buttons=False),
        blocks.context(
            "This tab follows what happens for a few minutes after you open it. `/workflow help` "
            "explains the commands."
        ),
    ]
    return {"type": "home", "blocks": drawn}
