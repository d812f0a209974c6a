"""Ids of buttons, forms and fields, shared by the views and the listeners.

Old messages keep their buttons in Slack for ever: never give an id a new meaning.
"""

from collections.abc import Mapping
from types import MappingProxyType

COMMAND = "/workflow"

# Buttons.  Their value is a run id.
KILL = "run_kill"
FORCE_KILL = "run_force_kill"
# Only in private questions; the value is a command (`bot.slack.commands.kill_command`).
KILL_ANYWAY = "run_kill_anyway"
KILL_MANY_ASK = "runs_kill_ask"
# In lists: kills one's own run, and asks before somebody else's.
KILL_LISTED = "run_kill_listed"
# For as many turns as the run had left.
CONTINUE_LEFT = "run_continue_left"
# Opens the form of a recovery leg, which says what that is.
CONTINUE_RECOVERY = "run_continue_recovery"
# Only in private questions; the value is a command (`bot.slack.commands.reply_command`).
CONTINUE_REPLY = "run_continue_reply"
# In refusals: ask the owner and the operators to do it.
ASK_KILL = "run_ask_kill"
ASK_CONTINUE = "run_ask_continue"
ASK_RESTART = "run_ask_restart"
CONTINUE_10 = "run_continue_10"
CONTINUE_20 = "run_continue_20"
CONTINUE_50 = "run_continue_50"
CONTINUE_MORE = "run_continue_more"
DETAILS = "run_details"
# An option that opens an address; nothing else is done for it.
DASHBOARD = "run_dashboard"
# Opens the form that asks from where.
RESTART = "run_restart"
# Only in private questions; the value is a command (`bot.slack.commands.restart_parser`).
RESTART_ANYWAY = "run_restart_anyway"
# The menus of that form.
RESTART_POINT = "run_restart_point"
RESTART_MODE = "run_restart_mode"
# The menu of a card; the value of its options is `menu_value`.
CARD_MENU = "run_menu"

# Of messages about alerts.  Their value is the id of the message (`AlertGroup.id`).
ALERT_ACKNOWLEDGE = "alert_acknowledge"
ALERT_STILL_FINE = "alert_still_fine"
ALERT_SNOOZE_1H = "alert_snooze_1h"
ALERT_SNOOZE_4H = "alert_snooze_4h"
ALERT_SNOOZE_MORNING = "alert_snooze_morning"
# The value of its options is `menu_value` with the id of the message.
ALERT_MENU = "alert_menu"

# Opens the form for a new run; its value says nothing.
OPEN_RUN_FORM = "run_form_open"

# The value is the channel to subscribe, and the id of a subscription.
SUBSCRIBE_ALERTS = "alerts_subscribe"
EDIT_ALERTS = "alerts_edit"
UNSUBSCRIBE_ALERTS = "alerts_unsubscribe"

# Turns that each Continue button adds; `CONTINUE_MORE` asks in a modal.
CONTINUE_TURNS: Mapping[str, int] = MappingProxyType(
    {CONTINUE_10: 10, CONTINUE_20: 20, CONTINUE_50: 50}
)


def menu_value(action_id: str, run_id: str) -> str:
    """The value of a menu's option: the button that it stands for, and the value of that."""
    return f"{action_id} {run_id}"


def from_menu_value(value: str) -> tuple[str, str]:
    """The button that a menu's option stands for, and its value."""
    action_id, _, run_id = value.partition(" ")
    return action_id, run_id


# Modals.
RUN_FORM = "run_form"
CONTINUE_FORM = "continue_form"
RESTART_FORM = "restart_form"
KILL_FORM = "kill_form"
KILL_MANY_FORM = "kill_many_form"
ALERT_FORM = "alert_form"
DETAILS_VIEW = "run_details_view"

# The message shortcut "Run a workflow on this".
RUN_ON_MESSAGE = "run_on_message"

# Blocks of a message.
CARD_ACTIONS = "card_actions"
KILL_QUESTION = "kill_question"
REPLY_QUESTION = "reply_question"
RESTART_QUESTION = "restart_question"
RESTART_CHOICES = "restart_choices"
CONTINUED_ACTIONS = "continued_actions"
REFUSAL_ACTIONS = "refusal_actions"
REQUEST_ACTIONS = "request_actions"
HOME_ACTIONS = "home_actions"
ALERTS_ACTIONS = "alerts_actions"
ALERT_ACTIONS = "alert_actions"

# Input blocks of the modals; Slack attaches an error to the block_id of its field.
FIELD_WORKFLOW = "workflow"
FIELD_TASK = "task"
FIELD_REPO = "repo"
FIELD_BRANCH = "branch"
FIELD_SESSION = "session"
FIELD_TURNS = "turns"
FIELD_BUDGET = "budget"
FIELD_MODEL = "model"
FIELD_TIMEOUT = "timeout"
FIELD_MESSAGE = "message"
FIELD_REASON = "reason"
FIELD_DEFINITION = "definition"
FIELD_KINDS = "kinds"
FIELD_OWNER = "owner"
FIELD_SEVERITY = "severity"
FIELD_COST = "cost"
FIELD_FOR = "for"
FIELD_GROUP = "group"
FIELD_PERSON = "person"
FIELD_QUIET = "quiet"
FIELD_TIME_ZONE = "time_zone"
FIELD_DIGEST = "digest"
FIELD_DIGEST_HOUR = "digest_hour"
FIELD_PROGRESS = "progress"
FIELD_BROADCAST = "broadcast"

# The action_id of the one element in each input block.
VALUE = "value"
