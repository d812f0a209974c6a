"""Which listener hears what.  Everything Slack may send has one, or Slack gets a 404."""

from __future__ import annotations

import re

from slack_bolt.async_app import AsyncApp

from bot.slack import ids
from bot.slack.client.cached import Kept
from bot.slack.inbound.error_boundary import Desk
from bot.slack.inbound.request import Asked
from bot.slack.listeners.actions import Acts
from bot.slack.listeners.buttons import Buttons
from bot.slack.listeners.command import Command
from bot.slack.listeners.forms import Forms
from bot.slack.listeners.home import HomeTab
from bot.slack.listeners.messages import Messages, is_overheard
from core.domain.actor import Action

_ANYTHING = re.compile(r"[\s\S]*")


def register(app: AsyncApp, desk: Desk, acts: Acts, *, hinted: Kept[bool]) -> None:
    """Register every listener; the first that matches is the one that runs.

    Admission comes with the weakest action that makes sense; what somebody may do to a
    run is decided by the services, which know the run.
    """
    command, buttons, forms = Command(acts), Buttons(acts), Forms(acts)
    messages, home = Messages(acts, hinted), HomeTab(acts)

    app.command(ids.COMMAND)(desk.answering(command.typed, Action.VIEW))

    app.action(ids.KILL)(desk.answering(buttons.kill, Action.KILL))
    app.action(ids.FORCE_KILL)(desk.answering(buttons.force_kill, Action.KILL))
    app.action(ids.KILL_ANYWAY)(desk.answering(buttons.kill_anyway, Action.KILL))
    app.action(ids.KILL_MANY_ASK)(desk.answering(buttons.ask_which, Action.KILL))
    for action_id in ids.CONTINUE_TURNS:
        app.action(action_id)(desk.answering(buttons.go_on, Action.CONTINUE))
    app.action(ids.CONTINUE_MORE)(desk.answering(buttons.ask_how, Action.CONTINUE))

    app.view_submission(ids.RUN_FORM)(desk.submitting(forms.start, Action.START))
    app.view_submission(ids.CONTINUE_FORM)(desk.submitting(forms.go_on, Action.CONTINUE))
    app.view_submission(ids.KILL_FORM)(desk.submitting(acts.kills.submitted_one, Action.KILL))
    app.view_submission(ids.KILL_MANY_FORM)(
        desk.submitting(acts.kills.submitted_several, Action.KILL)
    )
    app.message_shortcut(ids.RUN_ON_MESSAGE)(desk.answering(forms.run_on_message, Action.START))

    said = desk.answering(
        messages.said, Action.VIEW, is_quiet=is_overheard, concerns=messages.concerns_us
    )
    for event in ("message", "app_mention"):
        app.event(event)(said)
    app.event("app_home_opened")(desk.answering(home.opened, Action.VIEW, is_quiet=_always_quiet))

    # Old messages keep their buttons for ever, and another version may have named them:
    # whatever else comes is acknowledged, and nothing is done.
    app.event(_ANYTHING)(desk.ignore)
    app.action(_ANYTHING)(desk.ignore)
    app.command(_ANYTHING)(desk.ignore)
    app.shortcut(_ANYTHING)(desk.ignore)
    app.view_submission(_ANYTHING)(desk.ignore)
    app.view_closed(_ANYTHING)(desk.ignore)


def _always_quiet(_: Asked) -> bool:
    return True
