"""Registration of the listeners.  Every delivery needs one; otherwise Bolt answers 404."""

from __future__ import annotations

import re

from cachetools import TTLCache
from slack_bolt.async_app import AsyncApp

from bot.slack import ids
from bot.slack.inbound.error_boundary import ErrorBoundary
from bot.slack.inbound.request import SlackRequest
from bot.slack.listeners.actions import BotActions
from bot.slack.listeners.alert_buttons import AlertButtons
from bot.slack.listeners.buttons import Buttons
from bot.slack.listeners.channels import Channels
from bot.slack.listeners.forms import Forms
from bot.slack.listeners.home import HomeTab
from bot.slack.listeners.messages import Messages, is_not_addressed
from bot.slack.listeners.slash_command import SlashCommand
from core.domain.actor import Action

_ANYTHING = re.compile(r"[\s\S]*")


def register(
    app: AsyncApp,
    boundary: ErrorBoundary,
    actions: BotActions,
    alerts: AlertButtons,
    *,
    hint_cache: TTLCache[str, bool],
) -> None:
    """Register all listeners; Bolt runs the first one that matches.

    Each names the action that access control checks.  The services then check what the person
    may do to the run in question.
    """
    command, buttons, forms = SlashCommand(actions), Buttons(actions), Forms(actions)
    messages, home = Messages(actions, hint_cache), HomeTab(actions)

    app.command(ids.COMMAND)(boundary.listener_for(command.handle, Action.VIEW))

    app.action(ids.KILL)(boundary.listener_for(buttons.kill, Action.KILL))
    app.action(ids.FORCE_KILL)(boundary.listener_for(buttons.force_kill, Action.KILL))
    app.action(ids.KILL_ANYWAY)(boundary.listener_for(buttons.confirm_kill, Action.KILL))
    app.action(ids.KILL_MANY_ASK)(boundary.listener_for(buttons.open_kill_many_form, Action.KILL))
    app.action(ids.KILL_LISTED)(boundary.listener_for(buttons.kill_listed, Action.KILL))
    for action_id in (*ids.CONTINUE_TURNS, ids.CONTINUE_LEFT):
        app.action(action_id)(boundary.listener_for(buttons.continue_run, Action.CONTINUE))
    app.action(ids.CONTINUE_REPLY)(
        boundary.listener_for(buttons.continue_with_reply, Action.CONTINUE)
    )
    for action_id in (ids.ASK_KILL, ids.ASK_CONTINUE, ids.ASK_RESTART):
        app.action(action_id)(boundary.listener_for(buttons.ask_operator, Action.VIEW))
    app.action(ids.OPEN_RUN_FORM)(boundary.listener_for(buttons.open_run_form, Action.START))
    app.action(ids.CONTINUE_MORE)(
        boundary.listener_for(buttons.open_continue_form, Action.CONTINUE)
    )

    for action_id, restart_handler in (
        (ids.RESTART, buttons.open_restart_form),
        (ids.RESTART_ANYWAY, buttons.confirm_restart),
        (ids.RESTART_POINT, actions.restarts.choose_point),
        (ids.RESTART_MODE, actions.restarts.choose_mode),
    ):
        app.action(action_id)(boundary.listener_for(restart_handler, Action.RESTART))
    app.action(ids.CONTINUE_RECOVERY)(
        boundary.listener_for(buttons.open_recovery_form, Action.CONTINUE)
    )

    app.action(ids.DETAILS)(boundary.listener_for(buttons.open_details, Action.VIEW))
    # The services check what the chosen act needs.
    app.action(ids.CARD_MENU)(boundary.listener_for(buttons.choose, Action.VIEW))

    for action_id, handler in (
        (ids.ALERT_ACKNOWLEDGE, alerts.acknowledge),
        (ids.ALERT_STILL_FINE, alerts.still_fine),
        (ids.ALERT_MENU, alerts.choose),
    ):
        app.action(action_id)(boundary.listener_for(handler, Action.ACKNOWLEDGE))

    app.view_submission(ids.RUN_FORM)(boundary.form_listener_for(forms.start, Action.START))
    app.view_submission(ids.CONTINUE_FORM)(
        boundary.form_listener_for(forms.continue_run, Action.CONTINUE)
    )
    app.view_submission(ids.RESTART_FORM)(
        boundary.form_listener_for(actions.restarts.submit, Action.RESTART)
    )
    app.view_submission(ids.KILL_FORM)(
        boundary.form_listener_for(actions.kills.submit_kill, Action.KILL)
    )
    app.view_submission(ids.KILL_MANY_FORM)(
        boundary.form_listener_for(actions.kills.submit_kill_many, Action.KILL)
    )
    app.message_shortcut(ids.RUN_ON_MESSAGE)(
        boundary.listener_for(forms.run_on_message, Action.START)
    )

    said = boundary.listener_for(
        messages.handle, Action.VIEW, is_quiet=is_not_addressed, is_relevant=messages.is_relevant
    )
    for event in ("message", "app_mention"):
        app.event(event)(said)
    app.event("app_home_opened")(
        boundary.listener_for(home.show, Action.VIEW, is_quiet=_always_quiet)
    )

    _register_alerts(app, boundary, actions)

    # Old messages keep their buttons for ever, also those with ids of other versions.
    # So anything else is acknowledged and ignored.
    app.event(_ANYTHING)(boundary.ignore)
    app.action(_ANYTHING)(boundary.ignore)
    app.command(_ANYTHING)(boundary.ignore)
    app.shortcut(_ANYTHING)(boundary.ignore)
    app.view_submission(_ANYTHING)(boundary.ignore)
    app.view_closed(_ANYTHING)(boundary.ignore)


def _register_alerts(app: AsyncApp, boundary: ErrorBoundary, actions: BotActions) -> None:
    """Register what subscriptions to alerts need."""
    alerts, channels = actions.alerts, Channels(actions.alerts)
    app.action(ids.SUBSCRIBE_ALERTS)(
        boundary.listener_for(alerts.open_subscribe_form, Action.SUBSCRIBE)
    )
    app.action(ids.EDIT_ALERTS)(boundary.listener_for(alerts.open_edit_form, Action.SUBSCRIBE))
    app.action(ids.UNSUBSCRIBE_ALERTS)(
        boundary.listener_for(alerts.unsubscribe_listed, Action.SUBSCRIBE)
    )
    app.view_submission(ids.ALERT_FORM)(
        boundary.form_listener_for(alerts.submit_form, Action.SUBSCRIBE)
    )
    app.event("member_joined_channel")(
        boundary.listener_for(channels.joined, Action.VIEW, is_quiet=_always_quiet)
    )
    for event, handler in {
        "channel_archive": channels.archived,
        "group_archive": channels.archived,
        "channel_deleted": channels.deleted,
        "group_deleted": channels.deleted,
        "channel_left": channels.left,
        "group_left": channels.left,
        "member_left_channel": channels.left,
    }.items():
        app.event(event)(boundary.event_listener_for(handler))


def _always_quiet(_: SlackRequest) -> bool:
    return True
